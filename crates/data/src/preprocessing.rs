//! The choices between a file and the slices a network sees; recorded with the model.

use serde::{Deserialize, Serialize};
use udas_volume::{Probe, probe};

use crate::{Intensity, Padding, Plane, Result, Slicing, Spacing, Subject, Turn};

/// Everything done to a volume before a network sees it; travels with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Preprocessing {
    /// The plane that slices lie in.
    pub plane: Plane,
    /// How slices are turned.
    pub turn: Turn,
    /// The voxel size.
    pub spacing: Spacing,
    /// How intensities are normalised.
    pub intensity: Intensity,
    /// How slices are brought to one size.
    pub padding: Padding,
}

impl Preprocessing {
    /// What the published CC-359 loader does: sagittal slices, upright, min-max, padded to squares.
    pub const CC359: Self = Self {
        plane: Plane::Sagittal,
        turn: Turn::CounterClockwise,
        spacing: Spacing::Native,
        intensity: Intensity::MinMax,
        padding: Padding::Square { multiple: 1 },
    };

    /// What the published M&Ms loader does: the acquired slices as stored, min-max over both frames, padded
    /// to multiples of 8.
    pub const MNMS: Self = Self {
        plane: Plane::Stored,
        turn: Turn::None,
        spacing: Spacing::Native,
        intensity: Intensity::MinMax,
        padding: Padding::Rectangle { multiple: 8 },
    };

    /// For any other data: upright slices in a plane, min-max, padded to multiples of 8.
    pub const fn upright(plane: Plane) -> Self {
        Self {
            plane,
            turn: Turn::CounterClockwise,
            spacing: Spacing::Native,
            intensity: Intensity::MinMax,
            padding: Padding::Rectangle { multiple: 8 },
        }
    }

    /// Whether volumes are cut into the same slices, whatever is done to their intensities.
    pub fn has_slices_of(&self, other: &Self) -> bool {
        let slices = |of: &Self| (of.plane, of.turn, of.spacing, of.padding);
        slices(self) == slices(other)
    }

    /// An error where a choice has no meaning: preprocessing comes from model files, which are not trusted.
    pub fn check(&self) -> Result<()> {
        self.intensity.check()?;
        self.padding.check()?;
        self.spacing.check()
    }

    /// The median sizes of the pixels that subjects' slices have by themselves: millimetres between rows and between columns,
    /// each for itself; none without subjects.
    ///
    /// # Errors
    /// When a header cannot be read.
    pub fn median_pixel_mm(&self, subjects: &[Subject]) -> Result<Option<[f64; 2]>> {
        let native = Self { spacing: Spacing::Native, ..self.clone() };
        let mut sides = [Vec::new(), Vec::new()];
        for subject in subjects {
            let pixel = native.slicing(&probe(&subject.image)?)?.pixel_mm();
            sides.iter_mut().zip(pixel).for_each(|(side, mm)| side.push(mm));
        }
        let [rows, columns] = sides.map(median);
        Ok(rows.zip(columns).map(|(rows, columns)| [rows, columns]))
    }

    /// The slicing of a file by its header.
    pub fn slicing(&self, probe: &Probe) -> Result<Slicing> {
        Slicing::new(&probe.grid, probe.header.kind(), self.plane, self.turn, self.spacing)
    }
}

/// The middle value, of an even number the mean of both.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2).copied().unwrap_or(upper);
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_the_mean_of_both() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![3.0, 1.0, 2.5]), Some(2.5));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
