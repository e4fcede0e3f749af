//! The NIfTI-1 header: 348 bytes kept as they came, read and changed field by field.
//!
//! Keeping the bytes keeps what this crate does not interpret (intent, slice timing, calibration).
//! Field offsets: nifti1.h of the NIfTI-1.1 standard.

use std::path::Path;

use crate::affine::{determinant, nearest_rotation};
use crate::{Affine, Error, Grid, Result, Warning, quaternion};

pub(crate) const LEN: usize = 348;

/// Where a file's fields of more than one byte lie: first byte, end, width.
const MULTI_BYTE: [(usize, usize, usize); 9] = [
    (0, 4, 4),
    (32, 36, 4),
    (36, 38, 2),
    (40, 56, 2),
    (56, 68, 4),
    (68, 76, 2),
    (76, 120, 4),
    (120, 122, 2),
    (124, 148, 4),
];
const MULTI_BYTE_FORMS: [(usize, usize, usize); 2] = [(252, 256, 2), (256, 328, 4)];

const DIM: usize = 40;
const DATATYPE: usize = 70;
const BITPIX: usize = 72;
const PIXDIM: usize = 76;
const VOX_OFFSET: usize = 108;
const SCL_SLOPE: usize = 112;
const SCL_INTER: usize = 116;
const XYZT_UNITS: usize = 123;
const DESCRIP: usize = 148;
const QFORM_CODE: usize = 252;
const SFORM_CODE: usize = 254;
const QUATERN_B: usize = 256;
const QOFFSET: usize = 268;
const SROW: usize = 280;
const MAGIC: usize = 344;

/// Millimetres in `xyzt_units`.
const UNIT_MM: u8 = 2;
/// Code "scanner anatomical" of a qform or sform.
const SCANNER: i16 = 1;
/// qform and sform further apart than this at a corner, as a share of a voxel, are worth a warning.
const POSITION_TOLERANCE: f64 = 0.1;

/// What kind of file a volume came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Made in memory, or read from NIfTI.
    Volume,
    /// A PNG, TIFF or JPEG picture: one slice, rows from top to bottom.
    Picture,
}

/// Byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

/// What a file says besides voxels and affine; written back unchanged with results on the same grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Little-endian NIfTI-1 header.
    bytes: [u8; LEN],
    kind: FileKind,
    warnings: Vec<Warning>,
}

impl Default for Header {
    fn default() -> Self {
        let mut header = Self { bytes: [0; LEN], kind: FileKind::Volume, warnings: Vec::new() };
        header.put(0, (LEN as i32).to_le_bytes());
        header.bytes[38] = b'r';
        header.bytes[XYZT_UNITS] = UNIT_MM;
        header
    }
}

impl Header {
    pub(crate) fn parse(mut bytes: [u8; LEN], path: &Path) -> Result<(Self, Endian)> {
        let size = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let endian = match (size, size.swap_bytes()) {
            (348, _) => Endian::Little,
            (_, 348) => Endian::Big,
            (540, _) | (_, 540) => {
                return Err(Error::unsupported(path, "is NIfTI-2", "convert it to NIfTI-1"));
            }
            _ => {
                return Err(Error::damaged(path, "is not a NIfTI-1 file (header size is not 348)"));
            }
        };
        if endian == Endian::Big {
            for (start, end, width) in MULTI_BYTE.into_iter().chain(MULTI_BYTE_FORMS) {
                let fields = bytes.get_mut(start..end).unwrap_or_default();
                fields.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            }
        }
        let header = Self { bytes, kind: FileKind::Volume, warnings: Vec::new() };
        match &header.bytes[MAGIC..] {
            b"n+1\0" | b"ni1\0" => Ok((header, endian)),
            [0, ..] => Err(Error::unsupported(
                path,
                "is an Analyze 7.5 header, which does not say left from right",
                "convert it to NIfTI-1",
            )),
            _ => Err(Error::damaged(path, "has no NIfTI-1 magic number")),
        }
    }

    /// A header of little-endian bytes that are known to be one.
    pub(crate) fn of_bytes(bytes: [u8; LEN]) -> Self {
        Self { bytes, kind: FileKind::Volume, warnings: Vec::new() }
    }

    /// A header that says nothing but what is odd.
    pub(crate) fn with_warnings(warnings: Vec<Warning>) -> Self {
        Self { warnings, ..Self::default() }
    }

    pub(crate) fn for_picture(warnings: Vec<Warning>) -> Self {
        Self { kind: FileKind::Picture, warnings, ..Self::default() }
    }

    /// What kind of file the volume came from.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// What is odd about the file, though it could be read.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// The free text, up to 80 bytes.
    pub fn description(&self) -> String {
        let field: [u8; 80] = self.field(DESCRIP);
        let text = field.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }

    /// Sets the free text, cut to the 79 bytes the format has room for.
    pub fn set_description(&mut self, text: &str) {
        let mut field = [0; 80];
        for (to, from) in field.iter_mut().zip(text.bytes().take(79)) {
            *to = from;
        }
        self.put(DESCRIP, field);
    }

    /// Code of the quaternion form; 0 means that the file has none.
    pub fn qform_code(&self) -> i16 {
        self.i16(QFORM_CODE)
    }

    /// Code of the affine form; 0 means that the file has none.
    pub fn sform_code(&self) -> i16 {
        self.i16(SFORM_CODE)
    }

    /// The header's bytes as NIfTI-1 stores them, little-endian.
    pub fn bytes(&self) -> &[u8; LEN] {
        &self.bytes
    }

    pub(crate) fn is_single_file(&self) -> bool {
        self.bytes[MAGIC + 1] == b'+'
    }

    pub(crate) fn datatype(&self) -> i16 {
        self.i16(DATATYPE)
    }

    pub(crate) fn bits(&self) -> i16 {
        self.i16(BITPIX)
    }

    pub(crate) fn voxel_offset(&self) -> f32 {
        self.f32(VOX_OFFSET)
    }

    /// Slope and intercept, unless the header says that voxels are not scaled.
    pub(crate) fn scaling(&self) -> Option<(f64, f64)> {
        let (slope, intercept) = (f64::from(self.f32(SCL_SLOPE)), f64::from(self.f32(SCL_INTER)));
        let intercept = if intercept.is_finite() { intercept } else { 0.0 };
        (slope != 0.0 && slope.is_finite() && (slope, intercept) != (1.0, 0.0))
            .then_some((slope, intercept))
    }

    /// Voxels along x, y, z, and the number of frames.
    pub(crate) fn dimensions(&self, path: &Path) -> Result<([usize; 3], usize)> {
        let rank = self.i16(DIM);
        if !(1..=7).contains(&rank) {
            return Err(Error::damaged(path, format!("the header gives {rank} dimensions")));
        }
        let mut dims = [1usize; 7];
        for (axis, dim) in dims.iter_mut().enumerate().take(rank as usize) {
            let n = self.i16(DIM + 2 * (axis + 1));
            *dim = usize::try_from(n).ok().filter(|&n| n > 0).ok_or_else(|| {
                Error::damaged(path, format!("the header gives {n} voxels along axis {axis}"))
            })?;
        }
        let [x, y, z, frames, rest @ ..] = dims;
        if rest.iter().any(|&n| n != 1) {
            let dims: Vec<_> = dims.into_iter().take(rank as usize).collect();
            return Err(Error::unsupported(
                path,
                format!("has more than four dimensions ({dims:?})"),
                "split it into scalar volumes",
            ));
        }
        Ok(([x, y, z], frames))
    }

    /// The affine in millimetres: sform if its code is above 0, else qform, else voxel sizes alone.
    pub(crate) fn affine(&self, shape: [usize; 3], path: &Path) -> Result<Affine> {
        let affine = if self.sform_code() > 0 {
            self.sform()
        } else {
            let sizes = self.voxel_sizes(shape, path)?;
            if self.qform_code() > 0 { self.qform(sizes) } else { Affine::from_spacing(sizes) }
        };
        let affine = self.in_millimetres(affine);
        if affine.is_invertible() {
            Ok(affine)
        } else {
            Err(Error::Geometry {
                path: path.into(),
                problem: format!("the affine {affine} is singular or not finite"),
            })
        }
    }

    /// Notes what is odd about the geometry of an affine that could be read.
    pub(crate) fn check_geometry(&mut self, shape: [usize; 3], affine: &Affine, path: &Path) {
        let (q, s) = (self.qform_code() > 0, self.sform_code() > 0);
        if !q && !s {
            self.warn(Warning::NoOrientation);
        }
        if s {
            match self.voxel_sizes(shape, path) {
                Err(_) => self.warn(Warning::VoxelSizes),
                Ok(sizes) if q => {
                    let qform = self.in_millimetres(self.qform(sizes));
                    let shift = affine.corner_shift(&qform, shape);
                    if shift.is_nan() || shift > POSITION_TOLERANCE {
                        let distance_mm = qform.corner_distance(affine, shape);
                        self.warn(Warning::QformSform { distance_mm });
                    }
                }
                Ok(_) => {}
            }
        }
        if let Some(degrees) = affine.shear_degrees() {
            self.warn(Warning::Sheared { degrees });
        }
        if ![0, UNIT_MM].contains(&(self.bytes[XYZT_UNITS] & 7)) {
            self.warn(Warning::Units);
        }
    }

    /// Voxel sizes by pixdim; the size along an axis of one voxel may be missing.
    fn voxel_sizes(&self, shape: [usize; 3], path: &Path) -> Result<[f64; 3]> {
        let mut sizes = [1.0; 3];
        for (axis, (size, voxels)) in sizes.iter_mut().zip(shape).enumerate() {
            let value = f64::from(self.f32(PIXDIM + 4 * (axis + 1)));
            if value > 0.0 && value.is_finite() {
                *size = value;
            } else if voxels > 1 || value != 0.0 {
                let problem = format!("the voxel size along axis {axis} is {value}");
                return Err(Error::Geometry { path: path.into(), problem });
            }
        }
        Ok(sizes)
    }

    fn sform(&self) -> Affine {
        Affine::from_rows(std::array::from_fn(|row| {
            std::array::from_fn(|column| f64::from(self.f32(SROW + 16 * row + 4 * column)))
        }))
    }

    /// The quaternion form, nifti1.h "METHOD 2".
    fn qform(&self, sizes: [f64; 3]) -> Affine {
        let rotation = quaternion::to_rotation(self.quaternion());
        let qfac = if self.f32(PIXDIM) < 0.0 { -1.0 } else { 1.0 };
        let [x, y, z] = sizes;
        let rows = rotation.map(|[r0, r1, r2]| [r0 * x, r1 * y, r2 * z * qfac, 0.0]);
        let origin = std::array::from_fn(|row| f64::from(self.f32(QOFFSET + 4 * row)));
        Affine::from_rows(rows).with_origin(origin)
    }

    fn in_millimetres(&self, affine: Affine) -> Affine {
        let scale = match self.bytes[XYZT_UNITS] & 7 {
            1 => 1e3,
            3 => 1e-3,
            _ => return affine,
        };
        Affine::from_rows(affine.rows().map(|row| row.map(|value| value * scale)))
    }

    /// The header to write voxels of `datatype` on `grid` with: dimensions and datatype set,
    /// no scaling, geometry as it was if it gives `grid`'s affine and rewritten otherwise.
    pub(crate) fn for_writing(
        &self,
        grid: &Grid,
        datatype: i16,
        bits: i16,
    ) -> Result<Self, String> {
        let mut header = self.clone();
        let mut dims = [1i16; 8];
        dims[0] = 3;
        for (dim, &n) in dims[1..].iter_mut().zip(&grid.shape) {
            *dim = i16::try_from(n)
                .map_err(|_| format!("{n} voxels along an axis; NIfTI-1 holds at most 32767"))?;
        }
        for (i, dim) in dims.into_iter().enumerate() {
            header.put(DIM + 2 * i, dim.to_le_bytes());
        }
        header.put(0, (LEN as i32).to_le_bytes());
        header.put(DATATYPE, datatype.to_le_bytes());
        header.put(BITPIX, bits.to_le_bytes());
        header.put(VOX_OFFSET, 352f32.to_le_bytes());
        header.put(SCL_SLOPE, 1f32.to_le_bytes());
        header.put(SCL_INTER, 0f32.to_le_bytes());
        header.put(124, [0; 8]); // cal_max, cal_min: the display window of the input's intensities
        header.put(MAGIC, *b"n+1\0");
        let kept =
            header.affine(grid.shape, Path::new("")).is_ok_and(|affine| affine == grid.affine);
        if !kept || !header.has_quaternion() {
            header.set_affine(&grid.affine);
        }
        header.shorten_quaternion();
        Ok(header)
    }

    /// Parts b, c, d of the qform's quaternion.
    fn quaternion(&self) -> [f64; 3] {
        std::array::from_fn(|i| f64::from(self.f32(QUATERN_B + 4 * i)))
    }

    fn has_quaternion(&self) -> bool {
        self.quaternion().iter().all(|part| part.is_finite())
    }

    /// Brings a quaternion longer than 1, which other readers refuse, to just below it. What is read of it is the same.
    fn shorten_quaternion(&mut self) {
        let parts = self.quaternion();
        let length = parts.iter().map(|part| part * part).sum::<f64>().sqrt();
        if length > 1.0 {
            for (i, part) in parts.into_iter().enumerate() {
                // Rounding to f32 must not make it longer than 1 again.
                let part = (part / length * (1.0 - f64::from(f32::EPSILON))) as f32;
                self.put(QUATERN_B + 4 * i, part.to_le_bytes());
            }
        }
    }

    /// Sets sform, pixdim and, as far as a rotation can say it, qform.
    fn set_affine(&mut self, affine: &Affine) {
        let spacing = affine.spacing();
        let mut rotation = nearest_rotation(&affine.linear(), spacing);
        let qfac = if determinant(&rotation) < 0.0 { -1.0f32 } else { 1.0 };
        for row in &mut rotation {
            row[2] *= f64::from(qfac);
        }
        self.put(PIXDIM, qfac.to_le_bytes());
        for (axis, size) in spacing.into_iter().enumerate() {
            self.put(PIXDIM + 4 * (axis + 1), (size as f32).to_le_bytes());
        }
        for (i, value) in quaternion::from_rotation(&rotation).into_iter().enumerate() {
            self.put(QUATERN_B + 4 * i, (value as f32).to_le_bytes());
        }
        for (row, values) in affine.rows().iter().enumerate() {
            self.put(QOFFSET + 4 * row, (values[3] as f32).to_le_bytes());
            for (column, &value) in values.iter().enumerate() {
                self.put(SROW + 16 * row + 4 * column, (value as f32).to_le_bytes());
            }
        }
        let code = [self.sform_code(), self.qform_code()]
            .into_iter()
            .find(|&code| code > 0)
            .unwrap_or(SCANNER);
        self.put(SFORM_CODE, code.to_le_bytes());
        self.put(QFORM_CODE, code.to_le_bytes());
        self.bytes[XYZT_UNITS] = self.bytes[XYZT_UNITS] & !7 | UNIT_MM;
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        if let Some(field) = self.bytes.get_mut(at..at + N) {
            field.copy_from_slice(&value);
        }
    }

    /// The bytes of a field; zeros beyond the header, where no field lies.
    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        let rest = self.bytes.get(at..).unwrap_or_default();
        rest.first_chunk().copied().unwrap_or([0; N])
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.field(at))
    }

    fn f32(&self, at: usize) -> f32 {
        f32::from_le_bytes(self.field(at))
    }
}
