//! The whole state of a training between two epochs: enough to go on to the same bits.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use udas_nn::{Checkpoint, StateDict};
use udas_record::EpochRecord;

/// The state of a training after some epochs.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the objective saved.
    pub objective: StateDict,
    /// What the optimiser saved.
    pub optimiser: StateDict,
    /// What is known of the epochs so far.
    pub history: History,
}

/// What is known of the epochs so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The score before the first epoch.
    pub before: Option<f64>,
    /// Share of the pixels predicted to be foreground, before the first epoch and after each.
    #[serde(default)]
    pub foreground: Vec<f64>,
    /// By how much the network was less sure than right, after each epoch.
    #[serde(default)]
    pub doubts: Vec<f64>,
    /// The epochs, in order.
    pub epochs: Vec<EpochRecord>,
    /// True when the stop rule was met or all epochs were done.
    pub finished: bool,
}

impl History {
    /// Steps done.
    pub(crate) fn steps(&self) -> usize {
        self.epochs.iter().map(|record| record.steps).sum()
    }

    /// Change of the score in the last epoch.
    pub(crate) fn last_change(&self) -> Option<f64> {
        self.epochs.last().and_then(|record| record.score_change)
    }
}

const OBJECTIVE: &str = "objective.";
const OPTIMISER: &str = "optimiser.";

impl Snapshot {
    /// Writes the snapshot, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let prefixed = |prefix: &str, state: &StateDict| -> Vec<_> {
            state.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect()
        };
        let mut tensors: StateDict = prefixed(OBJECTIVE, &self.objective).into_iter().collect();
        tensors.extend(prefixed(OPTIMISER, &self.optimiser));
        let metadata =
            serde_json::to_string(&self.history).map_err(|e| Error::Snapshot(e.to_string()))?;
        Ok(Checkpoint { tensors, metadata: Some(metadata) }.save(path)?)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When the file is no snapshot.
    pub fn load(path: &Path) -> Result<Self> {
        let Checkpoint { tensors, metadata } = Checkpoint::load(path)?;
        let wrong = |reason: String| Error::Snapshot(format!("{}: {reason}", path.display()));
        let metadata = metadata.ok_or_else(|| wrong("it has no history".into()))?;
        let history = serde_json::from_str(&metadata).map_err(|e| wrong(e.to_string()))?;
        let (mut objective, mut optimiser) = (StateDict::new(), StateDict::new());
        for (name, tensor) in tensors {
            if let Some(name) = name.strip_prefix(OBJECTIVE) {
                objective.insert(name.to_owned(), tensor);
            } else if let Some(name) = name.strip_prefix(OPTIMISER) {
                optimiser.insert(name.to_owned(), tensor);
            } else {
                return Err(wrong(format!("unknown entry `{name}`")));
            }
        }
        Ok(Self { objective, optimiser, history })
    }
}
