//! Turning, scaling and bending a training slice together with its labels, to prepare a network for other poses, fields of view
//! and anatomies. What is done is drawn first, can be recorded, and is then applied without chance.
//!
//! Ranges: rotations up to 20 degrees, and each kind of change in half of the slices, as L. Zhang et al., "Generalizing deep
//! learning for medical image segmentation to unseen domains via deep stacked transformation" (BigAug), IEEE TMI 2020 (arXiv
//! 1906.03347), section III-B; scales from 0.7 to 1.4 as nnU-Net, F. Isensee et al., Nature Methods 2021. BigAug's own scales,
//! 0.4 to 1.6, are for crops of whole volumes. The bending is ours: knots that move, and what lies between follows.
#![expect(clippy::indexing_slicing, reason = "pixels are whole rows and columns")]

use serde::{Deserialize, Serialize};

use crate::augmentation::{normal, uniform};
use crate::order::generator;

/// Knots along each axis.
const KNOTS: usize = 5;

/// How far slices may be deformed. A range of no width, or a bend of 0, leaves that part out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeformationRanges {
    /// Largest rotation to either side, in degrees.
    pub degrees: f32,
    /// Factors of size, drawn evenly in their logarithm.
    pub scale: [f32; 2],
    /// Standard deviation of a knot's way along each axis, as a share of the axis.
    pub bend: f32,
    /// Share of slices that each kind of change is made to.
    pub share: f32,
}

impl DeformationRanges {
    /// The published ones, and a bend of 2 %.
    pub const PUBLISHED: Self = Self { degrees: 20.0, scale: [0.7, 1.4], bend: 0.02, share: 0.5 };
}

/// One deformation, fully determined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deformation {
    /// Rotation in degrees, from rows to columns.
    pub degrees: f32,
    /// Factor of size.
    pub scale: f32,
    /// Ways of the knots in rows and columns, as shares of the axes, row by row of knots; empty for none.
    pub bend: Vec<[f32; 2]>,
}

impl Deformation {
    /// The deformation of slice `index` in `epoch`: a function of its arguments alone.
    pub fn draw(ranges: &DeformationRanges, seed: u64, epoch: u64, index: usize) -> Self {
        // Stream 3 * 2^61 and up: none of the other draws'.
        let mut random = generator(seed ^ epoch.rotate_left(32), 3 << 61 | index as u64);
        let mut happens = || uniform(&mut random) < ranges.share;
        let [turns, scales, bends] = [happens(), happens(), happens()];
        let mut between = |[low, high]: [f32; 2]| low + (high - low) * uniform(&mut random);
        let degrees = between([-ranges.degrees, ranges.degrees]);
        let scale = between(ranges.scale.map(f32::ln)).exp();
        let knots = if bends && ranges.bend > 0.0 { KNOTS * KNOTS } else { 0 };
        let mut way = || ranges.bend * normal(&mut random);
        let bend = (0..knots).map(|_| [way(), way()]).collect();
        Self {
            degrees: if turns { degrees } else { 0.0 },
            scale: if scales { scale } else { 1.0 },
            bend,
        }
    }

    /// Deforms a slice and its labels in place. Intensities are interpolated linearly; a pixel has the label of the nearest. What
    /// comes from beyond the edge has the slice's least intensity, and label 0.
    pub fn apply(&self, image: &mut Vec<f32>, labels: &mut Vec<u8>, width: usize) {
        let still = self.degrees == 0.0 && self.scale == 1.0 && self.bend.is_empty();
        if still || width == 0 || labels.len() != image.len() {
            return;
        }
        let (size, turn) = ([image.len() / width, width], self.degrees.to_radians().sin_cos());
        let least = image.iter().copied().fold(f32::INFINITY, f32::min);
        let intensity =
            |row: isize, column: isize| pixel(size, row, column).map_or(least, |at| image[at]);
        let places: Vec<[f32; 2]> =
            (0..image.len()).map(|at| self.origin([at / width, at % width], size, turn)).collect();
        let moved = places.iter().map(|&[row, column]| {
            let (top, left) = (row.floor(), column.floor());
            let (down, right) = (row - top, column - left);
            let (top, left) = (top as isize, left as isize);
            let above = intensity(top, left) * (1.0 - right) + intensity(top, left + 1) * right;
            let below =
                intensity(top + 1, left) * (1.0 - right) + intensity(top + 1, left + 1) * right;
            above * (1.0 - down) + below * down
        });
        let moved_image: Vec<f32> = moved.collect();
        let moved_labels: Vec<u8> = places
            .iter()
            .map(|&[row, column]| {
                pixel(size, row.round() as isize, column.round() as isize)
                    .map_or(0, |at| labels[at])
            })
            .collect();
        *image = moved_image;
        *labels = moved_labels;
    }

    /// Where the content of a pixel comes from, in rows and columns; sine and cosine are the rotation's.
    fn origin(&self, place: [usize; 2], size: [usize; 2], (sin, cos): (f32, f32)) -> [f32; 2] {
        let centre = size.map(|size| (size as f32 - 1.0) / 2.0);
        let [y, x] = [0, 1].map(|axis| (place[axis] as f32 - centre[axis]) / self.scale);
        let way = self.way(place, size);
        [
            centre[0] + cos * y - sin * x + way[0] * size[0] as f32,
            centre[1] + sin * y + cos * x + way[1] * size[1] as f32,
        ]
    }

    /// The knots' ways, blended smoothly.
    fn way(&self, place: [usize; 2], size: [usize; 2]) -> [f32; 2] {
        if self.bend.len() != KNOTS * KNOTS {
            return [0.0; 2];
        }
        let near = [0, 1].map(|axis| {
            let last = (size[axis].max(2) - 1) as f32;
            let at = place[axis] as f32 / last * (KNOTS - 1) as f32;
            let knot = (at as usize).min(KNOTS - 2);
            let share = at - knot as f32;
            // Level at the knots, so that no line has a corner.
            (knot, share * share * (3.0 - 2.0 * share))
        });
        let [(row, down), (column, right)] = near;
        let knot = |row: usize, column: usize| self.bend[row * KNOTS + column];
        [0, 1].map(|axis| {
            let line = |row: usize| {
                knot(row, column)[axis] * (1.0 - right) + knot(row, column + 1)[axis] * right
            };
            line(row) * (1.0 - down) + line(row + 1) * down
        })
    }
}

/// Number of a pixel, if it is in the slice.
fn pixel([height, width]: [usize; 2], row: isize, column: isize) -> Option<usize> {
    let (row, column) = (usize::try_from(row).ok()?, usize::try_from(column).ok()?);
    (row < height && column < width).then_some(row * width + column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: DeformationRanges = DeformationRanges::PUBLISHED;
    const SIZE: [usize; 2] = [24, 32];

    /// An ellipse of one label; intensities are 10 outside and 10 + 90 inside.
    fn slice() -> (Vec<f32>, Vec<u8>) {
        let labels: Vec<u8> = (0..SIZE[0] * SIZE[1])
            .map(|at| {
                let (y, x) = ((at / SIZE[1]) as f32 - 10.0, (at % SIZE[1]) as f32 - 18.0);
                u8::from(y * y / 36.0 + x * x / 64.0 < 1.0)
            })
            .collect();
        (labels.iter().map(|&label| 10.0 + 90.0 * f32::from(label)).collect(), labels)
    }

    fn deformed(draw: &Deformation) -> (Vec<f32>, Vec<u8>) {
        let (mut image, mut labels) = slice();
        draw.apply(&mut image, &mut labels, SIZE[1]);
        (image, labels)
    }

    #[test]
    fn labels_move_with_pixels_and_intensities_stay_within_their_range() {
        let mut moved = 0;
        for index in 0..60 {
            let draw = Deformation::draw(&RANGES, 5, 0, index);
            let (image, labels) = deformed(&draw);
            assert_eq!((image.len(), labels.len()), (SIZE[0] * SIZE[1], SIZE[0] * SIZE[1]));
            assert!(image.iter().all(|value| (9.999..=100.001).contains(value)));
            // The border is halfway between the intensities; a pixel on it may fall to either side.
            let apart = image.iter().zip(&labels).filter(|(v, l)| (**v > 55.0) != (**l == 1));
            assert!(apart.count() <= 12, "{index}: {draw:?}");
            assert!(labels.contains(&1), "{index}");
            moved += usize::from(labels != slice().1);
        }
        assert!((40..60).contains(&moved), "{moved} of 60");
    }

    #[test]
    fn it_depends_on_seed_epoch_and_slice_alone_and_can_be_replayed() {
        let draw = |seed, epoch, index| Deformation::draw(&RANGES, seed, epoch, index);
        let first =
            (0..9).map(|index| draw(1, 2, index)).find(|draw| !draw.bend.is_empty()).unwrap();
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        for other in [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)] {
            assert_ne!(draw(1, 2, 3), other);
        }
        let record = serde_json::to_string(&first).unwrap();
        let again: Deformation = serde_json::from_str(&record).unwrap();
        assert_eq!(deformed(&first), deformed(&again));
    }

    #[test]
    fn a_quarter_turn_and_a_scale_put_pixels_where_they_belong() {
        let turn = Deformation { degrees: 90.0, scale: 1.0, bend: Vec::new() };
        // Rows 0 1, 2 3: what is at row 0, column 0 comes from row 1, column 0.
        let (mut image, mut labels) = (vec![0.0, 1.0, 2.0, 3.0], vec![0, 1, 2, 3]);
        let origin = turn.origin([0, 0], [2, 2], (1.0, 0.0));
        assert!((origin[0] - 1.0).abs() < 1e-6 && origin[1].abs() < 1e-6, "{origin:?}");
        turn.apply(&mut image, &mut labels, 2);
        assert_eq!(labels, [2, 0, 3, 1]);
        for (value, label) in image.iter().zip(&labels) {
            assert!((value - f32::from(*label)).abs() < 1e-5);
        }
        let area = |scale: f32| {
            let (_, labels) = deformed(&Deformation { degrees: 0.0, scale, bend: Vec::new() });
            labels.iter().filter(|&&label| label == 1).count() as f32
        };
        let ratio = area(0.7) / area(1.0);
        assert!((ratio - 0.49).abs() < 0.05, "{ratio}");
        let still = Deformation { degrees: 0.0, scale: 1.0, bend: Vec::new() };
        assert_eq!(deformed(&still), slice());
    }
}
