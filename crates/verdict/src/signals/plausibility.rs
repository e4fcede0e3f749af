//! Volume and number of components, against those of the source's labels.
use crate::sample::Sample;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use udas_metrics::{Connectivity, Grid, count_components};

/// A mean and a standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over subjects (n - 1 in the denominator).
    pub deviation: f64,
}

/// A deviation below this share of the mean is not believed: a few subjects can be alike by chance.
const LEAST_DEVIATION: f64 = 0.1;
/// Deviations from here on are all the same: absurd.
const ABSURD: f64 = 100.0;

impl Spread {
    /// Of some values.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (square / (count - 1.0).max(1.0)).sqrt();
        Self { mean, deviation }
    }

    /// How many standard deviations a value lies from the mean.
    pub fn deviations(&self, value: f64) -> f64 {
        let deviation = self.deviation.max(LEAST_DEVIATION * self.mean.abs());
        if deviation > 0.0 { ((value - self.mean).abs() / deviation).min(ABSURD) } else { 0.0 }
    }
}

/// Volume of all foreground in ml, estimated from the sample's areas.
pub fn volume_ml(labels: &[u8], sample: &Sample) -> f64 {
    labels.iter().filter(|&&label| label > 0).count() as f64 * sample.pixel_ml
}

/// Mean number of connected parts of the foreground on slices that have some; 0 where none has.
///
/// # Errors
/// When a slice has no pixels.
pub fn components(labels: &[u8], [height, width]: [usize; 2]) -> Result<f64> {
    let grid = Grid::new([width, height, 1], [1.0; 3])
        .map_err(|error| Error::Unfit(format!("a slice of {height}x{width}: {error}")))?;
    let (mut sum, mut slices) = (0, 0);
    for slice in labels.chunks_exact(height * width) {
        let mask: Vec<bool> = slice.iter().map(|&label| label > 0).collect();
        if mask.contains(&true) {
            let parts = count_components(&mask, &grid, Connectivity::Corners);
            sum += parts.map_err(|error| Error::Unfit(error.to_string()))?;
            slices += 1;
        }
    }
    Ok(if slices == 0 { 0.0 } else { sum as f64 / f64::from(slices) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_slice_by_slice() {
        // Two parts, nothing, one part.
        let labels = [1, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0];
        assert_eq!(components(&labels, [1, 4]).unwrap(), 1.5);
        assert_eq!(components(&[0; 8], [2, 4]).unwrap(), 0.0);
    }

    #[test]
    fn deviations_are_counted_in_standard_deviations() {
        let spread = Spread::of(&[8.0, 10.0, 12.0]);
        assert_eq!((spread.mean, spread.deviation), (10.0, 2.0));
        assert_eq!(spread.deviations(14.0), 2.0);
        // Ten per cent of the mean stand in for subjects that are alike.
        assert_eq!(Spread::of(&[10.0, 10.0]).deviations(13.0), 3.0);
        assert_eq!(Spread::of(&[1.0, 1.0]).deviations(1e6), 100.0);
    }
}
