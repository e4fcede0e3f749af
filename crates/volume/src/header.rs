//! A NIfTI header of either version: its bytes kept as they came, read and changed field by field.
//!
//! Keeping the bytes keeps what this crate does not interpret (intent, slice timing, calibration).

use std::path::Path;

use crate::affine::{determinant, nearest_rotation};
use crate::fields::{
    AUX_FILE, BITPIX, CAL_MAX, CAL_MIN, DATATYPE, DESCRIP, DIM, Fields, INTENT, PIXDIM, QFORM_CODE,
    QOFFSET, QUATERN, REGULAR, SCL_INTER, SCL_SLOPE, SFORM_CODE, SROW, VOX_OFFSET, Version,
    XYZT_UNITS,
};
use crate::{Affine, Error, Grid, Result, Warning, quaternion};

/// Millimetres in `xyzt_units`.
const UNIT_MM: i64 = 2;
/// Milliseconds in `xyzt_units`.
const UNIT_MS: i64 = 16;
/// Code "scanner anatomical" of a qform or sform.
const SCANNER: i64 = 1;
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
    fields: Fields,
    kind: FileKind,
    warnings: Vec<Warning>,
}

impl Default for Header {
    fn default() -> Self {
        let mut fields = Fields::new(Version::One);
        fields.put_int(REGULAR, 0, b'r'.into());
        fields.put_int(XYZT_UNITS, 0, UNIT_MM);
        Self::of_fields(fields)
    }
}

/// Version and byte order of the header that a file begins with.
pub(crate) fn version_of(bytes: &[u8], path: &Path) -> Result<(Version, Endian)> {
    let size = i32::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
    match (size, size.swap_bytes()) {
        (348, _) => Ok((Version::One, Endian::Little)),
        (_, 348) => Ok((Version::One, Endian::Big)),
        (540, _) => Ok((Version::Two, Endian::Little)),
        (_, 540) => Ok((Version::Two, Endian::Big)),
        _ => Err(Error::damaged(path, "is not a NIfTI file (header size is neither 348 nor 540)")),
    }
}

impl Header {
    /// `bytes` as many as the version has.
    pub(crate) fn parse(
        bytes: Vec<u8>,
        (version, endian): (Version, Endian),
        path: &Path,
    ) -> Result<Self> {
        let mut fields = Fields::of_bytes(version, bytes);
        if endian == Endian::Big {
            fields.swap();
        }
        match (version, fields.magic()) {
            (_, magic) if version.magic().contains(&magic) => Ok(Self::of_fields(fields)),
            (Version::One, [0, ..]) => Err(Error::unsupported(
                path,
                "is an Analyze 7.5 header, which does not say left from right",
                "convert it to NIfTI-1",
            )),
            (Version::Two, [b'n', b'+' | b'i', b'2', 0, ..]) => Err(Error::damaged(
                path,
                "was changed on its way, as by a transfer as text (line ends in the magic number)",
            )),
            (Version::One, _) => Err(Error::damaged(path, "has no NIfTI-1 magic number")),
            (Version::Two, _) => Err(Error::damaged(path, "has no NIfTI-2 magic number")),
        }
    }

    /// A header of fields that are known to be one.
    pub(crate) fn of_fields(fields: Fields) -> Self {
        Self { fields, kind: FileKind::Volume, warnings: Vec::new() }
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
        let byte = |index| self.fields.int(DESCRIP, index) as u8;
        let text: Vec<u8> = (0..80).map(byte).take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Sets the free text, cut to the 79 bytes the format has room for.
    pub fn set_description(&mut self, text: &str) {
        let bytes = text.bytes().take(79).chain(std::iter::repeat(0));
        for (index, byte) in bytes.take(80).enumerate() {
            self.fields.put_int(DESCRIP, index, byte.into());
        }
    }

    /// The header for what was computed of this image: without free text and file names, which may say who it is of, and
    /// without what its values are.
    pub fn of_result(&self) -> Self {
        let mut header = self.clone();
        for field in [DESCRIP, AUX_FILE].into_iter().chain(INTENT) {
            header.fields.clear(field);
        }
        header
    }

    /// Code of the quaternion form; 0 means that the file has none.
    pub fn qform_code(&self) -> i64 {
        self.fields.int(QFORM_CODE, 0)
    }

    /// Code of the affine form; 0 means that the file has none.
    pub fn sform_code(&self) -> i64 {
        self.fields.int(SFORM_CODE, 0)
    }

    /// The version of the format that results on this grid are written in; the larger one where the grid needs it.
    pub fn version(&self) -> Version {
        self.fields.version()
    }

    /// The header's bytes as its version stores them, little-endian: 348 of NIfTI-1, 540 of NIfTI-2.
    pub fn bytes(&self) -> &[u8] {
        self.fields.bytes()
    }

    /// Dimensions that the file states: 2 for a slice, 3 for a volume, 4 with frames; 0 of a volume made in memory.
    pub fn rank(&self) -> i64 {
        self.fields.int(DIM, 0)
    }

    /// Voxel sizes along x, y, z in millimetres by `pixdim` alone, whatever sform says; 0 where none is stated.
    pub fn pixdim_mm(&self) -> [f64; 3] {
        let scale = self.millimetres();
        std::array::from_fn(|axis| self.fields.float(PIXDIM, axis + 1).abs() * scale)
    }

    pub(crate) fn is_single_file(&self) -> bool {
        let [single, _] = self.version().magic();
        self.fields.magic() == single
    }

    pub(crate) fn datatype(&self) -> i64 {
        self.fields.int(DATATYPE, 0)
    }

    pub(crate) fn bits(&self) -> i64 {
        self.fields.int(BITPIX, 0)
    }

    pub(crate) fn voxel_offset(&self) -> f64 {
        self.fields.float(VOX_OFFSET, 0)
    }

    /// Slope and intercept, unless the header says that voxels are not scaled.
    pub(crate) fn scaling(&self) -> Option<(f64, f64)> {
        let [slope, intercept] = [SCL_SLOPE, SCL_INTER].map(|field| self.fields.float(field, 0));
        let intercept = if intercept.is_finite() { intercept } else { 0.0 };
        (slope != 0.0 && slope.is_finite() && (slope, intercept) != (1.0, 0.0))
            .then_some((slope, intercept))
    }

    /// Voxels along x, y, z, and the number of frames.
    pub(crate) fn dimensions(&self, path: &Path) -> Result<([usize; 3], usize)> {
        let rank = self.rank();
        if !(1..=7).contains(&rank) {
            return Err(Error::damaged(path, format!("the header gives {rank} dimensions")));
        }
        let mut dims = [1usize; 7];
        for (axis, dim) in dims.iter_mut().enumerate().take(rank as usize) {
            let n = self.fields.int(DIM, axis + 1);
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
        if ![0, UNIT_MM].contains(&self.unit_of_length()) {
            self.warn(Warning::Units);
        }
    }

    /// Voxel sizes by pixdim; the size along an axis of one voxel may be missing.
    fn voxel_sizes(&self, shape: [usize; 3], path: &Path) -> Result<[f64; 3]> {
        let mut sizes = [1.0; 3];
        for (axis, (size, voxels)) in sizes.iter_mut().zip(shape).enumerate() {
            let value = self.fields.float(PIXDIM, axis + 1);
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
            std::array::from_fn(|column| self.fields.float(SROW, 4 * row + column))
        }))
    }

    /// The quaternion form, nifti1.h "METHOD 2".
    fn qform(&self, sizes: [f64; 3]) -> Affine {
        let rotation = quaternion::to_rotation(self.quaternion());
        let qfac = if self.fields.float(PIXDIM, 0) < 0.0 { -1.0 } else { 1.0 };
        let [x, y, z] = sizes;
        let rows = rotation.map(|[r0, r1, r2]| [r0 * x, r1 * y, r2 * z * qfac, 0.0]);
        let origin = std::array::from_fn(|row| self.fields.float(QOFFSET, row));
        Affine::from_rows(rows).with_origin(origin)
    }

    fn unit_of_length(&self) -> i64 {
        self.fields.int(XYZT_UNITS, 0) & 7
    }

    /// Millimetres in the header's unit of length.
    fn millimetres(&self) -> f64 {
        match self.unit_of_length() {
            1 => 1e3,
            3 => 1e-3,
            _ => 1.0,
        }
    }

    fn in_millimetres(&self, affine: Affine) -> Affine {
        let scale = self.millimetres();
        Affine::from_rows(affine.rows().map(|row| row.map(|value| value * scale)))
    }

    /// The header to write `frames` times the voxels of `datatype` on `grid` with: dimensions and datatype set,
    /// no scaling, geometry as it was if it gives `grid`'s affine and rewritten otherwise. What NIfTI-1 has no room for
    /// becomes NIfTI-2.
    pub(crate) fn for_writing(&self, grid: &Grid, frames: usize, datatype: i64, bits: i64) -> Self {
        let [x, y, z] = grid.shape;
        let mut header = self.clone();
        if [x, y, z, frames].into_iter().any(|n| i16::try_from(n).is_err()) {
            header.fields = header.fields.to_two();
        }
        let fields = &mut header.fields;
        for (index, n) in [3, x, y, z, frames, 1, 1, 1].into_iter().enumerate() {
            fields.put_int(DIM, index, n as i64);
        }
        fields.put_int(DATATYPE, 0, datatype);
        fields.put_int(BITPIX, 0, bits);
        fields.put_int(VOX_OFFSET, 0, fields.version().first_voxel() as i64);
        fields.put_float(SCL_SLOPE, 0, 1.0);
        fields.put_float(SCL_INTER, 0, 0.0);
        // The display window of the input's intensities.
        fields.put_float(CAL_MAX, 0, 0.0);
        fields.put_float(CAL_MIN, 0, 0.0);
        fields.set_single_file();
        let kept =
            header.affine(grid.shape, Path::new("")).is_ok_and(|affine| affine == grid.affine);
        if !kept || !header.has_quaternion() {
            header.set_affine(&grid.affine);
        }
        header.shorten_quaternion();
        header
    }

    /// Makes the fourth dimension time: `frame_ms` milliseconds from one frame to the next.
    pub(crate) fn set_time(&mut self, frame_ms: f32) {
        self.fields.put_int(DIM, 0, 4);
        self.fields.put_float(PIXDIM, 4, frame_ms.into());
        self.fields.put_int(XYZT_UNITS, 0, UNIT_MM | UNIT_MS);
    }

    /// Parts b, c, d of the qform's quaternion.
    fn quaternion(&self) -> [f64; 3] {
        std::array::from_fn(|part| self.fields.float(QUATERN, part))
    }

    fn has_quaternion(&self) -> bool {
        self.quaternion().iter().all(|part| part.is_finite())
    }

    /// Brings a quaternion longer than 1, which other readers refuse, to just below it. What is read of it is the same.
    fn shorten_quaternion(&mut self) {
        let parts = self.quaternion();
        let length = parts.iter().map(|part| part * part).sum::<f64>().sqrt();
        if length > 1.0 {
            // Rounding must not make it longer than 1 again.
            let rounding = match self.version() {
                Version::One => f64::from(f32::EPSILON),
                Version::Two => 4.0 * f64::EPSILON,
            };
            for (index, part) in parts.into_iter().enumerate() {
                self.fields.put_float(QUATERN, index, part / length * (1.0 - rounding));
            }
        }
    }

    /// Sets sform, pixdim and, as far as a rotation can say it, qform.
    fn set_affine(&mut self, affine: &Affine) {
        let spacing = affine.spacing();
        let mut rotation = nearest_rotation(&affine.linear(), spacing);
        let qfac = if determinant(&rotation) < 0.0 { -1.0 } else { 1.0 };
        for row in &mut rotation {
            row[2] *= qfac;
        }
        let fields = &mut self.fields;
        for (index, size) in [qfac].into_iter().chain(spacing).enumerate() {
            fields.put_float(PIXDIM, index, size);
        }
        for (index, part) in quaternion::from_rotation(&rotation).into_iter().enumerate() {
            fields.put_float(QUATERN, index, part);
        }
        for (row, values) in affine.rows().iter().enumerate() {
            fields.put_float(QOFFSET, row, values[3]);
            for (column, &value) in values.iter().enumerate() {
                fields.put_float(SROW, 4 * row + column, value);
            }
        }
        let code = [SFORM_CODE, QFORM_CODE]
            .into_iter()
            .map(|field| fields.int(field, 0))
            .find(|&code| code > 0)
            .unwrap_or(SCANNER);
        fields.put_int(SFORM_CODE, 0, code);
        fields.put_int(QFORM_CODE, 0, code);
        let units = fields.int(XYZT_UNITS, 0);
        fields.put_int(XYZT_UNITS, 0, units & !7 | UNIT_MM);
    }
}
