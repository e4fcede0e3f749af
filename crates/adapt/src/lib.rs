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
pub use objective::{Adaptation, Given};
pub use options::{Labels, NormChoice, Options, PseudoLabel};
pub use page::methods_page;
pub use patch::Patch;
pub use re_estimate::{blend_statistics, re_estimate};
pub use recipe::{Moves, Output, Recipe, Supervision, TeacherKind, View};
pub use run::{Adapted, Model, Run};
pub use step_batch::{StepBatch, TargetBatch};
