//! Random shallow convolutions, drawn for each labelled region apart, and a simulated resolution: contrasts that no monotone
//! curve makes, inverted ones among them, to prepare a network for scanners and sequences it has not seen.
//!
//! Sources: global intensity non-linear augmentation, C. Ouyang et al., "Causality-inspired single-source domain
//! generalization for medical image segmentation", IEEE TMI 2022 (arXiv 2111.12525), section III-A: four layers of two channels,
//! kernels of 1 or 3, LeakyReLU, blended with the image by a random share, and brought to the image's norm. One draw a region:
//! Z. Su et al., "Rethinking data augmentation for single-source domain generalization in medical image segmentation" (SLAug),
//! AAAI 2023 (arXiv 2211.14805). Resolution: nnU-Net's simulation of low resolution, F. Isensee et al., Nature Methods 2021.
#![expect(clippy::indexing_slicing, reason = "pixels are whole rows and columns")]

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::augmentation::{normal, uniform};
use crate::order::generator;

/// Convolutions one after the other.
const LAYERS: usize = 4;
/// Channels between them.
const CHANNELS: usize = 2;
/// Slope of LeakyReLU below 0.
const SLOPE: f32 = 0.01;

/// How far slices may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RandomisationRanges {
    /// Share of the convolved image in the result.
    pub share: [f32; 2],
    /// By how much pixels are coarser along one axis, before they are interpolated back.
    pub coarseness: [f32; 2],
}

impl RandomisationRanges {
    /// The published ones: any share; half the resolution at most. The blend is not: a convolved image is brought to the slice's
    /// norm before it is blended, so that a share of a half is half of each; Ouyang et al.'s code blends first, and brings the
    /// blend alone to that norm.
    pub const PUBLISHED: Self = Self { share: [0.0, 1.0], coarseness: [1.0, 2.0] };
}

/// One change, fully determined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Randomisation {
    /// Of the convolutions; region `c` has those of this seed and stream `c`.
    pub seed: u64,
    /// Share of the convolved image, the same for all regions.
    pub share: f32,
    /// By how much pixels are coarser.
    pub coarseness: f32,
    /// Whether rows are coarser, and not columns.
    pub rows: bool,
}

impl Randomisation {
    /// The change of slice `index` in `epoch`: a function of its arguments alone.
    pub fn draw(ranges: &RandomisationRanges, seed: u64, epoch: u64, index: usize) -> Self {
        // Stream 2^62 and up: neither the permutations' nor those of the intensities.
        let mut random = generator(seed ^ epoch.rotate_left(32), 1 << 62 | index as u64);
        let mut between = |[low, high]: [f32; 2]| low + (high - low) * uniform(&mut random);
        let (share, coarseness) = (between(ranges.share), between(ranges.coarseness));
        let rows = between([0.0, 1.0]) < 0.5;
        Self { seed: random.next_u64(), share, coarseness, rows }
    }

    /// Changes a slice in place; `labels` has a class a pixel. A slice of one value stays as it is.
    ///
    /// Weights and summands of the convolutions are as large as published for images of mean 0 and deviation 1; so the slice is
    /// brought to these, and back.
    pub fn apply(&self, image: &mut [f32], labels: &[u8], width: usize) {
        let count = image.len() as f32;
        let mean = image.iter().sum::<f32>() / count;
        let squares: f32 = image.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / count).sqrt();
        let is_flat = image.iter().all(|value| Some(value) == image.first());
        if width == 0
            || is_flat
            || !(deviation > 0.0 && deviation.is_finite())
            || labels.len() != image.len()
        {
            return;
        }
        let unit: Vec<f32> = image.iter().map(|value| (value - mean) / deviation).collect();
        let mut regions: Vec<u8> = labels.to_vec();
        regions.sort_unstable();
        regions.dedup();
        for region in regions {
            let convolved = self.convolved(&unit, width, region);
            let pixels = image.iter_mut().zip(labels).zip(unit.iter().zip(&convolved));
            for ((to, _), (own, new)) in pixels.filter(|((_, label), _)| **label == region) {
                *to = (1.0 - self.share) * own + self.share * new;
            }
        }
        scale_to_norm(image, norm(&unit));
        self.coarsen(image, width);
        image.iter_mut().for_each(|value| *value = mean + deviation * *value);
    }

    /// The image through the convolutions of a region, at the image's norm.
    fn convolved(&self, image: &[f32], width: usize, region: u8) -> Vec<f32> {
        let mut random = generator(self.seed, u64::from(region));
        let mut maps = vec![image.to_vec()];
        for layer in 0..LAYERS {
            let last = layer + 1 == LAYERS;
            let outputs = if last { 1 } else { CHANNELS };
            let radius = usize::from(uniform(&mut random) < 0.5);
            let mut next = Vec::with_capacity(outputs);
            for _ in 0..outputs {
                let mut sum = vec![normal(&mut random); image.len()];
                for map in &maps {
                    add_convolved(&mut sum, map, width, radius, &mut random);
                }
                if !last {
                    sum.iter_mut().for_each(|v| *v = if *v < 0.0 { SLOPE * *v } else { *v });
                }
                next.push(sum);
            }
            maps = next;
        }
        let mut result = maps.swap_remove(0);
        scale_to_norm(&mut result, norm(image));
        result
    }

    /// Averages pixels along one axis, and interpolates them back.
    fn coarsen(&self, image: &mut [f32], width: usize) {
        if self.coarseness <= 1.0 {
            return;
        }
        let height = image.len() / width;
        let (lines, length, step, next) =
            if self.rows { (width, height, width, 1) } else { (height, width, 1, width) };
        let coarse = ((length as f32 / self.coarseness).round() as usize).max(2);
        let mut line = vec![0.0; length];
        for number in 0..lines {
            let at = |pixel: usize| number * next + pixel * step;
            (0..length).for_each(|pixel| line[pixel] = image[at(pixel)]);
            let means = averaged(&line, coarse);
            for pixel in 0..length {
                let place = (pixel as f32 + 0.5) * coarse as f32 / length as f32 - 0.5;
                let place = place.clamp(0.0, (coarse - 1) as f32);
                let low = (place as usize).min(coarse - 2);
                let share = place - low as f32;
                image[at(pixel)] = means[low] * (1.0 - share) + means[low + 1] * share;
            }
        }
    }
}

/// Means of a line over so many equal pieces; pixels on a border count in part.
fn averaged(line: &[f32], pieces: usize) -> Vec<f32> {
    let size = line.len() as f32 / pieces as f32;
    let mean = |piece: usize| {
        let (from, to) = (piece as f32 * size, (piece + 1) as f32 * size);
        let part = |pixel: usize| {
            let (start, end) = (from.max(pixel as f32), to.min(pixel as f32 + 1.0));
            line[pixel] * (end - start).max(0.0)
        };
        let last = (to.ceil() as usize).min(line.len());
        (from as usize..last).map(part).sum::<f32>() / size
    };
    (0..pieces).map(mean).collect()
}

/// Adds a convolution of Gaussian weights, edges repeated.
fn add_convolved(
    to: &mut [f32],
    from: &[f32],
    width: usize,
    radius: usize,
    random: &mut ChaCha8Rng,
) {
    let (height, reach) = (from.len() / width, radius as isize);
    for dy in -reach..=reach {
        for dx in -reach..=reach {
            let weight = normal(random);
            for row in 0..height {
                let source = row.saturating_add_signed(dy).min(height - 1) * width;
                for column in 0..width {
                    let column_from = column.saturating_add_signed(dx).min(width - 1);
                    to[row * width + column] += weight * from[source + column_from];
                }
            }
        }
    }
}

/// Root of the sum of squares.
fn norm(image: &[f32]) -> f32 {
    image.iter().map(|value| value * value).sum::<f32>().sqrt()
}

fn scale_to_norm(image: &mut [f32], wanted: f32) {
    let own = norm(image);
    if own > 0.0 && own.is_finite() {
        image.iter_mut().for_each(|value| *value *= wanted / own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: RandomisationRanges = RandomisationRanges::PUBLISHED;

    /// A disc in front of a ramp, and its mask; 12 by 16 pixels.
    fn slice() -> (Vec<f32>, Vec<u8>) {
        let labels: Vec<u8> = (0..192)
            .map(|at| {
                let (y, x) = (at / 16 - 6, at % 16 - 8);
                u8::from(y * y + x * x < 16)
            })
            .collect();
        let image = labels.iter().enumerate();
        (image.map(|(at, &l)| 100.0 + at as f32 / 4.0 + 50.0 * f32::from(l)).collect(), labels)
    }

    fn changed(draw: &Randomisation) -> Vec<f32> {
        let (mut image, labels) = slice();
        draw.apply(&mut image, &labels, 16);
        image
    }

    #[test]
    fn it_depends_on_seed_epoch_and_slice_alone_and_can_be_replayed() {
        let first = Randomisation::draw(&RANGES, 1, 2, 3);
        assert_eq!(first, Randomisation::draw(&RANGES, 1, 2, 3));
        for (seed, epoch, index) in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(changed(&first), changed(&Randomisation::draw(&RANGES, seed, epoch, index)));
        }
        let record = serde_json::to_string(&first).unwrap();
        let again: Randomisation = serde_json::from_str(&record).unwrap();
        assert_eq!(changed(&first), changed(&again));
    }

    #[test]
    fn intensities_stay_finite_and_at_their_norm() {
        let (image, _) = slice();
        let mean = image.iter().sum::<f32>() / image.len() as f32;
        let above = |image: &[f32]| norm(&image.iter().map(|v| v - mean).collect::<Vec<_>>());
        let mut inverted = 0;
        for index in 0..60 {
            let draw =
                Randomisation { coarseness: 1.0, ..Randomisation::draw(&RANGES, 5, 0, index) };
            let new = changed(&draw);
            assert!(new.iter().all(|value| value.is_finite()));
            assert!((above(&new) / above(&image) - 1.0).abs() < 1e-3, "{index}");
            // The disc is brighter than its surroundings; convolutions turn that round now and then.
            inverted += usize::from(new[6 * 16 + 8] < new[6 * 16 + 2]);
        }
        assert!((6..54).contains(&inverted), "{inverted} of 60");
    }

    #[test]
    fn regions_have_convolutions_of_their_own_and_no_share_changes_nothing() {
        let none = Randomisation { seed: 7, share: 0.0, coarseness: 1.0, rows: false };
        let (image, labels) = slice();
        let apart =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart(&changed(&none), &image) < 1e-3);
        let whole = Randomisation { share: 1.0, ..none };
        let (mut unlabelled, none) = (image, vec![0; labels.len()]);
        whole.apply(&mut unlabelled, &none, 16);
        assert!(apart(&changed(&whole), &unlabelled) > 1.0);
        let mut flat = vec![3.0; 192];
        whole.apply(&mut flat, &none, 16);
        assert_eq!(flat, [3.0; 192]);
    }

    #[test]
    fn coarse_pixels_keep_the_mean_and_lose_detail() {
        let line: Vec<f32> = (0..10).map(|at| f32::from(at % 2 == 0)).collect();
        assert_eq!(averaged(&line, 5), [0.5; 5]);
        let means = averaged(&line, 4);
        assert!((means.iter().sum::<f32>() / 4.0 - 0.5).abs() < 1e-6);
        let draw = Randomisation { seed: 1, share: 0.0, coarseness: 2.0, rows: true };
        let mut image: Vec<f32> = (0..160).map(|at| f32::from(at / 16 % 2 == 0)).collect();
        draw.coarsen(&mut image, 16);
        assert!(image.iter().all(|value| (value - 0.5).abs() < 1e-6));
    }
}
