//! Binary cross-entropy with logits.
use crate::fused::{MeanLoss, Sigmoid, fits};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Logistic function, differentiable, without overflow at any logit.
///
/// # Errors
/// When the tensor's type is no float.
pub fn sigmoid(logits: &Tensor) -> Result<Tensor> {
    if fits(logits) {
        return logits.contiguous()?.apply_op1(Sigmoid);
    }
    // 1 / (1 + e^-x) = (1 + tanh(x / 2)) / 2
    (logits * 0.5)?.tanh()?.affine(0.5, 0.5)
}

/// log(1 + e^x) with its gradient, the logistic function.
fn softplus(x: &Tensor) -> Result<Tensor> {
    if fits(x) {
        return x.contiguous()?.apply_op1(Softplus);
    }
    // max(x, 0) + log(1 + e^-|x|)
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

/// Loss per element, `softplus(z) - z t`: equal to
/// `-t log sigmoid(z) - (1 - t) log(1 - sigmoid(z))` for targets in [0, 1], and finite at any logit.
/// Gradients flow to logits and targets.
///
/// # Errors
/// When the shapes differ.
pub fn binary_cross_entropy_elements(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    softplus(logits)? - (logits * target)?
}

/// Mean over all elements of [`binary_cross_entropy_elements`]; a scalar.
///
/// # Errors
/// When the shapes differ.
pub fn binary_cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    if fits(logits) && fits(target) {
        return MeanLoss::Binary.of(logits, target);
    }
    binary_cross_entropy_elements(logits, target)?.mean_all()
}

/// Values that are worth handing to another thread.
const SHARE: usize = 4096;

struct Softplus;

impl CustomOp1 for Softplus {
    fn name(&self) -> &'static str {
        "softplus"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("softplus reads contiguous tensors only")
        };
        let values = &storage.as_slice::<f32>()?[start..end];
        let softplus = |&x: &f32| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let result = values.par_iter().with_min_len(SHARE).map(softplus).collect();
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((sigmoid(&x.detach())? * grad)?))
    }
}
