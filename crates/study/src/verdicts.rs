//! Verdicts without labels beside the truth: does `udas judge` know harm when the labels say what it was?
//!
//! A case is one adaptation, judged on the subjects that were scored. Harm is a mean change of the true Dice
//! below -0.01, help one above 0.01.

use std::path::Path;

use serde::Serialize;
use udas_metrics::statistics::Description;
use udas_record::{Decision, Experiment, Outcome, ScoreColumn, Verdict, person};
use udas_verdict::{Judgement, Signals, SubjectJudgement};

use crate::error::{At, Error, Result};
use crate::grid::{Cell, JUDGEMENT, JUDGEMENT_ASKED};
use crate::plan::Plan;
use crate::state::State;

/// A change of Dice that counts as harm, or as help.
pub(crate) const COUNTS: f64 = 0.01;
/// The score that verdicts speak of.
const METRIC: &str = "dice";

/// Every case of an experiment.
#[derive(Debug, Serialize)]
pub(crate) struct Verdicts {
    pub(crate) cases: Vec<Case>,
}

/// One adaptation.
#[derive(Debug, Serialize)]
pub(crate) struct Case {
    pub source: String,
    pub target: String,
    pub method: String,
    pub seed: u64,
    /// With the calibration, on the subjects that were scored.
    pub alone: Decision,
    /// The same with the source model's other trainings asked, where there are some.
    pub asked: Option<Decision>,
    /// Without a calibration, by the run itself, on the subjects it adapted to.
    pub uncalibrated: Option<Decision>,
    /// What the run's stop rule watches, first and last.
    pub watched: Option<[f64; 2]>,
    pub subjects: Vec<Subject>,
    /// The best informed of them, as the page of the results shows it.
    #[serde(skip)]
    pub shown: Verdict,
}

/// One subject before and after.
#[derive(Debug, Serialize)]
pub(crate) struct Subject {
    pub name: String,
    pub dice: [f64; 2],
    pub predicted_alone: Option<Predicted>,
    pub predicted_asked: Option<Predicted>,
    pub agreement: f64,
    pub signals: [Signals; 2],
}

/// What the verdict predicts of a subject's Dice.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Predicted {
    pub after: f64,
    pub change: f64,
}

impl Predicted {
    fn of(judged: &SubjectJudgement) -> Option<Self> {
        let (after, change) = (judged.predicted_after.as_ref()?.score, judged.predicted_change?);
        Some(Self { after, change })
    }
}

/// What the labels say of an adaptation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    Helped,
    Neither,
    Harmed,
}

/// Gathers what was judged; none where nothing was.
pub fn gather(cells: &[Cell], plan: &Plan, experiment: &Experiment) -> Result<Option<Verdicts>> {
    let state = State::of(&plan.out);
    let mut cases = Vec::new();
    for cell in cells {
        let Some(judge) = cell.judge else { continue };
        if state.finished(&plan.jobs[judge]).is_none() {
            continue;
        }
        let folder = plan.out.join(&plan.jobs[judge].id);
        let same = |outcome: &&Outcome| {
            outcome.source == cell.source
                && outcome.target == cell.target
                && outcome.method == cell.method
                && outcome.seed == cell.seed
        };
        if let Some(outcome) = experiment.outcomes.iter().find(same) {
            let planned = &plan.jobs[judge].outputs;
            let asked = planned.iter().any(|output| output.ends_with(JUDGEMENT_ASKED));
            let asked = asked.then(|| read(&folder.join(JUDGEMENT_ASKED))).transpose()?;
            let judgements = (read(&folder.join(JUDGEMENT))?, asked);
            let case = Case::new(outcome, judgements, experiment);
            // Where nobody that was judged was scored, there is no truth to hold it against.
            cases.extend((!case.subjects.is_empty()).then_some(case));
        }
    }
    Ok((!cases.is_empty()).then_some(Verdicts { cases }))
}

fn read(path: &Path) -> Result<Judgement> {
    let text = std::fs::read(path).reading(path)?;
    serde_json::from_slice(&text)
        .map_err(|error| Error::format(path, format!("no judgement of this version ({error})")))
}

/// True scores of an outcome, one column a class.
struct Truths<'a> {
    outcome: &'a Outcome,
    columns: Vec<&'a ScoreColumn>,
}

impl<'a> Truths<'a> {
    fn of(outcome: &'a Outcome, experiment: &Experiment) -> Self {
        let classes = experiment.data.classes.iter();
        let columns = classes.filter_map(|class| outcome.column(&class.label, METRIC)).collect();
        Self { outcome, columns }
    }

    /// Dice of a subject before and after. Frames of a person are judged together, and weigh alike; a class counts
    /// where both sides have it.
    fn dice(&self, subject: &str) -> Option<[f64; 2]> {
        let own = self.outcome.subjects.iter().enumerate();
        let own = own.filter(|(_, name)| *name == subject || person(name) == subject);
        let frame = |(index, _)| {
            let scores = self.columns.iter().filter_map(|column| {
                let of = |side: &Vec<Option<f64>>| side.get(index).copied().flatten();
                Some([of(&column.before)?, of(&column.after)?])
            });
            means(scores.collect())
        };
        means(own.filter_map(frame).collect())
    }
}

fn means(pairs: Vec<[f64; 2]>) -> Option<[f64; 2]> {
    let mean = |side: usize| {
        let values: Vec<f64> = pairs.iter().map(|pair| pair[side]).collect();
        Description::of(&values).ok().map(|found| found.mean)
    };
    Some([mean(0)?, mean(1)?])
}

impl Case {
    fn new(
        outcome: &Outcome,
        (alone, asked): (Judgement, Option<Judgement>),
        experiment: &Experiment,
    ) -> Self {
        let truths = Truths::of(outcome, experiment);
        let subject = |(alone, asked): (SubjectJudgement, Option<SubjectJudgement>)| {
            let (predicted_alone, predicted_asked) =
                (Predicted::of(&alone), asked.as_ref().and_then(Predicted::of));
            // Whoever was asked knows all signals that the other knows.
            let judged = asked.unwrap_or(alone);
            Some(Subject {
                dice: truths.dice(&judged.subject)?,
                predicted_alone,
                predicted_asked,
                name: judged.subject,
                agreement: judged.agreement,
                signals: [judged.before.signals, judged.after.signals],
            })
        };
        let shown = asked.as_ref().unwrap_or(&alone).verdict();
        let asked_decision = asked.as_ref().map(|judgement| judgement.decision);
        let asked_subjects = asked.into_iter().flat_map(|judgement| judgement.subjects);
        let asked_subjects = asked_subjects.map(Some).chain(std::iter::repeat_with(|| None));
        let last = outcome.epochs.iter().rev().find_map(|epoch| epoch.score);
        Self {
            source: outcome.source.clone(),
            target: outcome.target.clone(),
            method: outcome.method.clone(),
            seed: outcome.seed,
            alone: alone.decision,
            asked: asked_decision,
            uncalibrated: outcome.verdict.as_ref().map(|verdict| verdict.decision),
            watched: outcome.score_before.zip(last).map(|(first, last)| [first, last]),
            subjects: alone.subjects.into_iter().zip(asked_subjects).filter_map(subject).collect(),
            shown,
        }
    }

    fn is_of(&self, outcome: &Outcome) -> bool {
        (&self.source, &self.target, &self.method, self.seed)
            == (&outcome.source, &outcome.target, &outcome.method, outcome.seed)
    }

    /// Mean over subjects of what they have.
    pub fn mean(&self, of: impl Fn(&Subject) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.subjects.iter().filter_map(of).collect();
        Description::of(&values).ok().map(|found| found.mean)
    }

    /// True mean change of Dice.
    pub fn change(&self) -> f64 {
        self.mean(|subject| Some(difference(subject.dice))).unwrap_or(0.0)
    }

    pub fn truth(&self) -> Truth {
        match self.change() {
            change if change > COUNTS => Truth::Helped,
            change if change < -COUNTS => Truth::Harmed,
            _ => Truth::Neither,
        }
    }
}

pub(crate) fn difference([before, after]: [f64; 2]) -> f64 {
    after - before
}

impl Verdicts {
    /// Lets the outcomes that were judged on their scored subjects have that verdict, and not the run's own.
    pub fn show(&self, experiment: &mut Experiment) {
        for outcome in &mut experiment.outcomes {
            if let Some(case) = self.cases.iter().find(|case| case.is_of(outcome)) {
                outcome.verdict = Some(case.shown.clone());
            }
        }
    }
}
