//! The one training loop, for every objective: source training, head training, refinement, and all the
//! methods that adapt.
//!
//! [`fit`] minimises an [`Objective`] over [`Batches`], measures its score, stops by a [`StopRule`], tells
//! an [`Observer`] of every step and epoch, and can go on from a [`Snapshot`] to the same bits.
#![forbid(unsafe_code)]

mod batch;
mod error;
mod fit;
mod from_data;
mod objective;
mod snapshot;
mod source;
mod task;

pub use batch::{Batches, LabelledBatch};
pub use error::{Error, Result};
pub use fit::{Fit, FitConfig, FitSummary, Keep, Observer, Silent, StopRule, fit};
pub use from_data::{SourceBatches, images};
pub use objective::Objective;
pub use snapshot::{History, Snapshot};
pub use source::{HeadTraining, SourceTraining};
pub use task::Task;
