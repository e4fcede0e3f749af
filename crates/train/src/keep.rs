//! Which weights a training ends with, and keeping them until then.
use crate::snapshot::History;
use crate::{Objective, Result, Snapshot};
use serde::{Deserialize, Serialize};
use udas_nn::{Adam, StateDict};

/// Which weights a training ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The last epoch's (the paper).
    Last,
    /// Those of the epoch with the highest score.
    BestScore,
}

/// The weights to end with.
pub(crate) struct Best {
    keep: Keep,
    score: f64,
    /// Epochs done when it was reached.
    epoch: usize,
    state: Option<StateDict>,
}

/// Prefix of the best state within a snapshot's objective.
const BEST: &str = "best.";

impl Best {
    pub fn new(keep: Keep) -> Self {
        Self { keep, score: f64::NEG_INFINITY, epoch: 0, state: None }
    }

    /// Copies the state after `epoch` if it is the best so far.
    pub fn offer<O: Objective>(
        &mut self,
        objective: &O,
        epoch: usize,
        score: Option<f64>,
    ) -> Result<()> {
        if self.keep == Keep::BestScore
            && let Some(score) = score
            && score > self.score
        {
            (self.score, self.epoch) = (score, epoch);
            self.state = Some(objective.state()?);
        }
        Ok(())
    }

    /// All that a resume needs.
    pub fn snapshot<O: Objective>(
        &self,
        objective: &O,
        adam: &Adam,
        history: &History,
    ) -> Result<Snapshot> {
        let mut state = objective.state()?;
        for (name, tensor) in self.state.iter().flatten() {
            state.insert(format!("{BEST}{name}"), tensor.clone());
        }
        Ok(Snapshot { objective: state, optimiser: adam.state()?, history: history.clone() })
    }

    /// The best state that a snapshot holds.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let best = snapshot.objective.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(BEST)?.to_owned(), tensor.clone()))
        });
        let best: StateDict = best.collect();
        if !best.is_empty() {
            // The first of equals, as `offer` has it.
            for record in &snapshot.history.epochs {
                if let Some(score) = record.score.filter(|score| *score > self.score) {
                    (self.score, self.epoch) = (score, record.epoch);
                }
            }
            self.state = Some(best);
        }
    }

    /// Sets the objective to the state to end with, which was reached after the epochs returned.
    pub fn settle<O: Objective>(self, objective: &mut O, last: usize) -> Result<usize> {
        match self.state {
            Some(state) => {
                objective.restore(&state)?;
                Ok(self.epoch)
            }
            None => Ok(last),
        }
    }
}
