//! The sampling grid of a mask: shape and voxel size.
use crate::{Error, Result};

/// Shape in voxels and voxel size in mm, both in the order x, y, z, with x fastest in memory.
///
/// Axes are the mask's own; anatomical orientation makes no difference to any score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    shape: [usize; 3],
    spacing_mm: [f64; 3],
}

impl Grid {
    /// Checks and keeps a shape and a spacing. A 2-D image is `[nx, ny, 1]`; its third spacing is
    /// the slice thickness and enters its volume only. Axes stand at right angles: distances and areas of a sheared
    /// grid are others.
    ///
    /// # Errors
    /// [`Error::Shape`] for an axis of length zero or a product that overflows,
    /// [`Error::Spacing`] for a spacing that is not positive and finite.
    pub fn new(shape: [usize; 3], spacing_mm: [f64; 3]) -> Result<Self> {
        // Surface elements lie on a grid that is one larger along every axis.
        let corners = shape.iter().try_fold(1usize, |product, &length| {
            product.checked_mul(length.checked_add(2)?).filter(|_| length > 0)
        });
        corners.filter(|&n| n <= isize::MAX as usize / 8).ok_or(Error::Shape(shape))?;
        let positive = spacing_mm.iter().all(|s| s.is_finite() && *s > 0.0);
        if positive { Ok(Self { shape, spacing_mm }) } else { Err(Error::Spacing(spacing_mm)) }
    }

    /// Voxels along x, y, z.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Voxel size along x, y, z in mm.
    pub fn spacing_mm(&self) -> [f64; 3] {
        self.spacing_mm
    }

    /// Number of voxels.
    pub fn voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Volume of one voxel in millilitres.
    pub fn voxel_ml(&self) -> f64 {
        self.spacing_mm.iter().product::<f64>() / 1000.0
    }

    pub(crate) fn is_image(&self) -> bool {
        self.shape[2] == 1
    }

    pub(crate) fn check(&self, mask: &'static str, found: usize) -> Result<()> {
        let expected = self.voxels();
        if found == expected { Ok(()) } else { Err(Error::MaskLength { mask, expected, found }) }
    }
}
