//! Whether an adaptation helped or harmed, said without labels: keep, roll back or abstain, with reasons.
//!
//! [`judge`] measures a model before and after adaptation on some slices of each target subject by signals
//! that do not share the adaptation's objective ([`Signal`]). With a [`Calibration`], which [`calibrate`]
//! learns from labelled source data under simulated scanner shifts, it predicts each subject's Dice with an
//! interval, and abstains where the target lies outside what was seen. Without one it goes by conservative
//! rules. What is promised and what not is in `docs/verdict.md`.
//!
//! ```
//! use candle_core::Device;
//! use udas_data::{Plane, Preprocessing, expand};
//! use udas_model::{ModelFile, ModelInfo, Provenance};
//! use udas_record::Decision;
//! use udas_network::{Network, Shape};
//! use udas_unet::UNet;
//! use udas_verdict::{Case, judge};
//! use udas_volume::{Affine, Volume, write_volume};
//!
//! # let folder = std::env::temp_dir().join(format!("udas-verdict-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let unet = UNet::random(Shape { filters: 2, outputs: 1 }, 1, &Device::Cpu)?;
//! let info = ModelInfo::new(unet.spec().clone(), Preprocessing::upright(Plane::Axial), Provenance::default());
//! let before = ModelFile { state: unet.parameters().state()?, info };
//!
//! let values = (0..1600).map(|v| (v % 37) as f32).collect();
//! let scan = Volume::new(values, [20, 20, 4], Affine::from_spacing([1.0; 3]))?;
//! write_volume(&folder.join("scan.nii.gz"), &scan)?;
//! let subjects = expand(&[folder.join("scan.nii.gz")], "target")?;
//!
//! // Nothing has changed, so there is nothing to roll back.
//! let case = Case { before: &before, after: &before, peers: &[], calibration: None };
//! let judgement = judge(&case, &subjects, &Device::Cpu, &mut |_| {})?;
//! assert_eq!(judgement.decision, Decision::Keep);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod adaptations;
mod calibrate;
mod calibration;
mod change;
mod damage;
mod error;
mod judge;
mod judgement;

mod measurement;
mod networks;
mod observe;
mod overlap;
mod prediction;
mod rules;
mod sample;
mod segmenter;
mod shift;
mod signals;

pub use calibrate::{CalibrateConfig, Calibrated, Calibrating, Measurements, calibrate};
pub use calibration::{CALIBRATION_FILE, Calibration, Column, Estimate, Origin, Quality};
pub use damage::Damage;
pub use error::{Error, Result};
pub use judge::{Case, SLICES, judge};
pub use judgement::{Basis, JUDGEMENT_FILE, Judgement, Measured, SubjectJudgement};
pub use measurement::Measurement;
pub use networks::Networks;
pub use observe::Reference;
pub use sample::Sample;
pub use shift::{FAMILY, Shift};
pub use signals::confidence::Threshold;
pub use signals::plausibility::Spread;
pub use signals::{About, Signal, Signals};
pub use udas_quality::Pixels;
