//! A model folder: plans.json, dataset.json, and a checkpoint for each fold.
use crate::checkpoint::{CHECKPOINT_FILE, Checkpoint};
use crate::conv::Arithmetic;
use crate::dataset::{DATASET_FILE, DataSet};
use crate::network::NnUNet;
use crate::plans::{Configuration, PLANS_FILE, Plans};
use crate::{Error, Result};
use candle_core::Device;
use std::path::{Path, PathBuf};
use udas_network::Network;
use udas_nn::StateDict;

/// Beginning of the name of a fold's folder.
const FOLD: &str = "fold_";

/// The folds of a cross-validation, five or more, and the training on all data.
const FOLDS: [&str; 11] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", ALL];
const ALL: &str = "all";

/// A model folder, all but its weights read.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    path: PathBuf,
    /// The plans of its data set.
    pub plans: Plans,
    /// Channels and labels.
    pub data: DataSet,
    folds: Vec<String>,
    /// Which of a fold's checkpoints is read.
    file: &'static str,
}

/// The networks of a folder, ready to predict.
pub struct Model {
    /// The plans of its data set.
    pub plans: Plans,
    /// Channels and labels.
    pub data: DataSet,
    /// What was trained.
    pub configuration: Configuration,
    /// Axes of a patch along which it may be mirrored.
    pub mirror_axes: Vec<usize>,
    /// How it computes.
    pub arithmetic: Arithmetic,
    /// One a fold, in their order.
    pub networks: Vec<Box<dyn Network>>,
}

/// The model folder that a path stands for, and the fold where it is that of a fold.
fn place(path: &Path) -> Option<(PathBuf, Option<String>)> {
    if path.join(PLANS_FILE).is_file() {
        return Some((path.to_owned(), None));
    }
    let path = std::path::absolute(path).ok()?;
    let fold = path.file_name()?.to_str()?.strip_prefix(FOLD)?.to_owned();
    let parent = path.parent()?;
    (path.is_dir() && parent.join(PLANS_FILE).is_file()).then(|| (parent.to_owned(), Some(fold)))
}

/// What nnU-Net keeps of the epoch that was best on a training's own validation.
const BEST_FILE: &str = "checkpoint_best.pth";

/// Which of their checkpoints the folds are read from: that of the end, or where no fold has one, the best.
fn checkpoint_of(folder: &Path) -> &'static str {
    let any = |file: &str| {
        FOLDS.into_iter().any(|fold| folder.join(format!("{FOLD}{fold}")).join(file).is_file())
    };
    if !any(CHECKPOINT_FILE) && any(BEST_FILE) { BEST_FILE } else { CHECKPOINT_FILE }
}

impl ModelFolder {
    /// Whether a path is a model folder of nnU-Net, or a fold in one.
    pub fn is_one(path: &Path) -> bool {
        place(path).is_some()
    }

    /// Reads plans and data set of a model folder, or of the folder that a fold is in. `folds` names those that predict,
    /// such as `0` or `all`; by default those of the cross-validation that are there, else `all`.
    ///
    /// # Errors
    /// [`Error::Model`] when a file is not as nnU-Net writes it, or a fold is missing.
    pub fn open(path: &Path, folds: &[String]) -> Result<Self> {
        let Some((folder, fold)) = place(path) else {
            let problem =
                format!("has no {PLANS_FILE}; give the folder TRAINER__PLANS__CONFIGURATION");
            return Err(Error::model(path, problem));
        };
        let plans = Plans::read(&folder.join(PLANS_FILE))?;
        let data = DataSet::read(&folder.join(DATASET_FILE))?;
        let file = checkpoint_of(&folder);
        let there = |fold: &str| folder.join(format!("{FOLD}{fold}")).join(file).is_file();
        let folds: Vec<String> = match (folds, fold) {
            ([], Some(fold)) => vec![fold],
            ([], None) => {
                // A fold without its weights is one that is missing.
                let begun = |fold: &&str| folder.join(format!("{FOLD}{fold}")).is_dir();
                let mut found: Vec<&str> = FOLDS.into_iter().filter(begun).collect();
                if found.len() > 1 {
                    found.retain(|fold| *fold != ALL);
                }
                found.into_iter().map(str::to_owned).collect()
            }
            (named, _) => named.to_vec(),
        };
        if folds.is_empty() {
            let problem =
                format!("has no {FOLD}0/{file} or of another fold; copy the folder whole");
            return Err(Error::model(&folder, problem));
        }
        if let Some(missing) = folds.iter().find(|fold| !there(fold)) {
            let problem =
                format!("has no {FOLD}{missing}/{file}; copy that fold too, or name other folds");
            return Err(Error::model(&folder, problem));
        }
        Ok(Self { path: folder, plans, data, folds, file })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the folds that predict.
    pub fn folds(&self) -> &[String] {
        &self.folds
    }

    /// The file of a fold.
    pub fn checkpoint(&self, fold: &str) -> PathBuf {
        self.path.join(format!("{FOLD}{fold}")).join(self.file)
    }

    /// A word where other weights are read than those of the training's end.
    pub fn note(&self) -> Option<String> {
        (self.file != CHECKPOINT_FILE).then(|| {
            format!(
                "{}: no fold has a {CHECKPOINT_FILE}; the {} is taken, the best of a training by its own validation",
                self.path.display(),
                self.file
            )
        })
    }

    /// Folds of the cross-validation that have the checkpoint that is read.
    pub fn available(&self) -> Vec<String> {
        let folds =
            FOLDS.into_iter().filter(|fold| *fold != ALL && self.checkpoint(fold).is_file());
        folds.map(str::to_owned).collect()
    }

    /// Writes a model folder of one fold: this one's plans, data set and notes, with the weights of `state` under all the
    /// names that the original knows them by. `fold` is the one whose notes are kept.
    ///
    /// # Errors
    /// When `state` has not exactly the fold's parameters, `to` is this folder, or a file cannot be written.
    pub fn write_with(&self, fold: &str, state: &StateDict, to: &Path) -> Result<()> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        let target = to.join(format!("{FOLD}{fold}"));
        std::fs::create_dir_all(&target).map_err(io(&target))?;
        if to.canonicalize().ok() == self.path.canonicalize().ok() {
            return Err(Error::model(to, "is the folder that is read; name another one"));
        }
        for name in [PLANS_FILE, DATASET_FILE] {
            std::fs::copy(self.path.join(name), to.join(name)).map_err(io(&to.join(name)))?;
        }
        // Last, since this file makes the folder a model.
        Checkpoint::write_with(&self.checkpoint(fold), state, &target.join(CHECKPOINT_FILE))
    }

    /// Reads the networks and holds them against plans and data set. The model computes by `arithmetic`.
    ///
    /// # Errors
    /// [`Error::Model`] when they do not fit.
    pub fn load(&self, arithmetic: Arithmetic) -> Result<Model> {
        let mut model: Option<Model> = None;
        for fold in &self.folds {
            let path = self.checkpoint(fold);
            let checkpoint = Checkpoint::read(&path)?;
            let network = NnUNet::from_state(&checkpoint.state, &Device::Cpu).map_err(|error| {
                Error::model(&path, format!("{error}; give networks that are supported"))
            })?;
            let model = match &mut model {
                Some(model) => model,
                None => model.insert(self.of_first(&path, &checkpoint, arithmetic)?),
            };
            self.check(&path, &network, model)?;
            model.networks.push(Box::new(network.with_arithmetic(arithmetic)));
        }
        model.ok_or_else(|| Error::model(&self.path, "has no folds; copy the folder whole"))
    }

    /// What the first fold says of all.
    fn of_first(
        &self,
        path: &Path,
        checkpoint: &Checkpoint,
        arithmetic: Arithmetic,
    ) -> Result<Model> {
        let folder = std::path::absolute(&self.path).unwrap_or_default();
        let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let by_name = || Some(folder.as_ref()?.rsplit_once("__")?.1.to_owned());
        let Some(name) = checkpoint.configuration.clone().or_else(by_name) else {
            let problem =
                "does not say its configuration; name the folder TRAINER__PLANS__CONFIGURATION";
            return Err(Error::model(path, problem));
        };
        let configuration = self.plans.configuration(&name)?;
        let mut mirror_axes = checkpoint.mirror_axes.clone();
        mirror_axes.retain(|&axis| axis < configuration.patch.len());
        Ok(Model {
            plans: self.plans.clone(),
            data: self.data.clone(),
            configuration,
            mirror_axes,
            arithmetic,
            networks: Vec::new(),
        })
    }

    fn check(&self, path: &Path, network: &NnUNet, model: &Model) -> Result<()> {
        let wrong = |text: String| {
            Err(Error::model(path, format!("{text}; give the folder as it was trained")))
        };
        let (spec, configuration) = (network.spec(), &model.configuration);
        let (channels, outputs) = (self.data.channels, self.data.labels.outputs());
        if spec.axes != configuration.patch.len() {
            return wrong(format!(
                "its kernels have {} axes, its patches {}",
                spec.axes,
                configuration.patch.len()
            ));
        }
        if spec.inputs != channels || channels != configuration.normalizations.len() {
            let planned = configuration.normalizations.len();
            return wrong(format!(
                "its network takes {} channels, the data set has {channels}, the plans {planned}",
                spec.inputs
            ));
        }
        if spec.outputs != outputs {
            return wrong(format!(
                "its network has {} outputs, the data set {outputs}",
                spec.outputs
            ));
        }
        if let Some(difference) = network.difference(&configuration.architecture) {
            return wrong(difference);
        }
        let strides = spec.stages.last().map_or([1; 3], |stage| stage.stride);
        let strides = &strides[3 - spec.axes..];
        if configuration.patch.iter().zip(strides).any(|(patch, stride)| patch % stride != 0) {
            let patch = &configuration.patch;
            return wrong(format!("patches of {patch:?} voxels are no multiples of {strides:?}"));
        }
        Ok(())
    }
}
