//! What can go wrong with a run, by who has to act on it.
use std::error;
use std::io;
use std::path::PathBuf;

/// Errors of this crate. They name settings as the program's flags do: `--epochs` is the setting `epochs`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings ask for something impossible, or for what the folder is not there for.
    #[error("{0}")]
    Usage(String),
    /// A file or a folder is not what it should be.
    #[error("{0}")]
    Input(String),
    /// What was to be learned from, or what has come of it, is not good enough.
    #[error("{0}")]
    Rejected(String),
    /// It was asked to end before it was done.
    #[error("{0}")]
    Interrupted(String),
    /// Something is recorded in a folder whose run has not begun.
    #[error("{}: the run has not begun", .0.display())]
    NotBegun(PathBuf),
    /// The system refuses something.
    #[error("{what}")]
    System {
        /// What was tried, and with which file.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Settings that no file can hold.
    #[error("settings cannot be written as TOML")]
    Settings(#[from] toml::ser::Error),
    /// A record that no file can hold.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A method, or its options.
    #[error(transparent)]
    Adapt(#[from] udas_adapt::Error),
    /// A volume or a data set.
    #[error(transparent)]
    Data(#[from] udas_data::Error),
    /// A model or its early head.
    #[error(transparent)]
    Model(#[from] udas_model::Error),
    /// A network, or a tensor operation.
    #[error(transparent)]
    Network(#[from] udas_nn::Error),
    /// The events of a run.
    #[error(transparent)]
    Record(#[from] udas_record::Error),
    /// Curves of a run.
    #[error(transparent)]
    Report(#[from] udas_report::Error),
    /// A training, or its saved state.
    #[error(transparent)]
    Train(#[from] udas_train::Error),
    /// A verdict or its calibration.
    #[error(transparent)]
    Verdict(#[from] udas_verdict::Error),
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn input(text: impl Into<String>) -> Self {
        Self::Input(text.into())
    }

    pub(crate) fn rejected(text: impl Into<String>) -> Self {
        Self::Rejected(text.into())
    }

    /// The error and what it goes back to, each after a colon.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = error::Error::source(self);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    }

    /// The error of another crate of the workspace that this one only hands on.
    pub fn handed_on(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Adapt(error) => Some(error),
            Self::Data(error) => Some(error),
            Self::Model(error) => Some(error),
            Self::Network(error) => Some(error),
            Self::Record(error) => Some(error),
            Self::Report(error) => Some(error),
            Self::Train(error) => Some(error),
            Self::Verdict(error) => Some(error),
            _ => None,
        }
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Network(error.into())
    }
}

/// Says what was tried where the system refused it.
pub(crate) trait Tried<T> {
    /// What was tried, and with which file.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::System { what: what(), source })
    }
}
