//! What has come of an adaptation, and what is said and recorded of its end.
use crate::error::{Error, Result};
use crate::host::{self, Host};
use crate::run_folder::RunFolder;
use crate::training;
use serde::{Serialize, Serializer};
use std::path::PathBuf;
use udas_adapt::{Adapted, Method, Moves, NormChoice, Requirement};
use udas_record::{Decision, Phase, PredictedScore, StopReason, StopRecord, Verdict};
use udas_train::StopRule;

/// What changed against the source model, in a run folder.
pub const PATCH_FILE: &str = "patch.safetensors";
/// The same of an adaptation that was rolled back.
pub const REJECTED_PATCH: &str = "rejected-patch.safetensors";

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
    /// What is to be done with the result; none where nothing could be judged.
    #[serde(serialize_with = "printed")]
    pub verdict: Option<Verdict>,
    /// The adapted model where the run's model is the source's.
    pub rejected_model: Option<PathBuf>,
    /// What changed against the source model.
    pub patch: PathBuf,
    /// Why the result should not be used as it is, if there is a reason: it was rolled back, collapsed, or has not
    /// converged.
    #[serde(skip)]
    pub rejected: Option<String>,
}

/// The verdict under names with hyphens, as all that is printed has them; the events of runs keep the names that they have
/// always had.
fn printed<S: Serializer>(
    verdict: &Option<Verdict>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Printed<'a> {
        decision: Decision,
        reasons: &'a [String],
        predictions: &'a [PredictedScore],
        check_first: &'a [String],
    }
    let printed = verdict.as_ref().map(|verdict| Printed {
        decision: verdict.decision,
        reasons: &verdict.reasons,
        predictions: &verdict.predictions,
        check_first: &verdict.check_first,
    });
    printed.serialize(serializer)
}

impl Outcome {
    /// Of an adaptation that has not been judged, with the places of its model and patch.
    pub fn of(method: &dyn Method, adapted: &Adapted, [model, patch]: [PathBuf; 2]) -> Self {
        let summary = adapted.summary.as_ref();
        let last = summary.and_then(|summary| summary.epochs.last());
        Self {
            model,
            method: method.name(),
            moved_weights: moved_weights(adapted),
            moved_tensors: adapted.moved.clone(),
            epochs: summary.map_or(0, |summary| summary.epochs.len()),
            stopped: summary.map(|summary| summary.reason),
            score_before: summary.and_then(|summary| summary.before),
            score_after: last.and_then(|epoch| epoch.score),
            verdict: None,
            rejected_model: None,
            patch,
            rejected: None,
        }
    }
}

/// What the number of epochs is to who has chosen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochLimit {
    /// So many were asked for.
    Asked,
    /// The method's own bound: who comes to it has not converged.
    Bound,
}

fn moved_weights(adapted: &Adapted) -> usize {
    let moved = adapted.moved.iter().filter_map(|name| adapted.state.get(name));
    moved.map(|tensor| tensor.elem_count()).sum()
}

/// Says what a method moved.
pub fn say_moved(method: &dyn Method, norm: NormChoice, adapted: &Adapted, host: &dyn Host) {
    let moves = method.recipe().moves;
    let mut moved = Vec::new();
    if method.about().needs.contains(&Requirement::SourceHistogram) {
        moved.push("the intensities of volumes".to_owned());
    }
    if norm == NormChoice::ReEstimated {
        moved.push("the statistics of batch norm".to_owned());
    }
    if moves != Moves::Nothing || moved.is_empty() {
        let (weights, tensors) = (moved_weights(adapted), adapted.moved.len());
        moved.push(format!("{} ({weights} weights in {tensors} tensors)", moves.words()));
    }
    host.say(&format!("moved: {}", moved.join(", ")));
}

/// Says why a method ended.
///
/// # Errors
/// [`Error::Interrupted`], which says how to go on.
pub fn report_stop(adapted: &Adapted, folder: &RunFolder, host: &dyn Host) -> Result<()> {
    match &adapted.summary {
        Some(summary) => training::report_stop(summary, folder, host),
        None if host::is_interrupted(host) => Err(Error::Interrupted(format!(
            "interrupted; begin again with the same command and --resume ({})",
            folder.path().display()
        ))),
        None => Ok(()),
    }
}

/// How a method ended, for the run's record.
pub fn stop_record(adapted: &Adapted) -> StopRecord {
    match &adapted.summary {
        Some(summary) => training::stop_record(Phase::Adapt, summary),
        None => StopRecord {
            phase: Phase::Adapt,
            reason: StopReason::NothingToTrain,
            epochs: 0,
            seconds: 0.0,
            rejected: None,
        },
    }
}

/// Why the training itself speaks against the result, if it does; `rule` is the one by which it was to stop.
pub fn unaccepted(
    rule: StopRule,
    adapted: &Adapted,
    limit: EpochLimit,
    host: &dyn Host,
) -> Option<String> {
    if let Some(collapse) = adapted.collapse() {
        return Some(format!("{collapse}; the adapted model should not be used"));
    }
    let stop = stop_record(adapted);
    if stop.reason != StopReason::EpochsDone || rule == StopRule::Never {
        return None;
    }
    let epochs = stop.epochs;
    let text = format!("not converged after {epochs} epochs: the score still changed");
    if limit == EpochLimit::Asked {
        host.warn(&text);
        return None;
    }
    Some(text + "; give more --epochs, or --epochs N to accept N")
}
