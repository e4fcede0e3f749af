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

mod error;
mod from_data;
mod method;
pub mod methods;
mod objective;
mod options;
mod re_estimate;
mod recipe;
mod run;

pub use error::{Error, Result};
pub use from_data::{OracleBatches, TargetBatches};
pub use method::{About, METHODS, Method, Requirement, find};
pub use objective::{Adaptation, TargetBatch};
pub use options::{Labels, NormChoice, Options, PseudoLabel};
pub use re_estimate::re_estimate;
pub use recipe::{Moves, Output, Recipe, Supervision};
pub use run::{Adapted, Model, Run};
