//! Target slices with their contrast, shading, sharpness and noise altered, as another scanner might.
use crate::TargetBatch;
use candle_core::{Result, Tensor};
use udas_data::{Augmentation, AugmentationRanges};

/// The images of a batch, each altered anew; a function of seed, step and the slices' indices alone.
pub(crate) fn altered(batch: &TargetBatch, seed: u64, step: u64) -> Result<Tensor> {
    let (count, channels, height, width) = batch.images.dims4()?;
    if batch.indices.len() != count {
        candle_core::bail!("{count} slices and {} indices of them", batch.indices.len());
    }
    let mut values = batch.images.flatten_all()?.to_vec1::<f32>()?;
    let slices = values.chunks_exact_mut((channels * height * width).max(1));
    for (slice, &index) in slices.zip(&batch.indices) {
        Augmentation::draw(&AugmentationRanges::SCANNERS, seed, step, index).apply(slice, width);
    }
    Tensor::from_vec(values, batch.images.shape(), batch.images.device())
}
