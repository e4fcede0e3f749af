//! What the tests of the loop share: batches in memory, a small network, and what an observer noted.
#![allow(dead_code, reason = "each test file uses its part")]
use candle_core::{DType, Device, Tensor};
use std::sync::atomic::AtomicBool;
use udas_network::Shape;
use udas_nn::{AdamConfig, Checkpoint, StateDict};
use udas_record::{EpochRecord, Phase};
use udas_train::{
    Batches, FitConfig, Keep, LabelledBatch, Observer, Result, Snapshot, SourceTraining, StopRule,
};
use udas_unet::UNet;

pub const CPU: Device = Device::Cpu;

/// Never set.
pub static GO_ON: AtomicBool = AtomicBool::new(false);

/// A training of a small network with random weights.
pub fn training(seed: u64) -> SourceTraining {
    let shape = Shape { filters: 2, outputs: 1 };
    SourceTraining::new(Box::new(UNet::random(shape, seed, &CPU).unwrap()))
}

/// Batches in memory, in an order that depends on the epoch.
pub struct Turning(pub Vec<LabelledBatch>);

impl Turning {
    /// Three batches of two: bright discs on a dark ground, each with a pattern of its own.
    pub fn discs() -> Self {
        let (h, w) = (16, 16);
        let batch = |number: usize| {
            let (mut image, mut target) = (Vec::new(), Vec::new());
            for slice in 2 * number..2 * number + 2 {
                for pixel in 0..h * w {
                    let (y, x) = ((pixel / w) as f32 - 8.0, (pixel % w) as f32 - 7.0);
                    let inside = x * x + y * y < (20 + 8 * slice) as f32;
                    let texture = (pixel * (slice + 3) % 17) as f32 / 40.0;
                    image.push(f32::from(u8::from(inside)) * 0.6 + texture);
                    target.push(f32::from(u8::from(inside)));
                }
            }
            let tensor = |values| Tensor::from_vec(values, (2, 1, h, w), &CPU).unwrap();
            LabelledBatch {
                images: tensor(image),
                target: tensor(target),
                indices: vec![2 * number, 2 * number + 1],
            }
        };
        Self((0..3).map(batch).collect())
    }
}

impl Batches<LabelledBatch> for Turning {
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<LabelledBatch>> + '_>> {
        let start = epoch as usize % self.0.len();
        Ok(Box::new(self.0[start..].iter().chain(&self.0[..start]).cloned().map(Ok)))
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

/// Keeps every epoch's record and snapshot, and every loss.
#[derive(Default)]
pub struct Noted {
    pub snapshots: Vec<Snapshot>,
    pub records: Vec<EpochRecord>,
    pub losses: Vec<f32>,
}

impl Observer for Noted {
    fn step(&mut self, _: usize, _: usize, _: usize, loss: f32) {
        self.losses.push(loss);
    }

    fn epoch(&mut self, record: &EpochRecord, snapshot: &Snapshot) -> Result<()> {
        self.records.push(record.clone());
        self.snapshots.push(snapshot.clone());
        Ok(())
    }
}

pub fn config(epochs: usize, keep: Keep) -> FitConfig {
    let (phase, stop) = (Phase::Source, StopRule::Never);
    FitConfig { phase, adam: AdamConfig::new(1e-2), epochs, stop, keep, average: None }
}

/// The same for the same bits.
pub fn bits(state: &StateDict) -> String {
    Checkpoint { tensors: state.clone(), metadata: None }.hash().unwrap()
}

pub fn is_finite(state: &StateDict) -> bool {
    state.values().all(|tensor| {
        let values = tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
        values.to_vec1::<f32>().unwrap().iter().all(|value| value.is_finite())
    })
}
