//! Bringing intensities of different scanners to a common range: statistics of a volume, then one map.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a volume's intensities are normalised. Statistics are taken over all its voxels and used frames
/// together, so that slices of one subject keep their proportions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Intensity {
    /// Smallest to 0, largest to 1 (the paper's).
    MinMax,
    /// The percentiles `low` and `high` to 0 and 1, what lies beyond clipped.
    Percentile {
        /// 0 to 100.
        low: f64,
        /// 0 to 100, above `low`.
        high: f64,
    },
    /// The foreground's mean to 0 and its standard deviation to 1; foreground is what is brighter than the
    /// mean of the whole volume.
    ForegroundZScore,
}

/// `(value - offset) * scale`, perhaps clipped to 0 to 1. A volume of one value becomes 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntensityMap {
    offset: f32,
    scale: f32,
    clip: Clip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clip {
    No,
    ToUnit,
}

impl Intensity {
    /// An error where the parameters have no meaning.
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::Percentile { low, high } if !(0.0 <= low && low < high && high <= 100.0) => {
                Err(Error::Setting(format!(
                    "percentiles {low} and {high}: give two from 0 to 100, the lower one first"
                )))
            }
            _ => Ok(()),
        }
    }

    /// The map for a volume, from the finite voxels of its frames.
    pub fn map(&self, frames: &[Vec<f32>]) -> IntensityMap {
        let (offset, width, clip) = match *self {
            Self::MinMax => {
                let (min, max) = extremes(frames);
                (min, max - min, Clip::No)
            }
            Self::Percentile { low, high } => {
                let mut values = frames.concat();
                let (low, high) = (percentile(&mut values, low), percentile(&mut values, high));
                (low, high - low, Clip::ToUnit)
            }
            Self::ForegroundZScore => {
                let (mean, _) = moments(frames, f32::NEG_INFINITY);
                let (mean, deviation) = moments(frames, mean);
                (mean, deviation, Clip::No)
            }
        };
        let scale = if width > 0.0 { 1.0 / width } else { 0.0 };
        IntensityMap { offset, scale, clip }
    }
}

impl IntensityMap {
    /// Maps intensities in place.
    pub fn apply(&self, values: &mut [f32]) {
        for value in values {
            *value = (*value - self.offset) * self.scale;
            if self.clip == Clip::ToUnit {
                *value = value.clamp(0.0, 1.0);
            }
        }
    }
}

fn extremes(frames: &[Vec<f32>]) -> (f32, f32) {
    let fold = |(min, max): (f32, f32), &value: &f32| (min.min(value), max.max(value));
    frames.iter().flatten().fold((f32::INFINITY, f32::NEG_INFINITY), fold)
}

/// Linear interpolation between the nearest ranks, as numpy's `percentile`; 0 of nothing.
fn percentile(values: &mut [f32], percent: f64) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = percent / 100.0 * (values.len() - 1) as f64;
    let (_, &mut below, above) = values.select_nth_unstable_by(rank as usize, f32::total_cmp);
    let next = above.iter().copied().min_by(f32::total_cmp).unwrap_or(below);
    below + (rank.fract() as f32) * (next - below)
}

/// Mean and standard deviation of the values above a threshold; (0, 0) of nothing.
fn moments(frames: &[Vec<f32>], threshold: f32) -> (f32, f32) {
    let values = || {
        frames.iter().flatten().filter(|&&value| value > threshold).map(|&value| f64::from(value))
    };
    let count = values().count().max(1) as f64;
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, variance.sqrt() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(intensity: Intensity, frames: &[Vec<f32>]) -> Vec<f32> {
        let map = intensity.map(frames);
        let mut values = frames.concat();
        map.apply(&mut values);
        values
    }

    #[test]
    fn min_max_is_taken_over_all_frames() {
        let values = apply(Intensity::MinMax, &[vec![-2.0, 0.0], vec![2.0, 6.0]]);
        assert_eq!(values, [0.0, 0.25, 0.5, 1.0]);
    }

    #[test]
    fn percentiles_interpolate_between_ranks_and_clip() {
        // numpy.percentile([0, 1, 2, 3, 10], [10, 90]) is [0.4, 7.2].
        let values = apply(
            Intensity::Percentile { low: 10.0, high: 90.0 },
            &[vec![3.0, 0.0, 10.0, 1.0, 2.0]],
        );
        let expected = [3.0f32, 0.4, 7.2, 1.0, 2.0].map(|value| (value - 0.4) / 6.8);
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
    }

    #[test]
    fn z_score_of_what_is_brighter_than_the_mean() {
        // The mean is 3, so 4 and 8 are foreground: mean 6, deviation 2.
        let values = apply(Intensity::ForegroundZScore, &[vec![0.0, 0.0, 4.0, 8.0]]);
        assert_eq!(values, [-3.0, -3.0, -1.0, 1.0]);
    }

    #[test]
    fn a_constant_volume_becomes_zero() {
        let all = [
            Intensity::MinMax,
            Intensity::Percentile { low: 1.0, high: 99.0 },
            Intensity::ForegroundZScore,
        ];
        for intensity in all {
            assert_eq!(apply(intensity, &[vec![7.0; 5]]), [0.0; 5], "{intensity:?}");
        }
    }

    #[test]
    fn impossible_percentiles_are_refused() {
        for (low, high) in [(5.0, 5.0), (-1.0, 50.0), (1.0, 101.0), (f64::NAN, 99.0)] {
            assert!(Intensity::Percentile { low, high }.check().is_err());
        }
    }
}
