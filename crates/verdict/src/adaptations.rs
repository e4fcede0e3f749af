//! Short adaptations to a simulated shift, by methods that need nothing but images, so that a calibration has seen
//! what adapting does to signals and scores.
use crate::sample::Sample;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use std::sync::atomic::AtomicBool;
use udas_adapt::methods::{AugmentedConsistency, EntropyPrior, SelfTraining, Tent};
use udas_adapt::{Method, Model, Options, Requirement, Run, TargetBatch};
use udas_model::ModelFile;
use udas_network::Network;
use udas_nn::StateDict;
use udas_train::{Batches, Silent, StopRule};

/// The methods, of different objectives: entropy, own labels, a class ratio, and what seldom harms.
const METHODS: [&dyn Method; 4] = [&Tent, &SelfTraining, &EntropyPrior, &AugmentedConsistency];
/// Slices a step.
const BATCH: usize = 8;
/// Steps, about: an epoch on a few real heads.
const STEPS: usize = 24;

/// The method whose turn it is, of those that the model can be adapted by. Self-training moves all weights and asks for
/// nothing, so that there is one always.
pub fn method(turn: usize, model: &ModelFile, network: &dyn Network) -> &'static dyn Method {
    let known = !model.info.class_ratio.is_empty();
    let possible = METHODS
        .into_iter()
        .filter(|method| known || !method.about().needs.contains(&Requirement::ClassRatio))
        .filter(|method| method.check(network).is_ok())
        .collect::<Vec<_>>();
    possible[turn % possible.len()]
}

/// The weights after a short adaptation to these samples; none where it diverged.
///
/// # Errors
/// When a tensor operation fails.
pub fn adapted(
    method: &dyn Method,
    model: &ModelFile,
    samples: &[Sample],
    device: &Device,
    seed: u64,
) -> Result<Option<StateDict>> {
    let slices = Slices { batches: batches(samples, device)? };
    // Agreement is not looked at.
    let check = Slices { batches: slices.batches.iter().take(1).cloned().collect() };
    let epochs = STEPS.div_ceil(slices.batches.len().max(1));
    let options = Options { batch_size: BATCH, epochs, stop: StopRule::Never, ..method.options() };
    let source = Model { network: model.network(device)?.into(), head: None };
    let run = Run {
        target: &slices,
        check: &check,
        source: None,
        class_ratio: Some(model.info.class_ratio.clone()),
        teachers: &[],
        device: device.clone(),
        seed,
        observer: &mut Silent,
        interrupt: &AtomicBool::new(false),
        resume: None,
    };
    match method.adapt(&source, &options, run) {
        Ok(adapted) => Ok(Some(adapted.state)),
        Err(udas_adapt::Error::Train(udas_train::Error::Diverged { .. })) => Ok(None),
        Err(error) => Err(Error::from(error)),
    }
}

fn batches(samples: &[Sample], device: &Device) -> Result<Vec<Tensor>> {
    let mut batches = Vec::new();
    for Sample { images, size: [height, width], .. } in samples {
        for images in images.chunks(BATCH * height * width) {
            let shape = (images.len() / (height * width), 1, *height, *width);
            batches.push(Tensor::from_slice(images, shape, device)?);
        }
    }
    Ok(batches)
}

/// Slices in memory, in batches of one subject each.
struct Slices {
    batches: Vec<Tensor>,
}

impl Batches<TargetBatch> for Slices {
    fn epoch(
        &self,
        _: u64,
    ) -> udas_train::Result<Box<dyn Iterator<Item = udas_train::Result<TargetBatch>> + '_>> {
        let mut next = 0;
        let batch = move |images: &Tensor| {
            let first = next;
            next += images.dim(0)?;
            let indices = (first..next).collect();
            Ok(TargetBatch { images: images.clone(), target: None, indices })
        };
        Ok(Box::new(self.batches.iter().map(batch)))
    }

    fn steps(&self) -> usize {
        self.batches.len()
    }

    fn slices(&self) -> usize {
        self.batches.iter().filter_map(|images| images.dim(0).ok()).sum()
    }

    fn batch_size(&self) -> usize {
        BATCH
    }

    fn describe(&self, batch: &TargetBatch) -> String {
        format!("slices {:?} of the calibration", batch.indices)
    }
}
