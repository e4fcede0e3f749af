//! The sliding window: where patches start, how much their voxels count, and the sum of what they predict.
use candle_core::{Device, Tensor};
use half::f16;
use rayon::prelude::*;
use std::ops::ControlFlow;
use udas_network::Network;
use udas_nn::NormMode;

use crate::preprocess::Prepared;
use crate::{Error, Result};

/// The numbers that predictions are added up in.
pub trait Sum: Copy + Send + Sync + PartialOrd + 'static {
    /// Rounded from a wider number.
    fn of(value: f32) -> Self;
    /// Rounded from a wider number.
    fn of_double(value: f64) -> Self;
    /// As a wider number.
    fn wide(self) -> f32;
}

impl Sum for f16 {
    fn of(value: f32) -> Self {
        Self::from_f32(value)
    }

    fn of_double(value: f64) -> Self {
        Self::from_f64(value)
    }

    fn wide(self) -> f32 {
        self.to_f32()
    }
}

impl Sum for f32 {
    fn of(value: f32) -> Self {
        value
    }

    fn of_double(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f32 {
        self
    }
}

/// Told after each patch: how many are done, and of how many.
pub type OnPatch<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// Where patches start along an axis: no further apart than half a patch.
pub(crate) fn starts(image: usize, patch: usize) -> Vec<usize> {
    let room = image.saturating_sub(patch);
    let count = (room as f64 / (patch as f64 * 0.5)).ceil() as usize + 1;
    let step = if count > 1 { room as f64 / (count - 1) as f64 } else { 0.0 };
    (0..count).map(|k| (k as f64 * step).round_ties_even() as usize).collect()
}

/// How much a voxel's prediction counts: a Gaussian about the patch's centre, 10 there, nowhere 0.
pub(crate) fn gaussian(patch: &[usize]) -> Vec<f16> {
    let profile = |size: usize| -> Vec<f64> {
        let (centre, sigma) = (size / 2, size as f64 / 8.0);
        let reach = (4.0 * sigma + 0.5) as usize;
        let weight = |i: usize| match i.abs_diff(centre) {
            far if far > reach => 0.0,
            near => (-0.5 / (sigma * sigma) * (near * near) as f64).exp(),
        };
        (0..size).map(weight).collect()
    };
    let mut weights = vec![1.0];
    for &size in patch {
        let profile = profile(size);
        weights = weights.iter().flat_map(|w| profile.iter().map(move |p| w * p)).collect();
    }
    let mut weights: Vec<f16> = weights.into_iter().map(|w| f16::from_f64(10.0 * w)).collect();
    let positive = weights.iter().copied().filter(|&w| w > f16::ZERO);
    let least = positive.fold(f16::INFINITY, |least, w| if w < least { w } else { least });
    weights.iter_mut().filter(|w| **w == f16::ZERO).for_each(|w| *w = least);
    weights
}

/// Sets of axes along which patches are mirrored, none first.
pub(crate) fn mirrorings(axes: &[usize]) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = (0..1usize << axes.len())
        .map(|bits| (0..axes.len()).filter(|i| bits >> i & 1 == 1).map(|i| axes[i]).collect())
        .collect();
    sets.sort_by(|a: &Vec<usize>, b: &Vec<usize>| (a.len(), a).cmp(&(b.len(), b)));
    sets
}

/// What a window works on.
pub(crate) struct Window<'a> {
    pub prepared: &'a Prepared,
    /// Two sizes where slices are predicted.
    pub patch: &'a [usize],
    /// Axes of the patch that are mirrored.
    pub mirror_axes: &'a [usize],
    pub outputs: usize,
}

/// Low and high zeros along an axis.
fn padding(image: usize, patch: usize) -> [usize; 2] {
    let room = patch.saturating_sub(image);
    [room / 2, room - room / 2]
}

impl Window<'_> {
    /// Depth, height, width of a patch.
    fn patch3(&self) -> [usize; 3] {
        match *self.patch {
            [d, h, w] => [d, h, w],
            [h, w] => [1, h, w],
            _ => [1; 3],
        }
    }

    /// The shape with the zeros that make it as large as a patch.
    fn padded(&self) -> [usize; 3] {
        let (shape, patch) = (self.prepared.shape, self.patch3());
        [0, 1, 2].map(|axis| shape[axis].max(patch[axis]))
    }

    /// Where patches start, the first axis slowest.
    fn places(&self) -> Vec<[usize; 3]> {
        let (shape, patch) = (self.padded(), self.patch3());
        let starts = [0, 1, 2].map(|axis| match self.patch.len() {
            2 if axis == 0 => (0..shape[0]).collect(),
            _ => starts(shape[axis], patch[axis]),
        });
        let mut places = Vec::new();
        for &z in &starts[0] {
            for &y in &starts[1] {
                places.extend(starts[2].iter().map(|&x| [z, y, x]));
            }
        }
        places
    }

    /// Where patches may start, 0 to these.
    pub fn room(&self) -> [usize; 3] {
        let (shape, patch) = (self.padded(), self.patch3());
        [0, 1, 2].map(|axis| shape[axis] - patch[axis])
    }

    /// Where a patch starts that has a voxel of the image in its middle, as far as it can.
    pub fn about(&self, voxel: [usize; 3]) -> [usize; 3] {
        let (shape, patch, room) = (self.prepared.shape, self.patch3(), self.room());
        [0, 1, 2].map(|axis| {
            let place = voxel[axis] + padding(shape[axis], patch[axis])[0];
            place.saturating_sub(patch[axis] / 2).min(room[axis])
        })
    }

    /// How many patches there are.
    pub fn count(&self) -> usize {
        self.places().len()
    }

    /// A patch of the padded image, `[1, C, D, H, W]` or `[1, C, H, W]`.
    pub fn cut(&self, place: [usize; 3]) -> Result<Tensor> {
        let Prepared { data, shape, .. } = self.prepared;
        let patch = self.patch3();
        let voxels: usize = shape.iter().product();
        let low = [0, 1, 2].map(|axis| padding(shape[axis], patch[axis])[0]);
        let mut values = vec![0.0; data.len() / voxels * patch.iter().product::<usize>()];
        let mut rows = values.chunks_exact_mut(patch[2]);
        // The columns of the image that the patch covers.
        let from = place[2].saturating_sub(low[2]);
        let skip = low[2].saturating_sub(place[2]);
        let count = (patch[2] - skip).min(shape[2].saturating_sub(from));
        for channel in data.chunks_exact(voxels) {
            for (z, y) in (0..patch[0]).flat_map(|z| (0..patch[1]).map(move |y| (z, y))) {
                let Some(row) = rows.next() else { continue };
                let inside = |at: usize, axis: usize| {
                    (place[axis] + at).checked_sub(low[axis]).filter(|&at| at < shape[axis])
                };
                let (Some(z), Some(y)) = (inside(z, 0), inside(y, 1)) else { continue };
                let start = (z * shape[1] + y) * shape[2] + from;
                row[skip..skip + count].copy_from_slice(&channel[start..start + count]);
            }
        }
        let sizes = [&[1, data.len() / voxels], self.patch].concat();
        Ok(Tensor::from_vec(values, sizes, &Device::Cpu)?)
    }

    /// Logits of a patch, the mean over its mirror images.
    fn predict(&self, network: &dyn Network, patch: &Tensor) -> Result<Vec<f32>> {
        let mut sum: Vec<f32> = Vec::new();
        let sets = mirrorings(self.mirror_axes);
        for axes in &sets {
            let axes: Vec<usize> = axes.iter().map(|axis| axis + 2).collect();
            let mirrored = if axes.is_empty() { patch.clone() } else { patch.flip(&axes)? };
            let mut logits = network.forward(&mirrored, NormMode::Running)?.detach();
            if !axes.is_empty() {
                logits = logits.flip(&axes)?;
            }
            let logits = logits.flatten_all()?.to_vec1::<f32>()?;
            if sum.is_empty() {
                sum = logits;
            } else {
                sum.iter_mut().zip(logits).for_each(|(sum, value)| *sum += value);
            }
        }
        if sets.len() > 1 {
            let count = sets.len() as f32;
            sum.iter_mut().for_each(|value| *value /= count);
        }
        Ok(sum)
    }

    /// Logits `[outputs, z, y, x]` of the whole image, patches weighted about their centres.
    pub fn logits<T: Sum>(&self, network: &dyn Network, on_patch: &mut OnPatch) -> Result<Vec<T>> {
        let (shape, patch) = (self.padded(), self.patch3());
        let weights = gaussian(self.patch);
        let voxels: usize = shape.iter().product();
        let mut sums = vec![T::of(0.0); self.outputs * voxels];
        let mut shares = vec![T::of(0.0); voxels];
        let places = self.places();
        for (done, &place) in places.iter().enumerate() {
            let logits = self.predict(network, &self.cut(place)?)?;
            let size = weights.len();
            let classes = sums.par_chunks_mut(voxels).zip(logits.par_chunks_exact(size));
            classes.for_each(|(sums, logits)| {
                each_row(shape, patch, place, |inner, outer| {
                    let values = sums[outer..outer + patch[2]].iter_mut().zip(&logits[inner..]);
                    for ((sum, logit), weight) in values.zip(&weights[inner..]) {
                        *sum = T::of(sum.wide() + logit * weight.to_f32());
                    }
                });
            });
            each_row(shape, patch, place, |inner, outer| {
                for (share, weight) in
                    shares[outer..outer + patch[2]].iter_mut().zip(&weights[inner..])
                {
                    *share = T::of(share.wide() + weight.to_f32());
                }
            });
            if on_patch(done + 1, places.len()).is_break() {
                return Err(Error::Stopped);
            }
        }
        self.finish(sums, &shares)
    }

    /// Sums over shares, without the padding.
    fn finish<T: Sum>(&self, mut sums: Vec<T>, shares: &[T]) -> Result<Vec<T>> {
        let (padded, shape, patch) = (self.padded(), self.prepared.shape, self.patch3());
        sums.par_chunks_mut(shares.len()).for_each(|class| {
            let pairs = class.iter_mut().zip(shares);
            pairs.for_each(|(sum, share)| *sum = T::of(sum.wide() / share.wide()));
        });
        if sums.par_iter().any(|value| !value.wide().is_finite()) {
            return Err(Error::NotFinite);
        }
        if padded == shape {
            return Ok(sums);
        }
        let part = [0, 1, 2].map(|axis| {
            let low = padding(shape[axis], patch[axis])[0];
            low..low + shape[axis]
        });
        let classes = sums.chunks_exact(shares.len());
        Ok(classes.flat_map(|class| crate::grid::cut(class, padded, &part)).collect())
    }
}

/// Calls `visit(start of a row in the patch, its start in the image)`.
fn each_row(
    shape: [usize; 3],
    patch: [usize; 3],
    place: [usize; 3],
    mut visit: impl FnMut(usize, usize),
) {
    for (row, (z, y)) in (0..patch[0]).flat_map(|z| (0..patch[1]).map(move |y| (z, y))).enumerate()
    {
        let outer = ((place[0] + z) * shape[1] + place[1] + y) * shape[2] + place[2];
        visit(row * patch[2], outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_start_where_the_original_starts_them() {
        assert_eq!(starts(110, 64), [0, 23, 46]);
        assert_eq!(starts(65, 64), [0, 1]);
        assert_eq!(starts(64, 64), [0]);
        assert_eq!(starts(10, 64), [0]);
    }

    #[test]
    fn weights_are_10_in_the_middle_and_nowhere_0() {
        let weights = gaussian(&[8, 16]);
        assert_eq!(weights[4 * 16 + 8], f16::from_f32(10.0));
        assert!(weights.iter().all(|&w| w > f16::ZERO && w <= f16::from_f32(10.0)));
        assert_eq!(weights[4 * 16 + 7], weights[4 * 16 + 9]);
    }

    #[test]
    fn mirrorings_come_as_singles_pairs_and_all() {
        assert_eq!(mirrorings(&[]), [Vec::<usize>::new()]);
        let all =
            [vec![], vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]];
        assert_eq!(mirrorings(&[0, 1, 2]), all);
    }
}
