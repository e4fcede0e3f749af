//! What can be wrong with a model file or a prediction.
use std::path::{Path, PathBuf};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network, its checkpoint or a tensor operation.
    #[error(transparent)]
    Network(#[from] udas_nn::Error),
    /// A volume or a data set.
    #[error(transparent)]
    Data(#[from] udas_data::Error),
    /// Networks of different tasks cannot predict together.
    #[error(
        "a network has {found} output channels, the others {expected}; give trainings of one task"
    )]
    OtherOutputs {
        /// Output channels of the network that was added.
        found: usize,
        /// Output channels of those before it.
        expected: usize,
    },
    /// Views of a slice that there are not.
    #[error("{0}")]
    Views(String),
    /// A prediction that is no numbers: what would be made of it looks like an empty mask.
    #[error(
        "{path}: what the network makes of it is no numbers; look at the image (`udas doctor`) and at the model",
        path = path.display()
    )]
    NoNumbers {
        /// The image.
        path: PathBuf,
    },
    /// A file that is no model of this program or does not fit.
    #[error("{path}: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

impl Error {
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into() }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Network(error.into())
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
