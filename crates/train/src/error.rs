//! What can end a training early.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network or a tensor operation failed.
    #[error(transparent)]
    Network(#[from] udas_nn::Error),
    /// Data could not be read.
    #[error(transparent)]
    Data(#[from] udas_data::Error),
    /// What a step learns from could not be had; whoever gives batches says why.
    #[error("{0}")]
    Batches(String),
    /// Something is no longer a number.
    #[error(
        "{what} became {value} in epoch {epoch}, step {step}, on {batch}; the state before this epoch is \
         kept. Lower the learning rate, or look at these files with `udas doctor`"
    )]
    Diverged {
        /// The loss, the gradient of a weight, or a statistic of batch norm.
        what: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// NaN or an infinity.
        value: f32,
        /// What the batch was made of.
        batch: String,
    },
    /// There are fewer slices than one batch holds and partial batches are dropped.
    #[error("{slices} slices do not fill one batch of {batch_size}; lower the batch size")]
    NoBatches {
        /// Slices at hand.
        slices: usize,
        /// Batch size asked for.
        batch_size: usize,
    },
    /// A score is asked for where none is measured.
    #[error("a stop rule and Keep::BestScore need batches to measure a score on; give `check`")]
    NoScore,
    /// A batch or an objective lacks what a step needs.
    #[error("a step needs {0}")]
    Missing(String),
    /// A snapshot is not of this training.
    #[error("the saved state does not belong to this training: {0}")]
    Snapshot(String),
    /// What was measured before the first epoch speaks against it; an observer says so.
    #[error("{0}")]
    Refused(String),
    /// The observer could not save or show something.
    #[error("{0}")]
    Observer(String),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Network(error.into())
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
