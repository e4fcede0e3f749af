//! What a training learns from: batches of an epoch, in an order that is a function of the epoch alone.
use crate::Result;
use candle_core::Tensor;

/// A source of batches.
pub trait Batches<B> {
    /// The batches of an epoch; the same for the same epoch.
    ///
    /// # Errors
    /// When reading cannot begin.
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<B>> + '_>>;

    /// Batches in an epoch.
    fn steps(&self) -> usize;

    /// Slices at hand, those of a dropped partial batch included.
    fn slices(&self) -> usize;

    /// Slices in a full batch.
    fn batch_size(&self) -> usize;

    /// What a batch is made of, for messages.
    fn describe(&self, batch: &B) -> String;
}

/// Slices with their target.
#[derive(Clone, Debug)]
pub struct LabelledBatch {
    /// `[N, 1, H, W]`, preprocessed.
    pub images: Tensor,
    /// `[N, C, H, W]`, 0 and 1.
    pub target: Tensor,
    /// Indices of the slices in their source.
    pub indices: Vec<usize>,
}
