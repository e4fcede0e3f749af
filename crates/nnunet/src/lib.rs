//! nnU-Net v2 models: their files, networks, preprocessing and inference, as the original does them.
//!
//! A [`ModelFolder`] is what a training leaves: plans.json, dataset.json and a checkpoint for each fold. Read, it is a
//! [`Model`] that predicts cases: labels on the grid of the image. [`PlainConvUNet`] and [`ResidualEncoderUNet`] are
//! families of `udas_network`. Arrays are `[z, y, x]`, x fastest, as nnU-Net has them; patches and spacings of plans are
//! in the network's order of axes, which [`Plans::transpose_forward`] gives.
//!
//! The original's Python code is in `nnunetv2` and `dynamic_network_architectures`; files of version 2.0 to 2.8 are
//! read, and predictions are those of 2.8.
//!
//! ```no_run
//! use std::path::Path;
//! use udas_nnunet::{Arithmetic, ModelFolder, Options, go_on};
//!
//! let folder = Path::new("Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres");
//! let model = ModelFolder::open(folder, &[])?.load(Arithmetic::Exact)?;
//! let image = udas_volume::read(Path::new("hippocampus_003_0000.nii.gz"))?;
//! let made = model.predict(vec![image], "hippocampus_003", Options::default(), &mut go_on)?;
//! udas_volume::write_labels(Path::new("hippocampus_003.nii.gz"), &made.labels)?;
//! # Ok::<(), udas_nnunet::Error>(())
//! ```
#![forbid(unsafe_code)]

mod architecture;
mod checkpoint;
mod conv;
mod dataset;
mod error;
mod fields;
mod grid;
mod infer;
mod json;
mod map;
mod model;
mod network;
mod numpy;
mod patches;
mod plans;
mod preprocess;
mod regions;
mod resample;
mod saved;
mod trace;
mod window;

pub use checkpoint::{CHECKPOINT_FILE, Checkpoint};
pub use conv::Arithmetic;
pub use dataset::{DATASET_FILE, DataSet, LabelRule};
pub use error::{Error, Result};
pub use infer::{Mirroring, Options, Prediction, Probabilities, go_on};
pub use model::{Model, ModelFolder};
pub use network::{NnUNet, PlainConvUNet, ResidualEncoderUNet};
pub use patches::{Case, Extent, Patch, Patches};
pub use plans::{
    Architecture, Configuration, Encoder, Intensities, Normalization, PLANS_FILE, Plans, Reader,
};
pub use preprocess::{Origin, Prepared, prepare, voxels_mm};
pub use regions::RegionsApart;
pub use resample::{Order, Resampling, SeparateZ};
pub use saved::SavedProbabilities;
pub use window::{OnPatch, Sum};
