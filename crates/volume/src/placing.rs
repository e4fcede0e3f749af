//! Masks whose own grid is a part of an image's: DICOM SEG has frames where something is marked, in its own axes.
#![expect(
    clippy::indexing_slicing,
    reason = "axes are counted from 0 to 2, voxels within the shape"
)]

use std::path::Path;

use crate::{Error, GRID_TOLERANCE, Grid, Labels, Result};

impl Labels {
    /// The same labels on the grid of an image: its voxels must be those of this mask, whatever the order and direction of
    /// the axes; what the mask's grid does not reach is background.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with `path`, the mask's file, where voxels differ in size or lie between those of the image,
    /// and where a labelled voxel lies outside of it.
    pub fn placed_on(&self, grid: &Grid, path: &Path) -> Result<Self> {
        let refused = |problem: String| {
            Err(Error::unsupported(path, problem, "give the image that it was drawn on"))
        };
        let sizes = self.affine().voxel_mm3() / grid.affine.voxel_mm3();
        let Some(to_voxels) = grid.affine.inverse() else {
            return refused("cannot be placed: the image's affine is singular".into());
        };
        if (sizes - 1.0).abs() > GRID_TOLERANCE {
            return refused(format!("has voxels of {sizes:.3} times the image's size"));
        }
        let map = to_voxels.compose(self.affine());
        let [nx, ny, _] = self.shape();
        let mut data = vec![0; grid.len()];
        for (index, &label) in self.data().iter().enumerate().filter(|(_, label)| **label != 0) {
            let own = [index % nx, index / nx % ny, index / nx / ny];
            let place = map.apply(own.map(|axis| axis as f64));
            let mut to = 0;
            for axis in [2, 1, 0] {
                let nearest = place[axis].round();
                if (place[axis] - nearest).abs() > GRID_TOLERANCE {
                    return refused(format!("has voxels between those of the image ({own:?})"));
                }
                if nearest < 0.0 || nearest >= grid.shape[axis] as f64 {
                    return refused(format!("has labelled voxels outside of the image ({own:?})"));
                }
                to = to * grid.shape[axis] + nearest as usize;
            }
            data[to] = label;
        }
        Self::new(data, grid.shape, grid.affine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;

    #[test]
    fn a_part_in_other_axes_finds_its_place() {
        // An image in right, anterior, superior; the mask of its last two slices in left, posterior, superior.
        let grid = Grid { shape: [2, 3, 4], affine: Affine::from_spacing([1.0, 2.0, 3.0]) };
        let affine =
            Affine::from_codes("LPS", [1.0, 2.0, 3.0]).unwrap().with_origin([1.0, 4.0, 6.0]);
        let mut data = vec![0; 12];
        data[0] = 7; // the image's [1, 2, 2]
        data[11] = 9; // the image's [0, 0, 3]
        let mask = Labels::new(data, [2, 3, 2], affine).unwrap();
        let placed = mask.placed_on(&grid, Path::new("seg.dcm")).unwrap();
        assert_eq!((placed.get([1, 2, 2]), placed.get([0, 0, 3])), (Some(7), Some(9)));
        assert_eq!(placed.data().iter().filter(|label| **label != 0).count(), 2);
        assert_eq!(*placed.grid(), grid);

        let problem =
            |grid: Grid| mask.placed_on(&grid, Path::new("seg.dcm")).unwrap_err().to_string();
        let outside = problem(Grid { shape: [2, 3, 3], ..grid });
        assert!(outside.contains("seg.dcm") && outside.contains("outside"), "{outside}");
        let between = grid.affine.with_origin([0.5, 0.0, 0.0]);
        assert!(problem(Grid { affine: between, ..grid }).contains("between those"));
        let finer = Affine::from_spacing([0.5, 2.0, 3.0]);
        assert!(problem(Grid { affine: finer, ..grid }).contains("2.000 times"));
    }
}
