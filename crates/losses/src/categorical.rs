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

/// Mean over pixels of minus the log-probability of the target class; `target` is one-hot or soft,
/// `[N, C, H, W]`.
///
/// # Errors
/// When the shapes differ.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
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
    if fits(logits) && fits(probabilities) && logits.rank() == 4 {
        return MeanLoss::classes(logits, Over::PixelsAndClasses)?.of(logits, probabilities);
    }
    (log_softmax(logits)? * probabilities)?.mean_all()?.neg()
}
