//! Source training, head training and the paper's refinement, four steps of each, against the published
//! implementation: the loss and Dice of every step, and every entry of the final state.
mod common;

use candle_core::Tensor;
use common::trajectory::{Trajectory, perturbed};
use common::*;
use udas_adapt::methods::EarlyFeatures;
use udas_adapt::{Adaptation, Aids, Method, Options, PseudoLabel, StepBatch};
use udas_losses::dice_agreement;
use udas_network::{EarlyHead, Network, Task};
use udas_nn::{NormMode, RunningUpdate, StateDict};
use udas_train::{HeadTraining, LabelledBatch, Objective, SourceTraining};
use udas_unet::UNet;

/// Training mode, without a trace.
const LOOK: NormMode = NormMode::Batch(RunningUpdate::Keep);

/// Network, heads and images that the four steps start from.
struct Start(StateDict);

impl Start {
    fn unet(&self, seed: u64) -> Box<dyn Network> {
        let state = perturbed(&with_prefix(&self.0, "model."), seed);
        Box::new(UNet::from_state(&state, &CPU).unwrap())
    }

    fn head(&self, level: usize, seed: u64) -> EarlyHead {
        let state = perturbed(&with_prefix(&self.0, &format!("head{level}.")), seed);
        EarlyHead::from_state(&state, self.unet(0).spec(), level, &CPU).unwrap()
    }

    fn labelled(&self) -> InOrder<LabelledBatch> {
        InOrder(pairs(&self.0["input"], Some(&self.0["target"])))
    }
}

fn files(task: &str, kind: &str) -> Option<(Start, StateDict, String)> {
    let file = format!("unet_{task}_{kind}.safetensors");
    let start = golden(&format!("unet_{task}_forward_backward.safetensors"))?;
    Some((Start(start), golden(&file)?, file))
}

fn source_training(task: &str) {
    let Some((start, golden, file)) = files(task, "source_training") else { return };
    let task = Task::of(start.unet(0).spec().outputs);
    let dice = |objective: &SourceTraining, batch: &LabelledBatch| {
        let logits = objective.network().forward(&batch.images, LOOK).unwrap();
        dice_agreement(&logits, &batch.target, task.agreement()).unwrap()
    };
    let run = |seed| Trajectory::of(SourceTraining::new(start.unet(seed)), &start.labelled(), dice);
    run(0).assert_equals(&Trajectory::golden(&golden, "model."), &file, run);
}

fn head_training(task: &str, level: usize) {
    let kind = format!("head{level}_training");
    let Some((start, golden, file)) = files(task, &kind) else { return };
    // The network is frozen and in evaluation mode: what is learned from is what is scored.
    let dice =
        |objective: &HeadTraining, batch: &LabelledBatch| objective.score(batch).unwrap().value;
    let run = |seed| {
        let training = HeadTraining::new(start.unet(0), start.head(level, seed));
        Trajectory::of(training, &start.labelled(), dice)
    };
    run(0).assert_equals(&Trajectory::golden(&golden, "head."), &file, run);
}

fn refinement(name_of: &str, level: usize, pseudo_label: PseudoLabel) {
    let (name, other) = match pseudo_label {
        PseudoLabel::Attached => ("attached", "detached"),
        PseudoLabel::Detached => ("detached", "attached"),
    };
    let Some((start, golden, file)) = files(name_of, &format!("refine_level{level}_{name}")) else {
        return;
    };
    let watcher = start.head(level, 0);
    let task = Task::of(start.unet(0).spec().outputs);
    let agreement = |adaptation: &Adaptation, batch: &StepBatch| {
        let unet = adaptation.network();
        let features = unet.encode(&batch.target.images, level, LOOK).unwrap();
        let last = unet.decode(&features, LOOK).unwrap();
        let early = watcher.forward(features.deepest().unwrap()).unwrap();
        dice_agreement(&early, &last, task.agreement()).unwrap()
    };
    let run = |seed| {
        let given = Aids { head: Some(start.head(level, 0)), ..Aids::default() };
        let options = Options { level, pseudo_label, ..EarlyFeatures.options() };
        let adaptation =
            Adaptation::new(start.unet(seed), given, EarlyFeatures.recipe(), options).unwrap();
        Trajectory::of(adaptation, &unlabelled(&start.0["input"]), agreement)
    };
    let (ours, golden) = (run(0), Trajectory::golden(&golden, "model."));
    ours.assert_equals(&golden, &file, run);
    if let Some((_, other, _)) = files(name_of, &format!("refine_level{level}_{other}")) {
        ours.assert_differs(&golden, &Trajectory::golden(&other, "model."), &file);
    }
}

fn unlabelled(images: &Tensor) -> InOrder<StepBatch> {
    InOrder(target_pairs(images).into_iter().map(StepBatch::from).collect())
}

#[test]
fn source_training_of_a_binary_network() {
    source_training("binary");
}

#[test]
fn source_training_of_a_four_class_network() {
    source_training("multiclass");
}

#[test]
fn head_training_at_both_published_levels() {
    for task in ["binary", "multiclass"] {
        head_training(task, 0);
        head_training(task, 1);
    }
}

#[test]
fn binary_refinement_at_both_published_levels() {
    for level in [0, 1] {
        refinement("binary", level, PseudoLabel::Attached);
        refinement("binary", level, PseudoLabel::Detached);
    }
}

#[test]
fn four_class_refinement_at_both_published_levels() {
    for level in [0, 1] {
        refinement("multiclass", level, PseudoLabel::Attached);
        refinement("multiclass", level, PseudoLabel::Detached);
    }
}
