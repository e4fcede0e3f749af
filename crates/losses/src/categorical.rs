//! Cross-entropy over classes (axis 1).
use crate::fused::{MeanLoss, Over, fits};
use candle_core::{Result, Tensor};

/// Logarithm of the softmax over axis 1.
///
/// # Errors
/// When there is no axis 1.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    // The maximum only shifts; it is detached because its gradient cancels.
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)
}

/// Softmax over axis 1.
///
/// # Errors
/// When there is no axis 1.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    log_softmax(logits)?.exp()
}

/// A volume's voxels as the pixels of a plane: these losses do not ask where a pixel lies.
fn planes(tensor: &Tensor) -> Result<Tensor> {
    if tensor.rank() == 5 { tensor.flatten(3, 4) } else { Ok(tensor.clone()) }
}

/// Mean over pixels of minus the log-probability of the target class; `target` is one-hot or soft,
/// `[N, C, H, W]`, in 3-D `[N, C, D, H, W]`.
///
/// # Errors
/// When the shapes differ.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    let (logits, target) = (&planes(logits)?, &planes(target)?);
    if fits(logits) && fits(target) && logits.rank() == 4 {
        return MeanLoss::classes(logits, Over::Pixels)?.of(logits, target);
    }
    (log_softmax(logits)? * target)?.sum(1)?.mean_all()?.neg()
}

/// The published refinement loss: as [`cross_entropy`], but the mean is over classes too, so the value is
/// 1/C of it. Gradients flow to both arguments.
///
/// # Errors
/// When the shapes differ.
pub fn soft_cross_entropy(logits: &Tensor, probabilities: &Tensor) -> Result<Tensor> {
    let (logits, probabilities) = (&planes(logits)?, &planes(probabilities)?);
    if fits(logits) && fits(probabilities) && logits.rank() == 4 {
        return MeanLoss::classes(logits, Over::PixelsAndClasses)?.of(logits, probabilities);
    }
    (log_softmax(logits)? * probabilities)?.mean_all()?.neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn a_volume_has_the_loss_and_the_gradient_of_its_pixels() {
        let values = |seed: usize| (0..96).map(|i| ((i * seed) % 23) as f32 / 7.0 - 1.0).collect();
        let logits = Var::from_vec(values(5), (2, 3, 2, 2, 4), &Device::Cpu).unwrap();
        let target = Tensor::from_vec(values(11), (2, 3, 2, 2, 4), &Device::Cpu).unwrap();
        for loss in [cross_entropy, soft_cross_entropy] {
            let volume = loss(&logits, &target).unwrap();
            let flat = |tensor: &Tensor| tensor.reshape((2, 3, 1, 16)).unwrap();
            let plane = loss(&flat(&logits), &flat(&target)).unwrap();
            assert_eq!(volume.to_scalar::<f32>().unwrap(), plane.to_scalar::<f32>().unwrap());
            let gradient = |loss: &Tensor| -> Vec<f32> {
                let gradients = loss.backward().unwrap();
                gradients.get(&logits).unwrap().flatten_all().unwrap().to_vec1().unwrap()
            };
            assert_eq!(gradient(&volume), gradient(&plane));
            assert!(gradient(&volume).iter().any(|value| value.abs() > 1e-3));
        }
    }
}
