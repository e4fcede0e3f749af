//! What can go wrong with a network's parameters and checkpoints, told to who must act on it.
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed: shapes, devices or memory.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A file could not be read.
    #[error("{path}: {source}; check that the path exists and may be accessed", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written; what was there before is as it was.
    #[error("{path} cannot be written ({reason}); is there space, and may the folder be written?", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A file is no checkpoint, or a damaged one.
    #[error("{path}: {reason}", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A checkpoint does not fit the network.
    #[error("the checkpoint does not fit the network: {0}")]
    Mismatch(Mismatch),
    /// Images of a size that the network's stages cannot halve as often as they do.
    #[error(
        "images of {h} x {w} pixels; pad to multiples of {mh} x {mw}",
        h = found[0], w = found[1], mh = multiple[0], mw = multiple[1]
    )]
    Size {
        /// Height and width.
        found: [usize; 2],
        /// What they must be multiples of.
        multiple: [usize; 2],
    },
    /// The outputs of no stage were given to go on from.
    #[error("there are no features to go on from; encode to stage 0 at least")]
    NoFeatures,
    /// No network, or no head, is of the shape asked for.
    #[error("{0}")]
    Shape(String),
    /// A parameter was asked for that does not exist.
    #[error("there is no parameter named `{0}`")]
    NoParameter(String),
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The entries by which a checkpoint differs from what a network expects.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Entries the network needs and the checkpoint lacks.
    pub missing: Vec<String>,
    /// Entries the checkpoint has and the network does not know.
    pub unexpected: Vec<String>,
    /// Entries of another shape, told as `name: expected [..], found [..]`.
    pub misshapen: Vec<String>,
}

impl Mismatch {
    /// True when the checkpoint fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (what, names) in [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("of another shape", &self.misshapen),
        ] {
            if !names.is_empty() {
                parts.push(format!("{} {what} ({})", names.len(), first_few(names)));
            }
        }
        f.write_str(&parts.join("; "))
    }
}

fn first_few(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", and {} more", names.len() - SHOWN));
    }
    text
}
