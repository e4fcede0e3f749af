//! What can be wrong with a series, each with the remedy.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the file or folder, what is wrong with it and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Not a valid DICOM file: cut short, corrupt, or with impossible values.
    #[error("{path}: {problem}; export the series again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A valid file or series that is no volume as it is.
    #[error("{path}: {problem}; {remedy}")]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// What it holds.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), problem: problem.into() }
    }

    pub(crate) fn refused(
        path: &Path,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Refused { path: path.into(), problem: problem.into(), remedy: remedy.into() }
    }
}
