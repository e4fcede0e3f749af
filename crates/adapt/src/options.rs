//! The named alternatives of an adaptation: plain data, recorded with every run.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use udas_network::Spec;
use udas_train::{Keep, StopRule};

/// Whether gradient flows through the pseudo-label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PseudoLabel {
    /// It does, as in the published code.
    Attached,
    /// It does not: the pseudo-label is a constant.
    Detached,
}

/// What a pseudo-label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Probabilities.
    Soft,
    /// The most probable class.
    Hard,
}

/// What batch norm normalises with during adaptation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormChoice {
    /// Each batch's statistics, which also move the running ones (training mode, as published).
    Batch,
    /// The source's running statistics, unchanged.
    Running,
    /// Running statistics re-estimated once on the target, before the first step, or moved there by a
    /// share.
    ReEstimated,
}

impl NormChoice {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Batch => "each batch's own statistics, which move the running ones",
            Self::Running => "the source's running statistics",
            Self::ReEstimated => "running statistics re-estimated on the target",
        }
    }
}

/// How a method is run. Every field is explicit; methods state their defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Deepest early stage, 0 at full size.
    pub level: usize,
    /// Gradient through the pseudo-label or not.
    pub pseudo_label: PseudoLabel,
    /// Soft or hard pseudo-labels.
    pub labels: Labels,
    /// Pixels whose most probable class is less probable than this are left out; 0 keeps all.
    pub confidence: f64,
    /// Batch norm's behaviour.
    pub norm: NormChoice,
    /// Step size of Adam.
    pub learning_rate: f64,
    /// At most this many epochs.
    pub epochs: usize,
    /// Slices a step.
    pub batch_size: usize,
    /// When to stop before.
    pub stop: StopRule,
    /// Which weights to end with.
    pub keep: Keep,
    /// Rank of low-rank adapters.
    pub rank: usize,
    /// Decay of an averaged teacher, for each step.
    pub teacher_decay: f64,
    /// Weight of a consistency or prior term beside the main one.
    pub weight: f64,
    /// Weight of what holds the final logits' mean and deviation a channel, batch by batch, where the model's are before the first
    /// step; 0 holds nothing.
    #[serde(default)]
    pub hold: f64,
    /// Share of the target in re-estimated statistics, above 0 to 1; the rest is the source's.
    #[serde(default = "whole")]
    pub target_share: f64,
}

fn whole() -> f64 {
    1.0
}

impl Options {
    /// The values of the published code for early features at level 0.
    pub fn paper() -> Self {
        Self {
            level: 0,
            pseudo_label: PseudoLabel::Attached,
            labels: Labels::Soft,
            confidence: 0.0,
            norm: NormChoice::Batch,
            learning_rate: 1e-3,
            epochs: 50,
            batch_size: 20,
            stop: StopRule::ScoreChangeBelow(0.005),
            keep: Keep::Last,
            rank: 4,
            teacher_decay: 0.99,
            weight: 1.0,
            hold: 0.0,
            target_share: whole(),
        }
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`Error::Option`] names the option and the range.
    pub fn check(&self, network: &Spec) -> Result<()> {
        let refuse = |option, reason: String| Err(Error::Option { option, reason });
        let deepest = network.deepest();
        if self.level > deepest {
            return refuse("level", format!("{} is none of 0 to {deepest}", self.level));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse("lr", format!("{} is not a positive number", self.learning_rate));
        }
        if self.batch_size == 0 {
            return refuse("batch-size", "at least 1".into());
        }
        if !(0.0..1.0).contains(&self.confidence) {
            return refuse("confidence", format!("{} is not in [0, 1)", self.confidence));
        }
        if !(0.0..1.0).contains(&self.teacher_decay) {
            return refuse("teacher-decay", format!("{} is not in [0, 1)", self.teacher_decay));
        }
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            return refuse("weight", format!("{} is not 0 or a positive number", self.weight));
        }
        if !(self.hold >= 0.0 && self.hold.is_finite()) {
            return refuse("hold", format!("{} is not 0 or a positive number", self.hold));
        }
        if !(self.target_share > 0.0 && self.target_share <= 1.0) {
            return refuse("target-share", format!("{} is not in (0, 1]", self.target_share));
        }
        if matches!(self.stop, StopRule::UntilConverged(_)) {
            return refuse(
                "stop",
                "labels tell when a training has converged: there are none".into(),
            );
        }
        if self.rank == 0 {
            return refuse("rank", "at least 1".into());
        }
        Ok(())
    }
}
