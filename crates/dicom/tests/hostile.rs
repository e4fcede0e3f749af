//! Files that are cut short, overwritten or full of lies: an error, never a panic, and no memory that the file has not
//! bytes for.
mod common;

use common::{files, straight};
use udas_dicom::{Kind, Mask, Moment, Pixels, Segmentation, Series, Tag, encode_in};

fn open(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one"), bytes).unwrap();
    let series = Series::open(folder.path()).map_err(|error| error.to_string())?;
    series.voxels().map_err(|error| error.to_string())
}

#[test]
fn every_length_of_a_cut_file_is_refused() {
    for kind in [Kind::SingleFrame, Kind::MultiFrame] {
        let bytes = files(kind, straight()).remove(0).encode();
        assert!(open(&bytes).is_ok());
        for length in (0..bytes.len()).step_by(3) {
            let error = open(&bytes[..length]).unwrap_err();
            assert!(error.contains("; "), "{length}: {error}");
        }
    }
}

/// A mask of two classes on the usual series.
fn segmentation() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (index, file) in files(Kind::SingleFrame, straight()).iter().enumerate() {
        std::fs::write(folder.path().join(format!("{index}")), file.encode()).unwrap();
    }
    let series = Series::open(folder.path()).unwrap();
    let labels: Vec<u8> =
        (0..series.shape().iter().product()).map(|at: usize| (at % 3) as u8).collect();
    let segments = ["one".to_owned(), "two".to_owned()];
    let at = Moment::of_unix(1_700_000_000);
    let bytes = Segmentation { segments: &segments, made_by: "test", version: "1", at };
    let bytes = bytes.encode(&series, &labels).unwrap();
    assert_eq!(mask(&bytes).unwrap().labels, labels);
    bytes
}

fn mask(bytes: &[u8]) -> Result<Mask, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Mask::open(file.path()).map_err(|error| error.to_string())
}

#[test]
fn segmentations_that_are_cut_or_changed_end_in_an_error_or_a_mask() {
    let bytes = segmentation();
    for length in (0..bytes.len()).step_by(13) {
        let error = mask(&bytes[..length]).unwrap_err();
        assert!(error.contains("; "), "{length}: {error}");
    }
    for place in (132..bytes.len()).step_by(13) {
        for value in [0, b'9', 0xFF] {
            let mut changed = bytes.clone();
            changed[place] = value;
            let _ = mask(&changed);
        }
    }
}

#[test]
fn no_changed_byte_ends_the_program() {
    let bytes = files(Kind::MultiFrame, straight()).remove(0).encode();
    for place in (132..bytes.len()).step_by(7) {
        for value in [0, 0x7F, 0xFF] {
            let mut changed = bytes.clone();
            changed[place] = value;
            let _ = open(&changed);
        }
    }
}

/// A file of the usual beginning whose data set is these bytes.
fn with_data_set(data: &[u8]) -> Vec<u8> {
    let mut whole = udas_dicom::DataSet::default();
    whole.set_text(Tag::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.4");
    let mut bytes = udas_dicom::encode(&whole, None);
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn lengths_that_files_state_are_not_believed() {
    // A value of 4 GB of which three bytes are there; an item that ends nowhere; one that ends nothing.
    let huge = [0x10, 0, 0x10, 0, b'U', b'T', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF, 1, 2, 3];
    assert!(open(&with_data_set(&huge)).unwrap_err().contains("more than are left"));
    let mut nested = Vec::new();
    for _ in 0..40 {
        nested.extend([0x08, 0, 0x15, 0x11, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        nested.extend([0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    assert!(open(&with_data_set(&nested)).unwrap_err().contains("deep"));
    let stray = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0];
    assert!(open(&with_data_set(&stray)).unwrap_err().contains("has not begun"));
}

#[test]
fn more_pixels_than_the_file_has_bytes_for_are_refused() {
    let mut file = files(Kind::SingleFrame, straight()).remove(0);
    file.data.set_u16(Tag::ROWS, 65_535);
    file.data.set_u16(Tag::COLUMNS, 65_535);
    assert!(open(&file.encode()).unwrap_err().contains("bytes of pixels"));
    let packed = [vec![0u8; 64]];
    let rle = encode_in(&file.data, Some(Pixels::Fragments(&packed)), "1.2.840.10008.1.2.5");
    assert!(open(&rle).unwrap_err().contains("bytes of pixels"));
}

#[test]
fn damaged_compressed_pixels_are_refused() {
    let file = files(Kind::SingleFrame, straight()).remove(0);
    let syntaxes = [
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.201",
    ];
    let fragments: [Vec<u8>; 6] = [
        vec![],
        vec![1, 1],
        vec![0xFF; 200],
        [&[2u8, 0, 0, 0, 64, 0, 0, 0, 65][..], &[0; 80]].concat(),
        [&[0xFF, 0x4F, 0xFF, 0x51][..], &[0; 80]].concat(),
        [&[0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 16, 0, 5, 0, 7, 1, 1, 0x11, 0][..], &[0; 60]].concat(),
    ];
    for syntax in syntaxes {
        for fragment in &fragments {
            let fragments = [fragment.clone()];
            let bytes = encode_in(&file.data, Some(Pixels::Fragments(&fragments)), syntax);
            assert!(open(&bytes).is_err(), "{syntax} {fragment:?}");
        }
    }
}

#[test]
fn pixels_that_are_not_read_are_named() {
    let file = files(Kind::SingleFrame, straight()).remove(0);
    for (syntax, name) in [
        ("1.2.840.10008.1.2.4.80", "JPEG-LS"),
        ("1.2.840.10008.1.2.4.92", "a form of JPEG"),
        ("1.2.3", "unknown"),
    ] {
        let bytes = encode_in(&file.data, Some(Pixels::Fragments(&[vec![0; 8]])), syntax);
        let error = open(&bytes).unwrap_err();
        assert!(error.contains(name) && error.contains("gdcmconv"), "{error}");
    }
}
