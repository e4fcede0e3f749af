//! The operations of a chain on any device, `[N, C, H, W]`: by `udas-cuda` on an NVIDIA GPU, else by candle.
use crate::{Result, batch_norm};
use candle_core::{D, Tensor};
use udas_kernels::ConvKind;

/// What a map is normalised with, a channel: `[C]` each.
pub(super) enum Statistics {
    /// Mean and variance from elsewhere.
    Given { mean: Tensor, variance: Tensor },
    /// The map's own: the gradient flows through them.
    Own { mean: Tensor, variance: Tensor },
}

/// Mean and biased variance of every channel.
pub(super) fn moments(x: &Tensor) -> Result<(Tensor, Tensor)> {
    #[cfg(feature = "cuda")]
    if gpu::fits(x) {
        return Ok(udas_cuda::moments(&x.contiguous()?)?);
    }
    let per_channel = x.transpose(0, 1)?.flatten_from(1)?;
    let mean = per_channel.mean_keepdim(D::Minus1)?;
    let variance = per_channel.broadcast_sub(&mean)?.sqr()?.mean_keepdim(D::Minus1)?;
    Ok((mean.flatten_all()?, variance.flatten_all()?))
}

/// gamma (x - mean) / sqrt(variance + epsilon) + beta, rectified if asked.
pub(super) fn normalise(
    x: &Tensor,
    statistics: Statistics,
    gamma: &Tensor,
    beta: &Tensor,
    rectified: bool,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if gpu::fits(x) {
        return gpu::affine(x, Some(statistics), Some(gamma), Some(beta), rectified);
    }
    let (Statistics::Given { mean, variance } | Statistics::Own { mean, variance }) = statistics;
    let column = |tensor: &Tensor| tensor.to_dtype(x.dtype())?.reshape((1, (), 1, 1));
    let deviation = (column(&variance)? + batch_norm::EPSILON)?.sqrt()?;
    let normal = x.broadcast_sub(&column(&mean)?)?.broadcast_div(&deviation)?;
    let y = normal.broadcast_mul(&column(gamma)?)?.broadcast_add(&column(beta)?)?;
    if rectified { rectify(&y) } else { Ok(y) }
}

/// x plus a bias a channel, rectified if asked.
pub(super) fn shift(x: Tensor, bias: Option<&Tensor>, rectified: bool) -> Result<Tensor> {
    if bias.is_none() && !rectified {
        return Ok(x);
    }
    #[cfg(feature = "cuda")]
    if gpu::fits(&x) {
        return gpu::affine(&x, None, None, bias, rectified);
    }
    let y = match bias {
        Some(bias) => x.broadcast_add(&bias.reshape((1, (), 1, 1))?)?,
        None => x,
    };
    if rectified { rectify(&y) } else { Ok(y) }
}

/// ReLU whose gradient at 0 is 0, as PyTorch's; candle's own is 1 there.
fn rectify(x: &Tensor) -> Result<Tensor> {
    let positive = x.gt(0.0)?.to_dtype(x.dtype())?;
    Ok((x * positive)?)
}

/// The convolution of x with a weight of its kind.
pub(super) fn convolve(kind: ConvKind, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (stride, padding) = match kind {
        ConvKind::K3 => (1, 1),
        ConvKind::K1 => (1, 0),
        ConvKind::Down2 | ConvKind::Up2 => (2, 0),
    };
    #[cfg(feature = "cudnn")]
    if gpu::fits(x) {
        let convolution = udas_cuda::Convolution { stride, padding };
        return Ok(match kind {
            ConvKind::Up2 => udas_cuda::convolve_transposed(x, weight, convolution)?,
            _ => udas_cuda::convolve(x, weight, convolution)?,
        });
    }
    Ok(match kind {
        ConvKind::Up2 => x.conv_transpose2d(weight, padding, 0, stride, 1)?,
        _ => x.conv2d(weight, padding, stride, 1, 1)?,
    })
}

#[cfg(feature = "cuda")]
mod gpu {
    use super::Statistics;
    use crate::{Result, batch_norm};
    use candle_core::{DType, Tensor};

    pub fn fits(x: &Tensor) -> bool {
        x.device().is_cuda() && x.dtype() == DType::F32
    }

    pub fn affine(
        x: &Tensor,
        statistics: Option<Statistics>,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
        rectified: bool,
    ) -> Result<Tensor> {
        let statistics = match statistics {
            Some(Statistics::Given { mean, variance }) => {
                udas_cuda::Statistics::Given { mean, variance }
            }
            Some(Statistics::Own { mean, variance }) => {
                udas_cuda::Statistics::Own { mean, variance }
            }
            None => udas_cuda::Statistics::None,
        };
        let affine = udas_cuda::Affine::new(statistics, batch_norm::EPSILON, rectified);
        Ok(affine.apply(x, gamma, beta)?)
    }
}
