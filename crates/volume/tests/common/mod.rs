//! Writes NIfTI files of any datatype, byte order and geometry, good and bad, for the tests.
#![allow(dead_code)] // each test file uses its part

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use udas_volume::Version;

/// Byte order of the file to write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    Little,
    Big,
}

/// A NIfTI file to be written; fields start as a small int16 volume with an sform, of NIfTI-1.
#[derive(Debug, Clone)]
pub struct File {
    pub version: Version,
    pub order: Order,
    pub size: i32,
    pub dim: [i16; 8],
    pub datatype: i16,
    pub bits: i16,
    pub pixdim: [f32; 8],
    pub offset: f32,
    pub slope: f32,
    pub inter: f32,
    pub units: u8,
    pub description: &'static [u8],
    pub qform_code: i16,
    pub sform_code: i16,
    pub quatern: [f32; 3],
    pub qoffset: [f32; 3],
    pub srow: [[f32; 4]; 3],
    pub magic: [u8; 4],
    /// Voxels as bytes in the file's order, put at `offset`.
    pub voxels: Vec<u8>,
}

impl File {
    pub fn new(shape: [i16; 3], values: &[i16]) -> Self {
        let [x, y, z] = shape;
        Self {
            version: Version::One,
            order: Order::Little,
            size: 348,
            dim: [3, x, y, z, 1, 1, 1, 1],
            datatype: 4,
            bits: 16,
            pixdim: [1.0; 8],
            offset: 352.0,
            slope: 1.0,
            inter: 0.0,
            units: 2,
            description: b"written by a test",
            qform_code: 0,
            sform_code: 1,
            quatern: [0.0; 3],
            qoffset: [0.0; 3],
            srow: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
            magic: *b"n+1\0",
            voxels: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// A 2x3x4 volume that counts from 0.
    pub fn counting() -> Self {
        Self::new([2, 3, 4], &(0..24).collect::<Vec<i16>>())
    }

    /// The same volume as a file of another version.
    pub fn of(self, version: Version) -> Self {
        match version {
            Version::One => Self { version, size: 348, offset: 352.0, ..self },
            Version::Two => Self { version, size: 540, offset: 544.0, ..self },
        }
    }

    /// Offsets are those of nifti1.h and nifti2.h, in this order.
    pub fn header(&self) -> Vec<u8> {
        let two = self.version == Version::Two;
        let mut bytes = vec![0; if two { 540 } else { 348 }];
        let big = self.order == Order::Big;
        let mut put = |[one, second]: [usize; 2], mut field: Vec<u8>| {
            let at = if two { second } else { one };
            if big {
                field.reverse();
            }
            bytes[at..at + field.len()].copy_from_slice(&field);
        };
        let i16 = |v: i16| v.to_le_bytes().to_vec();
        let long = |v: i16| if two { i64::from(v).to_le_bytes().to_vec() } else { i16(v) };
        let code = |v: i16| if two { i32::from(v).to_le_bytes().to_vec() } else { i16(v) };
        let float = |v: f32| {
            if two { f64::from(v).to_le_bytes().to_vec() } else { v.to_le_bytes().to_vec() }
        };
        put([0, 0], self.size.to_le_bytes().to_vec());
        for (i, &n) in self.dim.iter().enumerate() {
            put([40 + 2 * i, 16 + 8 * i], long(n));
        }
        put([70, 12], i16(self.datatype));
        put([72, 14], i16(self.bits));
        for (i, &v) in self.pixdim.iter().enumerate() {
            put([76 + 4 * i, 104 + 8 * i], float(v));
        }
        let offset = (self.offset as i64).to_le_bytes().to_vec();
        put([108, 168], if two { offset } else { float(self.offset) });
        put([112, 176], float(self.slope));
        put([116, 184], float(self.inter));
        put([123, 500], if two { code(self.units.into()) } else { vec![self.units] });
        put([252, 344], code(self.qform_code));
        put([254, 348], code(self.sform_code));
        for i in 0..3 {
            put([256 + 4 * i, 352 + 8 * i], float(self.quatern[i]));
            put([268 + 4 * i, 376 + 8 * i], float(self.qoffset[i]));
            for j in 0..4 {
                put([280 + 16 * i + 4 * j, 400 + 32 * i + 8 * j], float(self.srow[i][j]));
            }
        }
        let text = if two { 240 } else { 148 };
        bytes[text..text + self.description.len()].copy_from_slice(self.description);
        let [a, b, digit, d] = self.magic;
        if two {
            let digit = if digit == b'1' { b'2' } else { digit };
            bytes[4..12].copy_from_slice(&[a, b, digit, d, b'\r', b'\n', 0x1a, b'\n']);
        } else {
            bytes[344..].copy_from_slice(&self.magic);
        }
        bytes
    }

    /// A single file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.resize((self.offset as usize).clamp(bytes.len() + 4, 1 << 20), 0);
        bytes.extend_from_slice(&self.voxels);
        bytes
    }

    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        write(folder, name, &self.bytes())
    }
}

/// Writes bytes, compressed where the name ends in `.gz`.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    let bytes = if name.ends_with(".gz") { gzip(bytes) } else { bytes.to_vec() };
    std::fs::write(&path, bytes).unwrap();
    path
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
