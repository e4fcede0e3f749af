//! A mask as a DICOM SEG: one binary segment a class, with references to the images that it was made of.
//!
//! Source: PS3.3, A.51 (the object) and C.8.20 (its modules); codes of PS3.16 (CID 7150, 7151, 7202, 7203).

use std::path::Path;

use crate::dataset::DataSet;
use crate::encode::encode;
use crate::folder::SEGMENTATION;
use crate::moment::Moment;
use crate::parse::parse;
use crate::series::{Series, Slice};
use crate::tag::Tag;
use crate::uid;
use crate::{Error, Result};

/// Who makes segmentations here, as they say it.
const MAKER: &str = "udas";
/// Frames that the standard's number of frames can count (a signed 32-bit number in text).
const MAX_FRAMES: usize = i32::MAX as usize;

/// A code with its meaning, of SNOMED CT unless it is of the standard itself.
struct Code {
    value: &'static str,
    scheme: &'static str,
    meaning: &'static str,
}

const fn snomed(value: &'static str, meaning: &'static str) -> Code {
    Code { value, scheme: "SCT", meaning }
}

/// What a class is where its name does not say more.
const STRUCTURE: Code = snomed("91723000", "Anatomical Structure");
const SEGMENTED: Code = Code { value: "113076", scheme: "DCM", meaning: "Segmentation" };
const SOURCE: Code =
    Code { value: "121322", scheme: "DCM", meaning: "Source image for image processing operation" };

/// Names of classes, in small letters and without marks, and their codes.
const KNOWN: [(&[&str], Code); 20] = [
    (&["brain"], snomed("12738006", "Brain")),
    (&["hippocampus"], snomed("5366008", "Hippocampus")),
    (&["heart"], snomed("80891009", "Heart")),
    (&["left ventricle", "lv"], snomed("87878005", "Left ventricle")),
    (&["right ventricle", "rv"], snomed("53085002", "Right ventricle")),
    (&["left atrium", "la"], snomed("82471001", "Left atrium")),
    (&["right atrium", "ra"], snomed("73829009", "Right atrium")),
    (&["myocardium", "myo"], snomed("74281007", "Myocardium")),
    (&["left ventricle myocardium"], snomed("49848007", "Left Ventricle Myocardium")),
    (&["liver"], snomed("10200004", "Liver")),
    (&["spleen"], snomed("78961009", "Spleen")),
    (&["pancreas"], snomed("15776009", "Pancreas")),
    (&["prostate"], snomed("41216001", "Prostate")),
    (&["kidney"], snomed("64033007", "Kidney")),
    (&["lung"], snomed("39607008", "Lung")),
    (&["aorta"], snomed("15825003", "Aorta")),
    (&["stomach"], snomed("69695003", "Stomach")),
    (&["gallbladder"], snomed("28231008", "Gallbladder")),
    (&["esophagus"], snomed("32849002", "Esophagus")),
    (&["bladder"], snomed("89837001", "Bladder")),
];

fn code_of(name: &str) -> &'static Code {
    let plain = name.to_lowercase().replace(['_', '-'], " ");
    let plain = plain.trim();
    KNOWN.iter().find(|(names, _)| names.contains(&plain)).map_or(&STRUCTURE, |(_, code)| code)
}

/// What a SEG says besides its mask.
#[derive(Clone, Debug)]
pub struct Segmentation<'a> {
    /// Names of the classes from 1 on, which are the segments' labels. Well-known ones are coded as such (`brain`,
    /// `left ventricle`, `myocardium`, `right ventricle`, ...), others as an anatomical structure.
    pub segments: &'a [String],
    /// What made the mask, such as a model's hash: part of the object's identifier and of its description.
    pub made_by: &'a str,
    /// Of the program.
    pub version: &'a str,
    /// When it was made.
    pub at: Moment,
}

impl Segmentation<'_> {
    /// Whether a file is a segmentation that was made here.
    pub fn is_own(path: &Path) -> bool {
        parse(path).is_ok_and(|file| {
            let text = |tag| file.data.text(tag);
            text(Tag::SOP_CLASS_UID).as_deref() == Some(SEGMENTATION)
                && text(Tag::MANUFACTURER).as_deref() == Some(MAKER)
        })
    }

    /// The file of a mask on a series' grid, the first index fastest; 0 is background.
    ///
    /// The patient's and the study's elements are copied from the series: without them an archive cannot file the mask.
    ///
    /// # Errors
    /// [`Error::Refused`] where labels are no classes, where they are not as many as the series has voxels, and for a
    /// series without what an archive needs (study, frame of reference, instances).
    pub fn encode(&self, series: &Series, labels: &[u8]) -> Result<Vec<u8>> {
        let [columns, rows, count] = series.shape();
        let refused = |problem: String| {
            Error::refused(series.path(), problem, "give the mask of this series")
        };
        if labels.len() != columns * rows * count {
            return Err(refused(format!(
                "{} labels for {columns}x{rows}x{count} voxels",
                labels.len()
            )));
        }
        let classes = self.segments.len();
        if let Some(label) = labels.iter().find(|label| usize::from(**label) > classes) {
            return Err(refused(format!("the mask has the label {label} and {classes} classes")));
        }
        let frames = frames(labels, columns * rows, classes);
        if frames.len() > MAX_FRAMES || classes == 0 {
            return Err(refused(format!("{} frames of {classes} classes", frames.len())));
        }
        let mut data = self.header(series, labels)?;
        data.set_text(Tag::NUMBER_OF_FRAMES, &frames.len().to_string());
        data.set_items(Tag::SEGMENT_SEQUENCE, self.segment_items());
        let groups = frames.iter().map(|frame| frame_groups(series, frame));
        let groups = groups.collect::<Result<Vec<_>>>()?;
        data.set_items(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, groups);
        let pixels = packed(labels, columns * rows, &frames);
        Ok(encode(&data, Some(&pixels)))
    }

    fn header(&self, series: &Series, labels: &[u8]) -> Result<DataSet> {
        let source = series.slices().first().and_then(|slice| series.file(slice));
        let source = source.map(|file| &file.data).ok_or_else(|| missing(series, "slices"))?;
        let of = |kind: &[u8]| {
            let parts = [kind, series.uid().as_bytes(), self.made_by.as_bytes(), labels];
            let at = [self.at.date.as_bytes(), self.at.time.as_bytes()];
            uid::of(&[&parts[..], &at[..]].concat())
        };
        let mut data = DataSet::default();
        for tag in [Tag::STUDY_INSTANCE_UID, Tag::FRAME_OF_REFERENCE_UID] {
            if source.text(tag).is_none() {
                let name = if tag == Tag::STUDY_INSTANCE_UID {
                    "study (StudyInstanceUID)"
                } else {
                    "frame of reference (FrameOfReferenceUID)"
                };
                return Err(missing(series, name));
            }
            data.copy(tag, source);
        }
        // Type 2: there, even if empty.
        let filed = [
            Tag::PATIENT_NAME,
            Tag::PATIENT_ID,
            Tag::PATIENT_BIRTH_DATE,
            Tag::PATIENT_SEX,
            Tag::STUDY_DATE,
            Tag::STUDY_TIME,
            Tag::REFERRING_PHYSICIAN_NAME,
            Tag::STUDY_ID,
            Tag::ACCESSION_NUMBER,
            Tag::POSITION_REFERENCE_INDICATOR,
        ];
        filed.into_iter().for_each(|tag| data.copy_or_empty(tag, source));
        for tag in [Tag::SPECIFIC_CHARACTER_SET, Tag::ISSUER_OF_PATIENT_ID, Tag::STUDY_DESCRIPTION]
        {
            data.copy(tag, source);
        }
        let Moment { date, time } = &self.at;
        let series_uid = of(b"series");
        let object_uid = of(b"instance");
        let texts = [
            (Tag::SOP_CLASS_UID, SEGMENTATION),
            (Tag::SOP_INSTANCE_UID, &object_uid),
            (Tag::SERIES_INSTANCE_UID, &series_uid),
            (Tag::MODALITY, "SEG"),
            (Tag::SERIES_NUMBER, "1000"),
            (Tag::INSTANCE_NUMBER, "1"),
            (Tag::SERIES_DESCRIPTION, "Segmentation"),
            (Tag::INSTANCE_CREATION_DATE, date),
            (Tag::INSTANCE_CREATION_TIME, time),
            (Tag::CONTENT_DATE, date),
            (Tag::CONTENT_TIME, time),
            (Tag::SERIES_DATE, date),
            (Tag::SERIES_TIME, time),
            (Tag::IMAGE_TYPE, "DERIVED\\PRIMARY"),
            (Tag::MANUFACTURER, MAKER),
            (Tag::MANUFACTURER_MODEL_NAME, MAKER),
            (Tag::DEVICE_SERIAL_NUMBER, "none"),
            (Tag::SOFTWARE_VERSIONS, self.version),
            (Tag::CONTENT_LABEL, "SEGMENTATION"),
            (Tag::CONTENT_DESCRIPTION, "Made by a network, not checked by a person"),
            (Tag::CONTENT_CREATOR_NAME, ""),
            (Tag::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2"),
            (Tag::LOSSY_IMAGE_COMPRESSION, "00"),
            (Tag::SEGMENTATION_TYPE, "BINARY"),
            (Tag::SEGMENTS_OVERLAP, "NO"),
        ];
        texts.into_iter().for_each(|(tag, text)| data.set_text(tag, text));
        let [columns, rows, _] = series.shape();
        let numbers = [
            (Tag::SAMPLES_PER_PIXEL, 1),
            (Tag::ROWS, rows as u16),
            (Tag::COLUMNS, columns as u16),
            (Tag::BITS_ALLOCATED, 1),
            (Tag::BITS_STORED, 1),
            (Tag::HIGH_BIT, 0),
            (Tag::PIXEL_REPRESENTATION, 0),
        ];
        numbers.into_iter().for_each(|(tag, number)| data.set_u16(tag, number));
        data.set_items(Tag::REFERENCED_SERIES_SEQUENCE, vec![referenced(series)?]);
        let organization = of(b"dimensions");
        set_dimensions(&mut data, &organization);
        data.set_items(Tag::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared(series)]);
        Ok(data)
    }

    fn segment_items(&self) -> Vec<DataSet> {
        let item = |(index, name): (usize, &String)| {
            let mut item = DataSet::default();
            item.set_u16(Tag::SEGMENT_NUMBER, index as u16 + 1);
            // Other characters would need a character set of their own; 64 of them fit.
            let is_plain = |c: &char| c.is_ascii() && !c.is_ascii_control() && *c != '\\';
            let label: String = name.chars().filter(is_plain).take(64).collect();
            item.set_text(Tag::SEGMENT_LABEL, &label);
            item.set_text(Tag::SEGMENT_ALGORITHM_TYPE, "AUTOMATIC");
            item.set_text(Tag::SEGMENT_ALGORITHM_NAME, MAKER);
            let category = vec![coded(&STRUCTURE)];
            item.set_items(Tag::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, category);
            let kind = vec![coded(code_of(name))];
            item.set_items(Tag::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, kind);
            item
        };
        self.segments.iter().enumerate().map(item).collect()
    }
}

/// A slice in which a segment is.
struct Frame {
    /// From 1.
    segment: u8,
    slice: usize,
}

/// The frames that hold something, segment by segment; all of the first segment where nothing is marked at all, since an
/// image has a frame at least.
fn frames(labels: &[u8], pixels: usize, classes: usize) -> Vec<Frame> {
    let slices: Vec<[bool; 256]> = labels
        .chunks(pixels.max(1))
        .map(|slice| {
            let mut seen = [false; 256];
            slice.iter().for_each(|&label| {
                if let Some(seen) = seen.get_mut(usize::from(label)) {
                    *seen = true;
                }
            });
            seen
        })
        .collect();
    let mut frames = Vec::new();
    for segment in 1..=classes.min(255) as u8 {
        let holds = |seen: &[bool; 256]| seen.get(usize::from(segment)).copied().unwrap_or(false);
        let own = slices.iter().enumerate().filter(|(_, seen)| holds(seen));
        frames.extend(own.map(|(slice, _)| Frame { segment, slice }));
    }
    if frames.is_empty() {
        frames.extend((0..slices.len()).map(|slice| Frame { segment: 1, slice }));
    }
    frames
}

/// One bit a pixel, the lowest first, frames without gaps between them (PS3.5, 8.1.1).
fn packed(labels: &[u8], pixels: usize, frames: &[Frame]) -> Vec<u8> {
    let mut bytes = vec![0u8; (frames.len() * pixels).div_ceil(8)];
    for (index, frame) in frames.iter().enumerate() {
        let slice = labels.iter().skip(frame.slice * pixels).take(pixels);
        for (pixel, _) in slice.enumerate().filter(|(_, label)| **label == frame.segment) {
            let bit = index * pixels + pixel;
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    bytes
}

fn missing(series: &Series, what: &str) -> Error {
    let problem = format!("does not say its {what}, which a DICOM SEG must refer to");
    Error::refused(
        series.path(),
        problem,
        "export the series from the archive, or take the NIfTI mask",
    )
}

fn coded(code: &Code) -> DataSet {
    let mut item = DataSet::default();
    item.set_text(Tag::CODE_VALUE, code.value);
    item.set_text(Tag::CODING_SCHEME_DESIGNATOR, code.scheme);
    item.set_text(Tag::CODE_MEANING, code.meaning);
    item
}

/// The class and identifier of the file that a slice is of.
fn reference(series: &Series, slice: &Slice) -> Result<DataSet> {
    let data = series.file(slice).map(|file| &file.data);
    let text = |tag| data.and_then(|data| data.text(tag));
    let (Some(class), Some(instance)) = (text(Tag::SOP_CLASS_UID), text(Tag::SOP_INSTANCE_UID))
    else {
        return Err(missing(series, "instances (SOPInstanceUID)"));
    };
    let mut item = DataSet::default();
    item.set_text(Tag::REFERENCED_SOP_CLASS_UID, &class);
    item.set_text(Tag::REFERENCED_SOP_INSTANCE_UID, &instance);
    Ok(item)
}

/// The series and all its instances, once each.
fn referenced(series: &Series) -> Result<DataSet> {
    let (mut items, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    for slice in series.slices() {
        if seen.insert(slice.file) {
            items.push(reference(series, slice)?);
        }
    }
    let mut item = DataSet::default();
    item.set_text(Tag::SERIES_INSTANCE_UID, series.uid());
    item.set_items(Tag::REFERENCED_INSTANCE_SEQUENCE, items);
    Ok(item)
}

/// Frames are ordered by segment, then by position.
fn set_dimensions(data: &mut DataSet, organization: &str) {
    let mut named = DataSet::default();
    named.set_text(Tag::DIMENSION_ORGANIZATION_UID, organization);
    data.set_items(Tag::DIMENSION_ORGANIZATION_SEQUENCE, vec![named.clone()]);
    let pointer = |element: Tag, group: Tag| {
        let mut item = named.clone();
        let bytes =
            |tag: Tag| [(tag.group() as u16).to_le_bytes(), (tag.0 as u16).to_le_bytes()].concat();
        item.set_bytes(Tag::DIMENSION_INDEX_POINTER, bytes(element));
        item.set_bytes(Tag::FUNCTIONAL_GROUP_POINTER, bytes(group));
        item
    };
    let dimensions = vec![
        pointer(Tag::REFERENCED_SEGMENT_NUMBER, Tag::SEGMENT_IDENTIFICATION_SEQUENCE),
        pointer(Tag::IMAGE_POSITION_PATIENT, Tag::PLANE_POSITION_SEQUENCE),
    ];
    data.set_items(Tag::DIMENSION_INDEX_SEQUENCE, dimensions);
}

/// Orientation and spacing, which all frames share.
fn shared(series: &Series) -> DataSet {
    let mut orientation = DataSet::default();
    let mut measures = DataSet::default();
    if let Some(slice) = series.slices().first() {
        orientation.set_decimals(Tag::IMAGE_ORIENTATION_PATIENT, &slice.orientation());
        measures.set_decimals(Tag::PIXEL_SPACING, &slice.spacing());
    }
    let between = series.slice_spacing();
    measures.set_decimals(Tag::SLICE_THICKNESS, &[between]);
    measures.set_decimals(Tag::SPACING_BETWEEN_SLICES, &[between]);
    let mut shared = DataSet::default();
    shared.set_items(Tag::PLANE_ORIENTATION_SEQUENCE, vec![orientation]);
    shared.set_items(Tag::PIXEL_MEASURES_SEQUENCE, vec![measures]);
    shared
}

fn frame_groups(series: &Series, frame: &Frame) -> Result<DataSet> {
    let slices = series.slices();
    let slice = slices.get(frame.slice).ok_or_else(|| missing(series, "slices"))?;
    let mut content = DataSet::default();
    let place = frame.slice as u32 + 1;
    let index = [u32::from(frame.segment).to_le_bytes(), place.to_le_bytes()].concat();
    content.set_bytes(Tag::DIMENSION_INDEX_VALUES, index);
    let mut position = DataSet::default();
    position.set_decimals(Tag::IMAGE_POSITION_PATIENT, &slice.position);
    let mut segment = DataSet::default();
    segment.set_u16(Tag::REFERENCED_SEGMENT_NUMBER, frame.segment.into());
    let mut source = reference(series, slice)?;
    let frames = series.file(slice).and_then(|file| file.data.count(Tag::NUMBER_OF_FRAMES));
    if frames.is_some_and(|frames| frames > 1) {
        source.set_text(Tag::REFERENCED_FRAME_NUMBER, &(slice.frame + 1).to_string());
    }
    source.set_items(Tag::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![coded(&SOURCE)]);
    let mut derivation = DataSet::default();
    derivation.set_items(Tag::DERIVATION_CODE_SEQUENCE, vec![coded(&SEGMENTED)]);
    derivation.set_items(Tag::SOURCE_IMAGE_SEQUENCE, vec![source]);
    let mut groups = DataSet::default();
    groups.set_items(Tag::FRAME_CONTENT_SEQUENCE, vec![content]);
    groups.set_items(Tag::PLANE_POSITION_SEQUENCE, vec![position]);
    groups.set_items(Tag::SEGMENT_IDENTIFICATION_SEQUENCE, vec![segment]);
    groups.set_items(Tag::DERIVATION_IMAGE_SEQUENCE, vec![derivation]);
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_names_are_coded() {
        for (name, value) in [
            ("Brain", "12738006"),
            ("left_ventricle", "87878005"),
            ("MYO", "74281007"),
            ("Right Ventricle", "53085002"),
            ("class 1", "91723000"),
        ] {
            assert_eq!(code_of(name).value, value, "{name}");
        }
    }

    #[test]
    fn bits_stand_lowest_first_without_gaps() {
        // Two slices of three pixels.
        let labels = [1, 0, 2, 0, 1, 1];
        let found = frames(&labels, 3, 2);
        let places: Vec<_> = found.iter().map(|frame| (frame.segment, frame.slice)).collect();
        assert_eq!(places, [(1, 0), (1, 1), (2, 0)]);
        assert_eq!(packed(&labels, 3, &found), [0b0011_0001, 0b1]);
        assert_eq!(frames(&[0; 6], 3, 2).len(), 2, "an empty mask has frames of its first segment");
    }
}
