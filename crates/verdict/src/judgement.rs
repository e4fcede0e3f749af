//! What is said of an adaptation, subject by subject, and as the verdict of a run.
use crate::calibration::Estimate;
use crate::signals::{Signal, Signals};
use serde::{Deserialize, Serialize};
use udas_record::{Decision, PredictedScore, Verdict};

/// Subjects that are named to be looked at first.
const CHECK_FIRST: usize = 5;

/// Where `udas report` looks for a later judgement, in the folder of a run.
pub const JUDGEMENT_FILE: &str = "judgement.json";

/// Whether predicted scores could be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// A mapping that was learned for the source model.
    Calibrated,
    /// Rules on raw signals.
    Uncalibrated,
}

/// One model on one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measured {
    /// Signals.
    pub signals: Signals,
    /// Estimated volume of all foreground.
    pub volume_ml: f64,
    /// Mean number of parts a slice.
    pub components: f64,
}

/// Both models on one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SubjectJudgement {
    /// Name.
    pub subject: String,
    /// The source model.
    pub before: Measured,
    /// The adapted model.
    pub after: Measured,
    /// Dice of the two models' masks on the sample's slices; 1 where both are empty.
    pub agreement: f64,
    /// Predicted Dice of the source model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_before: Option<Estimate>,
    /// Predicted change of Dice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_change: Option<f64>,
    /// Predicted Dice of the adapted model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_after: Option<Estimate>,
}

impl SubjectJudgement {
    /// Signals outside what the calibration has seen, by either model.
    pub fn outside(&self) -> Vec<Signal> {
        let estimates = [&self.predicted_before, &self.predicted_after];
        estimates.into_iter().flatten().flat_map(|estimate| estimate.outside.clone()).collect()
    }

    /// Lowest first: what should be looked at.
    fn standing(&self) -> f64 {
        let signals = &self.after.signals;
        match &self.predicted_after {
            Some(estimate) => estimate.score - if self.outside().is_empty() { 0.0 } else { 1.0 },
            None => {
                let of = |signal| signals.get(&signal).copied().unwrap_or(0.0);
                of(Signal::FlipConsistency)
                    + of(Signal::ShiftConsistency)
                    + of(Signal::IntensityConsistency)
                    + self.agreement
            }
        }
    }
}

/// The verdict on an adaptation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judgement {
    /// Whether predicted scores could be given.
    pub basis: Basis,
    /// What to do.
    pub decision: Decision,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// Every subject.
    pub subjects: Vec<SubjectJudgement>,
    /// The subjects to look at first.
    pub check_first: Vec<String>,
}

impl Judgement {
    /// As a run records it: the scores are those predicted for the adapted model.
    pub fn verdict(&self) -> Verdict {
        let score = |subject: &SubjectJudgement| {
            let Estimate { score, low, high, .. } = *subject.predicted_after.as_ref()?;
            Some(PredictedScore { subject: subject.subject.clone(), score, low, high })
        };
        Verdict {
            decision: self.decision,
            reasons: self.reasons.clone(),
            predictions: self.subjects.iter().filter_map(score).collect(),
            check_first: self.check_first.clone(),
        }
    }
}

/// Names of the subjects that stand lowest.
pub(crate) fn check_first(subjects: &[SubjectJudgement]) -> Vec<String> {
    let mut sorted: Vec<&SubjectJudgement> = subjects.iter().collect();
    sorted.sort_by(|a, b| a.standing().total_cmp(&b.standing()));
    sorted.iter().take(CHECK_FIRST).map(|subject| subject.subject.clone()).collect()
}

/// Mean of what the subjects have; 0 where none has it.
pub(crate) fn mean(
    subjects: &[SubjectJudgement],
    of: impl Fn(&SubjectJudgement) -> Option<f64>,
) -> f64 {
    let values: Vec<f64> = subjects.iter().filter_map(of).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
