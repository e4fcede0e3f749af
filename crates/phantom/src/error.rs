//! What can go wrong when phantoms are made and written.

use std::path::PathBuf;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a phantom could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The in-plane size is out of range.
    #[error("matrix {matrix}: ask for 32 to 512")]
    Matrix {
        /// What was asked for.
        matrix: usize,
    },
    /// More subjects than the names can number.
    #[error("{subjects} subjects per domain: ask for 1 to 999")]
    Subjects {
        /// What was asked for.
        subjects: usize,
    },
    /// A domain that the task does not have.
    #[error("unknown domain '{name}': choose among {known}")]
    Domain {
        /// What was asked for.
        name: String,
        /// The task's domains.
        known: String,
    },
    /// Hearts as DICOM series.
    #[error(
        "hearts are cines of four dimensions, which are not written as DICOM; leave --dicom out"
    )]
    Cine,
    /// The folder holds something else.
    #[error("{}: holds something else than this phantom; choose another folder, or empty it", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A folder or table could not be written.
    #[error("cannot write {}: {source}; check the folder's permissions and the free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A volume could not be made or written.
    #[error(transparent)]
    Volume(#[from] udas_volume::Error),
}
