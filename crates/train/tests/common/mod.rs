//! What the tests of the loop share: golden files, batches in memory, an objective that is watched.
#![allow(dead_code, reason = "each test file uses its part")]
use candle_core::{DType, Device, Tensor, Var};
use std::sync::atomic::AtomicBool;
use udas_nn::{AdamConfig, Checkpoint, StateDict};
use udas_record::Phase;
use udas_train::{
    Batches, Fit, FitConfig, Keep, LabelledBatch, Objective, Observer, Result, StopRule,
};

/// Never set.
pub static GO_ON: AtomicBool = AtomicBool::new(false);

/// The tensors of a golden file, or a visible skip.
pub fn golden(name: &str) -> Option<StateDict> {
    let path = format!("{}/../../tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if !std::path::Path::new(&path).exists() {
        eprintln!("skipped: {path} is absent (golden values are not part of the packaged crate)");
        return None;
    }
    Some(Checkpoint::load(path).unwrap().tensors)
}

/// The entries whose name begins so, without that beginning.
pub fn with_prefix(tensors: &StateDict, prefix: &str) -> StateDict {
    let named = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())));
    named.collect()
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference, relative to the golden tensor's largest value.
pub fn relative_error(found: &Tensor, golden: &Tensor) -> f64 {
    let (found, golden) = (values(found), values(golden));
    assert_eq!(found.len(), golden.len());
    let largest = golden.iter().fold(1e-6, |max: f64, value| max.max(value.abs()));
    found.iter().zip(&golden).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

/// Batches in memory, in the same order every epoch.
pub struct InOrder(pub Vec<LabelledBatch>);

impl InOrder {
    /// Batches of two from `[N, ..]` tensors.
    pub fn pairs(images: &Tensor, target: &Tensor) -> Self {
        let batch = |start: usize| LabelledBatch {
            images: images.narrow(0, start, 2).unwrap(),
            target: target.narrow(0, start, 2).unwrap(),
            indices: vec![start, start + 1],
        };
        Self((0..images.dim(0).unwrap()).step_by(2).map(batch).collect())
    }
}

impl Batches<LabelledBatch> for InOrder {
    fn epoch(&self, _: u64) -> Result<Box<dyn Iterator<Item = Result<LabelledBatch>> + '_>> {
        Ok(Box::new(self.0.iter().cloned().map(Ok)))
    }

    fn steps(&self) -> usize {
        self.0.len()
    }

    fn slices(&self) -> usize {
        2 * self.0.len()
    }

    fn batch_size(&self) -> usize {
        2
    }

    fn describe(&self, batch: &LabelledBatch) -> String {
        format!("slices {:?}", batch.indices)
    }
}

/// An objective that notes a figure before every step.
pub struct Watched<O, F> {
    pub objective: O,
    pub figure: F,
    pub noted: Vec<f64>,
}

impl<O: Objective, F: Fn(&O, &O::Batch) -> f64> Objective for Watched<O, F> {
    type Batch = O::Batch;

    fn trainable(&self) -> Vec<(String, Var)> {
        self.objective.trainable()
    }

    fn loss(&mut self, batch: &O::Batch) -> Result<Tensor> {
        self.noted.push((self.figure)(&self.objective, batch));
        self.objective.loss(batch)
    }

    fn score(&self, batch: &O::Batch) -> Result<f64> {
        self.objective.score(batch)
    }

    fn state(&self) -> Result<StateDict> {
        self.objective.state()
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        self.objective.restore(state)
    }
}

/// Notes the loss of every step.
#[derive(Default)]
pub struct Losses(pub Vec<f32>);

impl Observer for Losses {
    fn step(&mut self, _: usize, _: usize, _: usize, loss: f32) {
        self.0.push(loss);
    }
}

/// Training as the golden files have it.
pub fn config(epochs: usize) -> FitConfig {
    FitConfig {
        phase: Phase::Source,
        adam: AdamConfig::new(1e-3),
        epochs,
        stop: StopRule::Never,
        keep: Keep::Last,
    }
}

/// A training from the start, without a score.
pub fn plain<'a, B>(
    train: &'a dyn Batches<B>,
    config: &'a FitConfig,
    observer: &'a mut dyn Observer,
) -> Fit<'a, B> {
    Fit { train, check: None, config, observer, interrupt: &GO_ON, resume: None }
}

pub const CPU: Device = Device::Cpu;
