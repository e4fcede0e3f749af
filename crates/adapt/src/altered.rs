//! Target slices with their contrast, shading, sharpness and noise altered, as another scanner might.
use crate::TargetBatch;
use candle_core::{Result, Tensor};
use udas_data::{Augmentation, AugmentationRanges};

/// The images of a batch, each altered anew; a function of seed, step and the slices' indices alone. Channels are altered
/// each in its own way, the slices of a volume alike.
pub(crate) fn altered(batch: &TargetBatch, seed: u64, step: u64) -> Result<Tensor> {
    let [count, channels, depth, height, width] = match *batch.images.dims() {
        [n, c, h, w] => [n, c, 1, h, w],
        [n, c, d, h, w] => [n, c, d, h, w],
        ref other => candle_core::bail!("images {other:?}, neither slices nor volumes"),
    };
    if batch.indices.len() != count {
        candle_core::bail!("{count} slices and {} indices of them", batch.indices.len());
    }
    let (pixels, mut values) = (height * width, batch.images.flatten_all()?.to_vec1::<f32>()?);
    let images = values.chunks_exact_mut((channels * depth * pixels).max(1));
    for (image, &index) in images.zip(&batch.indices) {
        for (channel, image) in image.chunks_exact_mut((depth * pixels).max(1)).enumerate() {
            // The first channel's is the seed itself.
            let seed = seed ^ (channel as u64).rotate_right(8);
            let drawn = Augmentation::draw(&AugmentationRanges::SCANNERS, seed, step, index);
            drawn.apply_to_slices(image, pixels, width);
        }
    }
    Tensor::from_vec(values, batch.images.shape(), batch.images.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn batch(sizes: &[usize]) -> TargetBatch {
        let count: usize = sizes.iter().product();
        let values = (0..count).map(|i| ((i * 37) % 101) as f32).collect();
        let images = Tensor::from_vec(values, sizes, &Device::Cpu).unwrap();
        TargetBatch { images, target: None, indices: (0..sizes[0]).collect() }
    }

    fn values(images: &Tensor) -> Vec<f32> {
        images.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn volumes_and_channels_are_altered_by_seed_step_and_index_alone() {
        for sizes in [&[2, 2, 8, 8][..], &[2, 2, 4, 8, 8]] {
            let batch = batch(sizes);
            let of = |seed, step| values(&altered(&batch, seed, step).unwrap());
            assert_eq!(of(1, 2), of(1, 2));
            assert_ne!(of(1, 2), of(1, 3));
            assert_ne!(of(1, 2), of(2, 2));
            assert_ne!(of(1, 2), values(&batch.images));
        }
    }

    #[test]
    fn a_channel_is_altered_as_it_would_be_alone() {
        let both = batch(&[1, 2, 8, 8]);
        let alone = TargetBatch { images: both.images.narrow(1, 0, 1).unwrap(), ..both.clone() };
        let both = altered(&both, 5, 1).unwrap().narrow(1, 0, 1).unwrap();
        assert_eq!(values(&both), values(&altered(&alone, 5, 1).unwrap()));
    }
}
