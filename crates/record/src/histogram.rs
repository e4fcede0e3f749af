//! How the intensities of a domain are distributed.
use serde::{Deserialize, Serialize};

/// Counts of voxels in equal bins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Domain the voxels are from.
    pub domain: String,
    /// What the intensities are, such as `after min-max normalisation`; only equal ones are compared.
    pub intensities: String,
    /// Lower edge of the first bin.
    pub low: f64,
    /// Upper edge of the last bin.
    pub high: f64,
    /// Voxels in each bin.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram of `bins` bins from `low` to `high`.
    pub fn new(domain: &str, intensities: &str, [low, high]: [f64; 2], bins: usize) -> Self {
        let counts = vec![0; bins];
        Self { domain: domain.into(), intensities: intensities.into(), low, high, counts }
    }

    /// Counts values; those outside go to the nearest bin, NaN to none.
    pub fn count(&mut self, values: impl IntoIterator<Item = f64>) {
        let Some(last) = self.counts.len().checked_sub(1) else { return };
        let scale = self.counts.len() as f64 / (self.high - self.low);
        for value in values.into_iter().filter(|value| !value.is_nan()) {
            let bin = ((value - self.low) * scale).max(0.0) as usize;
            if let Some(count) = self.counts.get_mut(bin.min(last)) {
                *count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_their_bins_and_outliers_into_the_nearest() {
        let mut histogram = Histogram::new("a", "raw", [0.0, 1.0], 4);
        histogram.count([0.0, 0.25, 0.3, 1.0, 7.0, -3.0, f64::NAN]);
        assert_eq!(histogram.counts, [2, 2, 0, 2]);
    }
}
