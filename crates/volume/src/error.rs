//! What can be wrong with a file or a volume, each with the remedy.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the file, what is wrong with it and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file that could not be written.
    #[error("{path} cannot be written: {source}; is there space, and may the folder be written?")]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A kind of file, datatype or layout that is not read or written.
    #[error("{path}: {problem}; {remedy}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Not a valid file of its kind: cut short, corrupt, or with impossible header fields.
    #[error("{path}: {problem}; copy or export the file again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A header that asks for more voxels than are read at once.
    #[error(
        "{path}: the header asks for {voxels} voxels a frame, the limit is {limit}; \
         check the header, or crop or resample the volume"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Voxels the header asks for.
        voxels: u128,
        /// Voxels allowed.
        limit: u128,
    },
    /// A voxel size or affine without meaning.
    #[error("{path}: {problem}; correct the header's pixdim, sform or qform")]
    Geometry {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// NaN or infinite voxels.
    #[error("{path}: {count} voxels are NaN or infinite; replace them, for example by zero")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A mask with a value that is no label.
    #[error(
        "{path}: voxel {voxel:?} holds {value}, labels are whole numbers from 0 to 255; give a label volume"
    )]
    NotLabels {
        /// The file.
        path: PathBuf,
        /// The value found.
        value: f64,
        /// Its x, y, z index.
        voxel: [usize; 3],
    },
    /// A frame was asked for that a file does not have, or none was where there are several.
    #[error("{path}: holds {frames} frames, {problem}")]
    Frames {
        /// The file.
        path: PathBuf,
        /// How many frames it holds.
        frames: usize,
        /// What was asked, and the remedy.
        problem: String,
    },
    /// Two volumes that should lie on one grid do not.
    #[error("{first} and {second} lie on different grids: {problem}; resample one onto the other")]
    GridMismatch {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The difference.
        problem: String,
    },
    /// A DICOM series that is no volume.
    #[error(transparent)]
    Dicom(#[from] udas_dicom::Error),
    /// Voxels, shape and affine given by a caller that do not make a volume.
    #[error("no volume can be made: {0}")]
    NotAVolume(String),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.into(), source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), problem: problem.into() }
    }

    /// The same error, or what lies in the file's place: whose name is right, of that the bytes say little.
    pub(crate) fn or_stand_in(self, path: &Path) -> Self {
        match (self, udas_files::stand_in(path)) {
            (Self::Damaged { .. }, Some(found)) => {
                Self::unsupported(path, found.what, found.remedy)
            }
            (error, _) => error,
        }
    }

    pub(crate) fn unsupported(
        path: &Path,
        problem: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self::Unsupported { path: path.into(), problem: problem.into(), remedy }
    }
}
