//! Bringing an image to RAS axis order and exactly back; no interpolation.
#![expect(
    clippy::indexing_slicing,
    reason = "axes are an order of 0 to 2; offsets count the voxels of a grid, and an image has as many"
)]

use crate::{Affine, Error, Grid, Image, Result};

/// The permutation and flips that took an image to RAS, and the grid it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Orientation {
    /// For each RAS axis, the storage axis it was taken from.
    source_axis: [usize; 3],
    /// For each RAS axis, whether it runs against that storage axis.
    flipped: [bool; 3],
    original: Grid,
}

impl Orientation {
    /// The way from `grid` to RAS, each storage axis going to the nearest anatomical one.
    pub fn to_ras(grid: &Grid) -> Self {
        let (anatomy, against) = grid.affine.nearest_axes();
        let (mut source_axis, mut flipped) = ([0; 3], [false; 3]);
        for axis in 0..3 {
            source_axis[anatomy[axis]] = axis;
            flipped[anatomy[axis]] = against[axis];
        }
        Self { source_axis, flipped, original: *grid }
    }

    /// For right, anterior and superior: the storage axis taken, and whether it was flipped.
    pub fn axes(&self) -> [(usize, bool); 3] {
        std::array::from_fn(|axis| (self.source_axis[axis], self.flipped[axis]))
    }

    /// The grid before reorientation.
    pub fn original(&self) -> &Grid {
        &self.original
    }

    /// The grid after reorientation: axes nearest to right, anterior, superior.
    pub fn ras(&self) -> Grid {
        let Grid { shape, affine } = self.original;
        let mut corner = [0.0; 3];
        let mut rows = [[0.0; 4]; 3];
        for (axis, (source, flipped)) in self.axes().into_iter().enumerate() {
            if flipped {
                corner[source] = shape[source].saturating_sub(1) as f64;
            }
            for (row, from) in rows.iter_mut().zip(affine.rows()) {
                row[axis] = if flipped { -from[source] } else { from[source] };
            }
        }
        let affine = Affine::from_rows(rows).with_origin(affine.apply(corner));
        Grid { shape: self.source_axis.map(|source| shape[source]), affine }
    }

    /// Offsets in the original's memory: that of the first RAS voxel, and the step along each RAS axis.
    fn strides(&self) -> (isize, [isize; 3]) {
        let shape = self.original.shape.map(|n| n as isize);
        let steps = [1, shape[0], shape[0] * shape[1]];
        let mut first = 0;
        let strides = std::array::from_fn(|axis| {
            let source = self.source_axis[axis];
            if self.flipped[axis] {
                first += (shape[source] - 1) * steps[source];
                -steps[source]
            } else {
                steps[source]
            }
        });
        (first, strides)
    }

    /// Calls `f(ras_offset, original_offset)` for every voxel, RAS x fastest.
    fn for_each(&self, mut f: impl FnMut(usize, usize)) {
        let [nx, ny, nz] = self.ras().shape;
        let (first, [sx, sy, sz]) = self.strides();
        let mut ras = 0;
        for z in 0..nz as isize {
            for y in 0..ny as isize {
                let row = first + z * sz + y * sy;
                for x in 0..nx as isize {
                    f(ras, (row + x * sx) as usize);
                    ras += 1;
                }
            }
        }
    }
}

impl<T: Copy> Image<T> {
    /// This image in RAS axis order, and how to come back with [`from_ras`](Self::from_ras).
    ///
    /// An oblique image stays oblique: axes are permuted and flipped to the nearest anatomical
    /// ones, voxels are never interpolated. The header is kept.
    pub fn to_ras(&self) -> (Self, Orientation) {
        let orientation = Orientation::to_ras(self.grid());
        let mut data = self.data().to_vec();
        orientation.for_each(|ras, original| data[ras] = self.data()[original]);
        let image = Self::from_parts(data, orientation.ras(), self.header().clone());
        (image, orientation)
    }

    /// This RAS image back on the grid that `orientation` was made from, bit for bit its affine.
    ///
    /// Fails where this image's shape is not the one `orientation` led to.
    pub fn from_ras(&self, orientation: &Orientation) -> Result<Self> {
        if self.shape() != orientation.ras().shape {
            return Err(Error::NotAVolume(format!(
                "shape {:?} does not come from a reoriented {:?}",
                self.shape(),
                orientation.original.shape
            )));
        }
        let mut data = self.data().to_vec();
        orientation.for_each(|ras, original| data[original] = self.data()[ras]);
        Ok(Self::from_parts(data, orientation.original, self.header().clone()))
    }
}
