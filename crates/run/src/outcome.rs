//! What has come of an adaptation.
use crate::adaptation::{PATCH_FILE, moved_weights};
use crate::run_folder::RunFolder;
use serde::Serialize;
use std::path::PathBuf;
use udas_adapt::Adapted;
use udas_record::{StopReason, Verdict};

/// An adaptation that has run, been judged and been written. As JSON it is what `udas adapt --json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The run's model: the adapted one or, after a roll-back, the source's.
    pub model: PathBuf,
    /// The method's name.
    pub method: &'static str,
    /// How many weights moved.
    pub moved_weights: usize,
    /// The entries that they are in.
    pub moved_tensors: Vec<String>,
    /// Epochs done.
    pub epochs: usize,
    /// Why the training ended; none where the method trains nothing.
    pub stopped: Option<StopReason>,
    /// The method's own score before the first epoch, 0 to 1, where it has one.
    pub score_before: Option<f64>,
    /// The same after the last epoch.
    pub score_after: Option<f64>,
    /// What is to be done with the result.
    pub verdict: Verdict,
    /// The adapted model where the run's model is the source's.
    pub rejected_model: Option<PathBuf>,
    /// What changed against the source model.
    pub patch: PathBuf,
    /// Why the result should not be used as it is, if there is a reason: it was rolled back, collapsed, or has not
    /// converged.
    #[serde(skip)]
    pub rejected: Option<String>,
}

impl Outcome {
    /// Of an adaptation that is kept.
    pub(crate) fn new(
        method: &'static str,
        adapted: &Adapted,
        verdict: Verdict,
        folder: &RunFolder,
    ) -> Self {
        let summary = adapted.summary.as_ref();
        let last = summary.and_then(|summary| summary.epochs.last());
        Self {
            model: folder.model(),
            method,
            moved_weights: moved_weights(adapted),
            moved_tensors: adapted.moved.clone(),
            epochs: summary.map_or(0, |summary| summary.epochs.len()),
            stopped: summary.map(|summary| summary.reason),
            score_before: summary.and_then(|summary| summary.before),
            score_after: last.and_then(|epoch| epoch.score),
            verdict,
            rejected_model: None,
            patch: folder.path().join(PATCH_FILE),
            rejected: None,
        }
    }
}
