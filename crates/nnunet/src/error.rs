//! What can be wrong with a model folder, an image or a prediction.
use std::path::{Path, PathBuf};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network, its checkpoint or a tensor operation.
    #[error(transparent)]
    Network(#[from] udas_nn::Error),
    /// An image or a mask.
    #[error(transparent)]
    Volume(#[from] udas_volume::Error),
    /// A file that could not be read.
    #[error("{path}: {source}; check that the path exists and may be accessed", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of a model folder that is not as nnU-Net writes it, or asks for what is not supported.
    #[error("{path}: {problem}", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// Images that do not make a case of the model.
    #[error("{case}: {problem}")]
    Case {
        /// The case, by its files' common name.
        case: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A prediction that is no numbers.
    #[error(
        "the logits hold values that are infinite or no numbers; look at the image's intensities, \
         or predict with 32-bit sums"
    )]
    NotFinite,
    /// The caller asked for an end.
    #[error("stopped before the prediction was whole")]
    Stopped,
}

impl Error {
    pub(crate) fn model(path: &Path, problem: impl Into<String>) -> Self {
        Self::Model { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn case(case: &str, problem: impl Into<String>) -> Self {
        Self::Case { case: case.to_owned(), problem: problem.into() }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Network(error.into())
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
