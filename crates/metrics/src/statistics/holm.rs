//! Correction for several comparisons.
use crate::{Error, Result};

/// Adjusted p-values in the order given: S. Holm, "A Simple Sequentially Rejective Multiple Test
/// Procedure", 1979. Those below a level are significant at it, all comparisons taken together.
///
/// # Errors
/// [`Error::Probability`] for a value outside [0, 1].
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>> {
    if let Some(&p) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(Error::Probability(p));
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    Ok(adjusted)
}
