//! Losses of logits and their gradients, each in one pass over memory.
//!
//! Exponentials and logarithms are polynomials in plain loops, of which the compiler makes vectors; they are right to a few
//! units in the last place. Nothing is fused, so that every instruction set gives the same bits. NaN stays NaN.
use crate::simd::{InstructionSet, Job, Lanes};
use rayon::prelude::*;
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// Values of a work item.
const BLOCK: usize = 4096;
/// Pixels of a work item, where a pixel has several classes.
const PIXELS: usize = 1024;
/// Sums that are kept apart while a block is added up.
const SUMS: usize = 16;

/// The logistic function of every value.
pub fn sigmoid(x: &[f32]) -> Vec<f32> {
    let set = InstructionSet::current();
    let mut y = vec![0.0; x.len()];
    let blocks = y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK));
    blocks.for_each(|(y, x)| set.run(Sigmoid { x, y }));
    y
}

/// Sum over all values of softplus(z) - z t: of -t log sigmoid(z) - (1 - t) log(1 - sigmoid(z)), finite at any logit z.
///
/// # Panics
/// When there are more or fewer targets than logits.
pub fn binary_cross_entropy(logits: &[f32], targets: &[f32]) -> f64 {
    assert_eq!(logits.len(), targets.len(), "a target for each logit");
    let set = InstructionSet::current();
    let blocks = logits.par_chunks(BLOCK).zip(targets.par_chunks(BLOCK));
    let sums: Vec<f64> = blocks.map(|(z, t)| set.run(BinaryLoss { z, t })).collect();
    sums.iter().sum()
}

/// Gradients of `scale` times [`binary_cross_entropy`]: of the logits and, where they are wanted, of the targets.
///
/// # Panics
/// When there are more or fewer targets than logits.
pub fn binary_cross_entropy_backward(
    logits: &[f32],
    targets: &[f32],
    scale: f32,
    targets_wanted: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    assert_eq!(logits.len(), targets.len(), "a target for each logit");
    let set = InstructionSet::current();
    let mut dz = vec![0.0; logits.len()];
    let blocks = logits.par_chunks(BLOCK).zip(targets.par_chunks(BLOCK));
    let blocks = dz.par_chunks_mut(BLOCK).zip(blocks);
    blocks.for_each(|(dz, (z, t))| set.run(BinaryGradient { z, t, scale, dz }));
    let dt = targets_wanted.then(|| logits.par_iter().map(|z| -z * scale).collect());
    (dz, dt)
}

/// Maps of logits, `[n, classes, pixels]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassMaps {
    /// Images.
    pub n: usize,
    /// Classes, of which each pixel has one.
    pub classes: usize,
    /// Pixels of an image.
    pub pixels: usize,
}

impl ClassMaps {
    fn len(self) -> usize {
        self.n * self.classes * self.pixels
    }

    /// Each image's ranges of pixels, in order.
    fn items(self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let ranges = move || {
            let starts = (0..self.pixels).step_by(PIXELS);
            starts.map(move |start| start..(start + PIXELS).min(self.pixels))
        };
        (0..self.n).flat_map(move |image| ranges().map(move |range| (image, range)))
    }

    /// A range of an image's pixels, class by class.
    fn rows(
        self,
        values: &[f32],
        (image, range): (usize, Range<usize>),
    ) -> impl Iterator<Item = &[f32]> + Clone {
        let image = &values[image * self.classes * self.pixels..][..self.classes * self.pixels];
        image.chunks_exact(self.pixels).map(move |row| &row[range.clone()])
    }

    /// The same to be written, for every item in order.
    fn rows_mut(self, values: &mut [f32]) -> Vec<Vec<&mut [f32]>> {
        let mut items = Vec::new();
        for image in values.chunks_exact_mut((self.classes * self.pixels).max(1)) {
            let first = items.len();
            items.resize_with(first + self.pixels.div_ceil(PIXELS), Vec::new);
            for row in image.chunks_exact_mut(self.pixels) {
                row.chunks_mut(PIXELS).zip(&mut items[first..]).for_each(|(row, of)| of.push(row));
            }
        }
        items
    }
}

/// Sum over all pixels and classes of -t log softmax(z); targets are one-hot or soft, and need not sum to 1.
///
/// # Panics
/// When logits or targets are not of the shape.
pub fn cross_entropy(logits: &[f32], targets: &[f32], shape: ClassMaps) -> f64 {
    assert_eq!([logits.len(), targets.len()], [shape.len(); 2], "maps of {shape:?}");
    let set = InstructionSet::current();
    let items: Vec<_> = shape.items().collect();
    let sums: Vec<f64> = items
        .into_par_iter()
        .map(|item| {
            let (z, t) = (shape.rows(logits, item.clone()), shape.rows(targets, item));
            set.run(ClassLoss { z, t })
        })
        .collect();
    sums.iter().sum()
}

/// Gradients of `scale` times [`cross_entropy`]: of the logits and, where they are wanted, of the targets.
///
/// # Panics
/// When logits or targets are not of the shape.
pub fn cross_entropy_backward(
    logits: &[f32],
    targets: &[f32],
    shape: ClassMaps,
    scale: f32,
    targets_wanted: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    assert_eq!([logits.len(), targets.len()], [shape.len(); 2], "maps of {shape:?}");
    let set = InstructionSet::current();
    let mut dz = vec![0.0; logits.len()];
    let mut dt = targets_wanted.then(|| vec![0.0; targets.len()]);
    let dz_rows = shape.rows_mut(&mut dz);
    let dt_rows = match &mut dt {
        Some(dt) => shape.rows_mut(dt),
        None => dz_rows.iter().map(|_| Vec::new()).collect(),
    };
    let items: Vec<_> = shape.items().zip(dz_rows).zip(dt_rows).collect();
    items.into_par_iter().for_each(|((item, dz), dt)| {
        let (z, t) = (shape.rows(logits, item.clone()), shape.rows(targets, item));
        set.run(ClassGradient { z, t, scale, dz, dt });
    });
    (dz, dt)
}

/// e^x for x up to 0; what is smaller than 1e-38 is that.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, the first of few digits, so that n times it is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    // Adding it leaves a whole number in the lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * LOG2_E + WHOLE;
    let n = shifted - WHOLE;
    let r = (x - n * HIGH) - n * LOW;
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + coefficient;
    }
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// 2 artanh(s) for |s| up to 1/3.
#[inline(always)]
fn twice_artanh(s: f32) -> f32 {
    let square = s * s;
    let mut p = 1.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        p = p * square + 1.0 / odd;
    }
    2.0 * (s + s * square * p)
}

/// ln(1 + e) for e from 0 to 1.
#[inline(always)]
fn ln_1p(e: f32) -> f32 {
    twice_artanh(e / (2.0 + e))
}

/// ln x for x from 1 on.
#[inline(always)]
fn ln(x: f32) -> f32 {
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    /// Bits of the square root of one half: mantissas are taken from there to its double.
    const ROOT: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(ROOT);
    let n = ((bits as i32) >> 23) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff) + ROOT);
    let ln = (twice_artanh((m - 1.0) / (m + 1.0)) + n * LOW) + n * HIGH;
    if x.is_nan() { x } else { ln }
}

#[inline(always)]
fn logistic(z: f32) -> f32 {
    let e = exp(-z.abs());
    let least = e / (1.0 + e);
    if z < 0.0 { least } else { 1.0 - least }
}

/// The sum of up to a block of values, in several sums whatever the instruction set.
#[inline(always)]
fn total(values: &[f32]) -> f64 {
    let mut sums = [0.0f32; SUMS];
    let groups = values.chunks_exact(SUMS);
    let rest = groups.remainder().iter().map(|&value| f64::from(value)).sum::<f64>();
    for group in groups {
        sums.iter_mut().zip(group).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() + rest
}

struct Sigmoid<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Job for Sigmoid<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        self.y.iter_mut().zip(self.x).for_each(|(y, &x)| *y = logistic(x));
    }
}

struct BinaryLoss<'a> {
    z: &'a [f32],
    t: &'a [f32],
}

impl Job for BinaryLoss<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<L: Lanes>(self) -> f64 {
        let mut losses = [0.0; BLOCK];
        for ((loss, &z), &t) in losses.iter_mut().zip(self.z).zip(self.t) {
            let positive = if z > 0.0 { z } else { 0.0 };
            *loss = (positive - z * t) + ln_1p(exp(-z.abs()));
        }
        total(&losses[..self.z.len()])
    }
}

struct BinaryGradient<'a> {
    z: &'a [f32],
    t: &'a [f32],
    scale: f32,
    dz: &'a mut [f32],
}

impl Job for BinaryGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for ((dz, &z), &t) in self.dz.iter_mut().zip(self.z).zip(self.t) {
            *dz = (logistic(z) - t) * self.scale;
        }
    }
}

/// Of each pixel: its largest logit, and the sum of e^(z - largest).
struct Softmax {
    largest: [f32; PIXELS],
    sum: [f32; PIXELS],
}

impl Softmax {
    #[inline(always)]
    fn of<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone) -> Self {
        let (mut largest, mut sum) = ([f32::NEG_INFINITY; PIXELS], [0.0; PIXELS]);
        for row in rows.clone() {
            for (largest, &z) in largest.iter_mut().zip(row) {
                *largest = if z > *largest { z } else { *largest };
            }
        }
        for row in rows {
            for ((sum, largest), z) in sum.iter_mut().zip(&largest).zip(row) {
                *sum += exp(z - largest);
            }
        }
        Self { largest, sum }
    }
}

struct ClassLoss<Z, T> {
    z: Z,
    t: T,
}

impl<'a, Z, T> Job for ClassLoss<Z, T>
where
    Z: Iterator<Item = &'a [f32]> + Clone,
    T: Iterator<Item = &'a [f32]>,
{
    type Output = f64;

    #[inline(always)]
    fn run<L: Lanes>(self) -> f64 {
        let Softmax { largest, sum } = Softmax::of(self.z.clone());
        let mut losses = [0.0; PIXELS];
        for (z, t) in self.z.zip(self.t) {
            let softmax = largest.iter().zip(&sum);
            for (((loss, (largest, &sum)), z), t) in losses.iter_mut().zip(softmax).zip(z).zip(t) {
                *loss += t * ((largest - z) + ln(sum));
            }
        }
        total(&losses)
    }
}

struct ClassGradient<'a, Z, T> {
    z: Z,
    t: T,
    scale: f32,
    dz: Vec<&'a mut [f32]>,
    dt: Vec<&'a mut [f32]>,
}

impl<'a, Z, T> Job for ClassGradient<'a, Z, T>
where
    Z: Iterator<Item = &'a [f32]> + Clone,
    T: Iterator<Item = &'a [f32]> + Clone,
{
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Softmax { largest, sum } = Softmax::of(self.z.clone());
        let mut targets = [0.0; PIXELS];
        for t in self.t.clone() {
            targets.iter_mut().zip(t).for_each(|(sum, t)| *sum += t);
        }
        for ((z, t), dz) in self.z.clone().zip(self.t).zip(self.dz) {
            let softmax = largest.iter().zip(&sum).zip(&targets);
            for (((dz, z), t), ((largest, sum), targets)) in
                dz.iter_mut().zip(z).zip(t).zip(softmax)
            {
                *dz = (targets * (exp(z - largest) / sum) - t) * self.scale;
            }
        }
        for (z, dt) in self.z.zip(self.dt) {
            for ((dt, z), (largest, &sum)) in dt.iter_mut().zip(z).zip(largest.iter().zip(&sum)) {
                *dt = ((largest - z) + ln(sum)) * self.scale;
            }
        }
    }
}
