//! Views of volumes as `ndarray` arrays, and headers as the `nifti` crate's, both ways.
#![expect(clippy::expect_used, reason = "an image has as many voxels as its grid, by `Image::new`")]

use crate::fields::{Fields, Version};
use crate::header::Header;
use crate::{Affine, Error, Image, Result};
use ::nifti::NiftiHeader;
use ndarray::{Array3, ArrayView3, ArrayViewMut3, ShapeBuilder};
use std::path::Path;

impl<T: Copy> Image<T> {
    /// The voxels as an array `[x, y, z]` that borrows them; x lies next to x in memory.
    pub fn view(&self) -> ArrayView3<'_, T> {
        let shape = self.shape().f();
        ArrayView3::from_shape(shape, self.data()).expect("an image has as many voxels as its grid")
    }

    /// The same, to change in place.
    pub fn view_mut(&mut self) -> ArrayViewMut3<'_, T> {
        let shape = self.shape().f();
        ArrayViewMut3::from_shape(shape, self.data_mut())
            .expect("an image has as many voxels as its grid")
    }

    /// An image of an array `[x, y, z]`, however it lies in memory; `affine` must be invertible.
    ///
    /// # Errors
    /// [`Error::NotAVolume`] for an empty array or a singular affine.
    pub fn from_array(array: ArrayView3<'_, T>, affine: Affine) -> Result<Self> {
        let (nx, ny, nz) = array.dim();
        // Reversed axes are in standard order where x lies next to x.
        let data = array.reversed_axes().iter().copied().collect();
        Self::new(data, [nx, ny, nz], affine)
    }

    /// The voxels as an array `[x, y, z]` of their own, without a copy.
    pub fn into_array(self) -> Array3<T> {
        let shape = self.shape().f();
        Array3::from_shape_vec(shape, self.into_data())
            .expect("an image has as many voxels as its grid")
    }
}

impl Header {
    /// The header as the `nifti` crate has it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where that crate refuses it, as it does a header of a volume made in memory, which has no
    /// magic number before it is written; [`Error::Unsupported`] for NIfTI-2, which it has no form for.
    pub fn to_nifti(&self) -> Result<NiftiHeader> {
        if self.version() == Version::Two {
            let remedy = "go by the volume's grid instead";
            return Err(Error::unsupported(Path::new("header"), "is NIfTI-2", remedy));
        }
        NiftiHeader::from_reader(self.bytes())
            .map_err(|error| Error::damaged(Path::new("header"), error.to_string()))
    }

    /// A header of the `nifti` crate's, every field of it.
    pub fn from_nifti(header: &NiftiHeader) -> Self {
        let mut bytes = Vec::with_capacity(Version::One.len());
        let mut put = |field: &[u8]| bytes.extend_from_slice(field);
        put(&header.sizeof_hdr.to_le_bytes());
        put(&header.data_type);
        put(&header.db_name);
        put(&header.extents.to_le_bytes());
        put(&header.session_error.to_le_bytes());
        put(&[header.regular, header.dim_info]);
        header.dim.iter().for_each(|dim| put(&dim.to_le_bytes()));
        for value in [header.intent_p1, header.intent_p2, header.intent_p3] {
            put(&value.to_le_bytes());
        }
        for value in [header.intent_code, header.datatype, header.bitpix, header.slice_start] {
            put(&value.to_le_bytes());
        }
        header.pixdim.iter().for_each(|size| put(&size.to_le_bytes()));
        for value in [header.vox_offset, header.scl_slope, header.scl_inter] {
            put(&value.to_le_bytes());
        }
        put(&header.slice_end.to_le_bytes());
        put(&[header.slice_code, header.xyzt_units]);
        for value in [header.cal_max, header.cal_min, header.slice_duration, header.toffset] {
            put(&value.to_le_bytes());
        }
        put(&header.glmax.to_le_bytes());
        put(&header.glmin.to_le_bytes());
        let mut description = [0; 80];
        description.iter_mut().zip(&header.descrip).for_each(|(to, from)| *to = *from);
        put(&description);
        put(&header.aux_file);
        put(&header.qform_code.to_le_bytes());
        put(&header.sform_code.to_le_bytes());
        let quaternion = [header.quatern_b, header.quatern_c, header.quatern_d];
        let offset = [header.quatern_x, header.quatern_y, header.quatern_z];
        let rows = [header.srow_x, header.srow_y, header.srow_z].concat();
        for value in quaternion.into_iter().chain(offset).chain(rows) {
            put(&value.to_le_bytes());
        }
        put(&header.intent_name);
        put(&header.magic);
        Self::of_fields(Fields::of_bytes(Version::One, bytes))
    }

    /// The affine that a header of the `nifti` crate's gives, in millimetres: sform if its code is above 0, else qform, else
    /// voxel sizes alone.
    ///
    /// # Errors
    /// [`Error::Geometry`] where it is singular, not finite, or voxel sizes are missing; [`Error::Damaged`] for
    /// dimensions that do not exist.
    pub fn affine_of_nifti(header: &NiftiHeader) -> Result<Affine> {
        let (own, path) = (Self::from_nifti(header), Path::new("header"));
        let (shape, _) = own.dimensions(path)?;
        own.affine(shape, path)
    }
}
