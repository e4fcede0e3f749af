//! What one step of an adaptation sees: target slices, and labelled source slices where the method needs
//! them.
use candle_core::Tensor;
use udas_train::{Batches, LabelledBatch, Result};

/// Slices of the target.
#[derive(Clone, Debug)]
pub struct TargetBatch {
    /// `[N, 1, H, W]`, preprocessed.
    pub images: Tensor,
    /// `[N, C, H, W]`; none for every method but the oracles.
    pub target: Option<Tensor>,
    /// Indices of the slices in their source.
    pub indices: Vec<usize>,
}

/// What one step sees.
#[derive(Clone, Debug)]
pub struct StepBatch {
    /// Target slices.
    pub target: TargetBatch,
    /// Labelled source slices, for the methods that need them.
    pub source: Option<LabelledBatch>,
}

impl From<TargetBatch> for StepBatch {
    fn from(target: TargetBatch) -> Self {
        Self { target, source: None }
    }
}

/// The target's batches, each with one of the source where there is one. The target decides how many
/// there are; the source goes round again when it is at its end.
pub(crate) struct Steps<'a> {
    pub target: &'a dyn Batches<TargetBatch>,
    pub source: Option<&'a dyn Batches<LabelledBatch>>,
}

impl Batches<StepBatch> for Steps<'_> {
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<StepBatch>> + '_>> {
        let target = self.target.epoch(epoch)?;
        let Some(source) = self.source else {
            return Ok(Box::new(target.map(|batch| Ok(batch?.into()))));
        };
        // Every round of the source has an epoch number of its own, so that its order differs.
        let rounds = self.target.steps().div_ceil(source.steps().max(1)) as u64;
        let batches =
            (0..rounds).flat_map(move |round| match source.epoch(epoch * rounds + round) {
                Ok(batches) => batches,
                Err(error) => Box::new(std::iter::once(Err(error))),
            });
        Ok(Box::new(
            target
                .zip(batches)
                .map(|(target, source)| Ok(StepBatch { target: target?, source: Some(source?) })),
        ))
    }

    fn steps(&self) -> usize {
        self.target.steps()
    }

    fn slices(&self) -> usize {
        self.target.slices()
    }

    fn batch_size(&self) -> usize {
        self.target.batch_size()
    }

    fn describe(&self, batch: &StepBatch) -> String {
        self.target.describe(&batch.target)
    }
}
