//! Cross-entropy with a prediction in the place of labels: soft or hard, all pixels or the confident ones.
use crate::{Labels, Options};
use candle_core::{DType, Result, Tensor};
use udas_losses::{
    binary_cross_entropy, binary_cross_entropy_elements, log_softmax, soft_cross_entropy,
};
use udas_network::Task;

/// The loss of `logits` against a prediction's `probabilities`, both `[N, C, H, W]`. Gradient flows through
/// `probabilities` too, unless they are detached or hardened.
///
/// Over all pixels the multi-class value is the published one, a mean over classes too. Over the confident
/// pixels it is the mean over those, scaled alike.
pub(crate) fn pseudo_label_loss(
    task: Task,
    logits: &Tensor,
    probabilities: &Tensor,
    options: &Options,
) -> Result<Tensor> {
    let target = match options.labels {
        Labels::Soft => probabilities.clone(),
        Labels::Hard => harden(task, &probabilities.detach())?,
    };
    if options.confidence <= 0.0 {
        return match task {
            Task::Binary => binary_cross_entropy(logits, &target),
            Task::MultiClass { .. } => soft_cross_entropy(logits, &target),
        };
    }
    let elements = match task {
        Task::Binary => binary_cross_entropy_elements(logits, &target)?,
        Task::MultiClass { .. } => (log_softmax(logits)? * &target)?.neg()?,
    };
    let sure = confidence(task, &probabilities.detach())?.ge(options.confidence)?;
    let sure = sure.to_dtype(elements.dtype())?;
    // No confident pixel: the loss is 0, and so is its gradient.
    let count = sure.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?.max(1.0);
    elements.broadcast_mul(&sure)?.sum_all()? / (count * task.outputs() as f64)
}

/// 0 and 1: the most probable class.
fn harden(task: Task, probabilities: &Tensor) -> Result<Tensor> {
    let dtype = probabilities.dtype();
    match task {
        Task::Binary => probabilities.gt(0.5)?.to_dtype(dtype),
        Task::MultiClass { classes } => {
            let best = probabilities.argmax_keepdim(1)?;
            let of = |class| best.eq(class as u32)?.to_dtype(dtype);
            Tensor::cat(&(0..classes).map(of).collect::<Result<Vec<_>>>()?, 1)
        }
    }
}

/// Probability of the most probable class, `[N, 1, H, W]`.
pub(crate) fn confidence(task: Task, probabilities: &Tensor) -> Result<Tensor> {
    match task {
        Task::Binary => probabilities.maximum(&probabilities.affine(-1.0, 1.0)?),
        Task::MultiClass { .. } => probabilities.max_keepdim(1),
    }
}
