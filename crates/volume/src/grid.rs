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

/// The largest difference of affine entries that still counts as one grid: files written by
/// different tools differ by rounding.
pub const GRID_TOLERANCE: f64 = 1e-3;

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
        // A NaN difference is a difference.
        let same = self.affine.max_difference(&other.affine) <= GRID_TOLERANCE;
        (!same).then(|| format!("affines {} and {}", self.affine, other.affine))
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
