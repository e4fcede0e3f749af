//! How a kind of network is known, and made.
use crate::{Network, Spec};
use candle_core::Device;
use udas_nn::{Result, StateDict};

/// What is chosen of a new network; the rest is its family's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels of the first stage.
    pub filters: usize,
    /// Output channels: 1 for a binary task, else one a class, background included.
    pub outputs: usize,
}

/// A kind of network: knows its state dicts and makes networks of them.
pub trait Family: Sync {
    /// Its name on the command line and in [`Spec::family`].
    fn name(&self) -> &'static str;

    /// An entry that all of its state dicts have, and those of no other family.
    fn mark(&self) -> &'static str;

    /// Whether a state dict is of this family.
    fn recognises(&self, state: &StateDict) -> bool {
        state.contains_key(self.mark())
    }

    /// A network with the weights of `state`, which is copied; its shape is read from it.
    ///
    /// # Errors
    /// When entries are missing, unexpected or misshapen; all are named.
    fn build(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>>;

    /// A network with random weights.
    ///
    /// # Errors
    /// When there is no network of such a shape, or memory cannot be had on `device`.
    fn random(&self, shape: Shape, seed: u64, device: &Device) -> Result<Box<dyn Network>>;

    /// The shape of the networks that [`Self::random`] makes.
    fn spec(&self, shape: Shape) -> Spec;
}
