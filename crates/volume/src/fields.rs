//! Where the fields of a NIfTI header lie, in both versions of the format: one table to read, swap and convert by.
//!
//! Offsets: nifti1.h of the NIfTI-1.1 standard, nifti2.h of NIfTI-2.

/// Version of the NIfTI format that a header is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 348 bytes; at most 32,767 voxels along an axis, geometry in 32-bit floats.
    One,
    /// 540 bytes; sizes in 64-bit integers, geometry in 64-bit floats.
    Two,
}

impl Version {
    /// Bytes of a header.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::One => 348,
            Self::Two => 540,
        }
    }

    /// First voxel of a single file without extensions: after the header and four bytes that say so.
    pub(crate) const fn first_voxel(self) -> u64 {
        self.len() as u64 + 4
    }

    /// The magic number of a single file and of a pair.
    pub(crate) const fn magic(self) -> [&'static [u8]; 2] {
        match self {
            Self::One => [b"n+1\0", b"ni1\0"],
            Self::Two => [b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n"],
        }
    }

    const fn magic_at(self) -> usize {
        match self {
            Self::One => 344,
            Self::Two => 4,
        }
    }
}

/// How a number is stored.
#[derive(Debug, Clone, Copy)]
enum Number {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}
use Number::{F32, F64, I16, I32, I64, U8};

impl Number {
    const fn width(self) -> usize {
        match self {
            U8 => 1,
            I16 => 2,
            I32 | F32 => 4,
            I64 | F64 => 8,
        }
    }
}

/// A number as it was stored.
#[derive(Debug, Clone, Copy)]
enum Value {
    Int(i64),
    Float(f64),
}

impl Value {
    fn int(self) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Float(value) => value as i64,
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// Numbers that lie one after another: the first byte and the type in each version; text is bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    count: usize,
    one: (usize, Number),
    two: Option<(usize, Number)>,
}

impl Field {
    const fn place(self, version: Version) -> Option<(usize, Number)> {
        match version {
            Version::One => Some(self.one),
            Version::Two => self.two,
        }
    }
}

const fn field(count: usize, one: (usize, Number), two: (usize, Number)) -> Field {
    Field { count, one, two: Some(two) }
}

/// A field that NIfTI-1 kept of Analyze and NIfTI-2 left out.
const fn of_analyze(count: usize, at: usize, number: Number) -> Field {
    Field { count, one: (at, number), two: None }
}

const SIZE: Field = field(1, (0, I32), (0, I32));
pub(crate) const REGULAR: Field = of_analyze(1, 38, U8);
pub(crate) const DIM: Field = field(8, (40, I16), (16, I64));
pub(crate) const DATATYPE: Field = field(1, (70, I16), (12, I16));
pub(crate) const BITPIX: Field = field(1, (72, I16), (14, I16));
pub(crate) const PIXDIM: Field = field(8, (76, F32), (104, F64));
pub(crate) const VOX_OFFSET: Field = field(1, (108, F32), (168, I64));
pub(crate) const SCL_SLOPE: Field = field(1, (112, F32), (176, F64));
pub(crate) const SCL_INTER: Field = field(1, (116, F32), (184, F64));
pub(crate) const XYZT_UNITS: Field = field(1, (123, U8), (500, I32));
pub(crate) const CAL_MAX: Field = field(1, (124, F32), (192, F64));
pub(crate) const CAL_MIN: Field = field(1, (128, F32), (200, F64));
pub(crate) const DESCRIP: Field = field(80, (148, U8), (240, U8));
/// Parameters, code and name of what values are: a test's statistic, labels, vectors.
pub(crate) const INTENT: [Field; 3] = [
    field(3, (56, F32), (80, F64)),
    field(1, (68, I16), (504, I32)),
    field(16, (328, U8), (508, U8)),
];
pub(crate) const AUX_FILE: Field = field(24, (228, U8), (320, U8));
pub(crate) const QFORM_CODE: Field = field(1, (252, I16), (344, I32));
pub(crate) const SFORM_CODE: Field = field(1, (254, I16), (348, I32));
/// Parts b, c, d.
pub(crate) const QUATERN: Field = field(3, (256, F32), (352, F64));
pub(crate) const QOFFSET: Field = field(3, (268, F32), (376, F64));
/// Three rows of four.
pub(crate) const SROW: Field = field(12, (280, F32), (400, F64));

/// All fields but size and magic number, which are the version itself, and bytes without meaning.
const FIELDS: [Field; 31] = [
    of_analyze(1, 32, I32), // extents
    of_analyze(1, 36, I16), // session_error
    REGULAR,
    field(1, (39, U8), (524, U8)), // dim_info
    DIM,
    INTENT[0],
    INTENT[1],
    DATATYPE,
    BITPIX,
    field(1, (74, I16), (224, I64)), // slice_start
    PIXDIM,
    VOX_OFFSET,
    SCL_SLOPE,
    SCL_INTER,
    field(1, (120, I16), (232, I64)), // slice_end
    field(1, (122, U8), (496, I32)),  // slice_code
    XYZT_UNITS,
    CAL_MAX,
    CAL_MIN,
    field(1, (132, F32), (208, F64)), // slice_duration
    field(1, (136, F32), (216, F64)), // toffset
    of_analyze(1, 140, I32),          // glmax
    of_analyze(1, 144, I32),          // glmin
    DESCRIP,
    AUX_FILE,
    QFORM_CODE,
    SFORM_CODE,
    QUATERN,
    QOFFSET,
    SROW,
    INTENT[2],
];

/// A header's bytes, little-endian.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fields {
    version: Version,
    bytes: Vec<u8>,
}

impl Fields {
    /// Zeros, but for the size.
    pub(crate) fn new(version: Version) -> Self {
        let mut fields = Self { version, bytes: vec![0; version.len()] };
        fields.put_int(SIZE, 0, version.len() as i64);
        fields
    }

    /// Bytes that came from elsewhere, cut or filled up to the version's length.
    pub(crate) fn of_bytes(version: Version, mut bytes: Vec<u8>) -> Self {
        bytes.resize(version.len(), 0);
        Self { version, bytes }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Makes a field zeros.
    pub(crate) fn clear(&mut self, field: Field) {
        (0..field.count).for_each(|index| self.put_int(field, index, 0));
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn magic(&self) -> &[u8] {
        let at = self.version.magic_at();
        let [single, _] = self.version.magic();
        self.bytes.get(at..at + single.len()).unwrap_or_default()
    }

    /// Makes it the header of a single file.
    pub(crate) fn set_single_file(&mut self) {
        let [single, _] = self.version.magic();
        self.write(self.version.magic_at(), single);
    }

    /// From the other byte order.
    pub(crate) fn swap(&mut self) {
        for field in FIELDS.into_iter().chain([SIZE]) {
            let Some((at, number)) = field.place(self.version) else { continue };
            let numbers = self.bytes.get_mut(at..at + field.count * number.width());
            numbers
                .into_iter()
                .flat_map(|all| all.chunks_exact_mut(number.width()))
                .for_each(<[u8]>::reverse);
        }
    }

    /// The same in NIfTI-2, which holds all that NIfTI-1 means.
    pub(crate) fn to_two(&self) -> Self {
        let mut two = Self::new(Version::Two);
        for field in FIELDS.into_iter().filter(|field| field.two.is_some()) {
            (0..field.count).for_each(|index| two.put(field, index, self.get(field, index)));
        }
        two
    }

    pub(crate) fn int(&self, field: Field, index: usize) -> i64 {
        self.get(field, index).int()
    }

    pub(crate) fn float(&self, field: Field, index: usize) -> f64 {
        self.get(field, index).float()
    }

    pub(crate) fn put_int(&mut self, field: Field, index: usize, value: i64) {
        self.put(field, index, Value::Int(value));
    }

    pub(crate) fn put_float(&mut self, field: Field, index: usize, value: f64) {
        self.put(field, index, Value::Float(value));
    }

    /// A number of a field; 0 where the version has no such field.
    fn get(&self, field: Field, index: usize) -> Value {
        let Some((at, number)) = field.place(self.version) else { return Value::Int(0) };
        let at = at + index * number.width();
        match number {
            U8 => Value::Int(u8::from_le_bytes(self.read(at)).into()),
            I16 => Value::Int(i16::from_le_bytes(self.read(at)).into()),
            I32 => Value::Int(i32::from_le_bytes(self.read(at)).into()),
            I64 => Value::Int(i64::from_le_bytes(self.read(at))),
            F32 => Value::Float(f32::from_le_bytes(self.read(at)).into()),
            F64 => Value::Float(f64::from_le_bytes(self.read(at))),
        }
    }

    fn put(&mut self, field: Field, index: usize, value: Value) {
        let Some((at, number)) = field.place(self.version) else { return };
        let at = at + index * number.width();
        match number {
            U8 => self.write(at, &(value.int() as u8).to_le_bytes()),
            I16 => self.write(at, &(value.int() as i16).to_le_bytes()),
            I32 => self.write(at, &(value.int() as i32).to_le_bytes()),
            I64 => self.write(at, &value.int().to_le_bytes()),
            F32 => self.write(at, &(value.float() as f32).to_le_bytes()),
            F64 => self.write(at, &value.float().to_le_bytes()),
        }
    }

    /// Bytes; zeros beyond the header, where no field lies.
    fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.first_chunk().copied().unwrap_or([0; N])
    }

    fn write(&mut self, at: usize, value: &[u8]) {
        if let Some(field) = self.bytes.get_mut(at..at + value.len()) {
            field.copy_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_one_after_another_in_both_versions() {
        for version in [Version::One, Version::Two] {
            let magic = (version.magic_at(), version.magic()[0].len());
            let mut places: Vec<(usize, usize)> = FIELDS
                .into_iter()
                .chain([SIZE])
                .filter_map(|field| {
                    field.place(version).map(|(at, number)| (at, field.count * number.width()))
                })
                .chain([magic])
                .collect();
            places.sort_unstable();
            let gaps: Vec<(usize, usize)> = places
                .windows(2)
                .map(|pair| (pair[0].0 + pair[0].1, pair[1].0))
                .filter(|(end, next)| end != next)
                .collect();
            // data_type and db_name of Analyze are all that is left out.
            let expected: &[(usize, usize)] =
                if version == Version::One { &[(4, 32)] } else { &[] };
            assert_eq!(gaps, expected, "{version:?}");
            let end = places.last().map(|(at, length)| at + length);
            // NIfTI-2 ends with 15 bytes that are not used.
            assert_eq!(end, Some(if version == Version::One { 348 } else { 525 }));
        }
    }
}
