//! Connected components of a mask, by union-find over runs of voxels.
use crate::{Grid, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Which voxels touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// Voxels that share a face: 6-connectivity, in an image 4-connectivity.
    Faces,
    /// Voxels that share a face, an edge or a corner: 26-connectivity, in an image 8-connectivity.
    Corners,
}

/// Number of connected components of the set voxels.
///
/// # Errors
/// [`crate::Error::MaskLength`] where the mask's length is not the grid's.
pub fn count_components(mask: &[bool], grid: &Grid, connectivity: Connectivity) -> Result<usize> {
    Ok(Runs::of(mask, grid, connectivity)?.components)
}

/// Voxels of each connected component, the largest first.
///
/// # Errors
/// [`crate::Error::MaskLength`] where the mask's length is not the grid's.
pub fn component_sizes(
    mask: &[bool],
    grid: &Grid,
    connectivity: Connectivity,
) -> Result<Vec<usize>> {
    let mut runs = Runs::of(mask, grid, connectivity)?;
    let mut sizes = vec![0; runs.spans.len()];
    for run in 0..runs.spans.len() {
        let root = runs.root(run);
        sizes[root] += runs.spans[run].len();
    }
    sizes.retain(|&size| size > 0);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    Ok(sizes)
}

/// Runs of set voxels of all rows so far, as a forest whose trees are components.
#[derive(Default)]
struct Runs {
    spans: Vec<Range<usize>>,
    parents: Vec<usize>,
    components: usize,
}

impl Runs {
    fn of(mask: &[bool], grid: &Grid, connectivity: Connectivity) -> Result<Self> {
        grid.check("mask", mask.len())?;
        let [nx, ny, _] = grid.shape();
        let mut rows: Vec<Range<usize>> = Vec::with_capacity(mask.len() / nx);
        let mut runs = Self::default();
        for (index, row) in mask.chunks(nx).enumerate() {
            let first = runs.spans.len();
            runs.extend(row);
            rows.push(first..runs.spans.len());
            let (y, z) = ((index % ny) as isize, index / ny);
            // Rows already seen: before this one in its plane, and around it in the plane below.
            for (dy, dz) in [(-1, 0), (-1, 1), (0, 1), (1, 1)] {
                let faces = dy == 0 || dz == 0;
                let inside = (0..ny as isize).contains(&(y + dy)) && z >= dz;
                if inside && (faces || connectivity == Connectivity::Corners) {
                    let other = index.wrapping_add_signed(dy) - dz * ny;
                    runs.join(rows[index].clone(), rows[other].clone(), connectivity);
                }
            }
        }
        Ok(runs)
    }

    fn extend(&mut self, row: &[bool]) {
        let mut end = 0;
        while let Some(offset) = row[end..].iter().position(|&set| set) {
            let start = end + offset;
            end = row[start..].iter().position(|&set| !set).map_or(row.len(), |n| start + n);
            self.parents.push(self.spans.len());
            self.spans.push(start..end);
            self.components += 1;
        }
    }

    /// Joins the runs of two rows that touch. Both lists ascend, so one walk along them is enough.
    fn join(&mut self, row: Range<usize>, other: Range<usize>, connectivity: Connectivity) {
        let reach = usize::from(connectivity == Connectivity::Corners);
        let (mut a, mut b) = (row.start, other.start);
        while a < row.end && b < other.end {
            let (p, q) = (&self.spans[a], &self.spans[b]);
            let touch = p.start < q.end + reach && q.start < p.end + reach;
            let a_ends_first = p.end < q.end;
            if touch {
                self.unite(a, b);
            }
            if a_ends_first { a += 1 } else { b += 1 }
        }
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.parents[a.max(b)] = a.min(b);
            self.components -= 1;
        }
    }

    fn root(&mut self, mut run: usize) -> usize {
        while self.parents[run] != run {
            self.parents[run] = self.parents[self.parents[run]];
            run = self.parents[run];
        }
        run
    }
}
