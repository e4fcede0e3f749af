//! Wilcoxon's signed-rank test of paired differences.
use super::{check_values, normal};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What the differences are suspected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// Larger or smaller than zero.
    TwoSided,
    /// Larger than zero.
    Greater,
    /// Smaller than zero.
    Less,
}

/// How the p-value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NullDistribution {
    /// All assignments of signs to the ranks at hand counted, tied ranks too.
    Exact,
    /// A normal distribution, its variance corrected for ties, without continuity correction.
    Normal,
}

/// Result of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wilcoxon {
    /// Sum of the ranks of the positive differences; two-sided, the smaller one of this and that of
    /// the negative differences.
    pub statistic: f64,
    /// Probability of a statistic at least as extreme if there were no difference.
    pub p_value: f64,
    /// Differences other than zero, which the test is made of.
    pub used: usize,
    /// Differences of zero, left out as Wilcoxon did.
    pub zeros: usize,
    /// How the p-value was found.
    pub distribution: NullDistribution,
}

/// Up to this many differences the exact distribution is used, as SciPy does.
const EXACT_UP_TO: usize = 50;
/// Beyond this, the number of assignments of signs is no float64.
const EXACT_AT_MOST: usize = 1000;

/// Tests whether differences are symmetric about zero (F. Wilcoxon, 1945).
///
/// Without a `distribution`, up to 50 non-zero differences are tested exactly and more with the
/// normal approximation. SciPy does the same, except that it uses the approximation for more than
/// 13 differences if some are tied or zero; the exact count is no harder there. If all differences
/// are zero, the p-value is 1.
///
/// # Errors
/// [`Error::TooFew`] for no differences, [`Error::NotFinite`] for NaN or infinities,
/// [`Error::ExactTooLarge`] for an exact test of more than 1000 differences.
pub fn wilcoxon_signed_rank(
    differences: &[f64],
    alternative: Alternative,
    distribution: Option<NullDistribution>,
) -> Result<Wilcoxon> {
    check_values("Wilcoxon's test", 1, differences)?;
    let ranks = SignedRanks::of(differences);
    let used = ranks.doubled.len();
    let exact = used <= EXACT_UP_TO;
    let fitting = if exact { NullDistribution::Exact } else { NullDistribution::Normal };
    let distribution = distribution.unwrap_or(fitting);
    let [less, greater] = match distribution {
        NullDistribution::Exact if used > EXACT_AT_MOST => return Err(Error::ExactTooLarge(used)),
        NullDistribution::Exact => ranks.exact_tails(),
        NullDistribution::Normal => ranks.normal_tails(),
    };
    let positive = ranks.positive as f64 / 2.0;
    let negative = (ranks.total() - ranks.positive) as f64 / 2.0;
    let (statistic, p_value) = match alternative {
        Alternative::TwoSided => (positive.min(negative), (2.0 * less.min(greater)).min(1.0)),
        Alternative::Greater => (positive, greater),
        Alternative::Less => (positive, less),
    };
    Ok(Wilcoxon { statistic, p_value, used, zeros: differences.len() - used, distribution })
}

/// Ranks of the absolute differences, doubled so that the middle rank of a tie is an integer.
struct SignedRanks {
    doubled: Vec<usize>,
    /// Doubled ranks of the positive differences, summed.
    positive: usize,
    /// Sum of t³ - t over groups of t tied differences.
    ties: f64,
}

impl SignedRanks {
    fn of(differences: &[f64]) -> Self {
        let mut nonzero: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
        nonzero.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
        let mut ranks = Self { doubled: Vec::new(), positive: 0, ties: 0.0 };
        for tied in nonzero.chunk_by(|a, b| a.abs() == b.abs()) {
            let (before, count) = (ranks.doubled.len(), tied.len());
            let doubled = 2 * before + count + 1;
            ranks.doubled.resize(before + count, doubled);
            ranks.positive += doubled * tied.iter().filter(|d| **d > 0.0).count();
            ranks.ties += (count as f64).powi(3) - count as f64;
        }
        ranks
    }

    fn total(&self) -> usize {
        self.doubled.iter().sum()
    }

    /// Probabilities of a sum of positive ranks up to, and from, the observed one.
    fn exact_tails(&self) -> [f64; 2] {
        // counts[s]: assignments of signs to the ranks so far whose positive ranks sum to s.
        let mut counts = vec![0.0; self.total() + 1];
        counts[0] = 1.0;
        let mut reached = 0;
        for &rank in &self.doubled {
            reached += rank;
            for sum in (rank..=reached).rev() {
                counts[sum] += counts[sum - rank];
            }
        }
        let assignments = 2f64.powi(self.doubled.len() as i32);
        let share = |counts: &[f64]| counts.iter().sum::<f64>() / assignments;
        [share(&counts[..=self.positive]), share(&counts[self.positive..])]
    }

    fn normal_tails(&self) -> [f64; 2] {
        let n = self.doubled.len() as f64;
        let mean = n * (n + 1.0) / 4.0;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - self.ties / 48.0;
        if variance == 0.0 {
            return [1.0; 2];
        }
        let z = (self.positive as f64 / 2.0 - mean) / variance.sqrt();
        [normal::cumulative(z), normal::upper_tail(z)]
    }
}
