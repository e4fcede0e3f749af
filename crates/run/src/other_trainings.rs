//! Other trainings of a model, on other seeds: to be asked for a verdict, to teach, to be averaged with.
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use udas_model::ModelFile;

/// The models that a flag names as other trainings of `model`. What a checkpoint does not say of its preprocessing is as
/// the model's.
///
/// # Errors
/// `Error::Input` for the model itself, for one twice, and for models of other classes or slices.
pub fn load(flag: &str, paths: &[PathBuf], model: &ModelFile) -> Result<Vec<ModelFile>> {
    let load = |path: &PathBuf| -> Result<ModelFile> {
        let refuse = |what| Err(refusal(flag, path, what));
        let other = ModelFile::load(path, Some(model.info.preprocessing.clone()))?;
        if other.hash()? == model.hash()? {
            return refuse("is the model itself, and no other training; give other seeds");
        }
        if other.info.network.outputs != model.info.network.outputs {
            return refuse("segments another number of classes; leave it out");
        }
        if !other.info.preprocessing.has_slices_of(&model.info.preprocessing) {
            return refuse("cuts volumes into other slices; leave it out");
        }
        Ok(other)
    };
    let others = paths.iter().map(load).collect::<Result<Vec<_>>>()?;
    let hashes = others.iter().map(ModelFile::hash).collect::<Result<BTreeSet<_>, _>>()?;
    if hashes.len() < others.len() {
        let text = format!("{flag}: two of them are the same model; leave one out");
        return Err(Error::input(text));
    }
    Ok(others)
}

/// The same of those that are shown the model's own slices: they must see volumes as it does.
///
/// # Errors
/// As [`load`], and for models with another preprocessing.
pub fn with_the_same_preprocessing(
    flag: &str,
    paths: &[PathBuf],
    model: &ModelFile,
) -> Result<Vec<ModelFile>> {
    let others = load(flag, paths, model)?;
    let is_other = |other: &ModelFile| other.info.preprocessing != model.info.preprocessing;
    match paths.iter().zip(&others).find(|(_, other)| is_other(other)) {
        Some((path, _)) => {
            let what = "sees volumes in another way than the model (plane, intensities or size); give trainings with \
                        the model's settings";
            Err(refusal(flag, path, what))
        }
        None => Ok(others),
    }
}

fn refusal(flag: &str, path: &Path, what: &str) -> Error {
    Error::input(format!("{flag} {}: {what}", path.display()))
}
