//! A chain step by step, for any device and type.
use super::device::{self, Statistics};
use super::spec::{After, Bias, Skip, Step, StepKind, UnitSpec};
use crate::batch_norm::DeviceMoments;
use crate::{NormMode, Parameters, Result, layout};
use candle_core::Tensor;
use udas_kernels::Activation;

/// The result `[N, H, W, C]` and the moments of every batch norm that used the batch's own.
pub(super) fn forward(
    steps: &[Step],
    parameters: &Parameters,
    map: &Tensor,
    mode: NormMode,
) -> Result<(Tensor, Vec<DeviceMoments>)> {
    let mut moments = Vec::new();
    let mut x = layout::to_channels_first(map)?;
    let mut remembered = None;
    for step in steps {
        if step.skip == Skip::Opens {
            remembered = Some(x.clone());
        }
        let rectified =
            matches!(&step.kind, StepKind::Unit(unit) if unit.activation == Activation::Relu);
        if let Some((name, _)) = step.norm() {
            x = normalise(parameters, name, &x, mode, rectified, &mut moments)?;
        } else if rectified {
            x = device::shift(x, None, true)?;
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
    let weight = parameters.value(&format!("{}.weight", unit.name))?;
    let y = device::convolve(unit.kind, x, &weight)?;
    let bias = match unit.bias {
        Bias::Present => Some(parameters.value(&format!("{}.bias", unit.name))?),
        Bias::Absent => None,
    };
    device::shift(y, bias.as_ref(), unit.after == After::Relu)
}

fn normalise(
    parameters: &Parameters,
    name: &str,
    x: &Tensor,
    mode: NormMode,
    rectified: bool,
    moments: &mut Vec<DeviceMoments>,
) -> Result<Tensor> {
    let (n, _, h, w) = x.dims4()?;
    let statistics = match mode {
        NormMode::Running => {
            let of = |part: &str| -> Result<Tensor> {
                let var = parameters.var(&format!("{name}.{part}"))?;
                Ok(var.as_detached_tensor().to_dtype(x.dtype())?)
            };
            Statistics::Given { mean: of("running_mean")?, variance: of("running_var")? }
        }
        NormMode::Batch(_) => {
            let (mean, variance) = device::moments(x)?;
            let (kept, count) = ((mean.detach(), variance.detach()), n * h * w);
            moments.push(DeviceMoments { mean: kept.0, variance: kept.1, count });
            Statistics::Own { mean, variance }
        }
    };
    let gamma = parameters.value(&format!("{name}.weight"))?;
    let beta = parameters.value(&format!("{name}.bias"))?;
    device::normalise(x, statistics, &gamma, &beta, rectified)
}
