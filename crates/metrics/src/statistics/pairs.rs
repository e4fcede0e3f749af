//! Scores of the same subjects before and after, as differences.
use crate::{Error, Result, Score};
use serde::Serialize;

/// Differences of paired scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pairs {
    /// After minus before, for every subject that has both.
    pub differences: Vec<f64>,
    /// Subjects left out because one of their two scores is undefined or infinite.
    pub left_out: usize,
}

impl Pairs {
    /// Pairs two lists in the same order of subjects.
    ///
    /// # Errors
    /// [`Error::Unpaired`] where the lists differ in length.
    pub fn new(before: &[Score], after: &[Score]) -> Result<Self> {
        if before.len() != after.len() {
            return Err(Error::Unpaired { before: before.len(), after: after.len() });
        }
        let difference =
            |(before, after): (&Score, &Score)| Some(after.finite()? - before.finite()?);
        let differences: Vec<f64> = before.iter().zip(after).filter_map(difference).collect();
        let left_out = before.len() - differences.len();
        Ok(Self { differences, left_out })
    }
}
