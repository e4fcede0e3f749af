//! Short adaptations to a simulated shift, by methods that need nothing but images, so that a calibration has seen
//! what adapting does to signals and scores.
use crate::sample::Sample;
use crate::segmenter::Segmenter;
use crate::{Error, Result};
use candle_core::Tensor;
use std::sync::atomic::AtomicBool;
use udas_adapt::methods::{AugmentedConsistency, EntropyPrior, SelfTraining, Tent};
use udas_adapt::{Method, Model, Options, Requirement, Run, TargetBatch};
use udas_nn::StateDict;
use udas_train::{Batches, Silent, StopRule};

/// The methods, of different objectives: entropy, own labels, a class ratio, and what seldom harms.
const METHODS: [&dyn Method; 4] = [&Tent, &SelfTraining, &EntropyPrior, &AugmentedConsistency];
/// Slices a step.
const BATCH: usize = 8;
/// Steps, about: an epoch on a few real heads.
const STEPS: usize = 24;

/// The method whose turn it is, of those that the model can be adapted by; `class_ratio` is empty where it is not known.
/// Self-training moves all weights and asks for nothing, so that there is one always.
pub fn method(turn: usize, plain: &Segmenter, class_ratio: &[f64]) -> &'static dyn Method {
    let known = !class_ratio.is_empty();
    let possible = METHODS
        .into_iter()
        .filter(|method| known || !method.about().needs.contains(&Requirement::ClassRatio))
        .filter(|method| method.check(plain.network()).is_ok())
        .collect::<Vec<_>>();
    possible[turn % possible.len()]
}

/// The weights after a short adaptation to these samples; none where it diverged.
///
/// # Errors
/// When a tensor operation fails.
pub fn adapted(
    method: &dyn Method,
    (plain, class_ratio): (&Segmenter, &[f64]),
    samples: &[Sample],
    seed: u64,
) -> Result<Option<StateDict>> {
    let slices = Slices { batches: batches(samples, plain)? };
    // Agreement is not looked at.
    let check = Slices { batches: slices.batches.iter().take(1).cloned().collect() };
    let epochs = STEPS.div_ceil(slices.batches.len().max(1));
    let options = Options { batch_size: BATCH, epochs, stop: StopRule::Never, ..method.options() };
    let network = plain.with_state(&plain.network().parameters().state()?)?.into_network();
    let source = Model { network, head: None };
    let run = Run {
        target: &slices,
        check: &check,
        source: None,
        class_ratio: Some(class_ratio.to_vec()),
        teachers: &[],
        device: plain.device().clone(),
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

/// Slices in batches; of a network of volumes, as many slices as it sees together.
fn batches(samples: &[Sample], plain: &Segmenter) -> Result<Vec<Tensor>> {
    let slices = BATCH.next_multiple_of(plain.depth());
    let mut batches = Vec::new();
    for sample in samples {
        for images in sample.images.chunks(slices * sample.pixels()) {
            batches.push(plain.tensor(images, sample.size)?);
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
