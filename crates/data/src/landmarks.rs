//! Histogram standardisation and matching: where percentiles of the foreground belong, learned from source
//! volumes and plain data in the model.

use serde::{Deserialize, Serialize};
use udas_volume::probe;

use crate::intensity::{between, extremes, moments};
use crate::volume_slices::read_cut;
use crate::{Error, Intensity, Preprocessing, Result, Subject};

/// Percentiles of Nyul's landmarks: the deciles, and ends that outliers do not move.
const NYUL: [f32; 11] = [1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0];

/// Where a volume's darkest voxel and percentiles of its foreground go; straight in between, and the last piece
/// goes on beyond the last percentile. Foreground is what is brighter than the mean of the whole volume.
///
/// ```
/// use udas_data::{Intensity, Landmarks};
///
/// let landmarks = Landmarks::new(0.0, vec![0.0, 100.0], vec![0.5, 1.0])?;
/// let scan = vec![0.0, 0.0, 0.0, 40.0, 60.0, 80.0];
/// let map = Intensity::Landmarks(landmarks).map(&[scan]);
/// assert_eq!([0.0, 20.0, 40.0, 80.0].map(|value| map.value(value)), [0.0, 0.25, 0.5, 1.0]);
/// # Ok::<(), udas_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Landmarks {
    darkest: f32,
    percentiles: Vec<f32>,
    values: Vec<f32>,
}

/// What is learned from the source's volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standard {
    /// The mean place of eleven landmarks after the first and the last were brought to 0 and 1: a scale of its
    /// own, to train with.
    ///
    /// Source: L. G. Nyul and J. K. Udupa, "On standardizing the MR image intensity scale", 1999, and with
    /// deciles L. G. Nyul, J. K. Udupa and X. Zhang, "New variants of a method of MRI scale standardization",
    /// IEEE Transactions on Medical Imaging 19, 2000.
    Nyul,
    /// The mean histogram of the source's volumes as its own preprocessing shows them to the network: a volume
    /// matched to it looks to a trained network like one of the source.
    Histogram {
        /// Evenly spaced quantiles, from 2; 256 follow any histogram of grey values closely.
        quantiles: usize,
    },
}

impl Landmarks {
    /// Landmarks from their parts: ascending percentiles of the foreground, 0 to 100, and where each goes.
    pub fn new(darkest: f32, percentiles: Vec<f32>, values: Vec<f32>) -> Result<Self> {
        let landmarks = Self { darkest, percentiles, values };
        landmarks.check()?;
        Ok(landmarks)
    }

    /// Learns from the source's volumes, reading one after the other. `preprocessing` is that of the source's
    /// network: its spacing decides which voxels there are and, for [`Standard::Histogram`], its intensities
    /// where they go.
    pub fn learn(
        subjects: &[Subject],
        preprocessing: &Preprocessing,
        standard: Standard,
    ) -> Result<Self> {
        preprocessing.check()?;
        let percentiles = standard.percentiles()?;
        let mut sums = vec![0.0; percentiles.len() + 1];
        for subject in subjects {
            let frames = read_cut(subject, &preprocessing.slicing(&probe(&subject.image)?)?)?;
            let mut places = vec![extremes(&frames).0];
            places.extend(quantiles(&foreground(&frames), &percentiles));
            standard.place(&mut places, &preprocessing.intensity, &frames);
            sums.iter_mut().zip(places).for_each(|(sum, place)| *sum += f64::from(place));
        }
        if subjects.is_empty() {
            return Err(Error::TooFew { wanted: "landmarks".into(), available: 0 });
        }
        let means = sums.into_iter().map(|sum| (sum / subjects.len() as f64) as f32);
        let mut means = means.collect::<Vec<_>>().into_iter();
        let darkest = means.next().unwrap_or_default();
        Self::new(darkest, percentiles, means.collect())
    }

    /// Where a volume's darkest voxel goes.
    pub fn darkest(&self) -> f32 {
        self.darkest
    }

    /// Percentiles of the foreground and where each goes.
    pub fn points(&self) -> impl ExactSizeIterator<Item = (f32, f32)> {
        self.percentiles.iter().copied().zip(self.values.iter().copied())
    }

    pub(crate) fn check(&self) -> Result<()> {
        let ascends =
            |values: &[f32]| values.windows(2).all(|pair| matches!(pair, [a, b] if a <= b));
        let strictly = self.percentiles.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        let in_range = self.percentiles.iter().all(|percent| (0.0..=100.0).contains(percent));
        let places = [&[self.darkest], &self.values[..]].concat();
        let finite = places.iter().all(|place| place.is_finite());
        let fit = self.percentiles.len() == self.values.len() && self.values.len() >= 2;
        if fit && strictly && in_range && finite && ascends(&places) {
            return Ok(());
        }
        Err(Error::Setting(format!(
            "landmarks at {} percentiles with {} values: give as many values as percentiles, at least two, both \
             ascending from the darkest voxel's, percentiles from 0 to 100",
            self.percentiles.len(),
            self.values.len()
        )))
    }

    /// The nodes `[from, to]` of a volume's map, `from` strictly ascending.
    pub(crate) fn nodes(&self, frames: &[Vec<f32>]) -> Vec<[f32; 2]> {
        let (darkest, _) = extremes(frames);
        let from = quantiles(&foreground(frames), &self.percentiles);
        let mut nodes = vec![[darkest, self.darkest]];
        nodes.extend(from.into_iter().zip(&self.values).map(|(from, &to)| [from, to]));
        // Percentiles of one grey value share its place: the middle of theirs.
        let same = nodes.chunk_by(|[a, _], [b, _]| a == b);
        same.filter_map(|same| match (same.first(), same.last()) {
            (Some([from, first]), Some([_, last])) => Some([*from, between(*first, *last, 0.5)]),
            _ => None,
        })
        .collect()
    }
}

impl Standard {
    fn percentiles(self) -> Result<Vec<f32>> {
        match self {
            Self::Nyul => Ok(NYUL.to_vec()),
            Self::Histogram { quantiles: n @ 2..=65536 } => {
                Ok((0..n).map(|i| (100.0 * i as f64 / (n - 1) as f64) as f32).collect())
            }
            Self::Histogram { quantiles } => {
                Err(Error::Setting(format!("{quantiles} quantiles: give 2 to 65536")))
            }
        }
    }

    /// Brings a volume's places, darkest first, to the scale they are averaged on.
    fn place(self, places: &mut [f32], intensity: &Intensity, frames: &[Vec<f32>]) {
        match self {
            Self::Nyul => {
                let ends = places.get(1).copied().into_iter().chain(places.last().copied());
                Intensity::MinMax.map(&[ends.collect()]).apply(places);
            }
            Self::Histogram { .. } => intensity.map(frames).apply(places),
        }
    }
}

/// The voxels brighter than the mean, ascending; all of a volume of one value.
fn foreground(frames: &[Vec<f32>]) -> Vec<f32> {
    let (mean, _) = moments(frames, f32::NEG_INFINITY);
    let mut bright: Vec<f32> =
        frames.iter().flatten().copied().filter(|&value| value > mean).collect();
    if bright.is_empty() {
        bright = frames.concat();
    }
    bright.sort_unstable_by(f32::total_cmp);
    bright
}

/// Percentiles of ascending values, as numpy's `percentile`; none of nothing.
fn quantiles(sorted: &[f32], percentiles: &[f32]) -> Vec<f32> {
    let last = sorted.len().saturating_sub(1);
    let quantile = |&percent: &f32| {
        let rank = f64::from(percent) / 100.0 * last as f64;
        let below = *sorted.get(rank as usize)?;
        let next = sorted.get(rank as usize + 1).copied().unwrap_or(below);
        Some(between(below, next, rank.fract()))
    };
    percentiles.iter().filter_map(quantile).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn impossible_landmarks_are_refused() {
        for (darkest, percentiles, values) in [
            (0.0, vec![0.0], vec![1.0]),
            (0.0, vec![0.0, 50.0], vec![0.0, 1.0, 2.0]),
            (0.0, vec![50.0, 50.0], vec![0.0, 1.0]),
            (0.0, vec![0.0, 101.0], vec![0.0, 1.0]),
            (0.0, vec![0.0, 100.0], vec![1.0, 0.0]),
            (2.0, vec![0.0, 100.0], vec![0.0, 1.0]),
            (f32::NAN, vec![0.0, 100.0], vec![0.0, 1.0]),
            (0.0, vec![f32::NAN, 100.0], vec![0.0, 1.0]),
        ] {
            assert!(Landmarks::new(darkest, percentiles, values).is_err());
        }
        assert!(Standard::Histogram { quantiles: 1 }.percentiles().is_err());
    }

    #[test]
    fn quantiles_are_numpy_s() {
        // numpy.percentile([1, 2, 4, 8, 16], [0, 10, 50, 99, 100])
        let found = quantiles(&[1.0, 2.0, 4.0, 8.0, 16.0], &[0.0, 10.0, 50.0, 99.0, 100.0]);
        for (found, expected) in found.iter().zip([1.0, 1.4, 4.0, 15.68, 16.0]) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }

    #[test]
    fn one_grey_value_at_many_percentiles_has_one_place() {
        let landmarks = Landmarks::new(0.0, vec![0.0, 50.0, 100.0], vec![0.2, 0.6, 1.0]).unwrap();
        assert_eq!(landmarks.nodes(&[vec![0.0, 0.0, 5.0, 5.0]]), [[0.0, 0.0], [5.0, 0.6]]);
        assert_eq!(landmarks.nodes(&[vec![3.0; 4]]), [[3.0, 0.5]]);
    }

    proptest! {
        /// Whatever gain and offset a scanner has, the standardised volume is the same.
        #[test]
        fn gain_and_offset_do_not_matter(
            values in prop::collection::vec(0.0f32..1000.0, 20..200),
            gain in 0.1f32..50.0,
            offset in -500.0f32..500.0,
        ) {
            let percentiles = NYUL.to_vec();
            let places = percentiles.iter().map(|percent| percent / 100.0).collect();
            let intensity = Intensity::Landmarks(Landmarks::new(-0.5, percentiles, places).unwrap());
            let other: Vec<f32> = values.iter().map(|value| value * gain + offset).collect();
            let map = |values: Vec<f32>| {
                let mut mapped = values.clone();
                intensity.map(&[values]).apply(&mut mapped);
                mapped
            };
            let (first, second) = (map(values), map(other));
            let close = first.iter().zip(&second).filter(|(a, b)| (**a - **b).abs() < 2e-2).count();
            // Rounding may put a voxel at the mean on either side of it, and so move a landmark a little.
            prop_assert!(close * 10 >= first.len() * 9, "{:?} {:?}", first, second);
        }

        /// Brighter stays brighter, and every number finite.
        #[test]
        fn the_map_is_monotone(mut values in prop::collection::vec(-1e30f32..1e30, 2..60)) {
            let percentiles = NYUL.to_vec();
            let places = (0..11).map(|i| i as f32).collect();
            let intensity = Intensity::Landmarks(Landmarks::new(-1.0, percentiles, places).unwrap());
            values.sort_by(f32::total_cmp);
            let map = intensity.map(std::slice::from_ref(&values));
            map.apply(&mut values);
            prop_assert!(values.iter().all(|value| value.is_finite()));
            prop_assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", values);
        }
    }
}
