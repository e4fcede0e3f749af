//! One measurement of a calibration, and what counts as harm.
use crate::signals::Signals;
use serde::{Deserialize, Serialize};

/// A true change of Dice below this is harm.
pub const HARM: f64 = -0.01;

/// One measurement: a model on a shifted subject, its signals and its true Dice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measurement {
    /// The simulated shift.
    pub shift: String,
    /// The model: `as it is`, `batch norm re-estimated`, adapted by a method, or a damage.
    pub model: String,
    /// The subject.
    pub subject: String,
    /// What is known without labels.
    pub signals: Signals,
    /// Dice with the labels on the sample's slices, the mean over classes.
    pub dice: f64,
    /// Dice with the masks of the model as it is.
    pub agreement: f64,
    /// What the mapping learned from all other shifts says.
    pub left_out: f64,
}
