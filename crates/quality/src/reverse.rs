//! Reverse classification accuracy: a small classifier learns from a mask and is tried on images with labels.
//!
//! Where the mask is right, what it teaches holds on labelled images too (Valindria et al. 2017, arXiv
//! 1702.03407). The classifier sees ranks of intensities and places, so that it carries over to another
//! contrast, and is linear in random features, so that it costs one small system of equations.
use crate::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::LazyLock;
use udas_metrics::statistics::{Ridge, standard_normal};
use udas_volume::{Labels, Volume};

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
/// Slices of a volume that stand for it.
const SLICES: usize = 16;
/// Voxels that are looked at around a structure, at least.
const AROUND: usize = 8;

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
    /// Evenly spaced pixels of slices `[n, height, width]`; `is_foreground` says of each place what it is.
    pub fn of(images: &[f32], size: [usize; 2], is_foreground: impl Fn(usize) -> bool) -> Self {
        let mut pixels = Self::default();
        pixels.add(images, size, is_foreground);
        pixels
    }

    /// Adds those of other slices.
    pub fn add(&mut self, images: &[f32], size: [usize; 2], is_foreground: impl Fn(usize) -> bool) {
        self.add_at(images, size, 0..images.len(), is_foreground);
    }

    /// Pixels in and around a class of a mask: in its box, grown by half its size on each side. None of a class that is
    /// absent.
    ///
    /// # Errors
    /// [`Error::Grids`] where the mask is not on the image's grid.
    pub fn around(image: &Volume, mask: &Labels, class: u8) -> Result<Option<Self>> {
        if let Some(difference) = mask.grid().difference(image.grid()) {
            return Err(Error::Grids(difference));
        }
        let [width, height, _] = mask.shape();
        let Some(near) = grown_box(mask, class) else { return Ok(None) };
        let [columns, rows, slices] = near;
        let pixels = width * height;
        let step = slices.len().div_ceil(SLICES);
        let chosen: Vec<usize> = slices.step_by(step).collect();
        let from = |slice: &usize| &image.data()[slice * pixels..][..pixels];
        let images = chosen.iter().flat_map(from).copied().collect::<Vec<f32>>();
        let inside = |place: &usize| {
            rows.contains(&(place / width % height)) && columns.contains(&(place % width))
        };
        let places: Vec<usize> = (0..images.len()).filter(inside).collect();
        let mut found = Self::default();
        found.add_at(&images, [height, width], places.into_iter(), |place| {
            mask.data()[chosen[place / pixels] * pixels + place % pixels] == class
        });
        Ok(Some(found))
    }

    /// Adds all pixels of others.
    pub fn extend(&mut self, others: &Self) {
        self.descriptions.extend_from_slice(&others.descriptions);
        self.foreground.extend_from_slice(&others.foreground);
    }

    /// Adds evenly chosen ones of `places`.
    fn add_at(
        &mut self,
        images: &[f32],
        [height, width]: [usize; 2],
        places: impl ExactSizeIterator<Item = usize>,
        is_foreground: impl Fn(usize) -> bool,
    ) {
        let scales = SCALES.map(|half| {
            let smooth: Vec<f32> = images
                .chunks_exact((height * width).max(1))
                .flat_map(|slice| averaged(slice, width, half))
                .collect();
            Ranks::of(smooth)
        });
        let step = (places.len() / PIXELS).max(1);
        // Odd, so that not every pixel lies in the same columns.
        let step = step + usize::from(step > 1 && step.is_multiple_of(2));
        for place in places.step_by(step) {
            let [row, column] = [place / width % height, place % width];
            let part = |at: usize, of: usize| 2.0 * at as f32 / of.max(2) as f32 - 1.0;
            let ranks = scales.each_ref().map(|ranks| 2.0 * ranks.rank(place) - 1.0);
            let [fine, middle, coarse] = ranks;
            let description = [fine, middle, coarse, part(row, height), part(column, width)];
            self.descriptions.push(description.map(|number| (number * 1000.0).round() as i16));
            self.foreground.push(is_foreground(place));
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

/// The columns, rows and slices about a class; none where it is absent.
fn grown_box(mask: &Labels, class: u8) -> Option<[Range<usize>; 3]> {
    let shape = mask.shape();
    let mut ends = [[usize::MAX, 0]; 3];
    for (index, _) in mask.data().iter().enumerate().filter(|(_, label)| **label == class) {
        let place = [index % shape[0], index / shape[0] % shape[1], index / shape[0] / shape[1]];
        for (end, at) in ends.iter_mut().zip(place) {
            *end = [end[0].min(at), end[1].max(at)];
        }
    }
    (ends[0][0] != usize::MAX).then(|| {
        std::array::from_fn(|axis| {
            let [first, last] = ends[axis];
            let margin = ((last + 1 - first) / 2).max(AROUND);
            first.saturating_sub(margin)..(last + 1 + margin).min(shape[axis])
        })
    })
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
        let frequencies =
            std::array::from_fn(|_| FREQUENCY * f64::from(standard_normal(|| random.next_u32())));
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
    use udas_volume::Affine;

    /// A bright disc on a dark ground with a bright frame, in this contrast.
    fn slice(contrast: fn(f32) -> f32) -> (Vec<f32>, Vec<u8>) {
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
        let image = (0..size * size).map(|place| contrast(value(place))).collect();
        (image, (0..size * size).map(|place| u8::from(radius(place) < 10.0)).collect())
    }

    fn pixels(image: &[f32], labels: &[u8]) -> Pixels {
        Pixels::of(image, [40; 2], |place| labels[place] > 0)
    }

    #[test]
    fn a_right_prediction_teaches_what_holds_in_another_contrast() {
        let (source, truth) = slice(|value| value);
        let reference = pixels(&source, &truth);
        let (target, truth) = slice(|value| 3.0 * value.powf(0.4));
        let of = |labels: &[u8]| Reverse::learn(&pixels(&target, labels)).dice(&reference);
        let right = of(&truth);
        let upper_half: Vec<u8> = (0..1600).map(|place| u8::from(place < 800)).collect();
        let everything = of(&[1; 1600]);
        assert!(right > 0.9, "{right}");
        assert!(of(&upper_half) < 0.5 && everything < 0.5, "{} {everything}", of(&upper_half));
        assert_eq!(of(&[0; 1600]), 0.0);
    }

    #[test]
    fn a_volume_is_looked_at_around_its_structure() {
        let (image, truth) = slice(|value| value);
        let affine = Affine::from_spacing([1.0; 3]);
        let volume = |values: Vec<f32>| Volume::new(values, [40, 40, 1], affine).unwrap();
        let mask = |labels: Vec<u8>| Labels::new(labels, [40, 40, 1], affine).unwrap();
        let labels = truth.iter().map(|label| 3 * label).collect();
        let around = Pixels::around(&volume(image.clone()), &mask(labels), 3).unwrap().unwrap();
        // The disc's box is 19 wide and grows by 9 on each side.
        assert_eq!(around.foreground.len(), 37 * 37);
        let inside = around.foreground.iter().filter(|&&inside| inside).count();
        assert_eq!(inside, truth.iter().filter(|&&label| label > 0).count());
        let none = Pixels::around(&volume(image.clone()), &mask(truth), 2).unwrap();
        assert!(none.is_none());
        let other =
            Labels::new(vec![1; 1600], [40, 40, 1], Affine::from_spacing([2.0; 3])).unwrap();
        assert!(Pixels::around(&volume(image), &other, 1).is_err());
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
        let (source, truth) = slice(|value| value);
        let pixels = pixels(&source, &truth);
        let text = serde_json::to_string(&pixels).unwrap();
        assert_eq!(serde_json::from_str::<Pixels>(&text).unwrap(), pixels);
    }
}
