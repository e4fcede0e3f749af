//! Reverse classification accuracy: a small classifier learns from a prediction and is tried on the source.
//!
//! Where the prediction is right, what it teaches holds on labelled images too (Valindria et al. 2017, arXiv
//! 1702.03407). The classifier sees ranks of intensities and places, so that it carries over to another
//! contrast, and is linear in random features, so that it costs one small system of equations.
use crate::random::normal;
use crate::sample::Sample;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use udas_metrics::statistics::Ridge;

/// Numbers that describe a pixel: ranks of its intensity at three scales, row and column.
const DESCRIPTION: usize = 5;
/// Half the sides of the squares that intensities are averaged over.
const SCALES: [usize; 3] = [0, 2, 6];
/// Random features of a description (Rahimi and Recht 2007).
const FEATURES: usize = 64;
/// Deviation of their frequencies, in radians a unit of the description.
const FREQUENCY: f64 = 2.0;
/// Pixels of each sample.
const PIXELS: usize = 1500;

/// Pixels with labels: what a classifier learns from, or is tried on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pixels {
    /// Descriptions: [`DESCRIPTION`] numbers between -1 and 1 a pixel, in thousandths.
    descriptions: Vec<[i16; DESCRIPTION]>,
    /// Whether each is foreground.
    foreground: Vec<bool>,
}

/// A classifier of pixels.
#[derive(Clone, Debug)]
pub struct Reverse {
    ridge: Ridge,
}

impl Pixels {
    /// Evenly spaced pixels of a sample, with these labels of its slices.
    pub fn of(sample: &Sample, labels: &[u8]) -> Self {
        let mut pixels = Self::default();
        pixels.add(sample, labels);
        pixels
    }

    /// Adds those of another sample.
    pub fn add(&mut self, sample: &Sample, labels: &[u8]) {
        let [height, width] = sample.size;
        let scales = SCALES.map(|half| {
            let smooth: Vec<f32> = sample
                .images
                .chunks_exact((height * width).max(1))
                .flat_map(|slice| averaged(slice, width, half))
                .collect();
            Ranks::of(smooth)
        });
        let step = (labels.len() / PIXELS).max(1);
        // Odd, so that not every pixel lies in the same columns.
        let step = step + usize::from(step > 1 && step.is_multiple_of(2));
        for place in (0..labels.len()).step_by(step) {
            let [row, column] = [place / width % height, place % width];
            let part = |at: usize, of: usize| 2.0 * at as f32 / of.max(2) as f32 - 1.0;
            let ranks = scales.each_ref().map(|ranks| 2.0 * ranks.rank(place) - 1.0);
            let [fine, middle, coarse] = ranks;
            let description = [fine, middle, coarse, part(row, height), part(column, width)];
            self.descriptions.push(description.map(|number| (number * 1000.0).round() as i16));
            self.foreground.push(labels[place] > 0);
        }
    }
}

impl Reverse {
    /// Learns from pixels.
    pub fn learn(pixels: &Pixels) -> Self {
        let rows: Vec<Vec<f64>> = pixels.descriptions.iter().map(features).collect();
        let truth: Vec<f64> =
            pixels.foreground.iter().map(|&foreground| f64::from(u8::from(foreground))).collect();
        Self { ridge: Ridge::fit(&rows, &truth) }
    }

    /// Dice on labelled pixels; 0 where neither has foreground.
    pub fn dice(&self, pixels: &Pixels) -> f64 {
        let (mut both, mut total) = (0u32, 0u32);
        for (description, &truth) in pixels.descriptions.iter().zip(&pixels.foreground) {
            let said = self.ridge.predict(&features(description)) > 0.5;
            both += u32::from(said && truth);
            total += u32::from(said) + u32::from(truth);
        }
        if total == 0 { 0.0 } else { f64::from(2 * both) / f64::from(total) }
    }
}

/// cos(w x + b) for fixed random w and b: a Gaussian kernel's features.
fn features(description: &[i16; DESCRIPTION]) -> Vec<f64> {
    let value = |(frequencies, phase): &([f64; DESCRIPTION], f64)| {
        let parts = frequencies.iter().zip(description);
        let sum: f64 = parts.map(|(frequency, &part)| frequency * f64::from(part) / 1000.0).sum();
        (sum + phase).cos()
    };
    FREQUENCIES.iter().map(value).collect()
}

/// Frequencies, normal with a deviation of [`FREQUENCY`], and a phase: the same in every run.
static FREQUENCIES: LazyLock<Vec<([f64; DESCRIPTION], f64)>> = LazyLock::new(|| {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut draw = || {
        let frequencies = std::array::from_fn(|_| FREQUENCY * f64::from(normal(&mut random)));
        (frequencies, std::f64::consts::TAU * f64::from(random.next_u32()) / f64::from(u32::MAX))
    };
    (0..FEATURES).map(|_| draw()).collect()
});

/// Means over squares of `2 half + 1` pixels, smaller at the edges.
fn averaged(slice: &[f32], width: usize, half: usize) -> Vec<f32> {
    let along = |line: &[f32]| -> Vec<f32> {
        let mean = |at: usize| {
            let near = &line[at.saturating_sub(half)..(at + half + 1).min(line.len())];
            near.iter().sum::<f32>() / near.len() as f32
        };
        (0..line.len()).map(mean).collect()
    };
    let rows: Vec<f32> = slice.chunks_exact(width).flat_map(along).collect();
    let height = slice.len() / width;
    let column = |column| rows.iter().skip(column).step_by(width).copied().collect::<Vec<f32>>();
    let columns: Vec<Vec<f32>> = (0..width).map(|index| along(&column(index))).collect();
    (0..height).flat_map(|row| columns.iter().map(move |column| column[row])).collect()
}

/// The ranks of values among all of a sample.
struct Ranks {
    values: Vec<f32>,
    sorted: Vec<f32>,
}

impl Ranks {
    /// Evenly chosen values stand for all.
    fn of(values: Vec<f32>) -> Self {
        const CHOSEN: usize = 4096;
        let step = (values.len() / CHOSEN).max(1);
        let mut sorted: Vec<f32> = values.iter().step_by(step).copied().collect();
        sorted.sort_by(f32::total_cmp);
        Self { values, sorted }
    }

    /// The share of values that are smaller, 0 to 1.
    fn rank(&self, place: usize) -> f32 {
        let below = self.sorted.partition_point(|value| *value < self.values[place]);
        below as f32 / self.sorted.len().max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright disc on a dark ground with a bright frame, in this contrast.
    fn sample(contrast: fn(f32) -> f32) -> (Sample, Vec<u8>) {
        let size = 40usize;
        let radius = |place: usize| {
            let [row, column] = [place / size, place % size].map(|at| at as f32 - 20.0);
            (row * row + column * column).sqrt()
        };
        let noise = |place: usize| (place * 7919 % 97) as f32 / 970.0;
        let value = |place: usize| match radius(place) {
            r if r < 10.0 => 0.7 + noise(place),
            r if r > 17.0 => 0.8 + noise(place),
            _ => 0.1 + noise(place),
        };
        let sample = Sample {
            images: (0..size * size).map(|place| contrast(value(place))).collect(),
            labels: None,
            count: 1,
            size: [size, size],
            neighbours: Vec::new(),
            probed: vec![0],
            pixel_ml: 1.0,
        };
        (sample, (0..size * size).map(|place| u8::from(radius(place) < 10.0)).collect())
    }

    #[test]
    fn a_right_prediction_teaches_what_holds_in_another_contrast() {
        let (source, truth) = sample(|value| value);
        let reference = Pixels::of(&source, &truth);
        let (target, truth) = sample(|value| 3.0 * value.powf(0.4));
        let of = |labels: &[u8]| Reverse::learn(&Pixels::of(&target, labels)).dice(&reference);
        let right = of(&truth);
        let upper_half: Vec<u8> = (0..1600).map(|place| u8::from(place < 800)).collect();
        let everything = of(&[1; 1600]);
        assert!(right > 0.9, "{right}");
        assert!(of(&upper_half) < 0.5 && everything < 0.5, "{} {everything}", of(&upper_half));
        assert_eq!(of(&[0; 1600]), 0.0);
    }

    #[test]
    fn squares_are_averaged_and_ranks_counted() {
        let slice = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        assert_eq!(averaged(&slice, 3, 0), slice);
        assert_eq!(averaged(&slice, 3, 1)[..2], [3.0, 3.5]);
        assert_eq!(averaged(&slice, 3, 9), [5.0; 9]);
        let ranks = Ranks::of(vec![3.0, 1.0, 1.0, 9.0]);
        assert_eq!([0, 1, 2, 3].map(|place| ranks.rank(place)), [0.5, 0.0, 0.0, 0.75]);
    }

    #[test]
    fn pixels_come_back_from_their_file() {
        let (source, truth) = sample(|value| value);
        let pixels = Pixels::of(&source, &truth);
        let text = serde_json::to_string(&pixels).unwrap();
        assert_eq!(serde_json::from_str::<Pixels>(&text).unwrap(), pixels);
    }
}
