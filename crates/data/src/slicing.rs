//! From a volume to its slices in a plane, and exactly back to the volume's own grid.
#![expect(
    clippy::indexing_slicing,
    reason = "axes are 0 to 2; offsets count the voxels of the grid that is cut, checked where voxels come in"
)]

use serde::{Deserialize, Serialize};
use udas_volume::{FileKind, Grid, Header, Image, Labels, Orientation, Volume};

use crate::{Error, Result};

/// The plane that slices lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plane {
    /// One slice for each position from left to right.
    Sagittal,
    /// One slice for each position from posterior to anterior.
    Coronal,
    /// One slice for each position from inferior to superior.
    Axial,
    /// The plane the scanner acquired: slices along the third storage axis, in storage order.
    ///
    /// Short-axis stacks of the heart are oblique. Their nearest anatomical plane differs from subject to
    /// subject and would cut across slices of 10 mm.
    Stored,
}

/// How a slice is turned after it was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// Rows along the first in-plane axis, columns along the second.
    None,
    /// By 90 degrees counter-clockwise, as numpy's `rot90`: the second in-plane axis points up and the first
    /// to the right, so that heads are upright.
    CounterClockwise,
}

/// The voxel size that volumes are brought to before they are cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Spacing {
    /// Their own: nothing is interpolated.
    Native,
    /// Of slices, whatever plane they lie in.
    Slices {
        /// Millimetres between rows and between columns.
        pixel_mm: [f64; 2],
        /// Millimetres between slices; their own where there is no number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        between_mm: Option<f64>,
    },
    /// Millimetres along right, anterior, superior (along the storage axes for [`Plane::Stored`]).
    Millimetres([f64; 3]),
}

impl Spacing {
    /// An error where a size has no meaning.
    pub fn check(&self) -> Result<()> {
        let sizes = match *self {
            Self::Native => Vec::new(),
            Self::Slices { pixel_mm, between_mm } => {
                pixel_mm.into_iter().chain(between_mm).collect()
            }
            Self::Millimetres(mm) => mm.to_vec(),
        };
        match sizes.iter().find(|size| !(**size > 0.0 && size.is_finite())) {
            Some(size) => {
                Err(Error::Setting(format!("a spacing of {size} mm: give sizes above 0")))
            }
            None => Ok(()),
        }
    }

    /// The sides of voxels along the axes of a grid whose slices lie across `axis`; none where it stays as it is.
    fn along(&self, grid: &Grid, axis: usize, turn: Turn) -> Option<[f64; 3]> {
        let own = grid.affine.spacing();
        match *self {
            Self::Native => None,
            Self::Millimetres(mm) => Some(mm),
            Self::Slices { pixel_mm: [rows, columns], between_mm } => {
                let [first, second] = in_plane(axis);
                let mut wanted = own;
                wanted[axis] = between_mm.unwrap_or(own[axis]);
                [wanted[first], wanted[second]] = match turn {
                    Turn::None => [rows, columns],
                    Turn::CounterClockwise => [columns, rows],
                };
                // As many voxels as before are the same voxels, but for the rounding of headers.
                let is_same = |axis: usize| {
                    let voxels = grid.shape[axis] as f64;
                    (voxels * own[axis] / wanted[axis]).round() == voxels
                };
                Some(std::array::from_fn(|axis| if is_same(axis) { own } else { wanted }[axis]))
            }
        }
    }
}

/// The two axes of a volume that are left in slices across `axis`, in order.
fn in_plane(axis: usize) -> [usize; 2] {
    match axis {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    }
}

/// How one volume is cut into slices. Everything follows from its grid, so that it can be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Slicing {
    /// Of the file.
    input: Grid,
    orientation: Option<Orientation>,
    /// After reorientation, before resampling.
    oriented: Grid,
    /// What is cut.
    cut: Grid,
    axis: usize,
    turn: Turn,
}

impl Slicing {
    /// The slicing of a volume on `grid`. A volume of one slice is that slice whatever the plane; a picture
    /// is taken upright.
    pub fn new(
        grid: &Grid,
        kind: FileKind,
        plane: Plane,
        turn: Turn,
        spacing: Spacing,
    ) -> Result<Self> {
        let (plane, turn) = match kind {
            FileKind::Picture => (Plane::Axial, Turn::CounterClockwise),
            FileKind::Volume => (plane, turn),
        };
        let orientation = (plane != Plane::Stored).then(|| Orientation::to_ras(grid));
        let oriented = orientation.as_ref().map_or(*grid, Orientation::ras);
        let wanted = match plane {
            Plane::Sagittal => 0,
            Plane::Coronal => 1,
            Plane::Axial | Plane::Stored => 2,
        };
        let single = (0..3).find(|&axis| grid.len() > 1 && oriented.shape[axis] == 1);
        let axis = if oriented.shape[wanted] == 1 { wanted } else { single.unwrap_or(wanted) };
        let cut = match spacing.along(&oriented, axis, turn) {
            Some(mm) if kind == FileKind::Volume => oriented.with_spacing(mm)?,
            _ => oriented,
        };
        Ok(Self { input: *grid, orientation, oriented, cut, axis, turn })
    }

    /// Number of slices.
    pub fn slices(&self) -> usize {
        self.cut.shape[self.axis]
    }

    /// `[height, width]` of a slice.
    pub fn size(&self) -> [usize; 2] {
        let [first, second] = self.in_plane();
        let (first, second) = (self.cut.shape[first], self.cut.shape[second]);
        match self.turn {
            Turn::None => [first, second],
            Turn::CounterClockwise => [second, first],
        }
    }

    /// Millimetres between rows and between columns of a slice.
    pub fn pixel_mm(&self) -> [f64; 2] {
        let spacing = self.cut.affine.spacing();
        let [first, second] = self.in_plane().map(|axis| spacing[axis]);
        match self.turn {
            Turn::None => [first, second],
            Turn::CounterClockwise => [second, first],
        }
    }

    /// Volume of a voxel of what is cut, in cubic millimetres.
    pub fn voxel_mm3(&self) -> f64 {
        self.cut.affine.voxel_mm3()
    }

    /// Whether slices have other voxels than the file.
    pub fn is_resampled(&self) -> bool {
        self.cut != self.oriented
    }

    /// The two axes of the volume that are left, in order.
    fn in_plane(&self) -> [usize; 2] {
        in_plane(self.axis)
    }

    /// Calls `f` with the offset in the cut volume of each pixel of a slice, row by row.
    fn for_each_pixel(&self, slice: usize, mut f: impl FnMut(usize)) {
        let [nx, ny, _] = self.cut.shape;
        let step = [1, nx, nx * ny];
        let [first, second] = self.in_plane();
        let [height, width] = self.size();
        let start = slice * step[self.axis];
        for row in 0..height {
            for column in 0..width {
                let (i, j) = match self.turn {
                    Turn::None => (row, column),
                    Turn::CounterClockwise => (column, height - 1 - row),
                };
                f(start + i * step[first] + j * step[second]);
            }
        }
    }

    /// Slice `slice` of a volume brought here by [`cut_volume`](Self::cut_volume).
    pub(crate) fn slice<T: Copy>(&self, voxels: &[T], slice: usize) -> Vec<T> {
        let mut pixels = Vec::with_capacity(self.cut.len() / self.slices());
        self.for_each_pixel(slice, |offset| pixels.push(voxels[offset]));
        pixels
    }

    /// Whether an image has the shape that this slicing was made for.
    pub(crate) fn fits<T: Copy>(&self, image: &Image<T>) -> bool {
        image.shape() == self.input.shape
    }

    /// By the input's affine even where the image's differs by rounding, which near 45 degrees could turn it
    /// to other axes.
    fn orient<T: Copy>(&self, image: &Image<T>) -> Result<Image<T>> {
        if !self.fits(image) {
            let (found, wanted) = (image.shape(), self.input.shape);
            return Err(Error::Setting(format!("a volume of {found:?} voxels, not {wanted:?}")));
        }
        if self.orientation.is_none() || *image.affine() == self.input.affine {
            return Ok(if self.orientation.is_some() { image.to_ras().0 } else { image.clone() });
        }
        let header = image.header().clone();
        Ok(Image::with_header(image.data().to_vec(), self.input, header)?.to_ras().0)
    }

    /// Brings a volume on the input's grid to the grid that is cut.
    pub(crate) fn cut_volume(&self, volume: &Volume) -> Result<Vec<f32>> {
        let oriented = self.orient(volume)?;
        Ok(if self.is_resampled() { oriented.resample_onto(&self.cut)? } else { oriented }
            .into_data())
    }

    /// Brings labels on the input's grid to the grid that is cut.
    pub(crate) fn cut_labels(&self, labels: &Labels) -> Result<Vec<u8>> {
        let oriented = self.orient(labels)?;
        Ok(if self.is_resampled() { oriented.resample_onto(&self.cut)? } else { oriented }
            .into_data())
    }

    /// A stack `[slices, height, width]` of labels back on the input's grid; by the nearest label where the
    /// volume was resampled.
    pub fn restore_labels(&self, stack: &[u8], header: &Header) -> Result<Labels> {
        let labels = self.assemble(stack, header)?;
        let oriented =
            if self.is_resampled() { labels.resample_onto(&self.oriented)? } else { labels };
        self.disorient(oriented)
    }

    /// A stack `[slices, height, width]` of values, such as probabilities, back on the input's grid; by
    /// trilinear interpolation, edges continued, where the volume was resampled.
    pub fn restore_volume(&self, stack: &[f32], header: &Header) -> Result<Volume> {
        let values = self.assemble(stack, header)?;
        let oriented =
            if self.is_resampled() { values.extend_onto(&self.oriented)? } else { values };
        self.disorient(oriented)
    }

    fn assemble<T: Copy + Default>(&self, stack: &[T], header: &Header) -> Result<Image<T>> {
        if stack.len() != self.cut.len() {
            let [height, width] = self.size();
            return Err(Error::Setting(format!(
                "{} values for {} slices of {height}x{width}",
                stack.len(),
                self.slices()
            )));
        }
        let mut voxels = vec![T::default(); stack.len()];
        let mut values = stack.iter();
        for slice in 0..self.slices() {
            self.for_each_pixel(slice, |offset| {
                if let Some(&value) = values.next() {
                    voxels[offset] = value;
                }
            });
        }
        Ok(Image::with_header(voxels, self.cut, header.of_result())?)
    }

    fn disorient<T: Copy>(&self, oriented: Image<T>) -> Result<Image<T>> {
        match &self.orientation {
            Some(orientation) => Ok(oriented.from_ras(orientation)?),
            None => Ok(Image::with_header(
                oriented.data().to_vec(),
                self.input,
                oriented.header().clone(),
            )?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use udas_volume::Affine;

    fn volume(codes: &str) -> Volume {
        let affine =
            Affine::from_codes(codes, [1.0, 2.0, 3.0]).unwrap().with_origin([3.0, 1.0, -7.0]);
        Volume::new((0..60).map(|v| v as f32).collect(), [3, 4, 5], affine).unwrap()
    }

    fn slicing(volume: &Volume, plane: Plane, turn: Turn, spacing: Spacing) -> Slicing {
        Slicing::new(volume.grid(), FileKind::Volume, plane, turn, spacing).unwrap()
    }

    #[test]
    fn turned_slices_are_numpy_s_rot90() {
        // numpy.rot90(numpy.arange(60).reshape(3, 4, 5, order="F")[1]) and of [:, 2] and [:, :, 3]
        let volume = volume("RAS");
        let cut = |plane| slicing(&volume, plane, Turn::CounterClockwise, Spacing::Native);
        let sagittal = cut(Plane::Sagittal);
        assert_eq!(
            (sagittal.slices(), sagittal.size(), sagittal.pixel_mm()),
            (3, [5, 4], [3.0, 2.0])
        );
        let first_rows = sagittal.slice(volume.data(), 1);
        assert_eq!(first_rows[..8], [49.0, 52.0, 55.0, 58.0, 37.0, 40.0, 43.0, 46.0]);
        assert_eq!(
            cut(Plane::Coronal).slice(volume.data(), 2)[..6],
            [54.0, 55.0, 56.0, 42.0, 43.0, 44.0]
        );
        assert_eq!(
            cut(Plane::Axial).slice(volume.data(), 3)[..6],
            [45.0, 46.0, 47.0, 42.0, 43.0, 44.0]
        );
        let stored = slicing(&volume, Plane::Stored, Turn::None, Spacing::Native);
        assert_eq!(stored.size(), [3, 4]);
        assert_eq!(stored.slice(volume.data(), 3)[..5], [36.0, 39.0, 42.0, 45.0, 37.0]);
    }

    prop_compose! {
        /// An affine of any axis order, tilted from it by a shear that no order is lost by.
        fn affine()(
            order in Just([0, 1, 2]).prop_shuffle(),
            sizes in prop::array::uniform3(prop_oneof![-4.0..-0.3, 0.3..4.0]),
            tilt in prop::array::uniform3(prop::array::uniform3(-0.2..0.2)),
            origin in prop::array::uniform3(-100.0..100.0),
        ) -> Affine {
            let mut rows = [[0.0; 4]; 3];
            for (row, tilts) in tilt.into_iter().enumerate() {
                for (column, tilt) in tilts.into_iter().enumerate() {
                    let straight = if order[column] == row { 1.0 } else { tilt };
                    rows[row][column] = sizes[column] * straight;
                }
            }
            Affine::from_rows(rows).with_origin(origin)
        }
    }

    proptest! {
        /// Cut into slices and stacked again, voxels and affine are those of the file, to the bit.
        #[test]
        fn every_plane_order_and_size_comes_back_to_its_own_grid(
            affine in affine(),
            shape in prop::array::uniform3(1usize..6),
        ) {
            let voxels = shape.iter().product();
            let volume = Volume::new((0..voxels).map(|v| v as f32).collect(), shape, affine).unwrap();
            let turns = [Turn::None, Turn::CounterClockwise];
            for (plane, turn) in PLANES.into_iter().flat_map(|plane| turns.map(|turn| (plane, turn))) {
                let slicing = slicing(&volume, plane, turn, Spacing::Native);
                let cut = slicing.cut_volume(&volume).unwrap();
                let slices: Vec<_> = (0..slicing.slices()).map(|s| slicing.slice(&cut, s)).collect();
                let [height, width] = slicing.size();
                prop_assert!(slices.iter().all(|slice| slice.len() == height * width));
                let stack = slices.concat();
                prop_assert_eq!(&slicing.restore_volume(&stack, volume.header()).unwrap(), &volume);
                let labels: Vec<u8> = stack.iter().map(|&v| v as u8).collect();
                let labels = slicing.restore_labels(&labels, volume.header()).unwrap();
                prop_assert_eq!(labels, volume.map(|v| v as u8));
                prop_assert!(slicing.restore_volume(&stack[1..], volume.header()).is_err());
            }
        }
    }

    #[test]
    fn the_same_anatomy_gives_the_same_slices_in_any_storage_order() {
        let ras = volume("RAS");
        let wanted = slicing(&ras, Plane::Sagittal, Turn::CounterClockwise, Spacing::Native)
            .slice(ras.data(), 1);
        // The same head stored from posterior, superior and left, whatever its file says first.
        let affine = Affine::from_codes("PSL", [2.0, 3.0, 1.0]).unwrap();
        let mut voxels = Vec::new();
        for x in (0..3).rev() {
            for z in 0..5 {
                for y in (0..4).rev() {
                    voxels.push(ras.get([x, y, z]).unwrap());
                }
            }
        }
        let stored = Volume::new(voxels, [4, 5, 3], affine).unwrap();
        let slicing = slicing(&stored, Plane::Sagittal, Turn::CounterClockwise, Spacing::Native);
        assert_eq!(slicing.slice(&slicing.cut_volume(&stored).unwrap(), 1), wanted);
    }

    #[test]
    fn a_resampled_volume_comes_back_to_its_own_grid() {
        let volume = volume("PSR");
        let spacing = Spacing::Millimetres([1.5, 0.5, 1.0]);
        let slicing = slicing(&volume, Plane::Sagittal, Turn::CounterClockwise, spacing);
        assert_eq!((slicing.slices(), slicing.size()), (10, [8, 6]));
        let labels = volume.map(|v| u8::from(v > 25.0));
        let cut = slicing.cut_labels(&labels).unwrap();
        let stack: Vec<u8> = (0..10).flat_map(|s| slicing.slice(&cut, s)).collect();
        let back = slicing.restore_labels(&stack, labels.header()).unwrap();
        assert_eq!(back, labels);
    }

    const PLANES: [Plane; 4] = [Plane::Sagittal, Plane::Coronal, Plane::Axial, Plane::Stored];

    #[test]
    fn a_spacing_of_slices_is_that_in_every_plane() {
        let volume = volume("PSR");
        for (plane, turn) in PLANES
            .into_iter()
            .flat_map(|plane| [(plane, Turn::None), (plane, Turn::CounterClockwise)])
        {
            let own = slicing(&volume, plane, turn, Spacing::Native);
            let of = |pixel_mm, between_mm| {
                slicing(&volume, plane, turn, Spacing::Slices { pixel_mm, between_mm })
            };
            let finer = of([0.25, 0.5], None);
            assert_eq!(
                (finer.pixel_mm(), finer.slices()),
                ([0.25, 0.5], own.slices()),
                "{plane:?}"
            );
            let [height, width] = own.size();
            let [row_mm, column_mm] = own.pixel_mm();
            let sides = [height as f64 * row_mm / 0.25, width as f64 * column_mm / 0.5];
            assert_eq!(finer.size().map(|side| side as f64), sides.map(f64::round), "{plane:?}");
            assert!(finer.is_resampled() && of([0.25; 2], Some(0.5)).slices() > own.slices());
            let cell = own.voxel_mm3() * 0.125 / (row_mm * column_mm);
            assert!((finer.voxel_mm3() - cell).abs() < 1e-9, "{plane:?}");
            // What it has already, but for the rounding of a header, is left alone.
            let same = of([row_mm * 1.001, column_mm], None);
            assert_eq!(same, own, "{plane:?}");
        }
        let none = Spacing::Slices { pixel_mm: [1.0, 0.0], between_mm: None };
        for spacing in [none, Spacing::Slices { pixel_mm: [1.0; 2], between_mm: Some(f64::NAN) }] {
            assert!(spacing.check().unwrap_err().to_string().contains("above 0"), "{spacing:?}");
        }
        let text =
            serde_json::to_string(&Spacing::Slices { pixel_mm: [1.5, 2.0], between_mm: None })
                .unwrap();
        assert_eq!(text, r#"{"slices":{"pixel-mm":[1.5,2.0]}}"#);
    }

    proptest! {
        /// Labels that are cut at half the pixel or less come back as they were, by their probabilities.
        #[test]
        fn a_finer_spacing_has_an_inverse(
            affine in affine(),
            shape in prop::array::uniform3(1usize..6),
            finer in prop::array::uniform2(2.0..4.0),
            between in prop::option::of(2.0..4.0),
            plane in prop::sample::select(PLANES.to_vec()),
        ) {
            let voxels = shape.iter().product::<usize>();
            let labels: Vec<u8> = (0..voxels).map(|v| (v * 7 % 3) as u8).collect();
            let labels = Labels::new(labels, shape, affine).unwrap();
            let turn = Turn::CounterClockwise;
            let kind = FileKind::Volume;
            let own = Slicing::new(labels.grid(), kind, plane, turn, Spacing::Native).unwrap();
            let [rows, columns] = own.pixel_mm();
            let mm = own.cut.affine.spacing()[own.axis];
            let spacing = Spacing::Slices {
                pixel_mm: [rows / finer[0], columns / finer[1]],
                between_mm: between.map(|times| mm / times),
            };
            let slicing = Slicing::new(labels.grid(), kind, plane, turn, spacing).unwrap();
            let cut = slicing.cut_labels(&labels).unwrap();
            let stack: Vec<_> = (0..slicing.slices()).flat_map(|s| slicing.slice(&cut, s)).collect();
            for class in 0..3 {
                let one: Vec<f32> = stack.iter().map(|&l| f32::from(u8::from(l == class))).collect();
                let back = slicing.restore_volume(&one, labels.header()).unwrap();
                let found = back.map(|probability| u8::from(probability > 0.5));
                prop_assert_eq!(found, labels.map(|label| u8::from(label == class)));
            }
        }

        /// Each voxel of an image says where it is: after resampling, its label is of the voxel that is there.
        #[test]
        fn labels_move_with_pixels(
            affine in affine(),
            shape in prop::array::uniform3(1usize..6),
            scale in prop::array::uniform2(0.4..2.5),
            between in prop::option::of(0.4..2.5),
            plane in prop::sample::select(PLANES.to_vec()),
        ) {
            let voxels = shape.iter().product::<usize>();
            let labels = Labels::new((0..voxels).map(|v| v as u8).collect(), shape, affine).unwrap();
            let (turn, kind) = (Turn::CounterClockwise, FileKind::Volume);
            let own = Slicing::new(labels.grid(), kind, plane, turn, Spacing::Native).unwrap();
            let [rows, columns] = own.pixel_mm();
            let mm = own.cut.affine.spacing()[own.axis];
            let spacing = Spacing::Slices {
                pixel_mm: [rows * scale[0], columns * scale[1]],
                between_mm: between.map(|times| mm * times),
            };
            let slicing = Slicing::new(labels.grid(), kind, plane, turn, spacing).unwrap();
            let cut = slicing.cut_labels(&labels).unwrap();
            let index = |label: u8| {
                let at = usize::from(label);
                [at % shape[0], at / shape[0] % shape[1], at / shape[0] / shape[1]].map(|i| i as f32)
            };
            for axis in 0..3 {
                let image = labels.map(|label| index(label)[axis]);
                let image = slicing.cut_volume(&image).unwrap();
                prop_assert_eq!(image.len(), cut.len());
                for (place, &label) in image.iter().zip(&cut) {
                    prop_assert!((place - index(label)[axis]).abs() < 0.501, "{} at {}", label, place);
                }
            }
        }
    }

    #[test]
    fn one_slice_is_that_slice_and_a_picture_is_upright() {
        let affine = Affine::from_codes("RPS", [1.0; 3]).unwrap();
        let picture = Volume::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2, 1], affine).unwrap();
        let kind = FileKind::Picture;
        let upright =
            Slicing::new(picture.grid(), kind, Plane::Sagittal, Turn::None, Spacing::Native)
                .unwrap();
        assert_eq!((upright.slices(), upright.size()), (1, [2, 3]));
        assert_eq!(
            upright.slice(&upright.cut_volume(&picture).unwrap(), 0),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );

        let flat = Volume::new(vec![0.0; 6], [3, 2, 1], Affine::from_spacing([1.0; 3])).unwrap();
        assert_eq!(slicing(&flat, Plane::Coronal, Turn::None, Spacing::Native).slices(), 1);
    }
}
