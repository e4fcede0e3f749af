//! checkpoint_final.pth: weights under one name a parameter, and the notes that prediction needs.
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;
use std::path::Path;
use udas_nn::{PthFile, StateDict};

/// Name of the file in a fold's folder.
pub const CHECKPOINT_FILE: &str = "checkpoint_final.pth";

const WEIGHTS: &str = "network_weights";

/// What a checkpoint says.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The weights, each parameter once, as f32 (counts as i64).
    pub state: StateDict,
    /// Name of the class that trained it.
    pub trainer: Option<String>,
    /// The configuration that it was trained with.
    pub configuration: Option<String>,
    /// Axes of the patch along which predictions of mirrored patches may be averaged.
    pub mirror_axes: Vec<usize>,
}

/// The one name that stands for a parameter's others, and how much the name given counts: PyTorch reads entries in the
/// order of the modules, and of several that are one parameter the last one stays.
fn canonical(name: &str) -> (String, usize) {
    let name = name.strip_prefix("module.").unwrap_or(name);
    let name = name.strip_prefix("_orig_mod.").unwrap_or(name);
    let (name, mut rank) = match name.strip_prefix("decoder.encoder.") {
        Some(rest) => (format!("encoder.{rest}"), 2),
        None => (name.to_owned(), 0),
    };
    const LISTED: &str = ".all_modules.";
    let Some(at) = name.find(LISTED) else { return (name, rank) };
    rank += 1;
    let (unit, rest) = (&name[..at], &name[at + LISTED.len()..]);
    let Some((place, part)) = rest.split_once('.') else { return (name.clone(), rank) };
    // The convolution comes first; of what follows, only the norm has entries.
    let layer = if place == "0" { "conv" } else { "norm" };
    (format!("{unit}.{layer}.{part}"), rank)
}

/// For each parameter the names in the file, the one that counts last.
fn aliases(file: &PthFile) -> BTreeMap<String, Vec<String>> {
    let mut ranked: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for name in file.names(&[WEIGHTS]) {
        let (canonical, rank) = canonical(&name);
        ranked.entry(canonical).or_default().push((rank, name));
    }
    let sorted = ranked.into_iter().map(|(canonical, mut names)| {
        names.sort();
        (canonical, names.into_iter().map(|(_, name)| name).collect())
    });
    sorted.collect()
}

impl Checkpoint {
    /// Reads a file. Nothing in it is run.
    ///
    /// # Errors
    /// [`Error::Network`] where it cannot be read, [`Error::Model`] where it is none of nnU-Net's.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = PthFile::open(path)?;
        let mut state = StateDict::new();
        for (canonical, names) in aliases(&file) {
            let Some(name) = names.last() else { continue };
            let tensor = file.tensor(&[WEIGHTS], name)?;
            check_numbers(path, name, &tensor)?;
            state.insert(canonical, tensor);
        }
        if state.is_empty() {
            let problem = format!("has no `{WEIGHTS}`; give a {CHECKPOINT_FILE} of nnU-Net v2");
            return Err(Error::model(path, problem));
        }
        let axes = file.numbers(&["inference_allowed_mirroring_axes"]).unwrap_or_default();
        let axes: Option<Vec<usize>> = axes
            .into_iter()
            .map(|axis| usize::try_from(axis).ok().filter(|&axis| axis < 3))
            .collect();
        let mirror_axes = axes.ok_or_else(|| {
            Error::model(path, "allows mirroring along axes that are not there; copy it again")
        })?;
        Ok(Self {
            state,
            trainer: file.text(&["trainer_name"]).map(str::to_owned),
            configuration: file.text(&["init_args", "configuration"]).map(str::to_owned),
            mirror_axes,
        })
    }

    /// Writes a copy of the checkpoint `from` with other weights, under all the names that it has; whole or not at all.
    ///
    /// # Errors
    /// When `state` has not exactly the parameters of `from`, or the file cannot be written.
    pub fn write_with(from: &Path, state: &StateDict, to: &Path) -> Result<()> {
        let shapes = |state: &StateDict| -> Vec<(String, Vec<usize>)> {
            state.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect()
        };
        if shapes(&Self::read(from)?.state) != shapes(state) {
            let problem = "has other parameters than the weights that are to be written; give the folder that they came from";
            return Err(Error::model(from, problem));
        }
        let mut file = PthFile::open(from)?;
        let aliases = aliases(&file);
        let named = aliases.into_iter().flat_map(|(canonical, names)| {
            let tensor = state.get(&canonical);
            names.into_iter().filter_map(move |name| Some((name, tensor?.clone())))
        });
        Ok(file.write_with(&[WEIGHTS], &named.collect(), to)?)
    }
}

/// Refuses weights that are no numbers: what a network makes of them looks like a prediction.
fn check_numbers(path: &Path, name: &str, tensor: &Tensor) -> Result<()> {
    let sum = tensor.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar::<f64>()?;
    if sum.is_finite() {
        return Ok(());
    }
    Err(Error::model(path, format!("`{name}` holds values that are no numbers; train it again")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_stands_for_all_and_later_modules_count_more() {
        let weight = "encoder.stages.0.0.convs.1.conv.weight";
        let names = [
            weight,
            "encoder.stages.0.0.convs.1.all_modules.0.weight",
            "decoder.encoder.stages.0.0.convs.1.conv.weight",
            "decoder.encoder.stages.0.0.convs.1.all_modules.0.weight",
        ];
        for (rank, name) in names.into_iter().enumerate() {
            assert_eq!(canonical(name), (weight.to_owned(), rank));
        }
        let norm = "decoder.stages.0.convs.0.norm.bias";
        for name in [
            "decoder.stages.0.convs.0.all_modules.1.bias",
            "decoder.stages.0.convs.0.all_modules.2.bias",
        ] {
            assert_eq!(canonical(name), (norm.to_owned(), 1));
        }
        assert_eq!(
            canonical("module.decoder.seg_layers.0.bias"),
            ("decoder.seg_layers.0.bias".into(), 0)
        );
    }
}
