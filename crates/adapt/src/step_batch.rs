//! What one step of an adaptation sees: target slices, and labelled source slices where the method needs
//! them.
use candle_core::Tensor;
use udas_train::{Batches, Error, LabelledBatch, Result};

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
        if source.steps() == 0 {
            // Else there would be no step, and the source model would pass for an adapted one.
            return Err(Error::NoBatches {
                slices: source.slices(),
                batch_size: source.batch_size(),
            });
        }
        // Every round of the source has an epoch number of its own, so that its order differs.
        let rounds = self.target.steps().div_ceil(source.steps()) as u64;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// So many batches of one slice.
    struct Count<B> {
        count: usize,
        batch: fn() -> B,
    }

    impl<B> Batches<B> for Count<B> {
        fn epoch(&self, _: u64) -> Result<Box<dyn Iterator<Item = Result<B>> + '_>> {
            Ok(Box::new((0..self.count).map(|_| Ok((self.batch)()))))
        }
        fn steps(&self) -> usize {
            self.count
        }
        fn slices(&self) -> usize {
            self.count
        }
        fn batch_size(&self) -> usize {
            1
        }
        fn describe(&self, _: &B) -> String {
            String::new()
        }
    }

    fn images() -> Tensor {
        Tensor::zeros((1, 1, 8, 8), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap()
    }

    #[test]
    fn the_source_goes_round_and_an_empty_one_is_refused() {
        let batch = || TargetBatch { images: images(), target: None, indices: vec![0] };
        let target = Count { count: 5, batch };
        let steps = |count: usize| -> Result<usize> {
            let batch = || LabelledBatch { images: images(), target: images(), indices: vec![0] };
            let source = Count { count, batch };
            let steps = Steps { target: &target, source: Some(&source) };
            let epoch = steps.epoch(0)?.collect::<Result<Vec<_>>>()?;
            Ok(epoch.iter().filter(|step| step.source.is_some()).count())
        };
        assert_eq!(steps(2).unwrap(), 5);
        let error = steps(0).unwrap_err();
        assert!(matches!(error, Error::NoBatches { slices: 0, .. }), "{error}");
    }
}
