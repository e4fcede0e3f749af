//! A slice of a volume in RAS order, turned as it is shown: rows from top to bottom.
use udas_volume::{FileKind, Image, Labels};

/// How a slice lies in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Across left and right.
    Sagittal,
    /// Across front and back.
    Coronal,
    /// Across head and feet.
    Axial,
}

impl Plane {
    /// Axis that the slices are counted along, then those shown across and down (RAS axes).
    fn axes(self) -> (usize, usize, usize) {
        match self {
            Self::Sagittal => (0, 1, 2),
            Self::Coronal => (1, 0, 2),
            Self::Axial => (2, 0, 1),
        }
    }

    /// Slices of a volume of this shape in RAS order.
    pub(super) fn slices(self, shape: [usize; 3]) -> usize {
        shape[self.axes().0]
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sagittal => "Sagittal",
            Self::Coronal => "Coronal",
            Self::Axial => "Axial",
        }
    }
}

/// Values with their size in mm; `letters` name left, right, top and bottom.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slice<T> {
    pub values: Vec<T>,
    pub width: usize,
    pub height: usize,
    pub spacing_mm: [f64; 2],
    pub letters: Option<[char; 4]>,
}

impl<T: Copy> Slice<T> {
    /// `image` is in RAS order and holds the slice. Both axes run against the way they are shown.
    pub(super) fn of(image: &Image<T>, plane: Plane, index: usize) -> Self {
        let (through, across, down) = plane.axes();
        let shape = image.shape();
        let (width, height) = (shape[across], shape[down]);
        let flat = image.header().kind() == FileKind::Picture;
        let strides = [1, shape[0], shape[0] * shape[1]];
        let mut values = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                // A flat picture keeps its left on the left.
                let column = if flat { column } else { width - 1 - column };
                let at = index * strides[through]
                    + column * strides[across]
                    + (height - 1 - row) * strides[down];
                values.push(image.data()[at]);
            }
        }
        let letters = match plane {
            _ if flat => None,
            Plane::Sagittal => Some(['A', 'P', 'S', 'I']),
            Plane::Coronal => Some(['R', 'L', 'S', 'I']),
            Plane::Axial => Some(['R', 'L', 'A', 'P']),
        };
        let spacing = image.spacing();
        Self { values, width, height, spacing_mm: [spacing[across], spacing[down]], letters }
    }

    /// The value at a column and row, which are moved inside.
    pub(super) fn at(&self, column: isize, row: isize) -> T {
        let column = column.clamp(0, self.width as isize - 1) as usize;
        let row = row.clamp(0, self.height as isize - 1) as usize;
        self.values[row * self.width + column]
    }
}

impl Slice<f32> {
    /// Bilinear value at a place, in voxels from the centre of the first one.
    pub(super) fn between(&self, x: f64, y: f64) -> f32 {
        let (column, row) = (x.floor(), y.floor());
        let (fx, fy) = ((x - column) as f32, (y - row) as f32);
        let (c, r) = (column as isize, row as isize);
        let across = |r| self.at(c, r) * (1.0 - fx) + self.at(c + 1, r) * fx;
        across(r) * (1.0 - fy) + across(r + 1) * fy
    }
}

impl Slice<u8> {
    /// Foreground classes in the slice.
    pub(super) fn classes(&self) -> Vec<u8> {
        let mut present = [false; 256];
        self.values.iter().for_each(|value| present[usize::from(*value)] = true);
        (1..=255).filter(|class| present[usize::from(*class)]).collect()
    }
}

/// 1 inside the class, 0 outside.
pub(super) fn indicator(mask: &Slice<u8>, class: u8) -> Slice<f32> {
    let values = mask.values.iter().map(|value| f32::from(u8::from(*value == class))).collect();
    let Slice { width, height, spacing_mm, letters, .. } = *mask;
    Slice { values, width, height, spacing_mm, letters }
}

/// Intensities shown black and white: the 1st and 99.5th percentile of the slice.
pub(super) fn window(slice: &Slice<f32>) -> [f32; 2] {
    let mut values: Vec<f32> = slice.values.iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let at = |part: f64| {
        let index = (part * values.len().saturating_sub(1) as f64).round() as usize;
        values.get(index).copied().unwrap_or(0.0)
    };
    let (low, high) = (at(0.01), at(0.995));
    if high > low { [low, high] } else { [low, low + 1.0] }
}

/// The slice where two masks on one grid differ in most voxels; where they do not differ, that with most
/// of the second; where that is empty, the middle one.
pub(super) fn differing_slice(first: &Labels, second: &Labels, plane: Plane) -> usize {
    let slices = plane.slices(second.shape());
    let pairs: Vec<(Slice<u8>, Slice<u8>)> =
        (0..slices).map(|i| (Slice::of(first, plane, i), Slice::of(second, plane, i))).collect();
    let differing = |(a, b): &(Slice<u8>, Slice<u8>)| {
        a.values.iter().zip(&b.values).filter(|(a, b)| a != b).count()
    };
    let foreground =
        |(_, b): &(Slice<u8>, Slice<u8>)| b.values.iter().filter(|value| **value > 0).count();
    most(pairs.iter().map(differing))
        .or_else(|| most(pairs.iter().map(foreground)))
        .unwrap_or(slices / 2)
}

/// The first of the largest counts; none where all are zero.
fn most(counts: impl Iterator<Item = usize>) -> Option<usize> {
    let mut best = None;
    let mut largest = 0;
    for (index, count) in counts.enumerate().filter(|(_, count)| *count > 0) {
        if count > largest {
            (best, largest) = (Some(index), count);
        }
    }
    best
}
