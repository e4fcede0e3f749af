//! What can go wrong while models are measured, calibrated and judged.
use std::path::{Path, PathBuf};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model, its checkpoint or a prediction.
    #[error(transparent)]
    Model(#[from] udas_model::Error),
    /// An adaptation to a simulated shift.
    #[error(transparent)]
    Adapt(#[from] udas_adapt::Error),
    /// A volume or a data set.
    #[error(transparent)]
    Data(#[from] udas_data::Error),
    /// A file that is no calibration, or not of this model.
    #[error("{path}: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// Models or subjects that cannot be judged together.
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into() }
    }
}

impl From<udas_nn::Error> for Error {
    fn from(error: udas_nn::Error) -> Self {
        Self::Model(error.into())
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}

impl From<udas_volume::Error> for Error {
    fn from(error: udas_volume::Error) -> Self {
        Self::Data(error.into())
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
