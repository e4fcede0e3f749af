//! What a training minimises and watches.
use crate::Result;
use candle_core::{Tensor, Var};
use udas_nn::StateDict;

/// A batch in evaluation mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// What the stop rule watches.
    pub value: f64,
    /// Share of the pixels that are predicted to be foreground, of whatever class.
    pub foreground: f64,
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
