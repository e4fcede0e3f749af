//! Views of a slice whose probabilities are averaged: moved by a few pixels, of another contrast, mirrored.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use udas_data::{Augmentation, Plane, Preprocessing, Turn};

/// Rows and columns by which a view is moved. Odd, so that the network's pooling meets other pixels.
const SHIFTS: [[isize; 2]; 5] = [[0, 0], [3, 5], [-5, 3], [-3, -5], [5, -3]];
/// Exponents of a view's intensities, within what a training with altered intensities has seen.
const GAMMAS: [f32; 3] = [1.0, 0.8, 1.25];

/// Which views of a slice a prediction is the mean of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Views {
    count: usize,
    mirror: Option<Mirror>,
}

/// Which way a view is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mirror {
    /// The first row becomes the last.
    Rows,
    /// The first column becomes the last.
    Columns,
}

impl Default for Views {
    fn default() -> Self {
        Self::ONE
    }
}

impl Views {
    /// The slice as it is, and nothing else.
    pub const ONE: Self = Self { count: 1, mirror: None };

    /// How many there can be without one that is there twice.
    pub const MOST: usize = SHIFTS.len() * GAMMAS.len();

    /// So many views; the first is the slice as it is.
    ///
    /// # Errors
    /// [`Error::Views`] for none, and for more than [`Self::MOST`].
    pub fn new(count: usize) -> Result<Self> {
        match count {
            1..=Self::MOST => Ok(Self { count, mirror: None }),
            _ => Err(Error::Views(format!("{count} views: give 1 to {}", Self::MOST))),
        }
    }

    /// The same, every second one mirrored from left to right of the body.
    ///
    /// # Errors
    /// [`Error::Views`] where the slices of this preprocessing do not run from left to right.
    pub fn mirrored(self, seen: &Preprocessing) -> Result<Self> {
        let mirror = match (seen.plane, seen.turn) {
            (Plane::Axial | Plane::Coronal, Turn::CounterClockwise) => Mirror::Columns,
            (Plane::Axial | Plane::Coronal, Turn::None) => Mirror::Rows,
            (Plane::Sagittal | Plane::Stored, _) => {
                let text = "the model's slices do not run from left to right of the body, so that their mirror images \
                            are no views of it";
                return Err(Error::Views(text.into()));
            }
        };
        Ok(Self { mirror: Some(mirror), ..self })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there is the slice as it is alone.
    pub fn is_one(&self) -> bool {
        self.count == 1
    }

    /// The views in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = View> + use<> {
        let mirror = self.mirror;
        (0..self.count).map(move |number| View {
            mirror: mirror.filter(|_| number % 2 == 1),
            shift: SHIFTS[number % SHIFTS.len()],
            gamma: GAMMAS[number % GAMMAS.len()],
        })
    }
}

/// One way to see a slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    mirror: Option<Mirror>,
    shift: [isize; 2],
    gamma: f32,
}

/// Sums of probabilities over views, and by how many views each pixel has been seen.
pub(crate) struct Sum {
    /// `[N, C, H, W]`.
    values: Vec<f32>,
    /// `[H, W]`.
    seen: Vec<f32>,
}

impl View {
    /// Slices `[N, H, W]` as they look in this view; edges are repeated where it is moved.
    pub fn show(&self, slices: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
        let mut shown = Vec::with_capacity(slices.len());
        let within = |place: usize, shift: isize, side: usize| {
            (place as isize - shift).clamp(0, side as isize - 1) as usize
        };
        for slice in slices.chunks_exact(height * width) {
            for row in 0..height {
                let from = self.reflected([within(row, self.shift[0], height), 0], [height, width]);
                let row = &slice[from[0] * width..][..width];
                shown.extend((0..width).map(|column| {
                    let column = within(column, self.shift[1], width);
                    row[self.reflected([0, column], [height, width])[1]]
                }));
            }
        }
        if self.gamma != 1.0 {
            let curve = self.curve();
            shown.chunks_exact_mut(height * width).for_each(|slice| curve.apply(slice, width));
        }
        shown
    }

    /// An exponent and nothing else; the slice keeps its range.
    fn curve(&self) -> Augmentation {
        Augmentation {
            knots: [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            gamma: self.gamma,
            bias: [0.0; 9],
            blur_pixels: 0.0,
            gain: 1.0,
            offset: 0.0,
            noise: 0.0,
            noise_seed: 0,
        }
    }

    /// Where a pixel lies in the mirror image.
    fn reflected(&self, [row, column]: [usize; 2], [height, width]: [usize; 2]) -> [usize; 2] {
        match self.mirror {
            None => [row, column],
            Some(Mirror::Rows) => [height - 1 - row, column],
            Some(Mirror::Columns) => [row, width - 1 - column],
        }
    }

    /// Where a pixel of the slice lies in this view; none where the view has lost it over an edge.
    fn place(&self, pixel: [usize; 2], size: [usize; 2]) -> Option<usize> {
        let [row, column] = self.reflected(pixel, size);
        let row = row.checked_add_signed(self.shift[0]).filter(|row| *row < size[0])?;
        let column = column.checked_add_signed(self.shift[1]).filter(|c| *c < size[1])?;
        Some(row * size[1] + column)
    }
}

impl Sum {
    /// Of no view yet, for `planes` planes (slices times channels) of a size.
    pub fn new(planes: usize, [height, width]: [usize; 2]) -> Self {
        Self { values: vec![0.0; planes * height * width], seen: vec![0.0; height * width] }
    }

    /// Adds what a network makes of a view, each pixel at its own place.
    pub fn add(&mut self, view: &View, probabilities: &[f32], size: [usize; 2]) {
        let pixels = (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| [row, column]));
        let places: Vec<_> = pixels.map(|pixel| view.place(pixel, size)).collect();
        for (seen, place) in self.seen.iter_mut().zip(&places) {
            *seen += f32::from(u8::from(place.is_some()));
        }
        let planes = self.values.chunks_exact_mut(places.len());
        for (sum, plane) in planes.zip(probabilities.chunks_exact(places.len())) {
            for (sum, place) in sum.iter_mut().zip(&places) {
                *sum += place.and_then(|place| plane.get(place)).copied().unwrap_or(0.0);
            }
        }
    }

    /// The mean over the views that have seen each pixel; the first one has seen all.
    pub fn mean(mut self) -> Vec<f32> {
        for plane in self.values.chunks_exact_mut(self.seen.len()) {
            plane.iter_mut().zip(&self.seen).for_each(|(sum, seen)| *sum /= seen.max(1.0));
        }
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [16, 8];

    fn slice() -> Vec<f32> {
        (0..SIZE[0] * SIZE[1]).map(|pixel| (pixel * 37 % 101) as f32 / 100.0).collect()
    }

    fn views(count: usize) -> Vec<View> {
        let seen = Preprocessing::upright(Plane::Axial);
        Views::new(count).unwrap().mirrored(&seen).unwrap().iter().collect()
    }

    #[test]
    fn the_first_view_is_the_slice_and_all_differ() {
        let views = views(Views::MOST);
        assert_eq!(views[0].show(&slice(), SIZE), slice());
        for (number, view) in views.iter().enumerate() {
            assert!(views[..number].iter().all(|other| other != view), "{number}: {view:?}");
            assert!(number == 0 || view.show(&slice(), SIZE) != slice(), "{view:?}");
        }
        assert_eq!(Views::default(), Views::new(1).unwrap());
    }

    /// What a network would give that copies what it sees: taken back, it is the slice, in every view.
    #[test]
    fn labels_move_with_pixels_and_back() {
        let stack = [slice(), slice().into_iter().rev().collect()].concat();
        for view in views(Views::MOST) {
            let plain = View { gamma: 1.0, ..view };
            let mut sum = Sum::new(2, SIZE);
            sum.add(&plain, &plain.show(&stack, SIZE), SIZE);
            let seen = sum.seen.clone();
            for (pixel, (value, own)) in sum.mean().into_iter().zip(&stack).enumerate() {
                let is_seen = seen[pixel % (SIZE[0] * SIZE[1])] > 0.0;
                assert_eq!(value, if is_seen { *own } else { 0.0 }, "{view:?}, pixel {pixel}");
            }
            let [rows, columns] = view.shift.map(isize::unsigned_abs);
            let kept = (SIZE[0] - rows) * (SIZE[1] - columns);
            assert_eq!(seen.iter().sum::<f32>(), kept as f32, "{view:?}");
        }
    }

    #[test]
    fn a_mean_is_over_the_views_that_have_seen_a_pixel() {
        let ones = vec![1.0; SIZE[0] * SIZE[1]];
        let mut sum = Sum::new(1, SIZE);
        views(7).iter().for_each(|view| sum.add(view, &ones, SIZE));
        assert!(sum.mean().iter().all(|value| (value - 1.0).abs() < 1e-6));
    }

    #[test]
    fn curves_keep_the_range_and_the_order_of_intensities() {
        let view = View { mirror: None, shift: [0, 0], gamma: 1.25 };
        let (own, shown) = (slice(), view.show(&slice(), SIZE));
        for (a, b) in own.iter().zip(&shown) {
            assert!(own.iter().zip(&shown).all(|(c, d)| (a < c) == (b < d)));
        }
        assert_eq!(
            shown.iter().copied().fold(0.0, f32::max),
            own.iter().copied().fold(0.0, f32::max)
        );
        let flat = vec![0.5; SIZE[0] * SIZE[1]];
        assert_eq!(view.show(&flat, SIZE), flat);
    }

    #[test]
    fn what_is_no_view_is_refused() {
        for count in [0, Views::MOST + 1, usize::MAX] {
            let error = Views::new(count).unwrap_err().to_string();
            assert!(error.contains("give 1 to 15"), "{error}");
        }
        for seen in [Preprocessing::CC359, Preprocessing::MNMS] {
            let error = Views::ONE.mirrored(&seen).unwrap_err().to_string();
            assert!(error.contains("left to right"), "{error}");
        }
        let axial = Preprocessing { turn: Turn::None, ..Preprocessing::upright(Plane::Axial) };
        assert_eq!(Views::ONE.mirrored(&axial).unwrap().mirror, Some(Mirror::Rows));
    }
}
