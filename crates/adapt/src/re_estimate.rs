//! Re-estimation of batch-norm statistics on the target (AdaBN, Li et al. 2016, arXiv 1603.04779).
use crate::{Result, TargetBatch};
use udas_nn::{NormMode, RunningUpdate};
use udas_train::Batches;
use udas_unet::UNet;

/// Replaces every layer's running mean and variance by the plain mean, over batches, of the batch
/// statistics of `target`. No weight changes.
///
/// # Errors
/// When data cannot be read or a tensor operation fails.
pub fn re_estimate(unet: &UNet, target: &dyn Batches<TargetBatch>) -> Result<()> {
    for (seen, batch) in target.epoch(0)?.enumerate() {
        let update = RunningUpdate::Average { seen: seen as u64 };
        unet.forward(&batch?.images, NormMode::Batch(update))?;
    }
    Ok(())
}
