//! A pair of masks cut to the box that holds both, with a border of background.
use crate::Grid;
use rayon::prelude::*;
use std::ops::Range;

/// Two masks on their joint bounding box, with one voxel of background on every side of each axis
/// that surfaces extend along: x, y and z of a volume, x and y of an image.
pub(crate) struct Crop {
    pub(crate) grid: Grid,
    pub(crate) prediction: Vec<bool>,
    pub(crate) truth: Vec<bool>,
}

impl Crop {
    /// `None` where both masks are empty. Lengths must have been checked against the grid.
    pub(crate) fn around(prediction: &[bool], truth: &[bool], grid: &Grid) -> Option<Self> {
        let bounds = joint_bounds(prediction, truth, grid)?;
        let border = [1, 1, usize::from(!grid.is_image())];
        let shape = [0, 1, 2].map(|axis| bounds[axis].len() + 2 * border[axis]);
        let cut = |mask: &[bool]| cut(mask, grid.shape(), &bounds, shape, border);
        Some(Self {
            grid: Grid::new(shape, grid.spacing_mm()).ok()?,
            prediction: cut(prediction),
            truth: cut(truth),
        })
    }
}

fn joint_bounds(prediction: &[bool], truth: &[bool], grid: &Grid) -> Option<[Range<usize>; 3]> {
    let [nx, ny, _] = grid.shape();
    prediction
        .par_chunks(nx)
        .zip(truth.par_chunks(nx))
        .enumerate()
        .with_min_len(64)
        .filter_map(|(row, (p, t))| {
            // Without an early exit the loop is vectorised, and most rows are empty.
            let occupied = p.iter().zip(t).fold(false, |any, (p, t)| any | p | t);
            let set = |x: &usize| p[*x] | t[*x];
            let x = if occupied { (0..nx).find(set)?..(0..nx).rfind(set)? + 1 } else { 0..0 };
            let (y, z) = (row % ny, row / ny);
            occupied.then_some([x, y..y + 1, z..z + 1])
        })
        .reduce_with(|a, b| [0, 1, 2].map(|i| a[i].start.min(b[i].start)..a[i].end.max(b[i].end)))
}

fn cut(
    mask: &[bool],
    [nx, ny, _]: [usize; 3],
    [xs, ys, zs]: &[Range<usize>; 3],
    shape: [usize; 3],
    border: [usize; 3],
) -> Vec<bool> {
    let mut cut = vec![false; shape.iter().product()];
    for (plane, z) in cut.chunks_mut(shape[0] * shape[1]).skip(border[2]).zip(zs.clone()) {
        for (row, y) in plane.chunks_mut(shape[0]).skip(border[1]).zip(ys.clone()) {
            let start = nx * (y + ny * z);
            row[border[0]..][..xs.len()].copy_from_slice(&mask[start + xs.start..start + xs.end]);
        }
    }
    cut
}
