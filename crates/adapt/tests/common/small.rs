//! A small network, slices to adapt it to, and running a method on them.
use super::{CPU, GO_ON, InOrder, pairs, target_pairs};
use candle_core::Tensor;
use std::sync::Arc;
use udas_adapt::{Adapted, Method, Model, Options, Result, Run, TargetBatch};
use udas_network::{EarlyHead, Network, Shape, Task};
use udas_nn::StateDict;
use udas_train::{LabelledBatch, Observer, Silent, Snapshot};
use udas_unet::UNet;

pub const SEED: u64 = 5;

/// Output channels of the two tasks.
pub const TASKS: [usize; 2] = [1, 3];

/// A network of two filters with random weights and statistics that are no longer the initial ones, and a
/// head at `level`.
pub fn model(outputs: usize, level: usize) -> Model {
    let network = network_of_seed(outputs, 3);
    let head = EarlyHead::random(network.spec(), level, 4, &CPU).unwrap();
    let head = Some(head.parameters().state().unwrap());
    Model { network, head }
}

/// The network of such a model, with other weights.
pub fn network_of_seed(outputs: usize, seed: u64) -> Arc<dyn Network> {
    let unet = UNet::random(Shape { filters: 2, outputs }, seed, &CPU).unwrap();
    let source = InOrder(target_pairs(&slices(0.2, 1.0)));
    udas_adapt::re_estimate(&unet, &source).unwrap();
    Arc::new(unet)
}

/// The entries of a model's network.
pub fn state_of(model: &Model) -> StateDict {
    model.network.parameters().state().unwrap()
}

/// Six slices of 16 by 24 pixels: a disc each, brightness `offset + gain * ...`.
pub fn slices(offset: f32, gain: f32) -> Tensor {
    let (n, h, w) = (6, 16, 24);
    let pixel = |index: usize| {
        let (slice, y, x) = (index / (h * w), index / w % h, index % w);
        let (y, x) = (y as f32 - 8.0, x as f32 - 10.0);
        let disc = f32::from(u8::from(y * y + x * x < (16 + 6 * slice) as f32));
        offset + gain * (0.5 * disc + (index * (slice + 5) % 23) as f32 / 60.0)
    };
    Tensor::from_vec((0..n * h * w).map(pixel).collect::<Vec<_>>(), (n, 1, h, w), &CPU).unwrap()
}

/// Labels of those slices.
pub fn labels(outputs: usize) -> Tensor {
    let (n, h, w) = (6, 16, 24);
    let pixel = |index: usize| {
        let (slice, y, x) = (index / (h * w), index / w % h, index % w);
        let distance = (y as f32 - 8.0).powi(2) + (x as f32 - 10.0).powi(2);
        let radius = (16 + 6 * slice) as f32;
        u8::from(distance < radius) + u8::from(distance < radius / 3.0)
    };
    let labels: Vec<u8> = (0..n * h * w).map(pixel).collect();
    Task::of(outputs).target(&labels, (n, h, w), &CPU).unwrap()
}

/// The target: darker, with less contrast.
pub fn target() -> InOrder<TargetBatch> {
    InOrder(target_pairs(&slices(0.05, 0.6)))
}

/// The target with labels.
pub fn labelled_target(outputs: usize) -> InOrder<TargetBatch> {
    let with = |batch: LabelledBatch| TargetBatch {
        images: batch.images,
        target: Some(batch.target),
        indices: batch.indices,
    };
    InOrder(pairs(&slices(0.05, 0.6), Some(&labels(outputs))).into_iter().map(with).collect())
}

pub fn source(outputs: usize) -> InOrder<LabelledBatch> {
    InOrder(pairs(&slices(0.2, 1.0), Some(&labels(outputs))))
}

/// Runs a method with everything that it may need.
pub fn adapt(method: &dyn Method, model: &Model, options: &Options) -> Result<Adapted> {
    adapt_observed(method, model, options, &mut Silent, None)
}

/// The same, watched, from a snapshot.
pub fn adapt_observed(
    method: &dyn Method,
    model: &Model,
    options: &Options,
    observer: &mut dyn Observer,
    resume: Option<Snapshot>,
) -> Result<Adapted> {
    let outputs = model.network.spec().outputs;
    let (target, source) = (labelled_target(outputs), source(outputs));
    let run = Run {
        target: &target,
        check: &target,
        source: Some(&source),
        teachers: &[network_of_seed(outputs, 13), network_of_seed(outputs, 14)],
        class_ratio: Some(vec![1.0 / outputs.max(2) as f64; outputs]),
        device: CPU,
        seed: SEED,
        observer,
        interrupt: &GO_ON,
        resume,
    };
    method.adapt(model, options, run)
}

/// Names of the entries that differ in a bit.
pub fn changed(before: &StateDict, after: &StateDict) -> Vec<String> {
    udas_adapt::Patch::between(before, after).unwrap().entries.into_keys().collect()
}

pub fn is_statistic(name: &str) -> bool {
    name.contains(".running_") || name.ends_with(".num_batches_tracked")
}
