//! The scores of a set of predictions, as `udas evaluate` writes them and `udas report` reads them.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scores by metric name, such as `dice` or `surface_dice_1mm`. `None` is undefined (both masks empty).
pub type ClassScores = BTreeMap<String, Option<f64>>;

/// Scores of predictions against labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Where the predictions were.
    pub predictions: String,
    /// Where the labels were.
    pub labels: String,
    /// Tolerances of surface Dice, in mm.
    pub tolerances_mm: Vec<f64>,
    /// One entry a subject, in name order.
    pub subjects: Vec<SubjectRecord>,
}

/// Scores of one subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubjectRecord {
    /// File name without its ending.
    pub subject: String,
    /// Scores by class label (as text, `1` for a binary task).
    pub classes: BTreeMap<String, ClassScores>,
}
