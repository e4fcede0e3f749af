//! The grid of a volume, its shape and affine, and whether two grids are the same.

use std::path::Path;

use crate::{Affine, Error, Result};

/// Voxels along x, y, z (x fastest in memory) and where they lie in millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Voxels along each storage axis.
    pub shape: [usize; 3],
    /// Voxel indices to RAS millimetres.
    pub affine: Affine,
}

/// How far apart, as a share of a voxel, the corners of two grids may lie that still count as one: files written by
/// different tools differ by rounding, an origin of two decimals by up to a hundredth of a voxel of 0.5 mm.
pub const GRID_TOLERANCE: f64 = 0.05;

impl Grid {
    /// Number of voxels.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether an axis has no voxels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the grids differ beyond [`GRID_TOLERANCE`], or `None` where they are the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.shape != other.shape {
            let name = |[x, y, z]: [usize; 3]| format!("{x}x{y}x{z}");
            return Some(format!("{} and {} voxels", name(self.shape), name(other.shape)));
        }
        let [there, back] = [(self, other), (other, self)]
            .map(|(one, two)| one.affine.corner_shift(&two.affine, self.shape));
        // A NaN difference is a difference.
        let same = there <= GRID_TOLERANCE && back <= GRID_TOLERANCE;
        (!same).then(|| {
            let shift = there.max(back);
            format!(
                "corners lie up to {shift:.2} voxels apart, affines {} and {}",
                self.affine, other.affine
            )
        })
    }

    /// An error that names both files where the grids differ beyond [`GRID_TOLERANCE`].
    pub fn check_same(&self, path: &Path, other: &Self, other_path: &Path) -> Result<()> {
        match self.difference(other) {
            None => Ok(()),
            Some(problem) => {
                Err(Error::GridMismatch { first: path.into(), second: other_path.into(), problem })
            }
        }
    }
}
