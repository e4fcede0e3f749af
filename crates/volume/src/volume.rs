//! A 3-D image in memory: voxels, grid and the header it came with.

use std::path::Path;

use crate::{Affine, Error, Grid, Header, Result};

/// Voxels of type `T` on a [`Grid`], x fastest in memory, with the header of the file they came from.
///
/// ```
/// use udas_volume::{Affine, Volume};
/// let volume = Volume::new(vec![0.0; 24], [2, 3, 4], Affine::from_spacing([1.0, 1.0, 2.5]))?;
/// assert_eq!(volume.spacing(), [1.0, 1.0, 2.5]);
/// assert_eq!(volume.orientation(), "RAS");
/// # Ok::<(), udas_volume::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Image<T> {
    data: Vec<T>,
    grid: Grid,
    header: Header,
}

/// Intensities, after the file's slope and intercept.
pub type Volume = Image<f32>;

/// A class per voxel; 0 is background.
pub type Labels = Image<u8>;

impl<T: Copy> Image<T> {
    /// An image with an empty header. `data` has `shape[0] * shape[1] * shape[2]` voxels, x fastest;
    /// `affine` must be invertible.
    pub fn new(data: Vec<T>, shape: [usize; 3], affine: Affine) -> Result<Self> {
        Self::with_header(data, Grid { shape, affine }, Header::default())
    }

    /// An image that keeps the header of another one, so that it is written with its units, codes
    /// and description. Same conditions as [`new`](Self::new).
    pub fn with_header(data: Vec<T>, grid: Grid, header: Header) -> Result<Self> {
        let voxels = grid.shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        if voxels != Some(data.len()) || data.is_empty() {
            return Err(Error::NotAVolume(format!(
                "{} voxels for shape {:?}",
                data.len(),
                grid.shape
            )));
        }
        if !grid.affine.is_invertible() {
            return Err(Error::NotAVolume(format!(
                "the affine {} is singular or not finite",
                grid.affine
            )));
        }
        Ok(Self { data, grid, header })
    }

    /// As [`with_header`](Self::with_header), for parts known to fit.
    pub(crate) fn from_parts(data: Vec<T>, grid: Grid, header: Header) -> Self {
        debug_assert_eq!(data.len(), grid.len());
        Self { data, grid, header }
    }

    /// The voxels, x fastest.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The voxels, x fastest, to change in place.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The voxels alone.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// The voxel at `[x, y, z]`, or `None` outside.
    pub fn get(&self, [x, y, z]: [usize; 3]) -> Option<T> {
        let [nx, ny, nz] = self.grid.shape;
        if x < nx && y < ny && z < nz {
            self.data.get(x + nx * (y + ny * z)).copied()
        } else {
            None
        }
    }

    /// Shape and affine.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Voxels along x, y, z.
    pub fn shape(&self) -> [usize; 3] {
        self.grid.shape
    }

    /// Voxel indices to RAS millimetres.
    pub fn affine(&self) -> &Affine {
        &self.grid.affine
    }

    /// Voxel size along x, y, z in millimetres.
    pub fn spacing(&self) -> [f64; 3] {
        self.grid.affine.spacing()
    }

    /// Directions the storage axes point to, such as `"RAS"` or `"PSR"`.
    pub fn orientation(&self) -> String {
        self.grid.affine.codes()
    }

    /// What else the file said.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What else the file said, to change.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// Another image on the same grid and with the same header; `data` as long as this one's.
    pub fn with_data<U: Copy>(&self, data: Vec<U>) -> Result<Image<U>> {
        Image::with_header(data, self.grid, self.header.clone())
    }

    /// The same grid and header with every voxel mapped.
    pub fn map<U: Copy>(&self, f: impl FnMut(T) -> U) -> Image<U> {
        let data = self.data.iter().copied().map(f).collect();
        Image { data, grid: self.grid, header: self.header.clone() }
    }
}

impl Volume {
    /// How many voxels are NaN or infinite.
    pub fn not_finite(&self) -> usize {
        self.data().iter().filter(|value| !value.is_finite()).count()
    }

    /// An error that names `path` where a voxel is NaN or infinite.
    pub fn check_finite(&self, path: &Path) -> Result<()> {
        match self.not_finite() {
            0 => Ok(()),
            count => Err(Error::NotFinite { path: path.into(), count }),
        }
    }
}
