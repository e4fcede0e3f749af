//! The average of a training's weights over its steps, which is often better than where the last step has led.
use crate::{Objective, Result};
use serde::{Deserialize, Serialize};
use udas_nn::{StateDict, averaged};

/// An exponential moving average of weights and statistics alike, as Tarvainen and Valpola 2017 (arXiv 1703.01780, section 2)
/// average a student for its teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ema {
    /// Share of the average so far that stays with a step, above 0 and below 1; after t steps (1 + t) / (10 + t) where that is
    /// less, so that the random weights of the beginning are soon forgotten.
    pub decay: f64,
}

/// An average under way.
pub(crate) struct Moving {
    ema: Ema,
    steps: usize,
    state: StateDict,
}

/// Prefix of the average within a snapshot's objective.
const AVERAGE: &str = "average.";

impl Moving {
    /// Begins at the weights as they are.
    pub fn begin<O: Objective>(ema: Ema, objective: &O) -> Result<Self> {
        Ok(Self { ema, steps: 0, state: objective.state()? })
    }

    /// Takes in the weights after a step; counters are copied.
    pub fn follow<O: Objective>(&mut self, objective: &O) -> Result<()> {
        self.steps += 1;
        let steps = self.steps as f64;
        let decay = self.ema.decay.min((1.0 + steps) / (10.0 + steps));
        for (name, value) in objective.state()? {
            let moved = match self.state.get(&name).filter(|own| own.dtype().is_float()) {
                Some(own) => averaged(own, &value, decay)?,
                None => value,
            };
            self.state.insert(name, moved);
        }
        Ok(())
    }

    /// Gives the objective the averaged weights; returns its own.
    pub fn show<O: Objective>(&self, objective: &mut O) -> Result<StateDict> {
        let own = objective.state()?;
        objective.restore(&self.state)?;
        Ok(own)
    }

    /// Puts the average beside the weights that a snapshot holds.
    pub fn keep_in(&self, state: &mut StateDict) {
        let named = self.state.iter().map(|(name, t)| (format!("{AVERAGE}{name}"), t.clone()));
        state.extend(named);
    }

    /// Sets back what [`Self::keep_in`] has put there after so many steps; of a state without, nothing.
    pub fn restore(&mut self, state: &StateDict, steps: usize) -> Result<()> {
        self.steps = steps;
        for (name, tensor) in &mut self.state {
            if let Some(kept) = state.get(&format!("{AVERAGE}{name}")) {
                *tensor = kept.to_device(tensor.device())?;
            }
        }
        Ok(())
    }
}
