//! A volume as a DICOM series: what phantoms and tests are made of. Not for patients: the series says that it is made up.

use crate::dataset::DataSet;
use crate::encode::encode;
use crate::series::{cross, dot, length};
use crate::tag::Tag;
use crate::uid;

/// How slices are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file a slice, as most scanners export.
    SingleFrame,
    /// All slices in one file (Enhanced MR, or Enhanced CT).
    MultiFrame,
}

/// What is imaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modality {
    /// Computed tomography.
    Ct,
    /// Magnetic resonance.
    Mr,
}

/// A volume to be written as a series.
#[derive(Clone, Debug)]
pub struct Export<'a> {
    /// The first index fastest. Whole numbers within 16 bits are kept as they are; others come within half a step of
    /// 65,536 between the lowest and the highest.
    pub voxels: &'a [f32],
    /// Voxels along a row, along a column, and slices.
    pub shape: [usize; 3],
    /// From voxel indices to millimetres along right, anterior, superior.
    pub affine: [[f64; 4]; 3],
    /// Kind of files.
    pub kind: Kind,
    /// Kind of images.
    pub modality: Modality,
    /// The patient's name, in ASCII (`FAMILY^GIVEN`).
    pub patient: &'a str,
    /// What tells this series from others: its identifiers follow from it.
    pub seed: &'a str,
}

/// A file of a series: its name, its elements, and the bytes of its pixels.
pub struct ExportedFile {
    /// `IM0001.dcm`.
    pub name: String,
    /// All but the pixels.
    pub data: DataSet,
    /// Little-endian, 16 bits a pixel.
    pub pixels: Vec<u8>,
}

impl ExportedFile {
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.data, Some(&self.pixels))
    }
}

/// How numbers of 16 bits stand for intensities.
struct Scale {
    slope: f64,
    intercept: f64,
    signed: bool,
}

impl Scale {
    fn of(voxels: &[f32]) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut whole = true;
        for &voxel in voxels.iter().filter(|voxel| voxel.is_finite()) {
            (low, high) = (low.min(voxel.into()), high.max(voxel.into()));
            whole &= voxel.fract() == 0.0;
        }
        if whole && low >= i16::MIN.into() && high <= i16::MAX.into() {
            return Self { slope: 1.0, intercept: 0.0, signed: true };
        }
        // A slope of 16 characters is what the file will say, and so it is what numbers are made with.
        let written = |number: f64| {
            let mut data = DataSet::default();
            data.set_decimals(Tag::RESCALE_SLOPE, &[number]);
            data.number(Tag::RESCALE_SLOPE).unwrap_or(number)
        };
        let slope = written((high - low) / 65_535.0);
        let slope = if slope > 0.0 && slope.is_finite() { slope } else { 1.0 };
        let intercept = if low.is_finite() { written(low) } else { 0.0 };
        Self { slope, intercept, signed: false }
    }

    fn bytes(&self, voxels: &[f32]) -> Vec<u8> {
        let number = |voxel: f32| ((f64::from(voxel) - self.intercept) / self.slope).round();
        let bytes = |voxel: &f32| match self.signed {
            // `as` keeps to the range, and takes NaN to 0.
            true => (number(*voxel) as i16).to_le_bytes(),
            false => (number(*voxel) as u16).to_le_bytes(),
        };
        voxels.iter().flat_map(bytes).collect()
    }
}

/// Where a volume lies as the standard says it: left, posterior, superior.
struct Place {
    orientation: [f64; 6],
    /// Between rows, and between columns.
    spacing: [f64; 2],
    origin: [f64; 3],
    step: [f64; 3],
}

impl Place {
    fn of(affine: &[[f64; 4]; 3]) -> Self {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l]] = *affine;
        let (row, column) = ([-a, -e, i], [-b, -f, j]);
        let spacing = [length(column), length(row)];
        let [unit_column, unit_row] =
            [column.map(|part| part / spacing[0]), row.map(|part| part / spacing[1])];
        let [[r, s, t], [u, v, w]] = [unit_row, unit_column];
        Self { orientation: [r, s, t, u, v, w], spacing, origin: [-d, -h, l], step: [-c, -g, k] }
    }

    fn position(&self, slice: usize) -> [f64; 3] {
        let ([a, b, c], [x, y, z]) = (self.origin, self.step);
        let n = slice as f64;
        [a + n * x, b + n * y, c + n * z]
    }

    /// Between neighbouring slices, along their normal.
    fn between(&self) -> f64 {
        let [a, b, c, d, e, f] = self.orientation;
        dot(self.step, cross([a, b, c], [d, e, f])).abs()
    }
}

impl Export<'_> {
    /// The files of the series. Slices of an affine that is no right-handed system come back in the other order.
    pub fn files(&self) -> Vec<ExportedFile> {
        let place = Place::of(&self.affine);
        let scale = Scale::of(self.voxels);
        let [columns, rows, count] = self.shape;
        let common = self.common(&place, &scale);
        match self.kind {
            Kind::SingleFrame => self
                .voxels
                .chunks(columns * rows)
                .enumerate()
                .map(|(index, slice)| {
                    let mut data = common.clone();
                    let number = (index + 1).to_string();
                    data.set_text(Tag::INSTANCE_NUMBER, &number);
                    data.set_text(Tag::SOP_INSTANCE_UID, &self.uid(&number));
                    data.set_decimals(Tag::IMAGE_POSITION_PATIENT, &place.position(index));
                    measures(&mut data, &place);
                    values(&mut data, &scale);
                    data.set_decimals(Tag::IMAGE_ORIENTATION_PATIENT, &place.orientation);
                    let name = format!("IM{:04}.dcm", index + 1);
                    ExportedFile { name, data, pixels: scale.bytes(slice) }
                })
                .collect(),
            Kind::MultiFrame => {
                let mut data = common;
                data.set_text(Tag::INSTANCE_NUMBER, "1");
                data.set_text(Tag::SOP_INSTANCE_UID, &self.uid("1"));
                data.set_text(Tag::NUMBER_OF_FRAMES, &count.to_string());
                groups(&mut data, &place, &scale, count);
                let name = "IM0001.dcm".to_owned();
                vec![ExportedFile { name, data, pixels: scale.bytes(self.voxels) }]
            }
        }
    }

    fn uid(&self, part: &str) -> String {
        uid::of(&[b"export", self.seed.as_bytes(), part.as_bytes()])
    }

    fn common(&self, place: &Place, scale: &Scale) -> DataSet {
        let mut data = DataSet::default();
        let class = match (self.modality, self.kind) {
            (Modality::Ct, Kind::SingleFrame) => "1.2.840.10008.5.1.4.1.1.2",
            (Modality::Ct, Kind::MultiFrame) => "1.2.840.10008.5.1.4.1.1.2.1",
            (Modality::Mr, Kind::SingleFrame) => "1.2.840.10008.5.1.4.1.1.4",
            (Modality::Mr, Kind::MultiFrame) => "1.2.840.10008.5.1.4.1.1.4.1",
        };
        let modality = if self.modality == Modality::Ct { "CT" } else { "MR" };
        let thickness = place.between();
        let [study, series, frame] = ["study", "series", "frame"].map(|part| self.uid(part));
        let texts = [
            (Tag::SPECIFIC_CHARACTER_SET, "ISO_IR 100"),
            (Tag::IMAGE_TYPE, "DERIVED\\SECONDARY\\OTHER"),
            (Tag::SOP_CLASS_UID, class),
            (Tag::STUDY_DATE, "20000101"),
            (Tag::SERIES_DATE, "20000101"),
            (Tag::CONTENT_DATE, "20000101"),
            (Tag::STUDY_TIME, "000000"),
            (Tag::SERIES_TIME, "000000"),
            (Tag::CONTENT_TIME, "000000"),
            (Tag::ACCESSION_NUMBER, ""),
            (Tag::MODALITY, modality),
            (Tag::MANUFACTURER, "udas"),
            (Tag::REFERRING_PHYSICIAN_NAME, ""),
            (Tag::SERIES_DESCRIPTION, "Made up, of no person"),
            (Tag::PATIENT_NAME, self.patient),
            (Tag::PATIENT_ID, self.seed),
            (Tag::PATIENT_BIRTH_DATE, "19000101"),
            (Tag::PATIENT_SEX, "O"),
            (Tag::STUDY_INSTANCE_UID, &study),
            (Tag::SERIES_INSTANCE_UID, &series),
            (Tag::STUDY_ID, "1"),
            (Tag::SERIES_NUMBER, "1"),
            (Tag::FRAME_OF_REFERENCE_UID, &frame),
            (Tag::POSITION_REFERENCE_INDICATOR, ""),
            (Tag::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2"),
        ];
        texts.into_iter().for_each(|(tag, text)| data.set_text(tag, text));
        if self.kind == Kind::SingleFrame {
            data.set_decimals(Tag::SLICE_THICKNESS, &[thickness]);
        }
        let [columns, rows, _] = self.shape;
        let numbers = [
            (Tag::SAMPLES_PER_PIXEL, 1),
            (Tag::ROWS, rows as u16),
            (Tag::COLUMNS, columns as u16),
            (Tag::BITS_ALLOCATED, 16),
            (Tag::BITS_STORED, 16),
            (Tag::HIGH_BIT, 15),
            (Tag::PIXEL_REPRESENTATION, scale.signed.into()),
        ];
        numbers.into_iter().for_each(|(tag, number)| data.set_u16(tag, number));
        data
    }
}

fn measures(data: &mut DataSet, place: &Place) {
    data.set_decimals(Tag::PIXEL_SPACING, &place.spacing);
}

fn values(data: &mut DataSet, scale: &Scale) {
    data.set_decimals(Tag::RESCALE_SLOPE, &[scale.slope]);
    data.set_decimals(Tag::RESCALE_INTERCEPT, &[scale.intercept]);
    data.set_text(Tag::RESCALE_TYPE, "US");
}

/// What is said of all frames, and of each.
fn groups(data: &mut DataSet, place: &Place, scale: &Scale, count: usize) {
    let (mut shared, mut spacing) = (DataSet::default(), DataSet::default());
    let (mut orientation, mut value) = (DataSet::default(), DataSet::default());
    measures(&mut spacing, place);
    spacing.set_decimals(Tag::SLICE_THICKNESS, &[place.between()]);
    orientation.set_decimals(Tag::IMAGE_ORIENTATION_PATIENT, &place.orientation);
    values(&mut value, scale);
    shared.set_items(Tag::PIXEL_MEASURES_SEQUENCE, vec![spacing]);
    shared.set_items(Tag::PLANE_ORIENTATION_SEQUENCE, vec![orientation]);
    shared.set_items(Tag::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![value]);
    data.set_items(Tag::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    let frame = |index: usize| {
        let (mut groups, mut position) = (DataSet::default(), DataSet::default());
        position.set_decimals(Tag::IMAGE_POSITION_PATIENT, &place.position(index));
        groups.set_items(Tag::PLANE_POSITION_SEQUENCE, vec![position]);
        groups
    };
    data.set_items(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, (0..count).map(frame).collect());
}
