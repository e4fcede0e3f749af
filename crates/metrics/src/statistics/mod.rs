//! Statistics of paired scores: is the difference real, how large is it, and how sure is that.
//!
//! The unit is the subject, scored before and after. [`Pairs`] takes the differences,
//! [`wilcoxon_signed_rank`] tests them, [`bootstrap_mean`] puts an interval around their mean, and
//! [`holm`] corrects the p-values of several such comparisons. [`auroc`] and [`correlation`] say how well one
//! number predicts another. [`Ridge`] predicts one from several, and [`half_width`] says how far off it may be.

mod association;
mod bootstrap;
mod describe;
mod holm;
mod normal;
mod pairs;
mod regression;
mod wilcoxon;

pub use association::{auroc, correlation};
pub use bootstrap::{Bootstrap, Interval, IntervalKind, bootstrap_mean};
pub use describe::Description;
pub use holm::holm;
pub use normal::standard_normal;
pub use pairs::Pairs;
pub use regression::{Ridge, half_width};
pub use wilcoxon::{Alternative, NullDistribution, Wilcoxon, wilcoxon_signed_rank};

use crate::{Error, Result};

fn check_values(statistic: &'static str, needed: usize, values: &[f64]) -> Result<()> {
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::NotFinite { index, value: values[index] });
    }
    let found = values.len();
    if found < needed { Err(Error::TooFew { statistic, needed, found }) } else { Ok(()) }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Quantile of ascending, non-empty values, linear between neighbours (type 7 of R. Hyndman and
/// Y. Fan, 1996; what NumPy does).
fn quantile(ascending: &[f64], probability: f64) -> f64 {
    let position = probability * (ascending.len() - 1) as f64;
    let (low, high) = (ascending[position.floor() as usize], ascending[position.ceil() as usize]);
    low + (high - low) * position.fract()
}
