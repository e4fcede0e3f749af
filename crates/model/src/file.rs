//! Reading and writing of models and heads; a run folder stands for the model in it.
use crate::info::{Description, FORMAT};
use crate::{Error, HeadInfo, ModelInfo, Provenance, Result, families, others};
use candle_core::{DType, Device};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use udas_data::Preprocessing;
use udas_network::{EarlyHead, Network, Spec};
use udas_nn::{Checkpoint, StateDict, Taken};

/// Name of the model in a run folder.
pub const MODEL_FILE: &str = "model.safetensors";

/// A network with its description.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// The tensors.
    pub state: StateDict,
    /// What prediction needs.
    pub info: ModelInfo,
}

/// An early head with its description.
#[derive(Clone, Debug)]
pub struct HeadFile {
    /// The tensors.
    pub state: StateDict,
    /// Its level, and the network that it belongs to.
    pub info: HeadInfo,
}

impl ModelFile {
    /// Reads a model, checking that it is whole. `path` may be a run folder.
    ///
    /// Files of other makers say nothing of preprocessing: `preprocessing` then stands in.
    ///
    /// # Errors
    /// [`Error::Network`] names missing, unexpected and misshapen entries; [`Error::File`] what else is
    /// wrong.
    pub fn load(path: &Path, preprocessing: Option<Preprocessing>) -> Result<Self> {
        Ok(Self::load_wrapped(path, preprocessing)?.0)
    }

    /// As [`Self::load`], with what was taken of a file of other makers.
    ///
    /// # Errors
    /// As of [`Self::load`].
    pub fn load_wrapped(
        path: &Path,
        preprocessing: Option<Preprocessing>,
    ) -> Result<(Self, Taken)> {
        others::refuse(path)?;
        let path = &in_run_folder(path);
        let (Checkpoint { tensors, metadata }, taken) =
            Checkpoint::load_network(path, &families::marks())?;
        others::refuse_patch(path, metadata.as_deref())?;
        let network = check_network(path, &tensors, &taken)?;
        check_numbers(path, &tensors)?;
        // Other makers' files may lack what nothing is computed of; the network has it.
        let tensors = if metadata.is_some() { tensors } else { network.parameters().state()? };
        let network = network.spec().clone();
        let info = match metadata {
            Some(text) => {
                let info: ModelInfo = parse(path, &text, "a model")?;
                check_format(path, info.format)?;
                if info.network != network && info.network != Spec::default() {
                    let problem = "its description and its tensors differ; train it again";
                    return Err(Error::file(path, problem));
                }
                ModelInfo { network, ..info }
            }
            None => {
                let default = Preprocessing::upright(udas_data::Plane::Sagittal);
                let mut preprocessing = preprocessing.unwrap_or(default);
                preprocessing.padding = preprocessing.padding.in_multiples_of(network.multiple());
                let info = ModelInfo::new(network, preprocessing, Provenance::default());
                ModelInfo { description: Description::Assumed, ..info }
            }
        };
        Ok((Self { state: tensors, info }, taken))
    }

    /// The network, everything frozen.
    ///
    /// # Errors
    /// When the tensors are not those of a known network.
    pub fn network(&self, device: &Device) -> Result<Box<dyn Network>> {
        Ok(families::network_of(&self.state, device)?)
    }

    /// Writes the model whole or not at all. In a `.pth` file the description is lost.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        save(path, &self.state, &self.info)
    }

    /// Hash of the tensors, whatever file they came from.
    ///
    /// # Errors
    /// When a tensor has a type that is not stored.
    pub fn hash(&self) -> Result<String> {
        hash(&self.state)
    }
}

impl HeadFile {
    /// Reads a head for a network. `path` may be a run folder.
    ///
    /// # Errors
    /// [`Error::File`] when it belongs to no level of the network or to another class count.
    pub fn load(path: &Path, network: &Spec) -> Result<Self> {
        let path = &in_run_folder(path);
        let Checkpoint { tensors, metadata } =
            Checkpoint::load_network(path, &families::marks())?.0;
        let misfit =
            |error: udas_nn::Error| Error::file(path, format!("as an early head, {error}"));
        let level = EarlyHead::level_of(&tensors, network).map_err(misfit)?;
        let info = match metadata {
            Some(text) => {
                let info: HeadInfo = parse(path, &text, "an early head")?;
                check_format(path, info.format)?;
                info
            }
            None => HeadInfo::new(network.clone(), level, String::new(), Provenance::default()),
        };
        EarlyHead::from_state(&tensors, network, info.level, &Device::Cpu).map_err(misfit)?;
        Ok(Self { state: tensors, info })
    }

    /// Writes the head whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        save(path, &self.state, &self.info)
    }
}

fn in_run_folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() }
}

/// Refuses weights that are no numbers: what a network makes of them looks like a prediction.
fn check_numbers(path: &Path, state: &StateDict) -> Result<()> {
    for (name, tensor) in state {
        let sum = tensor.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar::<f64>()?;
        if !sum.is_finite() {
            let problem = format!("`{name}` holds values that are no numbers; train it again");
            return Err(Error::file(path, problem));
        }
        let is_variance = name.ends_with(".running_var");
        if is_variance && tensor.to_dtype(DType::F64)?.min_all()?.to_scalar::<f64>()? < 0.0 {
            let problem = format!("`{name}` holds variances below zero; save the network again");
            return Err(Error::file(path, problem));
        }
    }
    Ok(())
}

fn check_network(path: &Path, state: &StateDict, taken: &Taken) -> Result<Box<dyn Network>> {
    if state.contains_key(EarlyHead::MARK) && !families::is_known(state) {
        let problem = "holds an early head, not a network; pass it by --head";
        return Err(Error::file(path, problem));
    }
    match families::network_of(state, &Device::Cpu) {
        Ok(network) => Ok(network),
        Err(udas_nn::Error::Mismatch(mismatch)) => {
            others::refuse_entries(path, state)?;
            let taken = if taken.is_whole() { String::new() } else { format!(" ({taken})") };
            let problem = format!(
                "its entries are not those of the network: {mismatch}{taken}; give a checkpoint of this network"
            );
            Err(Error::file(path, problem))
        }
        Err(error) => Err(error.into()),
    }
}

fn check_format(path: &Path, format: u32) -> Result<()> {
    if format > FORMAT {
        let problem = format!("was written by a later version (format {format}); update udas");
        return Err(Error::file(path, problem));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::file(path, format!("its description is not that of {what} ({error}); give {what}"))
    })
}

fn save<T: serde::Serialize>(path: &Path, state: &StateDict, info: &T) -> Result<()> {
    let metadata = serde_json::to_string(info)
        .map_err(|error| Error::file(path, format!("cannot be described: {error}")))?;
    Ok(Checkpoint { tensors: state.clone(), metadata: Some(metadata) }.save(path)?)
}

fn hash(state: &StateDict) -> Result<String> {
    Ok(Checkpoint { tensors: state.clone(), metadata: None }.hash()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::families;
    use udas_data::Plane;
    use udas_network::Shape;
    use udas_unet::UNet;

    fn model() -> ModelFile {
        let unet = UNet::random(Shape { filters: 2, outputs: 4 }, 3, &Device::Cpu).unwrap();
        let preprocessing = Preprocessing::upright(Plane::Coronal);
        let info = ModelInfo::new(unet.spec().clone(), preprocessing, Provenance::default());
        ModelFile { state: unet.parameters().state().unwrap(), info }
    }

    #[test]
    fn a_model_comes_back_from_its_file_and_from_its_run_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (path, model) = (folder.path().join(MODEL_FILE), model());
        model.save(&path).unwrap();
        for path in [path.as_path(), folder.path()] {
            let back = ModelFile::load(path, None).unwrap();
            assert_eq!(back.info, model.info);
            assert_eq!(back.hash().unwrap(), model.hash().unwrap());
        }
    }

    #[test]
    fn files_of_format_1_say_their_network_by_their_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = model();
        let mut said = serde_json::to_value(&model.info).unwrap();
        let fields = said.as_object_mut().unwrap();
        fields.remove("network").unwrap();
        fields.insert("format".into(), 1.into());
        fields.insert("architecture".into(), serde_json::json!({ "filters": 2, "outputs": 4 }));
        let write = |metadata: String| {
            let file = Checkpoint { tensors: model.state.clone(), metadata: Some(metadata) };
            file.save(&path).unwrap();
        };
        write(said.to_string());
        assert_eq!(ModelFile::load(&path, None).unwrap().info.network, model.info.network);
        // A description of another network is refused.
        let mut other = model.info.clone();
        other.network.outputs = 3;
        write(serde_json::to_string(&other).unwrap());
        let error = ModelFile::load(&path, None).unwrap_err().to_string();
        assert!(error.contains("its description and its tensors differ"), "{error}");
    }

    #[test]
    fn a_pth_file_takes_the_preprocessing_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pth");
        model().save(&path).unwrap();
        let wanted = Preprocessing::upright(Plane::Axial);
        let back = ModelFile::load(&path, Some(wanted.clone())).unwrap();
        assert_eq!(back.info.preprocessing, wanted);
        assert_eq!(back.hash().unwrap(), model().hash().unwrap());
    }

    #[test]
    fn counters_of_batches_may_be_missing_or_lists_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        let model = model();
        let is_counter = |name: &str| name.ends_with(".num_batches_tracked");
        let without = model.state.iter().filter(|(name, _)| !is_counter(name));
        let listed = model.state.iter().map(|(name, tensor)| match is_counter(name) {
            true => (name.clone(), tensor.reshape(1).unwrap()),
            false => (name.clone(), tensor.clone()),
        });
        let without = without.map(|(name, tensor)| (name.clone(), tensor.clone()));
        for tensors in [without.collect::<StateDict>(), listed.collect()] {
            Checkpoint { tensors, metadata: None }.save(&path).unwrap();
            let back = ModelFile::load(&path, None).unwrap();
            assert_eq!(back.hash().unwrap(), model.hash().unwrap());
        }
    }

    #[test]
    fn folders_of_nnunet_are_known_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plans.json"), "{}").unwrap();
        std::fs::create_dir(folder.path().join("fold_0")).unwrap();
        for path in [folder.path().to_owned(), folder.path().join("fold_0")] {
            let error = ModelFile::load(&path, None).unwrap_err().to_string();
            assert!(
                error.contains("folder of nnU-Net") && error.contains("udas predict"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.safetensors");
        let mut broken = model();
        broken.state.remove("up2.4.weight");
        broken.state.insert("extra".into(), broken.state["up3.4.weight"].clone());
        broken.save(&path).unwrap();
        let error = ModelFile::load(&path, None).unwrap_err().to_string();
        for part in ["broken.safetensors", "1 missing (up2.4.weight)", "1 unexpected (extra)"] {
            assert!(error.contains(part), "{error}");
        }
        let mut broken = model();
        let nan = broken.state["up2.4.weight"].affine(f64::NAN, 0.0).unwrap();
        broken.state.insert("up2.4.weight".into(), nan);
        broken.save(&path).unwrap();
        let error = ModelFile::load(&path, None).unwrap_err().to_string();
        assert!(error.contains("up2.4.weight") && error.contains("no numbers"), "{error}");
        let mut broken = model();
        let below = broken.state["down1.0.running_var"].affine(0.0, -1.0).unwrap();
        broken.state.insert("down1.0.running_var".into(), below);
        broken.save(&path).unwrap();
        let error = ModelFile::load(&path, None).unwrap_err().to_string();
        assert!(error.contains("down1.0.running_var") && error.contains("below zero"), "{error}");
        let spec = families()[0].spec(Shape { filters: 2, outputs: 4 });
        let head = EarlyHead::random(&spec, 1, 0, &Device::Cpu).unwrap();
        let info = HeadInfo::new(spec.clone(), 1, String::new(), Provenance::default());
        let head = HeadFile { state: head.parameters().state().unwrap(), info };
        head.save(&path).unwrap();
        assert!(ModelFile::load(&path, None).unwrap_err().to_string().contains("--head"));
        assert_eq!(HeadFile::load(&path, &spec).unwrap().info.level, 1);
        let other = families()[0].spec(Shape { filters: 2, outputs: 1 });
        let error = HeadFile::load(&path, &other).unwrap_err().to_string();
        assert!(error.contains("conv3.weight"), "{error}");
    }
}
