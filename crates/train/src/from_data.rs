//! Batches of a data set as tensors: the bridge from `udas_data` to the loop.
use crate::{Batches, LabelledBatch, Result};
use candle_core::{Device, Tensor};
use udas_data::{Batch, LabelledBatches};
use udas_network::Task;

/// Labelled slices of a data set, as the trainings on labels take them.
pub struct SourceBatches {
    batches: LabelledBatches,
    task: Task,
    device: Device,
}

impl SourceBatches {
    /// Batches as tensors on `device`, labels as targets of `task`.
    pub fn new(batches: LabelledBatches, task: Task, device: Device) -> Self {
        Self { batches, task, device }
    }
}

/// Slices as a tensor `[N, 1, H, W]`.
///
/// # Errors
/// When memory on `device` cannot be had.
pub fn images(batch: &mut Batch, device: &Device) -> Result<Tensor> {
    let Batch { n, height, width, .. } = *batch;
    let images = std::mem::take(&mut batch.images);
    Ok(Tensor::from_vec(images, (n, 1, height, width), device)?)
}

impl Batches<LabelledBatch> for SourceBatches {
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<LabelledBatch>> + '_>> {
        let batches = self.batches.epoch(epoch)?;
        Ok(Box::new(batches.map(|batch| {
            let udas_data::LabelledBatch { mut batch, labels } = batch?;
            let size = (batch.n, batch.height, batch.width);
            let target = self.task.target(&labels, size, &self.device)?;
            let images = images(&mut batch, &self.device)?;
            Ok(LabelledBatch { images, target, indices: batch.indices })
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

    fn describe(&self, batch: &LabelledBatch) -> String {
        self.batches.describe(&batch.indices)
    }
}
