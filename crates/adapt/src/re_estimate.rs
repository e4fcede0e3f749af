//! Re-estimation of batch-norm statistics on the target (AdaBN, Li et al. 2016, arXiv 1603.04779), and
//! blends of them with the source's (Schneider et al. 2020, arXiv 2006.16971).
use crate::{Result, TargetBatch};
use candle_core::Tensor;
use std::collections::BTreeMap;
use udas_network::Network;
use udas_nn::{NormMode, RunningUpdate};
use udas_train::{Batches, Error, statistics};

/// Replaces every layer's running mean and variance by the target's; see [`blend_statistics`].
///
/// # Errors
/// When data cannot be read, a tensor operation fails, or a statistic is no number.
pub fn re_estimate(network: &dyn Network, target: &dyn Batches<TargetBatch>) -> Result<()> {
    blend_statistics(network, target, 1.0)
}

/// Moves every layer's running mean and variance to `(1 - share) * source + share * target`. No weight
/// changes.
///
/// The target's mean and variance are those over all its slices: `E[m]` and `E[v] + Var[m]` over batches, with
/// the batches' own means m and variances v, so that they do not depend on which slices share a batch. That
/// is exact where a layer's input does not depend on the batch, as in the first layer; behind another batch
/// norm the input has been normalised batch by batch. Biased and unbiased variance differ by 1 in the number
/// of pixels, which is neglected.
///
/// # Errors
/// When data cannot be read, a tensor operation fails, or a statistic is no number.
pub fn blend_statistics(
    network: &dyn Network,
    target: &dyn Batches<TargetBatch>,
    share: f64,
) -> Result<()> {
    let source = running(network)?;
    let mut pooled = Pooled::default();
    for (index, batch) in target.epoch(0)?.enumerate() {
        let batch = batch?;
        // An average of which no batch came before is this batch's statistics.
        let update = RunningUpdate::Average { seen: 0 };
        network.forward(&batch.images, NormMode::Batch(update))?;
        let found = running(network)?;
        refuse_odd(&found, index + 1, || target.describe(&batch))?;
        pooled.add(&found, batch.images.elem_count() as f64);
    }
    if pooled.weight == 0.0 {
        let (slices, batch_size) = (target.slices(), target.batch_size());
        return Err(Error::NoBatches { slices, batch_size }.into());
    }
    for (name, of_target) in pooled.finish() {
        let blend = of_target.iter().zip(&source[&name]);
        let blend = blend.map(|(target, source)| (share * target + (1.0 - share) * source) as f32);
        let var = network.parameters().var(&name)?;
        var.set(&Tensor::from_vec(blend.collect::<Vec<_>>(), var.shape(), var.device())?)?;
    }
    Ok(())
}

/// Running means and variances by name.
type Statistics = BTreeMap<String, Vec<f64>>;

fn running(network: &dyn Network) -> Result<Statistics> {
    let read = |(name, var): (String, candle_core::Var)| -> Result<_> {
        Ok((name, var.to_vec1::<f32>()?.into_iter().map(f64::from).collect()))
    };
    statistics(network.parameters()).into_iter().map(read).collect()
}

fn refuse_odd(found: &Statistics, step: usize, batch: impl Fn() -> String) -> Result<()> {
    for (name, values) in found {
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            let what = format!("the statistic `{name}`");
            let (value, batch) = (value as f32, batch());
            return Err(Error::Diverged { what, epoch: 0, step, value, batch }.into());
        }
    }
    Ok(())
}

/// Weighted sums over batches: of means, of their squares, and of variances.
#[derive(Default)]
struct Pooled {
    weight: f64,
    sums: Statistics,
    squares: Statistics,
}

impl Pooled {
    fn add(&mut self, batch: &Statistics, weight: f64) {
        self.weight += weight;
        for (name, values) in batch {
            let add = |sums: &mut Statistics, value: &dyn Fn(f64) -> f64| {
                let sums = sums.entry(name.clone()).or_insert_with(|| vec![0.0; values.len()]);
                sums.iter_mut().zip(values).for_each(|(sum, &v)| *sum += weight * value(v));
            };
            add(&mut self.sums, &|v| v);
            if name.ends_with(MEAN) {
                add(&mut self.squares, &|v| v * v);
            }
        }
    }

    fn finish(self) -> Statistics {
        let Self { weight, sums, squares } = self;
        let mean = |sums: &[f64]| sums.iter().map(|sum| sum / weight).collect::<Vec<_>>();
        let of = |(name, sum): (&String, &Vec<f64>)| {
            let Some(layer) = name.strip_suffix(VARIANCE) else { return (name.clone(), mean(sum)) };
            let name_of_mean = format!("{layer}{MEAN}");
            let (means, squares) = (mean(&sums[&name_of_mean]), mean(&squares[&name_of_mean]));
            let between = means.iter().zip(&squares).map(|(mean, square)| square - mean * mean);
            let total = mean(sum).into_iter().zip(between).map(|(v, between)| v + between.max(0.0));
            (name.clone(), total.collect())
        };
        sums.iter().map(of).collect()
    }
}

const MEAN: &str = ".running_mean";
const VARIANCE: &str = ".running_var";
