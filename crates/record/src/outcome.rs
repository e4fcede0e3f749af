//! What one adaptation with one seed came to: scores per subject before and after, its course, its cost.
use crate::{EpochRecord, StopReason, optional_scores};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One source, target, method and seed. Scores are columns, so that a thousand subjects stay small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Domain the source model was trained on.
    pub source: String,
    /// Domain it was adapted to.
    pub target: String,
    /// Method name.
    pub method: String,
    /// Seed of the run.
    pub seed: u64,
    /// Folder of the run, where there is one.
    #[serde(default)]
    pub run: Option<String>,
    /// Target subjects that were scored.
    pub subjects: Vec<String>,
    /// Scores; empty without labels.
    pub scores: Vec<ScoreColumn>,
    /// What the stop rule watches, before the first epoch.
    #[serde(default)]
    pub score_before: Option<f64>,
    /// Its course.
    #[serde(default)]
    pub epochs: Vec<EpochRecord>,
    /// True scores in between, where they were measured for insight (no method sees them).
    #[serde(default)]
    pub measured: Vec<MeasuredScore>,
    /// Wall time of the adaptation.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// Why it ended.
    #[serde(default)]
    pub stop: Option<StopReason>,
    /// What was said of it without labels.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// Sentences the user should read.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Where to find the volumes of subjects, or pictures of them, for overlays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<SubjectVolumes>,
}

/// Files of a subject that an overlay is drawn from. Paths are relative to the folder of `results.json`, or
/// absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectVolumes {
    /// Name as in [`Outcome::subjects`].
    pub subject: String,
    /// The image.
    #[serde(default)]
    pub image: Option<String>,
    /// Labels, where there are some.
    #[serde(default)]
    pub truth: Option<String>,
    /// Prediction of the source model.
    #[serde(default)]
    pub before: Option<String>,
    /// Prediction of the adapted model.
    #[serde(default)]
    pub after: Option<String>,
    /// Which frame of the image, and of labels with several, counted from 0. Predictions are a file a frame.
    #[serde(default)]
    pub frame: Option<usize>,
    /// An overlay drawn when the volumes were still there: a PNG file.
    #[serde(default)]
    pub picture: Option<String>,
    /// Which slice the picture shows, in words.
    #[serde(default)]
    pub description: String,
}

impl SubjectVolumes {
    /// All its paths.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let Self { image, truth, before, after, picture, .. } = self;
        [image, truth, before, after, picture].into_iter().flatten()
    }
}

/// One score of one class, an entry a subject in the order of [`Outcome::subjects`].
///
/// `None` is undefined (0/0, written `null`), infinity is written `"inf"`. Volumes are columns too:
/// `prediction_volume_ml`, with `truth_volume_ml` where labels were at hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreColumn {
    /// Class label as text.
    pub class: String,
    /// Metric name, such as `surface_dice_1mm`.
    pub metric: String,
    /// By the source model; empty: the baseline's outcome on the same source, target and seed counts.
    #[serde(with = "optional_scores", default)]
    pub before: Vec<Option<f64>>,
    /// By the adapted model.
    #[serde(with = "optional_scores")]
    pub after: Vec<Option<f64>>,
}

/// A true score in the course of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredScore {
    /// Epochs done, 0 before the first.
    pub epoch: usize,
    /// Mean over subjects and classes of the experiment's first metric.
    pub score: f64,
}

/// What was said of an adaptation without looking at labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What to do.
    pub decision: Decision,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// Scores predicted for subjects.
    #[serde(default)]
    pub predictions: Vec<PredictedScore>,
    /// Subjects to look at first.
    #[serde(default)]
    pub check_first: Vec<String>,
}

/// What to do with an adapted model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Use it.
    Keep,
    /// Go back to the source model.
    RollBack,
    /// There is no telling.
    Abstain,
}

impl Decision {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::RollBack => "roll back",
            Self::Abstain => "abstain",
        }
    }
}

/// A score predicted without labels, with its interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedScore {
    /// Name of the subject.
    pub subject: String,
    /// Best guess.
    pub score: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Whose image a subject of the records is: one frame of a person's several, as `predict` names them
/// (`NAME_frame07`), is no person of its own.
pub fn person(subject: &str) -> &str {
    match subject.rsplit_once("_frame") {
        Some((name, frame)) if !frame.is_empty() && frame.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => subject,
    }
}

impl Outcome {
    /// The column of a class and metric.
    pub fn column(&self, class: &str, metric: &str) -> Option<&ScoreColumn> {
        self.scores.iter().find(|c| c.class == class && c.metric == metric)
    }

    /// Whether every column has an entry a subject.
    pub(crate) fn check(&self) -> Result<(), String> {
        let count = self.subjects.len();
        for ScoreColumn { class, metric, before, after } in &self.scores {
            let fits = after.len() == count && (before.is_empty() || before.len() == count);
            if !fits {
                let (b, a) = (before.len(), after.len());
                return Err(format!(
                    "{metric} of class {class} has {b} and {a} entries for {count} subjects"
                ));
            }
        }
        Ok(())
    }
}

/// `GE 3 T to GE 1.5 T, tent, seed 1`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, target, method, seed, .. } = self;
        write!(f, "{source} to {target}, {method}, seed {seed}")
    }
}
