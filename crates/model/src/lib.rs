//! Segmentation models in files that carry all that prediction needs, and prediction on volumes.
//!
//! A [`ModelFile`] is a state dict with a [`ModelInfo`]: the network's shape, preprocessing, where it comes from. A
//! [`HeadFile`] is the same for an early head. Files of other makers (`.pth` of the published
//! implementation) are read too; what they do not say has to be given. A [`Predictor`] takes the slices of a
//! volume to probabilities and labels, which `udas_data` takes back to the volume's own grid. [`families`] are the
//! kinds of networks that files may hold; [`register`] adds one.
//!
//! ```
//! use candle_core::Device;
//! use udas_data::{LabelUse, Plane, Preprocessing, VolumeSlices, expand};
//! use udas_model::{ModelFile, ModelInfo, Predictor, Provenance};
//! use udas_network::{Network, Shape};
//! use udas_unet::UNet;
//! use udas_volume::{Affine, Volume, write_volume};
//!
//! # let folder = std::env::temp_dir().join(format!("udas-model-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let unet = UNet::random(Shape { filters: 2, outputs: 1 }, 1, &Device::Cpu)?;
//! let preprocessing = Preprocessing::upright(Plane::Axial);
//! let info = ModelInfo::new(unet.spec().clone(), preprocessing, Provenance::default());
//! ModelFile { state: unet.parameters().state()?, info }.save(&folder.join("model.safetensors"))?;
//!
//! let scan = Volume::new((0..480).map(|v| v as f32).collect(), [10, 12, 4], Affine::from_spacing([1.0; 3]))?;
//! write_volume(&folder.join("scan.nii.gz"), &scan)?;
//!
//! let model = ModelFile::load(&folder.join("model.safetensors"), None)?;
//! let subjects = expand(&[folder.join("scan.nii.gz")], "target")?;
//! let slices = VolumeSlices::new(subjects, model.info.preprocessing.clone(), LabelUse::Ignore, 1 << 20)?;
//! let predictor = Predictor::new(model.network(&Device::Cpu)?, &Device::Cpu);
//! let labels = predictor.labels(&slices, 0)?;
//! assert_eq!(labels[0].grid(), scan.grid());
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod families;
mod file;
mod info;
mod others;
mod predictor;
mod views;

pub use error::{Error, Result};
pub use families::{families, family, marks, register};
pub use file::{HeadFile, MODEL_FILE, ModelFile};
pub use info::{Description, HeadInfo, ModelInfo, Provenance};
pub use predictor::{Predictor, probability_volumes};
pub use views::Views;
