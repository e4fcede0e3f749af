//! Batch norm's behaviour and its running statistics (Ioffe and Szegedy 2015), as PyTorch keeps them:
//! epsilon 1e-5, momentum 0.1, unbiased running variance.
use crate::{Entry, Parameters, Result, Role};
use candle_core::{DType, Tensor};
use udas_kernels::{Moments, Norm, Statistics};

/// Added to the variance.
pub(crate) const EPSILON: f64 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// What batch norm normalises with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NormMode {
    /// The running statistics: evaluation mode.
    Running,
    /// The batch's own statistics: training mode.
    Batch(RunningUpdate),
}

/// What a pass with batch statistics does to the running ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunningUpdate {
    /// Nothing.
    Keep,
    /// So many steps of the exponential average, momentum 0.1, with the same batch.
    Steps(u32),
    /// The plain mean over batches, of which `seen` came before this one; 0 starts anew.
    Average {
        /// Batches already averaged.
        seen: u64,
    },
}

impl RunningUpdate {
    /// How often the running statistics move, and how far towards the batch's; none when they stay.
    fn steps_and_weight(self) -> Option<(u32, f32)> {
        match self {
            Self::Keep => None,
            Self::Steps(steps) => Some((steps, MOMENTUM)),
            Self::Average { seen } => Some((1, 1.0 / (seen as f32 + 1.0))),
        }
    }
}

/// A batch's mean and biased variance a channel, `[C]`, on the device they were computed on, and the values
/// a channel that they come from.
pub(crate) struct DeviceMoments {
    pub mean: Tensor,
    pub variance: Tensor,
    pub count: usize,
}

/// The five entries of a batch-norm layer named `prefix`.
pub(crate) fn entries(prefix: &str, channels: usize) -> Vec<Entry> {
    let of = |part: &str, shape: Vec<usize>, role| Entry {
        name: format!("{prefix}.{part}"),
        shape,
        role,
    };
    vec![
        of("weight", vec![channels], Role::NormAffine),
        of("bias", vec![channels], Role::NormAffine),
        of("running_mean", vec![channels], Role::Statistic),
        of("running_var", vec![channels], Role::Statistic),
        of("num_batches_tracked", vec![], Role::Statistic),
    ]
}

/// The normalisation with running statistics.
pub(crate) fn running(
    parameters: &Parameters,
    prefix: &str,
    gamma: &[f32],
    beta: &[f32],
) -> Result<Norm> {
    let of = |part: &str| -> Result<Vec<f32>> {
        Ok(parameters.var(&format!("{prefix}.{part}"))?.to_vec1()?)
    };
    let variance = of("running_var")?;
    Ok(normalisation(of("running_mean")?, &variance, gamma, beta, Statistics::Running))
}

/// The normalisation with a batch's moments.
pub(crate) fn batch(moments: &Moments, gamma: &[f32], beta: &[f32]) -> Norm {
    normalisation(moments.mean.clone(), &moments.variance, gamma, beta, Statistics::Batch)
}

fn normalisation(
    mean: Vec<f32>,
    variance: &[f32],
    gamma: &[f32],
    beta: &[f32],
    statistics: Statistics,
) -> Norm {
    let inv_std =
        variance.iter().map(|&variance| (1.0 / (f64::from(variance) + EPSILON).sqrt()) as f32);
    Norm {
        mean,
        inv_std: inv_std.collect(),
        gamma: gamma.to_vec(),
        beta: beta.to_vec(),
        statistics,
    }
}

/// Moves the running statistics of the layer `prefix` towards a batch's moments.
///
/// # Errors
/// When there is no such layer.
pub fn update(
    parameters: &Parameters,
    prefix: &str,
    moments: &Moments,
    update: RunningUpdate,
) -> Result<()> {
    let Some((steps, weight)) = update.steps_and_weight() else { return Ok(()) };
    let variance = moments.unbiased_variance();
    for (part, batch) in [("running_mean", &moments.mean), ("running_var", &variance)] {
        let var = parameters.var(&format!("{prefix}.{part}"))?;
        let mut running: Vec<f32> = var.to_dtype(DType::F32)?.to_vec1()?;
        for _ in 0..steps {
            for (running, batch) in running.iter_mut().zip(batch) {
                *running = (1.0 - weight) * *running + weight * batch;
            }
        }
        let running = Tensor::from_vec(running, var.shape(), var.device())?;
        var.set(&running.to_dtype(var.dtype())?)?;
    }
    let tracked = parameters.var(&format!("{prefix}.num_batches_tracked"))?;
    let count = tracked.to_scalar::<i64>()? + i64::from(steps);
    tracked.set(&Tensor::new(count, tracked.device())?)?;
    Ok(())
}

/// As [`update`], without a copy to the host.
pub(crate) fn update_on_device(
    parameters: &Parameters,
    prefix: &str,
    moments: &DeviceMoments,
    update: RunningUpdate,
) -> Result<()> {
    let Some((steps, weight)) = update.steps_and_weight() else { return Ok(()) };
    let count = moments.count as f64;
    let variance = (&moments.variance * (count / (count - 1.0).max(1.0)))?;
    for (part, batch) in [("running_mean", &moments.mean), ("running_var", &variance)] {
        let var = parameters.var(&format!("{prefix}.{part}"))?;
        let step = (batch.to_dtype(var.dtype())? * f64::from(weight))?;
        let mut running = var.as_detached_tensor();
        for _ in 0..steps {
            running = ((running * f64::from(1.0 - weight))? + &step)?;
        }
        var.set(&running)?;
    }
    let tracked = parameters.var(&format!("{prefix}.num_batches_tracked"))?;
    tracked.set(&tracked.as_detached_tensor().affine(1.0, f64::from(steps))?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateDict;
    use candle_core::Device;

    #[test]
    fn statistics_move_alike_on_host_and_device() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let state = || {
            let mut state = StateDict::new();
            for part in ["weight", "bias", "running_mean", "running_var"] {
                state.insert(format!("norm.{part}"), tensor(&[1.5, -0.5]));
            }
            state.insert(
                "norm.num_batches_tracked".into(),
                Tensor::new(3i64, &Device::Cpu).unwrap(),
            );
            Parameters::new(&entries("norm", 2), &state, &Device::Cpu).unwrap()
        };
        let (mean, variance, count) = ([0.25f32, 4.0], [2.0f32, 0.125], 10);
        let host = Moments { mean: mean.to_vec(), variance: variance.to_vec(), count };
        let device = DeviceMoments { mean: tensor(&mean), variance: tensor(&variance), count };
        let rules =
            [RunningUpdate::Keep, RunningUpdate::Steps(2), RunningUpdate::Average { seen: 4 }];
        for rule in rules {
            let parameters = [state(), state()];
            update(&parameters[0], "norm", &host, rule).unwrap();
            update_on_device(&parameters[1], "norm", &device, rule).unwrap();
            for part in ["running_mean", "running_var", "num_batches_tracked"] {
                let [a, b] = parameters.each_ref().map(|parameters| {
                    let var = parameters.var(&format!("norm.{part}")).unwrap();
                    var.to_dtype(DType::F64)
                        .unwrap()
                        .flatten_all()
                        .unwrap()
                        .to_vec1::<f64>()
                        .unwrap()
                });
                for (a, b) in a.iter().zip(&b) {
                    assert!((a - b).abs() < 1e-6, "{rule:?} {part}: {a} {b}");
                }
            }
        }
    }
}
