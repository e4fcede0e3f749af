//! What a training minimises and watches.
use crate::{LabelledBatch, Result};
use candle_core::{Tensor, Var};
use udas_network::Task;
use udas_nn::StateDict;

/// A batch in evaluation mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// What the stop rule watches.
    pub value: f64,
    /// Share of the pixels that are predicted to be foreground, of whatever class.
    pub foreground: f64,
    /// By how much the network is less sure than right, over all pixels; 0 where no labels tell.
    pub doubt: f64,
}

/// An objective with labels, against which its prediction is held.
pub trait Supervised: Objective<Batch = LabelledBatch> {
    /// What the logits mean.
    fn task(&self) -> Task;

    /// The logits `[N, C, H, W]` of a batch, in evaluation mode.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn predict(&self, batch: &LabelledBatch) -> Result<Tensor>;

    /// Mean size of the scale that the last batch norm gives the logits, where there is one.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn logit_scale(&self) -> Result<Option<f64>>;
}

/// What one step minimises; everything that is not [`Self::trainable`] is frozen.
pub trait Objective {
    /// What one step sees.
    type Batch;

    /// The variables that the optimiser moves, by name.
    fn trainable(&self) -> Vec<(String, Var)>;

    /// The loss of a batch, in training mode; a scalar.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn loss(&mut self, batch: &Self::Batch) -> Result<Tensor>;

    /// What the stop rule watches, in evaluation mode.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn score(&self, batch: &Self::Batch) -> Result<Score>;

    /// What follows an optimiser step, such as moving an averaged teacher.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn after_step(&mut self) -> Result<()> {
        Ok(())
    }

    /// The statistics that batch norm keeps, by name: looked at for what is no number.
    fn statistics(&self) -> Vec<(String, Var)> {
        Vec::new()
    }

    /// Everything that changes during training, so that it can be saved and set back.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn state(&self) -> Result<StateDict>;

    /// Sets back what [`Self::state`] gave.
    ///
    /// # Errors
    /// When an entry is missing.
    fn restore(&mut self, state: &StateDict) -> Result<()>;
}
