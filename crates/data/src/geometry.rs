//! How large voxels and fields of view of a set of volumes are, along the body's axes.
use crate::{Result, Subject};
use serde::{Deserialize, Serialize};
use udas_volume::{FileKind, Grid, probe};

/// The smallest and the largest of a set, in mm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

/// What sizes a set of volumes has, along right-left, anterior-posterior and superior-inferior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Geometry {
    /// Sides of the voxels.
    pub spacing_mm: [Range; 3],
    /// Sides of the field of view.
    pub extent_mm: [Range; 3],
}

/// The body's axes, as [`Geometry`] has them.
pub const BODY_AXES: [&str; 3] = ["right-left", "anterior-posterior", "superior-inferior"];

impl Range {
    const NONE: Self = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };

    fn add(&mut self, value: f64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    /// By which factor `other` reaches beyond this range, on either side; 1 within it.
    pub fn beyond(&self, other: &Self) -> f64 {
        (other.high / self.high).max(self.low / other.low).max(1.0)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [low, high] = [self.low, self.high].map(udas_volume::format_mm);
        if low == high { write!(f, "{low} mm") } else { write!(f, "{low} to {high} mm") }
    }
}

impl Geometry {
    /// Reads the headers of the subjects' images; none without subjects, and of pictures, which have no millimetres.
    ///
    /// # Errors
    /// When a header cannot be read.
    pub fn of(subjects: &[Subject]) -> Result<Option<Self>> {
        let mut all = Self { spacing_mm: [Range::NONE; 3], extent_mm: [Range::NONE; 3] };
        let mut count = 0;
        for subject in subjects {
            let probe = probe(&subject.image)?;
            if probe.header.kind() == FileKind::Volume {
                all.add(&probe.grid);
                count += 1;
            }
        }
        Ok((count > 0).then_some(all))
    }

    fn add(&mut self, grid: &Grid) {
        let codes = grid.affine.codes();
        let sides = grid.affine.spacing().into_iter().zip(grid.shape);
        for (code, (spacing, count)) in codes.chars().zip(sides) {
            let axis = match code {
                'R' | 'L' => 0,
                'A' | 'P' => 1,
                _ => 2,
            };
            let ranges = self.spacing_mm.iter_mut().zip(&mut self.extent_mm).nth(axis);
            if let Some((side, extent)) = ranges {
                side.add(spacing);
                extent.add(spacing * count as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_volume::Affine;

    #[test]
    fn sizes_are_along_the_body_s_axes() {
        let mut all = Geometry { spacing_mm: [Range::NONE; 3], extent_mm: [Range::NONE; 3] };
        for (codes, spacing, shape) in
            [("PSR", [1.0, 2.0, 4.0], [100, 50, 25]), ("LAS", [3.0, 1.0, 2.0], [40, 80, 50])]
        {
            let affine = Affine::from_codes(codes, spacing).unwrap();
            all.add(&Grid { shape, affine });
        }
        let range = |low, high| Range { low, high };
        assert_eq!(all.spacing_mm, [range(3.0, 4.0), range(1.0, 1.0), range(2.0, 2.0)]);
        assert_eq!(all.extent_mm, [range(100.0, 120.0), range(80.0, 100.0), range(100.0, 100.0)]);
        assert_eq!(range(2.0, 4.0).beyond(&range(1.0, 4.0)), 2.0);
        assert_eq!(range(2.0, 4.0).beyond(&range(3.0, 3.0)), 1.0);
    }
}
