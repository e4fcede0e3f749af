//! Batches of a target data set as tensors: the bridge from `udas_data` to the methods.
use crate::TargetBatch;
use candle_core::Device;
use udas_data::UnlabelledBatches;
use udas_train::{Batches, LabelledBatch, Result, SourceBatches, images};

/// Unlabelled slices of the target.
pub struct TargetBatches {
    batches: UnlabelledBatches,
    device: Device,
}

impl TargetBatches {
    /// Batches as tensors on `device`.
    pub fn new(batches: UnlabelledBatches, device: Device) -> Self {
        Self { batches, device }
    }
}

impl Batches<TargetBatch> for TargetBatches {
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<TargetBatch>> + '_>> {
        let batches = self.batches.epoch(epoch)?;
        Ok(Box::new(batches.map(|batch| {
            let mut batch = batch?;
            let images = images(&mut batch, &self.device)?;
            Ok(TargetBatch { images, target: None, indices: batch.indices })
        })))
    }

    fn steps(&self) -> usize {
        self.batches.steps()
    }

    fn slices(&self) -> usize {
        self.batches.slices()
    }

    fn batch_size(&self) -> usize {
        self.batches.plan().batch_size
    }

    fn describe(&self, batch: &TargetBatch) -> String {
        self.batches.describe(&batch.indices)
    }
}

/// Labelled slices of the target, for the oracles alone.
pub struct OracleBatches(pub SourceBatches);

impl Batches<TargetBatch> for OracleBatches {
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<TargetBatch>> + '_>> {
        let batches = self.0.epoch(epoch)?;
        Ok(Box::new(batches.map(|batch| {
            let LabelledBatch { images, target, indices } = batch?;
            Ok(TargetBatch { images, target: Some(target), indices })
        })))
    }

    fn steps(&self) -> usize {
        self.0.steps()
    }

    fn slices(&self) -> usize {
        self.0.slices()
    }

    fn batch_size(&self) -> usize {
        self.0.batch_size()
    }

    fn describe(&self, batch: &TargetBatch) -> String {
        format!("labelled target slices {:?}", batch.indices)
    }
}
