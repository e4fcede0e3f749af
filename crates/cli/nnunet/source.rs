//! A fold of a model folder as commands adapt it, teach by it and judge it: one network with its weights.
use crate::{failure, nnunet};
use anyhow::Result;
use candle_core::Device;
use std::path::{Path, PathBuf};
use udas_network::Network;
use udas_nn::{Checkpoint, StateDict};
use udas_nnunet::{Arithmetic, LabelRule, Model, ModelFolder, PLANS_FILE, RegionsApart};
use udas_verdict::CALIBRATION_FILE;

/// A fold, opened.
pub struct Fold {
    pub folder: ModelFolder,
    pub name: String,
    pub model: Model,
    /// The weights, each parameter once.
    pub state: StateDict,
    /// Of the weights.
    pub hash: String,
}

impl Fold {
    /// The fold that a path names, or the first one of a folder; it computes in the faster way.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = nnunet::open(path, &[])?;
        let Some(name) = folder.folds().first().cloned() else {
            return Err(failure::input(format!("{}: has no folds", path.display())).into());
        };
        let model = ModelFolder::open(folder.path(), std::slice::from_ref(&name))?;
        let model = model.load(Arithmetic::Fast)?;
        let network = model.networks.first();
        let state = network.map(|network| network.parameters().state()).transpose()?;
        let state = state.unwrap_or_default();
        let hash = Checkpoint { tensors: state.clone(), metadata: None }.hash()?;
        Ok(Self { folder, name, model, state, hash })
    }

    /// Each fold that a path stands for.
    pub fn all(path: &Path) -> Result<Vec<(PathBuf, Self)>> {
        let folder = nnunet::open(path, &[])?;
        let open = |fold: &String| {
            let path = fold_path(&folder, fold);
            Ok((path.clone(), Self::open(&path)?))
        };
        folder.folds().iter().map(open).collect()
    }

    /// The folder's other folds, whether or not a fold that was named stands alone; those that are still in training are
    /// none.
    pub fn others(&self) -> Vec<PathBuf> {
        let others = self.folder.available().into_iter().filter(|fold| *fold != self.name);
        others.map(|fold| fold_path(&self.folder, &fold)).collect()
    }

    /// Where its calibration is looked for: in its own folder, then in the model's.
    pub fn calibration(&self) -> PathBuf {
        let own = fold_path(&self.folder, &self.name).join(CALIBRATION_FILE);
        if own.is_file() { own } else { self.folder.path().join(CALIBRATION_FILE) }
    }

    /// SHA-256 of the plans, which say what it sees.
    pub fn plans(&self) -> Result<String> {
        crate::predictions::hash(&self.folder.path().join(PLANS_FILE))
    }

    /// Its file.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.checkpoint(&self.name)
    }

    /// A network with these weights, everything frozen.
    pub fn network(&self) -> Result<Box<dyn Network>> {
        self.with(&self.state)
    }

    /// The same network with other weights.
    pub fn with(&self, state: &StateDict) -> Result<Box<dyn Network>> {
        let network = self.model.networks.first().ok_or_else(|| {
            failure::input(format!("{}: has no network", self.folder.path().display()))
        })?;
        let network = network.with_state(state, &Device::Cpu)?;
        Ok(match self.regions() {
            0 => network,
            _ => Box::new(RegionsApart::new(network)),
        })
    }

    /// Regions that may overlap; 0 where a voxel has one class.
    pub fn regions(&self) -> usize {
        match &self.model.data.labels {
            LabelRule::Regions { paint } if paint.len() > 1 => paint.len(),
            _ => 0,
        }
    }

    /// Refuses regions for what is for classes alone; `remedy` is what to do.
    pub fn refuse_regions(&self, what: &str, remedy: &str) -> Result<()> {
        match self.regions() {
            0 => Ok(()),
            regions => {
                let text = format!(
                    "{}: segments {regions} regions that may overlap, and {what} for classes, of which a voxel has one; \
                     {remedy}",
                    self.folder.path().display()
                );
                Err(failure::input(text).into())
            }
        }
    }

    /// Other trainings of this one, which are shown its patches: a folder stands for all of its folds.
    pub fn other_trainings(&self, flag: &str, paths: &[PathBuf]) -> Result<Vec<(PathBuf, Self)>> {
        let mut others: Vec<(PathBuf, Self)> = Vec::new();
        for path in paths {
            if !nnunet::is_folder(path) {
                let text = format!(
                    "{flag} {}: is no model folder of nnU-Net, as the model is; give others of its folds",
                    path.display()
                );
                return Err(failure::input(text).into());
            }
            for (path, other) in Self::all(path)? {
                let is_twin = |known: &Self| known.hash == other.hash;
                let what = if is_twin(self) {
                    "is the model itself, and no other training; name other folds"
                } else if others.iter().any(|(_, known)| is_twin(known)) {
                    "is named twice; leave one out"
                } else if let Some(what) = self.difference(&other) {
                    what
                } else {
                    others.push((path, other));
                    continue;
                };
                return Err(failure::input(format!("{flag} {}: {what}", path.display())).into());
            }
        }
        Ok(others)
    }

    /// Why another training cannot be shown this one's patches; none where it can.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let (own, its) = (&self.model.configuration, &other.model.configuration);
        let sees_alike = own.spacing == its.spacing
            && own.normalizations == its.normalizations
            && own.image_resampling == its.image_resampling
            && self.model.plans.transpose_forward == other.model.plans.transpose_forward;
        if self.model.data.labels != other.model.data.labels {
            Some("segments other classes; leave it out")
        } else if !sees_alike {
            Some(
                "sees images in another way than the model (spacing, intensities or axes); give folds of one training",
            )
        } else {
            None
        }
    }
}

fn fold_path(folder: &ModelFolder, fold: &str) -> PathBuf {
    folder.path().join(format!("fold_{fold}"))
}
