//! A pair of masks cut to the box that holds both, with a border of background.
use crate::Grid;
use rayon::prelude::*;
use std::ops::Range;

/// Two masks on their joint bounding box, with one voxel of background on every side of each axis that surfaces extend
/// along: x, y and z of a volume; of masks that lie in one slice the two axes of that slice, which are then x and y.
pub(crate) struct Crop {
    pub(crate) grid: Grid,
    pub(crate) prediction: Vec<bool>,
    pub(crate) truth: Vec<bool>,
}

impl Crop {
    /// `None` where both masks are empty. Lengths must have been checked against the grid.
    pub(crate) fn around(prediction: &[bool], truth: &[bool], grid: &Grid) -> Option<Self> {
        let bounds = joint_bounds(prediction, truth, grid)?;
        let axes = axes(&bounds, grid);
        let is_slice = bounds[axes[2]].len() == 1;
        let border = [1, 1, usize::from(!is_slice)];
        let shape = [0, 1, 2].map(|to| bounds[axes[to]].len() + 2 * border[to]);
        let spacing = axes.map(|from| grid.spacing_mm()[from]);
        let cut = |mask: &[bool]| cut(mask, grid.shape(), (&bounds, axes), shape, border);
        Some(Self {
            grid: Grid::new(shape, spacing).ok()?,
            prediction: cut(prediction),
            truth: cut(truth),
        })
    }
}

/// The grid's axes in the crop's order: that across a slice goes last, where both masks lie in one.
///
/// Where they lie in several, as a line of voxels does, the thickest slice counts. What lies around the masks makes no
/// difference, nor does the order of axes.
fn axes(bounds: &[Range<usize>; 3], grid: &Grid) -> [usize; 3] {
    let spacing = grid.spacing_mm();
    let across = (0..3)
        .filter(|&axis| bounds[axis].len() == 1)
        .max_by(|&a, &b| spacing[a].total_cmp(&spacing[b]).then(a.cmp(&b)));
    match across {
        Some(0) => [1, 2, 0],
        Some(1) => [0, 2, 1],
        _ => [0, 1, 2],
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
    (bounds, axes): (&[Range<usize>; 3], [usize; 3]),
    shape: [usize; 3],
    border: [usize; 3],
) -> Vec<bool> {
    let mut cut = vec![false; shape.iter().product()];
    let steps = [1, nx, nx * ny];
    let first: usize = (0..3).map(|axis| bounds[axis].start * steps[axis]).sum();
    let [along, down, across] = axes.map(|axis| (bounds[axis].len(), steps[axis]));
    for (z, plane) in (0..across.0).zip(cut.chunks_mut(shape[0] * shape[1]).skip(border[2])) {
        for (y, row) in (0..down.0).zip(plane.chunks_mut(shape[0]).skip(border[1])) {
            let start = first + z * across.1 + y * down.1;
            let row = &mut row[border[0]..][..along.0];
            if along.1 == 1 {
                row.copy_from_slice(&mask[start..start + along.0]);
            } else {
                row.iter_mut().enumerate().for_each(|(x, to)| *to = mask[start + x * along.1]);
            }
        }
    }
    cut
}
