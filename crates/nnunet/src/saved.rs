//! Probabilities that nnU-Net writes beside a mask (`--save_probabilities`): `CASE.npz`, a numpy archive of one array.
//!
//! Source: `numpy.lib.format` (the .npy header), nnU-Net's `export_prediction.py` (the array's name and axes).

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::DeflateDecoder;
use half::f16;
use zip::{CompressionMethod, ZipArchive};

use crate::{Error, Result};

/// The array's name in the archive.
const ARRAY: &str = "probabilities.npy";
/// Classes that labels of a byte can tell apart, background among them.
const MAX_CLASSES: usize = 256;
/// Bytes of an array's own header; numpy writes some hundred.
const MAX_HEADER: usize = 1 << 12;
const REMEDY: &str =
    "write it anew with nnUNetv2_predict --save_probabilities, or move it away from the masks";

/// Probabilities of a case, on the grid of its mask.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedProbabilities {
    /// Of each class from background on, x fastest.
    pub classes: Vec<Vec<f32>>,
}

impl SavedProbabilities {
    /// Reads `CASE.npz` beside a mask of `shape` voxels along x, y, z.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Model`] with the file: no archive, no such array, another shape, numbers of another type,
    /// or fewer than it states.
    pub fn read(path: &Path, shape: [usize; 3]) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        read(file, shape).map_err(|problem| Error::model(path, format!("{problem}; {REMEDY}")))
    }
}

/// The problem in words, where there is one.
fn read(file: File, shape: [usize; 3]) -> Result<SavedProbabilities, String> {
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| format!("is no archive of numpy arrays ({error})"))?;
    let index = archive.index_for_name(ARRAY).ok_or("holds no array named \"probabilities\"")?;
    let entry = archive.by_index_raw(index).map_err(|error| error.to_string())?;
    match entry.compression() {
        CompressionMethod::Stored => read_array(entry, shape),
        CompressionMethod::DEFLATE => read_array(DeflateDecoder::new(entry), shape),
        other => Err(format!("is compressed by {other:?}, which is not read")),
    }
}

/// How numbers are stored.
#[derive(Clone, Copy)]
enum Number {
    Half,
    Single,
}

fn read_array(mut reader: impl Read, shape: [usize; 3]) -> Result<SavedProbabilities, String> {
    let cut = |_| "is cut short".to_owned();
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(cut)?;
    let length = match start {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _] => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).map_err(cut)?;
            usize::from(u16::from_le_bytes(length))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _] => {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(cut)?;
            u32::from_le_bytes(length) as usize
        }
        _ => return Err("holds something other than a numpy array".into()),
    };
    if length > MAX_HEADER {
        return Err(format!("states an array header of {length} bytes"));
    }
    let mut header = vec![0; length];
    reader.read_exact(&mut header).map_err(cut)?;
    let header = String::from_utf8_lossy(&header).into_owned();
    let (number, [classes, z, y, x]) = described(&header)?;
    let [nx, ny, nz] = shape;
    if [x, y, z] != shape || !(2..=MAX_CLASSES).contains(&classes) {
        return Err(format!(
            "holds {classes} classes of {x}x{y}x{z} voxels; its mask has {nx}x{ny}x{nz}, and 2 to {MAX_CLASSES} classes are read"
        ));
    }
    let classes =
        (0..classes).map(|_| numbers(&mut reader, number, x * y * z)).collect::<Result<_, _>>()?;
    Ok(SavedProbabilities { classes })
}

/// Type and shape of an array, by the text of its header: a dict as Python writes it.
fn described(header: &str) -> Result<(Number, [usize; 4]), String> {
    let after =
        |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let number = match after("descr").map(|text| text.get(..5)) {
        Some(Some("'<f2'")) => Number::Half,
        Some(Some("'<f4'")) => Number::Single,
        _ => return Err("holds numbers other than float16 and float32".into()),
    };
    if !after("fortran_order").is_some_and(|text| text.starts_with("False")) {
        return Err("holds an array with its axes turned round (Fortran order)".into());
    }
    let inside = after("shape").and_then(|text| text.strip_prefix('(')?.split_once(')'));
    let sides: Option<Vec<usize>> = inside.and_then(|(sides, _)| {
        sides
            .split(',')
            .map(str::trim)
            .filter(|side| !side.is_empty())
            .map(|side| side.parse().ok())
            .collect()
    });
    let shape = sides.and_then(|sides| sides.try_into().ok());
    shape
        .map(|shape| (number, shape))
        .ok_or_else(|| "holds an array of other axes than class, z, y, x".into())
}

fn numbers(reader: &mut impl Read, number: Number, count: usize) -> Result<Vec<f32>, String> {
    let width = match number {
        Number::Half => 2,
        Number::Single => 4,
    };
    let mut bytes = Vec::new();
    let wanted = (count * width) as u64;
    reader
        .take(wanted)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be inflated ({error})"))?;
    if bytes.len() as u64 != wanted {
        return Err("is cut short".into());
    }
    Ok(match number {
        Number::Half => {
            bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Number::Single => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array as numpy writes it.
    fn array(descr: &str, shape: &str, numbers: &[f32]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        for number in numbers {
            match descr {
                "<f2" => bytes.extend(f16::from_f32(*number).to_le_bytes()),
                _ => bytes.extend(number.to_le_bytes()),
            }
        }
        bytes
    }

    #[test]
    fn numbers_of_both_widths_come_class_by_class() {
        let numbers: Vec<f32> = (0..12).map(|n| n as f32 / 16.0).collect();
        for descr in ["<f2", "<f4"] {
            let read = read_array(&array(descr, "2, 1, 3, 2", &numbers)[..], [2, 3, 1]).unwrap();
            assert_eq!(read.classes.concat(), numbers);
        }
    }

    #[test]
    fn what_is_no_such_array_is_said() {
        let numbers = [0.5; 12];
        let problem = |bytes: Vec<u8>| read_array(&bytes[..], [2, 3, 1]).unwrap_err();
        let whole = array("<f4", "2, 1, 3, 2", &numbers);
        assert!(problem(whole[..whole.len() - 1].to_vec()).contains("cut short"));
        assert!(problem(whole[..9].to_vec()).contains("cut short"));
        assert!(problem(array("<f8", "2, 1, 3, 2", &numbers)).contains("float16 and float32"));
        assert!(problem(array("<f4", "2, 3, 2", &numbers)).contains("class, z, y, x"));
        assert!(
            problem(array("<f4", "2, 1, 3, 9999999999", &numbers)).contains("its mask has 2x3x1")
        );
        assert!(problem(b"no array at all".to_vec()).contains("other than a numpy array"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = SavedProbabilities::read(file.path(), [2, 3, 1]).unwrap_err().to_string();
        assert!(text.contains("no archive") && text.contains("--save_probabilities"), "{text}");
    }
}
