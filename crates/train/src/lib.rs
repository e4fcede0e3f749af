//! The one training loop, for every objective: source training, head training, refinement, and all the
//! methods that adapt.
//!
//! [`fit`] minimises an [`Objective`] over [`Batches`], measures its score, stops by a [`StopRule`], tells
//! an [`Observer`] of every step and epoch, and can go on from a [`Snapshot`] to the same bits.
#![forbid(unsafe_code)]

mod average;
mod batch;
mod collapse;
mod converged;
mod error;
mod finite;
mod fit;
mod from_data;
mod keep;
mod objective;
mod reliability;
mod snapshot;
mod source;

pub use average::Ema;
pub use batch::{Batches, LabelledBatch};
pub use collapse::Collapse;
pub use converged::{Plateau, measure};
pub use error::{Error, Result};
pub use fit::{Fit, FitConfig, FitSummary, Observer, Silent, StopRule, fit, mean_score};
pub use from_data::{SourceBatches, images};
pub use keep::Keep;
pub use objective::{Objective, Score, Supervised};
pub use reliability::Reliability;
pub use snapshot::{History, Snapshot};
pub use source::{HeadTraining, SourceTraining, statistics};
