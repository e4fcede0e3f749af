//! What the tests of the methods share: golden files, batches in memory, a small network.
#![allow(dead_code, reason = "each test file uses its part")]
use candle_core::{DType, Device, Tensor};
use std::sync::atomic::AtomicBool;
use udas_adapt::TargetBatch;
use udas_nn::{Checkpoint, StateDict};
use udas_train::{Batches, LabelledBatch, Result};

pub mod small;
pub mod trajectory;

pub const CPU: Device = Device::Cpu;

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
pub struct InOrder<B>(pub Vec<B>);

/// Batches of two from `[N, ..]` tensors.
pub fn pairs(images: &Tensor, target: Option<&Tensor>) -> Vec<LabelledBatch> {
    let target = target.unwrap_or(images);
    let batch = |start: usize| LabelledBatch {
        images: images.narrow(0, start, 2).unwrap(),
        target: target.narrow(0, start, 2).unwrap(),
        indices: vec![start, start + 1],
    };
    (0..images.dim(0).unwrap()).step_by(2).map(batch).collect()
}

/// Batches of two without labels.
pub fn target_pairs(images: &Tensor) -> Vec<TargetBatch> {
    let unlabelled = |batch: LabelledBatch| TargetBatch {
        images: batch.images,
        target: None,
        indices: batch.indices,
    };
    pairs(images, None).into_iter().map(unlabelled).collect()
}

impl<B: Clone + std::fmt::Debug> Batches<B> for InOrder<B> {
    fn epoch(&self, _: u64) -> Result<Box<dyn Iterator<Item = Result<B>> + '_>> {
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

    fn describe(&self, _: &B) -> String {
        "a batch of the test".into()
    }
}
