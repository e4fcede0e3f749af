//! Bootstrap confidence interval of a mean.
use super::{check_values, mean, normal, quantile};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the interval is read from the resampled means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalKind {
    /// Their percentiles.
    Percentile,
    /// Their percentiles, corrected for bias and skewness: "BCa" of B. Efron, "Better Bootstrap
    /// Confidence Intervals", 1987.
    BiasCorrectedAccelerated,
}

/// Settings of the bootstrap; the same settings and values give the same interval everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// How the interval is read.
    pub kind: IntervalKind,
    /// Confidence level inside (0, 1), such as 0.95.
    pub level: f64,
    /// Number of resamples; 10000 is usual.
    pub resamples: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Bootstrap {
    /// What tables and pages report: percentiles, 95 %, 10000 resamples.
    pub const REPORTED: Self =
        Self { kind: IntervalKind::Percentile, level: 0.95, resamples: 10_000, seed: 0 };
}

/// A confidence interval, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Confidence interval of the mean of at least two values, such as paired differences. Values that
/// are all equal give an interval of no width.
///
/// # Errors
/// [`Error::TooFew`] for fewer than two values, [`Error::NotFinite`] for NaN or infinities,
/// [`Error::Level`] and [`Error::NoResamples`] for settings out of range.
pub fn bootstrap_mean(values: &[f64], settings: &Bootstrap) -> Result<Interval> {
    check_values("a bootstrap interval", 2, values)?;
    let Bootstrap { kind, level, resamples, seed } = *settings;
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::Level(level));
    }
    if resamples == 0 {
        return Err(Error::NoResamples);
    }
    if values.iter().all(|value| *value == values[0]) {
        return Ok(Interval { low: values[0], high: values[0] });
    }
    let means = resampled_means(values, resamples, seed);
    let tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0];
    let [low, high] = match kind {
        IntervalKind::Percentile => tails,
        IntervalKind::BiasCorrectedAccelerated => corrected(tails, values, &means),
    }
    .map(|probability| quantile(&means, probability));
    Ok(Interval { low, high })
}

fn resampled_means(values: &[f64], resamples: usize, seed: u64) -> Vec<f64> {
    let mut random = SplitMix64(seed);
    let mut resampled_mean = || {
        let sum: f64 = values.iter().map(|_| values[random.below(values.len())]).sum();
        sum / values.len() as f64
    };
    let mut means: Vec<f64> = (0..resamples).map(|_| resampled_mean()).collect();
    means.sort_unstable_by(f64::total_cmp);
    means
}

/// Efron's correction of the tail probabilities; `means` ascend and `values` are not all equal.
fn corrected(tails: [f64; 2], values: &[f64], means: &[f64]) -> [f64; 2] {
    let (mean, count) = (mean(values), means.len() as f64);
    let below = means.partition_point(|m| *m < mean) + means.partition_point(|m| *m <= mean);
    // Half a resample from either end keeps the quantile finite.
    let bias =
        normal::quantile((below as f64 / (2.0 * count)).clamp(0.5 / count, 1.0 - 0.5 / count));
    // Leaving a value out moves the mean by its deviation from it over 1 - n.
    let power_sum = |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>();
    let acceleration = power_sum(3) / (6.0 * power_sum(2).powf(1.5));
    tails.map(|probability| {
        let shifted = bias + normal::quantile(probability);
        normal::cumulative(bias + shifted / (1.0 - acceleration * shifted))
    })
}

/// G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// An index below `count`; the bias of this scaling is below count / 2⁶⁴.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}
