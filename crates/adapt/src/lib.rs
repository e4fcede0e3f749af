//! Methods that adapt a segmentation network to a new scanner without labels.
//!
//! A [`Method`] is a point in a small space: which parameters move, what supervises them, at which output,
//! how batch norm behaves, when it stops. That point is a [`Recipe`]; one objective and one loop carry all
//! of them out. The list of methods is [`METHODS`]; `udas methods`, the tests and the reports iterate it.
//!
//! ```
//! for method in udas_adapt::METHODS {
//!     println!("{}: {}", method.name(), method.about().idea);
//! }
//! assert!(udas_adapt::find("early-features").is_some());
//! ```
//!
//! A network, unlabelled volumes, and a method without a command line:
//!
//! ```no_run
//! use candle_core::Device;
//! use std::path::{Path, PathBuf};
//! use std::sync::{Arc, atomic::AtomicBool};
//! use udas_adapt::{Model, Options, Patch, Run, TargetBatches, find};
//! use udas_data::{
//!     BatchPlan, DEFAULT_CACHE_BYTES, LabelUse, LastBatch, Order, Plane, Preprocessing, Unlabelled,
//!     UnlabelledBatches, VolumeSlices, expand,
//! };
//! use udas_network::Family;
//! use udas_nn::Checkpoint;
//! use udas_train::Silent;
//! use udas_unet::ResidualUNet;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Checkpoint::load(Path::new("source.safetensors"))?.tensors;
//! let scans = expand(&[PathBuf::from("new_scanner")], "target")?;
//! // What is done to a volume must be what was done at the source's training.
//! let seen = Preprocessing::upright(Plane::Sagittal);
//! let slices = VolumeSlices::new(scans, seen, LabelUse::Ignore, DEFAULT_CACHE_BYTES)?;
//! let slices = Unlabelled::new(Arc::new(slices));
//! let batches = |order| {
//!     let plan = BatchPlan { order, batch_size: 20, last: LastBatch::Keep };
//!     let batches = UnlabelledBatches::new(slices.clone(), plan)?;
//!     Ok::<_, udas_data::Error>(TargetBatches::new(batches, Device::Cpu))
//! };
//! let (target, check) = (batches(Order::Shuffled { seed: 0 })?, batches(Order::Sequential)?);
//! let method = find("tent").ok_or("no such method")?;
//! let run = Run {
//!     target: &target,
//!     check: &check,
//!     source: None,
//!     class_ratio: None,
//!     teachers: &[],
//!     device: Device::Cpu,
//!     seed: 0,
//!     observer: &mut Silent,
//!     interrupt: &AtomicBool::new(false),
//!     resume: None,
//! };
//! let network = ResidualUNet.build(&source, &Device::Cpu)?;
//! let model = Model { network: network.into(), head: None };
//! let adapted = method.adapt(&model, &Options { epochs: 2, ..method.options() }, run)?;
//! Patch::between(&source, &adapted.state)?.save(Path::new("patch.safetensors"))?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod adapters;
mod altered;
mod error;
mod from_data;
mod method;
pub mod methods;
mod objective;
mod options;
mod page;
mod patch;
mod pseudo_label;
mod re_estimate;
mod recipe;
mod run;
mod step_batch;
mod teacher;

pub use error::{Error, Result};
pub use from_data::{OracleBatches, TargetBatches};
pub use method::{About, Method, Requirement, find};
pub use methods::METHODS;
pub use objective::{Adaptation, Aids};
pub use options::{Labels, NormChoice, Options, PseudoLabel};
pub use page::methods_page;
pub use patch::Patch;
pub use re_estimate::{blend_statistics, re_estimate};
pub use recipe::{Moves, Output, Recipe, Supervision, TeacherKind, View};
pub use run::{Adapted, Model, Run};
pub use step_batch::{StepBatch, TargetBatch};
