//! Resampling an image onto another grid: trilinear for intensities, nearest voxel for labels.
#![expect(
    clippy::indexing_slicing,
    reason = "axes counted from 0 to 2; voxels are read by `Image::get`"
)]

use crate::{Affine, Error, Grid, Image, Labels, Result, Volume};

/// More voxels than this are refused, as on reading.
const MAX_VOXELS: u64 = 1 << 30;

impl Grid {
    /// The grid with the same axes and field of view and voxels of about `spacing_mm`: the size along an
    /// axis is rounded to whole voxels of exactly `spacing_mm`, centred on the old field of view.
    pub fn with_spacing(&self, spacing_mm: [f64; 3]) -> Result<Self> {
        let old = self.affine.spacing();
        let mut shape = [0; 3];
        let mut first = [0.0; 3];
        for axis in 0..3 {
            let ratio = spacing_mm[axis] / old[axis];
            let voxels = (self.shape[axis] as f64 / ratio).round().max(1.0);
            if !(ratio > 0.0 && voxels < 32768.0) {
                let problem = format!(
                    "a spacing of {spacing_mm:?} mm for {:?} voxels of {old:?} mm; choose a larger spacing",
                    self.shape
                );
                return Err(Error::NotAVolume(problem));
            }
            shape[axis] = voxels as usize;
            // Index in the old grid of the first new voxel's centre.
            first[axis] = 0.5 * (self.shape[axis] as f64 - 1.0 - (voxels - 1.0) * ratio);
        }
        if shape.iter().map(|&n| n as u64).product::<u64>() > MAX_VOXELS {
            let problem = format!("{shape:?} voxels at {spacing_mm:?} mm; choose a larger spacing");
            return Err(Error::NotAVolume(problem));
        }
        let scale = Affine::from_spacing(std::array::from_fn(|axis| spacing_mm[axis] / old[axis]));
        Ok(Self { shape, affine: self.affine.compose(&scale.with_origin(first)) })
    }
}

impl Volume {
    /// Trilinear interpolation at the voxel centres of `grid`. The outermost half voxel takes the edge
    /// value; what lies further outside is 0.
    pub fn resample_onto(&self, grid: &Grid) -> Result<Self> {
        resample(self, grid, Outside::Zero, trilinear)
    }

    /// The same, where what lies further outside takes the edge value too.
    pub fn extend_onto(&self, grid: &Grid) -> Result<Self> {
        resample(self, grid, Outside::Edge, trilinear)
    }
}

/// What is found outside an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zero,
    Edge,
}

impl Labels {
    /// The label of the nearest voxel at the voxel centres of `grid`; 0 outside.
    pub fn resample_onto(&self, grid: &Grid) -> Result<Self> {
        resample(self, grid, Outside::Zero, |labels, index| {
            let voxel = std::array::from_fn(|axis| {
                let last = labels.shape()[axis] - 1;
                (index[axis].round().max(0.0) as usize).min(last)
            });
            labels.get(voxel).unwrap_or_default()
        })
    }
}

fn resample<T: Copy + Default>(
    image: &Image<T>,
    grid: &Grid,
    outside: Outside,
    sample: impl Fn(&Image<T>, [f64; 3]) -> T,
) -> Result<Image<T>> {
    if grid == image.grid() {
        // Composed affines are the identity but for rounding, which would let NaN and huge neighbours in.
        return Ok(image.clone());
    }
    let inverse =
        image.affine().inverse().ok_or_else(|| Error::NotAVolume("a singular affine".into()))?;
    let index_of = inverse.compose(&grid.affine);
    let is_found = |index: [f64; 3]| {
        outside == Outside::Edge
            || (0..3).all(|axis| (-0.5..=image.shape()[axis] as f64 - 0.5).contains(&index[axis]))
    };
    let [nx, ny, nz] = grid.shape;
    let mut data = Vec::with_capacity(grid.len());
    for z in 0..nz {
        for y in 0..ny {
            for x in 0..nx {
                let index = index_of.apply([x as f64, y as f64, z as f64]);
                data.push(if is_found(index) { sample(image, index) } else { T::default() });
            }
        }
    }
    Image::with_header(data, *grid, image.header().clone())
}

fn trilinear(volume: &Volume, index: [f64; 3]) -> f32 {
    let (mut low, mut high, mut weight) = ([0; 3], [0; 3], [0.0; 3]);
    for axis in 0..3 {
        let last = volume.shape()[axis] - 1;
        let at = index[axis].clamp(0.0, last as f64);
        low[axis] = at as usize;
        high[axis] = (low[axis] + 1).min(last);
        weight[axis] = at - low[axis] as f64;
    }
    let mut sum = 0.0;
    for corner in 0..8 {
        let mut voxel = [0; 3];
        let mut share = 1.0;
        for axis in 0..3 {
            let upper = corner >> axis & 1 == 1;
            voxel[axis] = if upper { high[axis] } else { low[axis] };
            share *= if upper { weight[axis] } else { 1.0 - weight[axis] };
        }
        // A NaN next to an exact hit must not leak in.
        if share > 0.0 {
            sum += share * f64::from(volume.get(voxel).unwrap_or_default());
        }
    }
    sum as f32
}
