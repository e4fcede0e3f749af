//! Why an adaptation cannot be done.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The training failed.
    #[error(transparent)]
    Train(#[from] udas_train::Error),
    /// The method needs an early head.
    #[error(
        "method `{method}` needs an early head at level {level}; train one with \
         `udas head --model MODEL --data DIR --domain NAME --level {level} --out RUN` and pass it by --head"
    )]
    NoHead {
        /// The method.
        method: &'static str,
        /// The level asked for.
        level: usize,
    },
    /// The head sits on another level.
    #[error(
        "the head belongs to level {found}, but level {asked} was asked for; pass another --head or --level {found}"
    )]
    HeadLevel {
        /// Level of the head.
        found: usize,
        /// Level asked for.
        asked: usize,
    },
    /// The method needs something that was not given.
    #[error("method `{method}` needs {what}")]
    Missing {
        /// The method.
        method: &'static str,
        /// What to give.
        what: &'static str,
    },
    /// The network has none of the weights that the method moves.
    #[error("method `{method}` moves {moves}, and the network has none; choose another method")]
    NothingMoves {
        /// The method.
        method: &'static str,
        /// What it moves.
        moves: &'static str,
    },
    /// The method works on batch-norm statistics.
    #[error(
        "method `{method}` needs a network with batch norm: this one keeps no statistics of its source that could be \
         replaced; choose another method"
    )]
    NoBatchNorm {
        /// The method.
        method: &'static str,
    },
    /// A teacher segments another number of classes.
    #[error(
        "a teacher has {found} output channels, the model {expected}; give other trainings of the same task"
    )]
    TeacherOutputs {
        /// Output channels of the teacher.
        found: usize,
        /// Output channels of the model.
        expected: usize,
    },
    /// An option is out of its range.
    #[error("option `{option}`: {reason}")]
    Option {
        /// Name, as on the command line.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A patch was made for another model.
    #[error(
        "the patch belongs to the model with hash {expected}, but this one has {found}; pass the model it \
         was made from"
    )]
    OtherBase {
        /// Hash of the model that the patch was made from.
        expected: String,
        /// Hash of the model it was to be applied to.
        found: String,
    },
    /// Two models are not of the same shape, or a file is no patch.
    #[error("{0}")]
    Patch(String),
}

impl From<udas_nn::Error> for Error {
    fn from(error: udas_nn::Error) -> Self {
        Self::Train(error.into())
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Train(error.into())
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
