//! Bringing intensities of different scanners to a common range: statistics of a volume, then one map.

use serde::{Deserialize, Serialize};

use crate::{Error, Landmarks, Result};

/// How a volume's intensities are normalised. Statistics are taken over all its voxels and used frames
/// together, so that slices of one subject keep their proportions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Percentiles of the foreground to where they lay in the source's volumes: histogram standardisation
    /// or matching.
    Landmarks(Landmarks),
}

/// One monotone map for all voxels of a volume. A volume of one value becomes one value.
#[derive(Debug, Clone, PartialEq)]
pub struct IntensityMap(Curve);

#[derive(Debug, Clone, PartialEq)]
enum Curve {
    /// `(value - offset) / width`, and 0 where there is no width.
    Line { line: Line, clip: Clip },
    /// Straight between nodes `[from, to]` of ascending `from`, the last piece going on.
    Pieces(Vec<[f32; 2]>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    offset: f32,
    width: f64,
    /// Multiplied in float32, as the published loaders do: their slices to the last bit.
    scale: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clip {
    No,
    ToUnit,
}

impl Intensity {
    /// An error where the parameters have no meaning.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Percentile { low, high } if !(0.0 <= *low && low < high && *high <= 100.0) => {
                Err(Error::Setting(format!(
                    "percentiles {low} and {high}: give two from 0 to 100, the lower one first"
                )))
            }
            Self::Landmarks(landmarks) => landmarks.check(),
            _ => Ok(()),
        }
    }

    /// The word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::MinMax => "min-max",
            Self::Percentile { .. } => "percentile",
            Self::ForegroundZScore => "z-score",
            Self::Landmarks(_) => "by landmarks",
        }
    }

    /// The map for a volume, from the finite voxels of its frames.
    pub fn map(&self, frames: &[Vec<f32>]) -> IntensityMap {
        let (offset, end, clip) = match self {
            Self::MinMax => {
                let (min, max) = extremes(frames);
                (min, max, Clip::No)
            }
            Self::Percentile { low, high } => {
                let mut values = frames.concat();
                let (low, high) = (percentile(&mut values, *low), percentile(&mut values, *high));
                (low, high, Clip::ToUnit)
            }
            Self::ForegroundZScore => {
                let (mean, _) = moments(frames, f32::NEG_INFINITY);
                let (mean, deviation) = moments(frames, mean);
                let line = Line::new(mean, deviation, f64::from(deviation));
                return IntensityMap(Curve::Line { line, clip: Clip::No });
            }
            Self::Landmarks(landmarks) => {
                return IntensityMap(Curve::Pieces(landmarks.nodes(frames)));
            }
        };
        let line = Line::new(offset, end - offset, f64::from(end) - f64::from(offset));
        IntensityMap(Curve::Line { line, clip })
    }
}

impl IntensityMap {
    /// Maps intensities in place.
    pub fn apply(&self, values: &mut [f32]) {
        match &self.0 {
            Curve::Line { line, clip } => {
                for value in values {
                    *value = line.at(*value);
                    if *clip == Clip::ToUnit {
                        *value = value.clamp(0.0, 1.0);
                    }
                }
            }
            Curve::Pieces(nodes) => {
                values.iter_mut().for_each(|value| *value = on_pieces(*value, nodes));
            }
        }
    }

    /// Whether all intensities become one value.
    pub(crate) fn is_flat(&self) -> bool {
        match &self.0 {
            Curve::Line { line, .. } => line.width == 0.0,
            Curve::Pieces(nodes) => {
                nodes.len() < 2
                    || nodes.windows(2).all(|pair| matches!(pair, [a, b] if a[1] == b[1]))
            }
        }
    }

    /// Where one intensity goes.
    pub fn value(&self, intensity: f32) -> f32 {
        let mut value = [intensity];
        self.apply(&mut value);
        let [value] = value;
        value
    }
}

impl Line {
    /// The width in float32, perhaps infinite, and in float64.
    fn new(offset: f32, width: f32, exact: f64) -> Self {
        let scale = match width {
            0.0 => 0.0,
            width if width.is_finite() => 1.0 / width,
            _ => f32::INFINITY,
        };
        Self { offset, width: exact, scale }
    }

    fn at(self, value: f32) -> f32 {
        let place = value * self.scale - self.offset * self.scale;
        if place.is_finite() {
            return place;
        }
        // The ends of float32, where its differences or reciprocals overflow.
        ((f64::from(value) - f64::from(self.offset)) / self.width) as f32
    }
}

fn on_pieces(value: f32, nodes: &[[f32; 2]]) -> f32 {
    let after = nodes.partition_point(|[from, _]| *from <= value);
    // The first piece serves what lies before it, the last what lies after.
    let after = after.min(nodes.len().saturating_sub(1)).max(1);
    match (nodes.get(after - 1), nodes.get(after)) {
        (Some([x0, y0]), Some([x1, y1])) => {
            let [x0, y0, x1, y1] = [*x0, *y0, *x1, *y1].map(f64::from);
            (y0 + (f64::from(value) - x0) * (y1 - y0) / (x1 - x0)) as f32
        }
        (Some([_, y]), None) => *y,
        (None, _) => value,
    }
}

pub(crate) fn extremes(frames: &[Vec<f32>]) -> (f32, f32) {
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
    between(below, next, rank.fract())
}

/// In f64: the difference of two finite f32 can be infinite.
pub(crate) fn between(below: f32, next: f32, part: f64) -> f32 {
    (f64::from(below) + part * (f64::from(next) - f64::from(below))) as f32
}

/// Mean and standard deviation of the values above a threshold; (0, 0) of nothing.
pub(crate) fn moments(frames: &[Vec<f32>], threshold: f32) -> (f32, f32) {
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
    fn the_widest_and_the_narrowest_range_of_float32_stay_finite() {
        let frames = [vec![f32::MIN, 0.0, f32::MAX]];
        assert_eq!(apply(Intensity::MinMax, &frames), [0.0, 0.5, 1.0]);
        let tiny = [vec![0.0, 1e-44, 2e-44]];
        assert_eq!(apply(Intensity::MinMax, &tiny), [0.0, 0.5, 1.0]);
        let clipped = apply(Intensity::Percentile { low: 0.0, high: 100.0 }, &frames);
        assert_eq!(clipped, [0.0, 0.5, 1.0]);
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
    fn pieces_are_straight_and_the_last_goes_on() {
        let map = IntensityMap(Curve::Pieces(vec![[0.0, -1.0], [2.0, 0.0], [4.0, 10.0]]));
        let mut values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        map.apply(&mut values);
        assert_eq!(values, [-1.0, -0.5, 0.0, 5.0, 10.0, 15.0]);
        assert_eq!(IntensityMap(Curve::Pieces(vec![[7.0, 0.25]])).value(7.0), 0.25);
    }

    #[test]
    fn a_constant_volume_becomes_zero() {
        let all = [
            Intensity::MinMax,
            Intensity::Percentile { low: 1.0, high: 99.0 },
            Intensity::ForegroundZScore,
        ];
        for intensity in all {
            assert_eq!(apply(intensity.clone(), &[vec![7.0; 5]]), [0.0; 5], "{intensity:?}");
        }
    }

    #[test]
    fn impossible_percentiles_are_refused() {
        for (low, high) in [(5.0, 5.0), (-1.0, 50.0), (1.0, 101.0), (f64::NAN, 99.0)] {
            assert!(Intensity::Percentile { low, high }.check().is_err());
        }
    }
}
