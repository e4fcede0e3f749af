//! What a method is given, and what it gives back.
use crate::TargetBatch;
use candle_core::Device;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use udas_network::Network;
use udas_nn::StateDict;
use udas_train::{Batches, Collapse, FitSummary, LabelledBatch, Observer, Snapshot};

/// A source model; never edited.
#[derive(Clone)]
pub struct Model {
    /// The network.
    pub network: Arc<dyn Network>,
    /// The early head's entries, where there is one.
    pub head: Option<StateDict>,
}

/// The surroundings of an adaptation.
pub struct Run<'a> {
    /// The target, in training order.
    pub target: &'a dyn Batches<TargetBatch>,
    /// The target, in the order in which scores are measured.
    pub check: &'a dyn Batches<TargetBatch>,
    /// Labelled source data, for the methods that need it.
    pub source: Option<&'a dyn Batches<LabelledBatch>>,
    /// Mean of each class over the source's pixels, one entry an output channel.
    pub class_ratio: Option<Vec<f64>>,
    /// Other trainings of the source model, for the methods that learn from them.
    pub teachers: &'a [Arc<dyn Network>],
    /// Where to compute.
    pub device: Device,
    /// Seed of everything random.
    pub seed: u64,
    /// Hears of progress.
    pub observer: &'a mut dyn Observer,
    /// Set to true to end early.
    pub interrupt: &'a AtomicBool,
    /// The state to go on from.
    pub resume: Option<Snapshot>,
}

/// An adapted network.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// The network's entries.
    pub state: StateDict,
    /// How the training went; none for methods without one.
    pub summary: Option<FitSummary>,
    /// Weights that could move.
    pub moved: Vec<String>,
}

impl Adapted {
    /// What the network predicts everywhere, if the training has come to that.
    pub fn collapse(&self) -> Option<Collapse> {
        self.summary.as_ref().and_then(|summary| summary.collapse)
    }
}
