//! What a mask looks like.
use crate::{Confidence, Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use udas_metrics::{Connectivity, Grid, component_sizes};
use udas_volume::Labels;

/// How other masks of the same image agree with one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Agreement {
    /// Mean of the Dice with each of them.
    pub mean: f64,
    /// The least of these.
    pub least: f64,
}

/// What a class of a mask looks like. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Look {
    /// Its volume in ml; 0 where the class is absent.
    pub volume_ml: f64,
    /// Connected parts (26-connectivity).
    pub parts: usize,
    /// Share of its voxels in the largest part.
    pub largest_part: f64,
    /// Dice of each slice with the next one, weighted by their size, along the axis of the thickest slices.
    pub smoothness: f64,
    /// 36 pi V^2 / A^3 with the area A of the voxels' faces: 0.52 for a cube, less the more ragged.
    pub compactness: f64,
    /// Share of its voxels on the border of the image.
    pub at_border: f64,
    /// With masks of others; none where there are none.
    pub agreement: Option<Agreement>,
    /// Dice on labelled images of a classifier that learned from the mask (reverse classification); none without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverse: Option<f64>,
    /// What the tool's own probabilities say; none without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
}

/// Of a mask with probabilities: their mean inside.
pub(crate) const CONFIDENCE: &str = "confidence";
/// A smaller share counts as this one, so that it has a logarithm.
const LEAST_SHARE: f64 = 1e-3;

/// What a regression or a comparison goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// What it is.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

impl Look {
    /// Whether the class is absent.
    pub fn is_empty(&self) -> bool {
        self.parts == 0
    }

    /// What a regression or a comparison goes by; agreements, reverse classification and confidence only where there are
    /// some. None of an absent class.
    pub fn columns(&self) -> Option<Vec<Column>> {
        if self.is_empty() {
            return None;
        }
        let mut columns = vec![
            ("log volume", self.volume_ml.ln()),
            ("log parts", (self.parts as f64).ln()),
            ("largest part", self.largest_part),
            ("smoothness", self.smoothness),
            ("log compactness", self.compactness.ln()),
            ("at border", self.at_border),
        ];
        columns.extend(
            self.agreement
                .iter()
                .flat_map(|with| [("mean agreement", with.mean), ("least agreement", with.least)]),
        );
        columns.extend(self.reverse.map(|dice| ("reverse Dice", dice)));
        columns.extend(self.confidence.iter().flat_map(|own| {
            [(CONFIDENCE, own.mean), ("log soft volume", own.soft_volume.max(LEAST_SHARE).ln())]
        }));
        Some(columns.into_iter().map(|(name, value)| Column { name, value }).collect())
    }
}

/// Measures class `class` of `mask`; `others` are masks of the same image.
///
/// # Errors
/// [`Error::Grids`] where the masks are not on one grid.
pub fn look(mask: &Labels, others: &[Labels], class: u8) -> Result<Look> {
    if let Some(difference) = others.iter().find_map(|other| mask.grid().difference(other.grid())) {
        return Err(Error::Grids(difference));
    }
    let (shape, spacing) = (mask.shape(), mask.spacing());
    let grid = Grid::new(shape, spacing)?;
    let set: Vec<bool> = mask.data().par_iter().map(|&label| label == class).collect();
    let sizes = component_sizes(&set, &grid, Connectivity::Corners)?;
    let voxels: usize = sizes.iter().sum();
    let share = |part: usize| if voxels == 0 { 0.0 } else { part as f64 / voxels as f64 };
    Ok(Look {
        // Of the affine's determinant: voxels may be sheared.
        volume_ml: voxels as f64 * mask.affine().voxel_mm3() / 1000.0,
        parts: sizes.len(),
        largest_part: share(sizes.first().copied().unwrap_or(0)),
        smoothness: smoothness(&set, shape, thickest(spacing)),
        compactness: compactness(&set, shape, spacing, voxels),
        at_border: share(at_border(&set, shape)),
        agreement: agreement(&set, others, class),
        reverse: None,
        confidence: None,
    })
}

/// The axis along which slices are thickest; the last of several.
fn thickest(spacing: [f64; 3]) -> usize {
    (0..3)
        .rev()
        .reduce(|best, axis| if spacing[axis] > spacing[best] { axis } else { best })
        .unwrap_or(2)
}

fn stride(shape: [usize; 3], axis: usize) -> usize {
    shape[..axis].iter().product()
}

/// Place of a voxel along an axis.
fn place(index: usize, shape: [usize; 3], axis: usize) -> usize {
    index / stride(shape, axis) % shape[axis]
}

/// Twice the voxels that are set in both of two neighbouring slices, over those that are set in either, over all pairs. A
/// mask of one slice has no neighbours and is smooth.
fn smoothness(set: &[bool], shape: [usize; 3], axis: usize) -> f64 {
    let step = stride(shape, axis);
    let (both, all) = set
        .par_iter()
        .enumerate()
        .fold(
            || (0u64, 0u64),
            |(both, all), (index, &own)| {
                if place(index, shape, axis) + 1 == shape[axis] {
                    return (both, all);
                }
                let next = set[index + step];
                (both + 2 * u64::from(own && next), all + u64::from(own) + u64::from(next))
            },
        )
        .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if all == 0 { 1.0 } else { both as f64 / all as f64 }
}

fn compactness(set: &[bool], shape: [usize; 3], spacing: [f64; 3], voxels: usize) -> f64 {
    if voxels == 0 {
        return 0.0;
    }
    let volume = voxels as f64 * spacing.iter().product::<f64>();
    let area: f64 = (0..3)
        .map(|axis| {
            faces(set, shape, axis) as f64 * spacing.iter().product::<f64>() / spacing[axis]
        })
        .sum();
    36.0 * std::f64::consts::PI * volume.powi(2) / area.powi(3)
}

/// Faces across an axis between a voxel that is set and one that is not, or the border.
fn faces(set: &[bool], shape: [usize; 3], axis: usize) -> usize {
    let step = stride(shape, axis);
    let of = |(index, &own): (usize, &bool)| {
        let at = place(index, shape, axis);
        let first = usize::from(own && at == 0);
        let next = at + 1 < shape[axis] && set[index + step];
        first + usize::from(own != next)
    };
    set.par_iter().enumerate().map(of).sum()
}

fn at_border(set: &[bool], shape: [usize; 3]) -> usize {
    // A single slice is no border.
    let across = |index: usize, axis: usize| {
        let at = place(index, shape, axis);
        shape[axis] > 1 && (at == 0 || at + 1 == shape[axis])
    };
    let is_at = |(index, &own): (usize, &bool)| own && (0..3).any(|axis| across(index, axis));
    set.par_iter().enumerate().filter(|&voxel| is_at(voxel)).count()
}

fn agreement(set: &[bool], others: &[Labels], class: u8) -> Option<Agreement> {
    let dice = |other: &Labels| {
        let (both, all) =
            set.iter().zip(other.data()).fold((0u64, 0u64), |(both, all), (&own, &label)| {
                let other = label == class;
                (both + 2 * u64::from(own && other), all + u64::from(own) + u64::from(other))
            });
        // That a class is absent is agreed upon too.
        if all == 0 { 1.0 } else { both as f64 / all as f64 }
    };
    let all: Vec<f64> = others.par_iter().map(dice).collect();
    let least = all.iter().copied().reduce(f64::min)?;
    Some(Agreement { mean: all.iter().sum::<f64>() / all.len() as f64, least })
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_volume::Affine;

    fn mask(shape: [usize; 3], spacing: [f64; 3], inside: impl Fn([usize; 3]) -> bool) -> Labels {
        let voxel = |i: usize| [i % shape[0], i / shape[0] % shape[1], i / shape[0] / shape[1]];
        let data = (0..shape.iter().product()).map(|i| u8::from(inside(voxel(i)))).collect();
        Labels::new(data, shape, Affine::from_spacing(spacing)).unwrap()
    }

    #[test]
    fn a_sheared_voxel_has_the_volume_of_its_determinant() {
        let (sin, cos) = 20f64.to_radians().sin_cos();
        let rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 3.0 * sin, 0.0], [0.0, 0.0, 3.0 * cos, 0.0]];
        let tilted = Labels::new(vec![1; 1000], [10; 3], Affine::from_rows(rows)).unwrap();
        let found = look(&tilted, &[], 1).unwrap();
        assert!((found.volume_ml - 3.0 * cos).abs() < 1e-9, "{}", found.volume_ml);
    }

    #[test]
    fn a_box_is_measured_by_hand() {
        // 2 x 3 x 4 voxels of 1 x 2 x 3 mm, away from the border.
        let inside = |p: [usize; 3]| {
            p[0] < 3 && p[0] > 0 && (1..4).contains(&p[1]) && (1..5).contains(&p[2])
        };
        let look = look(&mask([5, 6, 7], [1.0, 2.0, 3.0], inside), &[], 1).unwrap();
        let (volume, area) = (24.0 * 6.0, 2.0 * (12.0 * 6.0 + 8.0 * 3.0 + 6.0 * 2.0));
        assert!((look.volume_ml - volume / 1000.0).abs() < 1e-12);
        assert_eq!((look.parts, look.largest_part, look.at_border), (1, 1.0, 0.0));
        let compactness = 36.0 * std::f64::consts::PI * f64::powi(volume, 2) / f64::powi(area, 3);
        assert!((look.compactness - compactness).abs() < 1e-12);
        // Slices along z are thickest: empty, 6 x 4, empty, empty: pairs 0+6, 6+6 three times, 6+0.
        assert!((look.smoothness - 36.0 / 48.0).abs() < 1e-12);
        assert_eq!(look.agreement, None);
        assert_eq!(look.columns().unwrap().len(), 6);
    }

    #[test]
    fn borders_parts_and_agreement_count_voxels() {
        let one = mask([4, 4, 1], [1.0; 3], |p| p[1] == 0 || p == [3, 3, 0]);
        let other = mask([4, 4, 1], [1.0; 3], |p| p[1] == 0);
        let empty = mask([4, 4, 1], [1.0; 3], |_| false);
        let look = look(&one, &[other, empty.clone()], 1).unwrap();
        assert_eq!((look.parts, look.largest_part, look.at_border), (2, 0.8, 1.0));
        let agreement = look.agreement.unwrap();
        assert!((agreement.mean - 4.0 / 9.0).abs() < 1e-12 && agreement.least == 0.0);
        let nothing = super::look(&empty, std::slice::from_ref(&empty), 1).unwrap();
        assert!(nothing.is_empty() && nothing.columns().is_none());
        assert_eq!(nothing.agreement.unwrap().least, 1.0);
    }

    #[test]
    fn another_grid_is_refused() {
        let (one, other) = (mask([2; 3], [1.0; 3], |_| true), mask([2; 3], [2.0; 3], |_| true));
        assert!(look(&one, &[other], 1).unwrap_err().to_string().contains("grids"));
    }
}
