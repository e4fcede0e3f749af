//! Altering a training slice's contrast, shading, sharpness and noise, to prepare a network for scanners it
//! has not seen. What is altered is drawn first, can be recorded, and is then applied without chance.
#![expect(
    clippy::indexing_slicing,
    reason = "knots are clamped to their number; pixels are whole rows and columns"
)]

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::order::generator;

/// Control points of a random monotone map, ends included.
const KNOTS: usize = 6;
/// Terms of the polynomial bias field: all products x^i y^j with 1 <= i + j <= 3.
const BIAS_TERMS: usize = 9;

/// How far slices may be altered. A range of no width, or a strength of 0, leaves that part out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AugmentationRanges {
    /// Strength of a random monotone map of intensities, 0 to 1.
    pub monotone: f32,
    /// Exponents, drawn evenly in their logarithm.
    pub gamma: [f32; 2],
    /// Factors.
    pub gain: [f32; 2],
    /// Summands, as a share of the slice's range.
    pub offset: [f32; 2],
    /// Largest coefficient of the logarithm of a smooth bias field.
    pub bias: f32,
    /// Standard deviation of a Gaussian blur in pixels.
    pub blur_pixels: [f32; 2],
    /// Standard deviation of Gaussian noise, as a share of the slice's range.
    pub noise: [f32; 2],
}

impl AugmentationRanges {
    /// Contrast, shading and noise as different scanners and sequences bring them.
    pub const SCANNERS: Self = Self {
        monotone: 0.5,
        gamma: [0.6, 1.7],
        gain: [0.8, 1.2],
        offset: [-0.1, 0.1],
        bias: 0.4,
        blur_pixels: [0.0, 1.0],
        noise: [0.0, 0.05],
    };

    /// Shading, sharpness and noise alone: what is added to contrasts that are made otherwise.
    pub const TEXTURE: Self =
        Self { monotone: 0.0, gamma: [1.0; 2], gain: [1.0; 2], offset: [0.0; 2], ..Self::SCANNERS };
}

/// One alteration, fully determined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Augmentation {
    /// Values of a piecewise linear map at evenly spaced intensities, ascending from 0 to 1.
    pub knots: [f32; KNOTS],
    /// Exponent.
    pub gamma: f32,
    /// Coefficients of the logarithm of the bias field, a cubic polynomial in coordinates from -1 to 1.
    pub bias: [f32; BIAS_TERMS],
    /// Standard deviation of the blur in pixels.
    pub blur_pixels: f32,
    /// Factor.
    pub gain: f32,
    /// Summand, as a share of the slice's range.
    pub offset: f32,
    /// Standard deviation of the noise, as a share of the slice's range.
    pub noise: f32,
    /// Of the noise.
    pub noise_seed: u64,
}

/// Draws for slice `index` in `epoch` and applies it.
pub(crate) fn augment(
    image: &mut [f32],
    width: usize,
    ranges: &AugmentationRanges,
    seed: u64,
    epoch: u64,
    index: usize,
) {
    Augmentation::draw(ranges, seed, epoch, index).apply(image, width);
}

impl Augmentation {
    /// The alteration of slice `index` in `epoch`: a function of its arguments alone.
    pub fn draw(ranges: &AugmentationRanges, seed: u64, epoch: u64, index: usize) -> Self {
        // Stream 2^63 and up: never one of the permutations' (their streams are epochs).
        let mut random = generator(seed ^ epoch.rotate_left(32), 1 << 63 | index as u64);
        let mut knots = [0.0; KNOTS];
        let mut steps = [0.0; KNOTS - 1];
        steps.iter_mut().for_each(|step| {
            *step = (ranges.monotone * 2.0 * (uniform(&mut random) - 0.5)).exp2().powi(3)
        });
        let total: f32 = steps.iter().sum();
        let mut height = 0.0;
        for (knot, step) in knots.iter_mut().skip(1).zip(steps) {
            height += step / total;
            *knot = height;
        }
        let mut between = |[low, high]: [f32; 2]| low + (high - low) * uniform(&mut random);
        let gamma = between(ranges.gamma.map(f32::ln)).exp();
        let bias = std::array::from_fn(|_| between([-ranges.bias, ranges.bias]));
        let [blur_pixels, gain] = [ranges.blur_pixels, ranges.gain].map(&mut between);
        let [offset, noise] = [ranges.offset, ranges.noise].map(&mut between);
        Self { knots, gamma, bias, blur_pixels, gain, offset, noise, noise_seed: random.next_u64() }
    }

    /// Alters a slice in place, row by row `width` wide. The slice keeps its range but for gain, bias, offset
    /// and noise; a slice of one value stays as it is.
    pub fn apply(&self, image: &mut [f32], width: usize) {
        let pixels = image.len();
        self.apply_to_slices(image, pixels, width);
    }

    /// Alters a volume in place, slices of `pixels` one after another: all of them alike, blurred and shaded each by
    /// itself. A slice alone is altered as by [`Self::apply`].
    pub fn apply_to_slices(&self, image: &mut [f32], pixels: usize, width: usize) {
        let fold = |(min, max): (f32, f32), &value: &f32| (min.min(value), max.max(value));
        let (min, max) = image.iter().fold((f32::INFINITY, f32::NEG_INFINITY), fold);
        let range = max - min;
        if width == 0 || range.is_nan() || range <= 0.0 {
            return;
        }
        for value in &mut *image {
            *value = self.tone((*value - min) / range);
        }
        for slice in image.chunks_exact_mut(pixels) {
            self.shade(slice, width);
            blur(slice, width, self.blur_pixels);
        }
        let mut random = generator(self.noise_seed, 0);
        for value in image {
            let noise = if self.noise > 0.0 { self.noise * normal(&mut random) } else { 0.0 };
            *value = min + range * (self.gain * *value + self.offset + noise);
        }
    }

    /// The monotone map, then the exponent, of a value from 0 to 1.
    fn tone(&self, value: f32) -> f32 {
        let at = value * (KNOTS - 1) as f32;
        let knot = (at as usize).min(KNOTS - 2);
        let (low, high) = (self.knots[knot], self.knots[knot + 1]);
        (low + (high - low) * (at - knot as f32)).max(0.0).powf(self.gamma)
    }

    fn shade(&self, image: &mut [f32], width: usize) {
        if self.bias == [0.0; BIAS_TERMS] {
            return;
        }
        let height = image.len() / width;
        let coordinate = |i: usize, n: usize| 2.0 * i as f32 / (n.max(2) - 1) as f32 - 1.0;
        for (row, pixels) in image.chunks_exact_mut(width).enumerate() {
            let y = coordinate(row, height);
            for (column, pixel) in pixels.iter_mut().enumerate() {
                let x = coordinate(column, width);
                let terms = [x, y, x * x, x * y, y * y, x * x * x, x * x * y, x * y * y, y * y * y];
                let log: f32 =
                    terms.iter().zip(self.bias).map(|(term, coefficient)| term * coefficient).sum();
                *pixel *= log.exp();
            }
        }
    }
}

/// Separable Gaussian blur, edges repeated; nothing below a tenth of a pixel.
fn blur(image: &mut [f32], width: usize, deviation: f32) {
    if deviation < 0.1 {
        return;
    }
    let radius = (3.0 * deviation).ceil() as isize;
    let weight = |offset: isize| (-0.5 * (offset as f32 / deviation).powi(2)).exp();
    let weights: Vec<f32> = (-radius..=radius).map(weight).collect();
    let total: f32 = weights.iter().sum();
    let height = image.len() / width;
    let mut pass = |n: usize, lines: usize, step: usize, line_step: usize| {
        let mut line = vec![0.0; n];
        for start in (0..lines).map(|line| line * line_step) {
            for (i, value) in line.iter_mut().enumerate() {
                *value = image[start + i * step];
            }
            for i in 0..n {
                let near =
                    (i as isize - radius..).map(|at| line[at.clamp(0, n as isize - 1) as usize]);
                let sum: f32 = weights.iter().zip(near).map(|(weight, value)| weight * value).sum();
                image[start + i * step] = sum / total;
            }
        }
    };
    pass(width, height, 1, width);
    pass(height, width, width, 1);
}

/// A number from 0 to 1 (excluded), of 24 random bits.
pub(crate) fn uniform(random: &mut ChaCha8Rng) -> f32 {
    (random.next_u32() >> 8) as f32 / (1 << 24) as f32
}

/// A standard normal number (Box and Muller 1958).
pub(crate) fn normal(random: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - uniform(random)).ln()).sqrt();
    radius * (std::f32::consts::TAU * uniform(random)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: AugmentationRanges = AugmentationRanges {
        monotone: 0.0,
        gamma: [1.0; 2],
        gain: [1.0; 2],
        offset: [0.0; 2],
        bias: 0.0,
        blur_pixels: [0.0; 2],
        noise: [0.0; 2],
    };

    fn ramp() -> Vec<f32> {
        (0..64).map(|v| 10.0 + v as f32).collect()
    }

    fn altered(ranges: &AugmentationRanges, seed: u64, epoch: u64, index: usize) -> Vec<f32> {
        let mut image = ramp();
        augment(&mut image, 8, ranges, seed, epoch, index);
        image
    }

    #[test]
    fn ranges_of_no_width_change_nothing() {
        let difference = altered(&NOTHING, 1, 2, 3)
            .iter()
            .zip(ramp())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(difference < 1e-4, "{difference}");
        let mut flat = vec![3.0; 64];
        augment(&mut flat, 8, &AugmentationRanges::SCANNERS, 1, 2, 3);
        assert_eq!(flat, [3.0; 64]);
    }

    #[test]
    fn it_depends_on_seed_epoch_and_slice_alone() {
        let ranges = AugmentationRanges::SCANNERS;
        let first = altered(&ranges, 1, 2, 3);
        assert_eq!(first, altered(&ranges, 1, 2, 3));
        for (seed, epoch, index) in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(first, altered(&ranges, seed, epoch, index));
        }
        let drawn = Augmentation::draw(&ranges, 1, 2, 3);
        let record = serde_json::to_string(&drawn).unwrap();
        let mut replayed = ramp();
        serde_json::from_str::<Augmentation>(&record).unwrap().apply(&mut replayed, 8);
        assert_eq!(first, replayed);
    }

    #[test]
    fn slices_of_a_volume_are_altered_alike() {
        let quiet = AugmentationRanges { noise: [0.0; 2], ..AugmentationRanges::SCANNERS };
        let drawn = Augmentation::draw(&quiet, 1, 2, 3);
        let mut slice = ramp();
        drawn.apply(&mut slice, 8);
        let mut volume = [ramp(), ramp(), ramp()].concat();
        drawn.apply_to_slices(&mut volume, 64, 8);
        assert_ne!(slice, ramp());
        assert_eq!(volume, [slice.clone(), slice.clone(), slice].concat());
    }

    #[test]
    fn the_tone_map_is_monotone_and_keeps_the_ends() {
        let ranges = AugmentationRanges { monotone: 1.0, gamma: [0.5, 2.0], ..NOTHING };
        let mut furthest = 0.0f32;
        for index in 0..50 {
            let image = altered(&ranges, 5, 0, index);
            assert!(image.windows(2).all(|pair| pair[0] < pair[1]));
            assert!((image[0] - 10.0).abs() < 1e-3 && (image[63] - 73.0).abs() < 1e-3);
            furthest =
                image.iter().zip(ramp()).map(|(a, b)| (a - b).abs()).fold(furthest, f32::max);
        }
        assert!(furthest > 10.0, "contrast changes: {furthest}");
    }

    #[test]
    fn noise_has_its_deviation_and_blur_takes_it_away() {
        let noisy = Augmentation { noise: 0.1, ..Augmentation::draw(&NOTHING, 1, 0, 0) };
        // Half 0, half 1: the range is 1.
        let mut image: Vec<f32> = (0..10_000).map(|i| (i / 5_000) as f32).collect();
        let clean = image.clone();
        noisy.apply(&mut image, 100);
        let deviation = |image: &[f32]| {
            let squares: f32 = image.iter().zip(&clean).map(|(a, b)| (a - b).powi(2)).sum();
            (squares / 10_000.0).sqrt()
        };
        assert!((deviation(&image) - 0.1).abs() < 0.005);
        blur(&mut image, 100, 1.0);
        assert!(deviation(&image) < 0.08);
        let mean: f32 = image.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01);
    }
}
