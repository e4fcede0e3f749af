//! Volume, number of components and shape, against those of the source's labels.
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

/// Mean roundness of the foreground on slices that have some: 4 pi A / P^2 with the area A in pixels and P the
/// number of pixel edges between foreground and the rest (pi/4 for a square, 0.62 for a large disc of pixels, near 0
/// for what is frayed or scattered); 0 where no slice has foreground.
pub fn roundness(labels: &[u8], [height, width]: [usize; 2]) -> f64 {
    let (mut sum, mut slices) = (0.0, 0);
    for slice in labels.chunks_exact(height * width) {
        let inside = |row: usize, column: usize| {
            row < height && column < width && slice[row * width + column] > 0
        };
        let (mut area, mut edges) = (0u32, 0u32);
        for row in 0..height {
            for column in (0..width).filter(|&column| inside(row, column)) {
                let beside = [
                    row > 0 && inside(row - 1, column),
                    inside(row + 1, column),
                    column > 0 && inside(row, column - 1),
                    inside(row, column + 1),
                ];
                area += 1;
                edges += beside.iter().map(|&inside| u32::from(!inside)).sum::<u32>();
            }
        }
        if area > 0 {
            sum += 4.0 * std::f64::consts::PI * f64::from(area) / f64::from(edges).powi(2);
            slices += 1;
        }
    }
    if slices == 0 { 0.0 } else { sum / f64::from(slices) }
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
    fn squares_are_rounder_than_what_is_scattered() {
        let quarter = std::f64::consts::FRAC_PI_4;
        assert!((roundness(&[1, 1, 1, 1], [2, 2]) - quarter).abs() < 1e-12);
        // A line of four: 16 pi / 100. Two apart in a second slice: 8 pi / 64. An empty slice does not count.
        let labels = [1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0];
        let expected = (16.0 / 100.0 + 8.0 / 64.0) / 2.0 * std::f64::consts::PI;
        assert!((roundness(&labels, [1, 4]) - expected).abs() < 1e-12);
        assert_eq!(roundness(&[0; 4], [2, 2]), 0.0);
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
