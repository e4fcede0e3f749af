//! The events of a run, one JSON object a line in `events.jsonl`.
use crate::{Convergence, Machine, Verdict};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first line: what is run on what.
    Start(StartRecord),
    /// The run goes on after it was interrupted or killed: with what, from here on.
    Resume(StartRecord),
    /// The score before the first epoch.
    Before {
        /// Which training it belongs to.
        phase: Phase,
        /// What the stop rule watches.
        score: f64,
    },
    /// After every epoch.
    Epoch(EpochRecord),
    /// Where a training on labels stood when it ended, on slices held out of it.
    Convergence {
        /// Which training it belongs to.
        phase: Phase,
        /// What was measured.
        measured: Convergence,
    },
    /// Something the user should know.
    Warning {
        /// A sentence.
        message: String,
    },
    /// What was said of the adapted model without looking at labels.
    Verdict(Verdict),
    /// How a training ended that ended by itself.
    Stop(StopRecord),
}

impl Event {
    /// The values of `event` in a line, by which [`crate::parse_events`] knows the lines of other versions.
    pub(crate) const NAMES: [&str; 8] =
        ["start", "resume", "before", "epoch", "convergence", "warning", "verdict", "stop"];
}

/// Which of the three stages of the method, or which part of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Training of the network on labelled source data.
    Source,
    /// Training of the early head on labelled source data.
    Head,
    /// Adaptation on unlabelled target data.
    Adapt,
}

/// What a run was started with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartRecord {
    /// `train`, `head` or `adapt`.
    pub command: String,
    /// Method name in the registry, of an adaptation.
    #[serde(default)]
    pub method: Option<String>,
    /// Domain the network is (or was) trained on, where it has a name.
    #[serde(default)]
    pub source: Option<String>,
    /// Domain it is adapted to, where it has a name.
    #[serde(default)]
    pub target: Option<String>,
    /// Version of the program.
    pub version: String,
    /// Seconds since 1970, UTC.
    pub started_unix: u64,
    /// Seed of every random number of the run.
    pub seed: u64,
    /// Files read, with their hashes.
    pub inputs: Vec<Input>,
    /// The folder that relative paths count from; empty where it is not known.
    #[serde(default)]
    pub directory: String,
    /// Where it ran.
    pub machine: Machine,
}

impl StartRecord {
    /// A path of the run's, perhaps a pattern, as it is found from here: from the folder that the run was started in
    /// or, where it is not there, as it was given. What lies here under the same name may be something else.
    pub fn locate(&self, path: &Path) -> PathBuf {
        let from_there = Path::new(&self.directory).join(path);
        if is_there(&from_there) { from_there } else { path.to_owned() }
    }
}

/// Whether a path exists; of a pattern, the folder that it begins with.
fn is_there(path: &Path) -> bool {
    let is_plain = |part: &Component| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    path.exists() || path.components().take_while(is_plain).collect::<PathBuf>().is_dir()
}

/// A file that a run read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What it was for: `model`, `head`, `image`, `label`.
    pub role: String,
    /// Path as given.
    pub path: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Which training it belongs to.
    pub phase: Phase,
    /// Counted from 1.
    pub epoch: usize,
    /// Optimiser steps in this epoch.
    pub steps: usize,
    /// Mean loss over the steps.
    pub loss: f64,
    /// What the stop rule watches, after the epoch; none where nothing is watched.
    pub score: Option<f64>,
    /// Difference of the score to the one before.
    pub score_change: Option<f64>,
    /// Step size of the optimiser.
    pub learning_rate: f64,
    /// Wall time of the epoch, score included.
    pub seconds: f64,
    /// Slices trained on per second, score excluded.
    pub slices_per_second: f64,
    /// Largest memory use of the process so far, where the system tells.
    pub peak_memory_bytes: Option<u64>,
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// All epochs were done.
    EpochsDone,
    /// The score changed by less than the threshold.
    Converged,
    /// The user asked (Ctrl-C).
    Interrupted,
    /// There was nothing to train: the method changes no weights by gradient.
    NothingToTrain,
}

impl StopReason {
    /// A clause that completes "stopped because".
    pub fn explanation(self) -> &'static str {
        match self {
            Self::EpochsDone => "all epochs are done",
            Self::Converged => "it has converged: the score hardly changes any more",
            Self::Interrupted => "it was interrupted",
            Self::NothingToTrain => "there was nothing to train by gradient",
        }
    }
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRecord {
    /// Which training it belongs to.
    pub phase: Phase,
    /// Why.
    pub reason: StopReason,
    /// Epochs done, over all resumed parts.
    pub epochs: usize,
    /// Wall time, over all resumed parts.
    pub seconds: f64,
    /// Why the result should not be used; none where it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}
