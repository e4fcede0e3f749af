//! A chain by candle's own operations, for any device and type: no fusion, one operation a step.
use super::spec::{After, Bias, Skip, Step, StepKind, UnitSpec};
use crate::{NormMode, Parameters, Result, batch_norm, layout};
use candle_core::{D, Tensor};
use udas_kernels::{Activation, ConvKind, Moments};

/// The result `[N, H, W, C]` and the moments of every batch norm that used the batch's own.
pub(super) fn forward(
    steps: &[Step],
    parameters: &Parameters,
    map: &Tensor,
    mode: NormMode,
) -> Result<(Tensor, Vec<Moments>)> {
    let mut moments = Vec::new();
    let mut x = layout::to_channels_first(map)?;
    let mut remembered = None;
    for step in steps {
        if step.skip == Skip::Opens {
            remembered = Some(x.clone());
        }
        if let Some((name, _)) = step.norm() {
            x = normalise(parameters, name, &x, mode, &mut moments)?;
        }
        if let StepKind::Unit(unit) = &step.kind {
            x = convolve(parameters, unit, &x)?;
        }
        if step.skip == Skip::Closes
            && let Some(skip) = remembered.take()
        {
            x = (x + skip)?;
        }
    }
    Ok((layout::to_channels_last(&x)?, moments))
}

fn convolve(parameters: &Parameters, unit: &UnitSpec, x: &Tensor) -> Result<Tensor> {
    let x = if unit.activation == Activation::Relu { rectify(x)? } else { x.clone() };
    let weight = parameters.value(&format!("{}.weight", unit.name))?;
    let mut y = match unit.kind {
        ConvKind::K3 => x.conv2d(&weight, 1, 1, 1, 1)?,
        ConvKind::K1 => x.conv2d(&weight, 0, 1, 1, 1)?,
        ConvKind::Down2 => x.conv2d(&weight, 0, 2, 1, 1)?,
        ConvKind::Up2 => x.conv_transpose2d(&weight, 0, 0, 2, 1)?,
    };
    if unit.bias == Bias::Present {
        let bias = parameters.value(&format!("{}.bias", unit.name))?;
        y = y.broadcast_add(&bias.reshape((1, unit.outputs, 1, 1))?)?;
    }
    if unit.after == After::Relu { rectify(&y) } else { Ok(y) }
}

/// ReLU whose gradient at 0 is 0, as PyTorch's; candle's own is 1 there.
fn rectify(x: &Tensor) -> Result<Tensor> {
    let positive = x.gt(0.0)?.to_dtype(x.dtype())?;
    Ok((x * positive)?)
}

fn normalise(
    parameters: &Parameters,
    name: &str,
    x: &Tensor,
    mode: NormMode,
    moments: &mut Vec<Moments>,
) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let column = |tensor: Tensor| tensor.to_dtype(x.dtype())?.reshape((1, c, 1, 1));
    let (mean, variance) = match mode {
        NormMode::Running => {
            let of = |part: &str| -> Result<Tensor> {
                let var = parameters.var(&format!("{name}.{part}"))?;
                Ok(column(var.as_detached_tensor())?)
            };
            (of("running_mean")?, of("running_var")?)
        }
        NormMode::Batch(_) => {
            let per_channel = x.transpose(0, 1)?.flatten_from(1)?;
            let mean = per_channel.mean_keepdim(D::Minus1)?;
            let variance = per_channel.broadcast_sub(&mean)?.sqr()?.mean_keepdim(D::Minus1)?;
            let host = |tensor: &Tensor| -> Result<Vec<f32>> {
                Ok(tensor.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1()?)
            };
            let (host_mean, host_variance) = (host(&mean)?, host(&variance)?);
            moments.push(Moments { mean: host_mean, variance: host_variance, count: n * h * w });
            (column(mean)?, column(variance)?)
        }
    };
    let gamma = column(parameters.value(&format!("{name}.weight"))?)?;
    let beta = column(parameters.value(&format!("{name}.bias"))?)?;
    let centred = x.broadcast_sub(&mean)?;
    let normal = centred.broadcast_div(&(variance + batch_norm::EPSILON)?.sqrt()?)?;
    Ok(normal.broadcast_mul(&gamma)?.broadcast_add(&beta)?)
}
