//! Scores that compare surfaces: surface Dice, overlaps, average and Hausdorff distances.
//!
//! Definitions: S. Nikolov et al., "Clinically Applicable Segmentation of Head and Neck Anatomy",
//! JMIR 2021, with the surface elements of their surface-distance package. A surface element lies
//! in the middle of 2x2x2 voxels (2x2 pixels), and its distance to the other surface is that to the
//! nearest element of it. Outside the grid is background.
use crate::crop::Crop;
use crate::distance_transform::squared_distances_mm2;
use crate::{Grid, Result, Score, surface_element_areas_mm2};
use rayon::prelude::*;

/// The surfaces of a prediction and its truth, each element with its distance to the other surface.
///
/// Areas are in mm²; in an image, lengths in mm take their place. The default is two empty surfaces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SurfaceDistances {
    truth: Directed,
    prediction: Directed,
}

impl SurfaceDistances {
    /// Measures two masks of the same grid, by time linear in their joint bounding box.
    ///
    /// # Errors
    /// [`crate::Error::MaskLength`] where a mask's length is not the grid's.
    pub fn between(prediction: &[bool], truth: &[bool], grid: &Grid) -> Result<Self> {
        grid.check("prediction", prediction.len())?;
        grid.check("truth", truth.len())?;
        match Crop::around(prediction, truth, grid) {
            Some(crop) => Self::within(&crop),
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn within(crop: &Crop) -> Result<Self> {
        let prediction = Surface::of(&crop.prediction, &crop.grid)?;
        let truth = Surface::of(&crop.truth, &crop.grid)?;
        Ok(Self {
            truth: truth.distances_to(&prediction)?,
            prediction: prediction.distances_to(&truth)?,
        })
    }

    /// Surface Dice: the part of both surfaces that lies within the tolerance of the other one.
    pub fn surface_dice(&self, tolerance_mm: f64) -> Score {
        Score::ratio(
            self.truth.area_within(tolerance_mm) + self.prediction.area_within(tolerance_mm),
            self.truth.area() + self.prediction.area(),
        )
    }

    /// The part of the truth's surface within the tolerance of the prediction's.
    pub fn truth_overlap(&self, tolerance_mm: f64) -> Score {
        Score::ratio(self.truth.area_within(tolerance_mm), self.truth.area())
    }

    /// The part of the prediction's surface within the tolerance of the truth's.
    pub fn prediction_overlap(&self, tolerance_mm: f64) -> Score {
        Score::ratio(self.prediction.area_within(tolerance_mm), self.prediction.area())
    }

    /// Average distance in mm from the truth's surface to the prediction's, weighted by area.
    pub fn truth_to_prediction_mm(&self) -> Score {
        Score::ratio(self.truth.distance_integral(), self.truth.area())
    }

    /// Average distance in mm from the prediction's surface to the truth's, weighted by area.
    pub fn prediction_to_truth_mm(&self) -> Score {
        Score::ratio(self.prediction.distance_integral(), self.prediction.area())
    }

    /// Average symmetric surface distance in mm: over the area of both surfaces together, not the
    /// mean of the two averages.
    pub fn average_symmetric_mm(&self) -> Score {
        Score::ratio(
            self.truth.distance_integral() + self.prediction.distance_integral(),
            self.truth.area() + self.prediction.area(),
        )
    }

    /// Robust Hausdorff distance in mm: the larger of the two distances that `percentile` percent
    /// of a surface's area do not exceed; 100 is the Hausdorff distance itself.
    pub fn hausdorff_mm(&self, percentile: f64) -> Score {
        let both = [&self.truth, &self.prediction];
        let distances = both.into_iter().filter_map(|d| d.percentile_mm(percentile));
        distances.reduce(f64::max).map_or(Score::Undefined, Score::from)
    }
}

/// Distances from one surface to the other, ascending.
#[derive(Debug, Clone, Default, PartialEq)]
struct Directed {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, PartialEq)]
struct Element {
    distance_mm: f64,
    area_mm2: f64,
}

/// Files hold voxel sizes in f32: a neighbour at 1 mm may lie at 1.00000002, and is within 1 mm all the same.
const SLACK: f64 = 1e-5;

/// A sum that is 0 and not -0 of nothing.
fn total(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |sum, value| sum + value)
}

impl Directed {
    fn area(&self) -> f64 {
        total(self.elements.iter().map(|e| e.area_mm2))
    }

    fn area_within(&self, tolerance_mm: f64) -> f64 {
        let limit = tolerance_mm * (1.0 + SLACK);
        let within = self.elements.partition_point(|e| e.distance_mm <= limit);
        total(self.elements[..within].iter().map(|e| e.area_mm2))
    }

    fn distance_integral(&self) -> f64 {
        total(self.elements.iter().map(|e| e.distance_mm * e.area_mm2))
    }

    /// `None` for an empty surface.
    fn percentile_mm(&self, percentile: f64) -> Option<f64> {
        let total = self.area();
        let mut area = 0.0;
        let reached = self.elements.iter().find(|e| {
            area += e.area_mm2;
            area / total >= percentile / 100.0
        });
        reached.or(self.elements.last()).map(|e| e.distance_mm)
    }
}

/// Surface elements of one mask, on the grid of the points between its voxels.
struct Surface {
    grid: Grid,
    /// Index in the grid and area, ascending by index.
    elements: Vec<(usize, f64)>,
}

impl Surface {
    /// The mask's outermost voxels must be background, as [`Crop`] leaves them.
    fn of(mask: &[bool], grid: &Grid) -> Result<Self> {
        let [nx, ny, nz] = grid.shape();
        let [dx, dy, dz] = grid.spacing_mm();
        let is_image = grid.is_image();
        // The surface of an image repeated along z has, per mm of z, the contour's length as area.
        let areas = surface_element_areas_mm2([dx, dy, if is_image { 1.0 } else { dz }]);
        let planes = if is_image { 1 } else { nz - 1 };
        let plane_of = |z: usize| &mask[nx * ny * z..nx * ny * (z + 1)];
        let by_plane: Vec<Vec<_>> = (0..planes)
            .into_par_iter()
            .map(|z| {
                let above = if is_image { z } else { z + 1 };
                let first = (nx - 1) * (ny - 1) * z;
                let codes = neighbourhood_codes(plane_of(z), plane_of(above), nx);
                let elements = codes.into_iter().map(|(i, code)| (first + i, areas[code]));
                elements.collect()
            })
            .collect();
        let grid = Grid::new([nx - 1, ny - 1, planes], grid.spacing_mm())?;
        Ok(Self { grid, elements: by_plane.concat() })
    }

    fn distances_to(&self, other: &Self) -> Result<Directed> {
        let mut mask = vec![false; other.grid.voxels()];
        for &(index, _) in &other.elements {
            mask[index] = true;
        }
        let squared = squared_distances_mm2(&mask, &other.grid)?;
        let element = |&(index, area_mm2): &(usize, f64)| Element {
            distance_mm: squared[index].sqrt(),
            area_mm2,
        };
        let mut elements: Vec<_> = self.elements.iter().map(element).collect();
        // Elements that compare equal are equal, so an unstable sort gives one result.
        elements.par_sort_unstable_by(|a, b| {
            a.distance_mm.total_cmp(&b.distance_mm).then(a.area_mm2.total_cmp(&b.area_mm2))
        });
        Ok(Directed { elements })
    }
}

/// Position and code of every neighbourhood between two planes that holds surface. Codes are those
/// of [`surface_element_areas_mm2`]; rows of the result are one shorter than `nx`.
fn neighbourhood_codes(below: &[bool], above: &[bool], nx: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut columns = vec![0u8; nx];
    let pairs_of_rows = |plane| <[bool]>::chunks(plane, nx).zip(plane.chunks(nx).skip(1));
    for (y, (low, high)) in pairs_of_rows(below).zip(pairs_of_rows(above)).enumerate() {
        for (x, column) in columns.iter_mut().enumerate() {
            let bit = |row: &[bool], shift: u8| u8::from(row[x]) << shift;
            *column = bit(low.0, 7) | bit(low.1, 5) | bit(high.0, 3) | bit(high.1, 1);
        }
        for (x, pair) in columns.windows(2).enumerate() {
            let code = pair[0] | pair[1] >> 1;
            if code != 0 && code != 255 {
                found.push((y * (nx - 1) + x, usize::from(code)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voxel sizes as they come out of an oblique affine in f32.
    #[test]
    fn a_neighbour_at_the_tolerance_is_within_it_whatever_rounding_made_of_the_voxel_size() {
        let (size, shift) = ([8, 8, 8], 1);
        let cube = |from: usize| -> Vec<bool> {
            let inside = |index: usize| {
                let at = [index % 8, index / 8 % 8, index / 64];
                (from..from + 3).contains(&at[0]) && at[1..].iter().all(|i| (2..5).contains(i))
            };
            (0..512).map(inside).collect()
        };
        let dice = |mm: f64| {
            let grid = Grid::new(size, [mm; 3]).unwrap();
            SurfaceDistances::between(&cube(2), &cube(2 + shift), &grid).unwrap().surface_dice(1.0)
        };
        let exact = dice(1.0).finite().unwrap();
        for mm in [1.0 + 3e-8, 1.0 - 3e-8, f64::from(1.0000001f32)] {
            assert!((dice(mm).finite().unwrap() - exact).abs() < 1e-6, "{mm}");
        }
        assert!(dice(1.001).finite().unwrap() < exact);
    }
}
