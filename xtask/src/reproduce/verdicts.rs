//! Verdicts without labels beside the truth: does `udas judge` know harm when the labels say what it was?
//!
//! A case is one adaptation, judged on the subjects that were scored. Harm is a mean change of the true Dice
//! below -0.01, help one above 0.01.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use udas_metrics::statistics::{Description, auroc, correlation};
use udas_record::{Decision, Experiment, Outcome, PredictedScore, Verdict, person};

use super::grid::{Cell, JUDGEMENT, JUDGEMENT_ASKED};
use super::plan::Plan;
use super::state::State;
use super::table::align;

/// A change of Dice that counts as harm, or as help.
const COUNTS: f64 = 0.01;
/// The score that verdicts speak of.
const METRIC: &str = "dice";

/// Every case of an experiment.
#[derive(Debug, Serialize)]
pub struct Study {
    cases: Vec<Case>,
}

/// One adaptation.
#[derive(Debug, Serialize)]
struct Case {
    source: String,
    target: String,
    method: String,
    seed: u64,
    /// With the calibration, on the subjects that were scored.
    alone: Decision,
    /// The same with the source model's other trainings asked, where there are some.
    asked: Option<Decision>,
    /// Without a calibration, by the run itself, on the subjects it adapted to.
    uncalibrated: Option<Decision>,
    /// What the run's stop rule watches, first and last.
    watched: Option<[f64; 2]>,
    subjects: Vec<Subject>,
    /// The best informed of them, as the page of the results shows it.
    #[serde(skip)]
    shown: Verdict,
}

/// One subject before and after.
#[derive(Debug, Serialize)]
struct Subject {
    name: String,
    dice: [f64; 2],
    predicted_alone: Option<Predicted>,
    predicted_asked: Option<Predicted>,
    agreement: f64,
    signals: [BTreeMap<String, f64>; 2],
}

/// What the verdict predicts of a subject's Dice.
#[derive(Clone, Copy, Debug, Serialize)]
struct Predicted {
    after: f64,
    change: f64,
}

type Prediction = fn(&Subject) -> Option<Predicted>;

/// The two predictions of a subject, in words.
const PREDICTED: [(&str, Prediction); 2] = [
    ("other trainings asked", |subject| subject.predicted_asked),
    ("alone", |subject| subject.predicted_alone),
];

/// What the labels say of an adaptation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    Helped,
    Neither,
    Harmed,
}

/// What is read of `udas judge --out`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Judgement {
    decision: Decision,
    reasons: Vec<String>,
    check_first: Vec<String>,
    subjects: Vec<Judged>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Judged {
    subject: String,
    before: Measured,
    after: Measured,
    agreement: f64,
    predicted_after: Option<Estimate>,
    predicted_change: Option<f64>,
}

impl Judgement {
    /// As the results of an experiment have it.
    fn verdict(&self) -> Verdict {
        let predicted = |judged: &Judged| {
            let Estimate { score, low, high } = *judged.predicted_after.as_ref()?;
            Some(PredictedScore { subject: judged.subject.clone(), score, low, high })
        };
        Verdict {
            decision: self.decision,
            reasons: self.reasons.clone(),
            predictions: self.subjects.iter().filter_map(predicted).collect(),
            check_first: self.check_first.clone(),
        }
    }
}

impl Judged {
    fn predicted(&self) -> Option<Predicted> {
        let (after, change) = (self.predicted_after.as_ref()?.score, self.predicted_change?);
        Some(Predicted { after, change })
    }
}

#[derive(Deserialize)]
struct Measured {
    signals: BTreeMap<String, f64>,
}

#[derive(Clone, Copy, Deserialize)]
struct Estimate {
    score: f64,
    low: f64,
    high: f64,
}

/// Gathers what was judged; none where nothing was.
pub fn gather(cells: &[Cell], plan: &Plan, experiment: &Experiment) -> Result<Option<Study>> {
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
    Ok((!cases.is_empty()).then_some(Study { cases }))
}

fn read(path: &Path) -> Result<Judgement> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no judgement", path.display()))
}

impl Case {
    fn new(
        outcome: &Outcome,
        (alone, asked): (Judgement, Option<Judgement>),
        experiment: &Experiment,
    ) -> Self {
        let classes = &experiment.data.classes;
        let columns: Vec<_> =
            classes.iter().filter_map(|class| outcome.column(&class.label, METRIC)).collect();
        let means = |pairs: Vec<[f64; 2]>| {
            let mean = |side: usize| {
                let values: Vec<f64> = pairs.iter().map(|pair| pair[side]).collect();
                Description::of(&values).ok().map(|found| found.mean)
            };
            Some([mean(0)?, mean(1)?])
        };
        // Frames of a person are judged together, and weigh alike; a class counts where both sides have it.
        let truth = |subject: &str| {
            let own = outcome.subjects.iter().enumerate();
            let own = own.filter(|(_, name)| *name == subject || person(name) == subject);
            let frame = |(index, _)| {
                let scores = columns.iter().filter_map(|column| {
                    let of = |side: &Vec<Option<f64>>| side.get(index).copied().flatten();
                    Some([of(&column.before)?, of(&column.after)?])
                });
                means(scores.collect())
            };
            means(own.filter_map(frame).collect())
        };
        let subject = |(alone, asked): (Judged, Option<Judged>)| {
            let (predicted_alone, predicted_asked) =
                (alone.predicted(), asked.as_ref().and_then(Judged::predicted));
            // Whoever was asked knows all signals that the other knows.
            let judged = asked.unwrap_or(alone);
            Some(Subject {
                dice: truth(&judged.subject)?,
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
    fn mean(&self, of: impl Fn(&Subject) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.subjects.iter().filter_map(of).collect();
        Description::of(&values).ok().map(|found| found.mean)
    }

    /// True mean change of Dice.
    fn change(&self) -> f64 {
        self.mean(|subject| Some(difference(subject.dice))).unwrap_or(0.0)
    }

    fn truth(&self) -> Truth {
        match self.change() {
            change if change > COUNTS => Truth::Helped,
            change if change < -COUNTS => Truth::Harmed,
            _ => Truth::Neither,
        }
    }
}

fn difference([before, after]: [f64; 2]) -> f64 {
    after - before
}

impl Study {
    /// Lets the outcomes that were judged on their scored subjects have that verdict, and not the run's own.
    pub fn show(&self, experiment: &mut Experiment) {
        for outcome in &mut experiment.outcomes {
            if let Some(case) = self.cases.iter().find(|case| case.is_of(outcome)) {
                outcome.verdict = Some(case.shown.clone());
            }
        }
    }

    /// For people: the confusion, how well scores are predicted, and each signal alone.
    pub fn text(&self) -> String {
        let mut text = format!(
            "verdicts on {} adaptations, without labels, beside the truth (help or harm: mean Dice changes by more \
             than {COUNTS}):\n",
            self.cases.len()
        );
        let tables = [
            ("with a calibration, other trainings asked", self.confusion(|case| case.asked)),
            ("with a calibration alone", self.confusion(|case| Some(case.alone))),
            (
                "by rules alone, on the subjects adapted to",
                self.confusion(|case| case.uncalibrated),
            ),
        ];
        let asked = self.cases.iter().any(|case| case.asked.is_some());
        for (title, table) in tables.into_iter().skip(usize::from(!asked)) {
            let _ = write!(text, "\n{title}\n{}", align(&table));
        }
        let _ = write!(text, "\n{}", self.prediction());
        let _ = write!(
            text,
            "\nAUROC for harm, by adaptation and by subject\n{}",
            align(&self.ranking())
        );
        text
    }

    fn confusion(&self, decision: impl Fn(&Case) -> Option<Decision>) -> Vec<Vec<String>> {
        let decisions = [Decision::Keep, Decision::Abstain, Decision::RollBack];
        let mut rows = vec![["", "keep", "abstain", "roll back"].map(String::from).to_vec()];
        let truths =
            [(Truth::Helped, "helped"), (Truth::Neither, "neither"), (Truth::Harmed, "harmed")];
        for (truth, name) in truths {
            let of = |wanted: Decision| {
                let cases = self.cases.iter().filter(|case| case.truth() == truth);
                cases.filter(|case| decision(case) == Some(wanted)).count().to_string()
            };
            rows.push(std::iter::once(name.to_string()).chain(decisions.map(of)).collect());
        }
        rows
    }

    /// The predictions that there are.
    fn predictions(&self) -> impl Iterator<Item = (&'static str, Prediction)> {
        let subjects = || self.cases.iter().flat_map(|case| &case.subjects);
        let is_there = move |of: Prediction| subjects().any(|subject| of(subject).is_some());
        PREDICTED.into_iter().filter(move |(_, of)| is_there(*of))
    }

    /// Predicted Dice after adaptation beside the true one, over cases and subjects.
    fn prediction(&self) -> String {
        let subjects = || self.cases.iter().flat_map(|case| &case.subjects);
        let pairs = |of: Prediction, said: fn(Predicted) -> f64, truth: fn([f64; 2]) -> f64| {
            let pair = |subject: &Subject| Some([said(of(subject)?), truth(subject.dice)]);
            subjects().filter_map(pair).collect::<Vec<_>>()
        };
        let said = |name: &str, pairs: &[[f64; 2]]| {
            let errors: Vec<f64> = pairs.iter().map(|[said, truth]| (said - truth).abs()).collect();
            let error = Description::of(&errors).map_or(f64::NAN, |found| found.mean);
            let correlation = correlation(pairs).map_or("-".into(), |found| format!("{found:.3}"));
            format!(
                "{name}: {} subjects, correlation {correlation}, mean absolute error {error:.3}\n",
                pairs.len()
            )
        };
        self.predictions()
            .map(|(words, of)| {
                let name = |what: &str| format!("predicted {what}, {words}");
                said(
                    &name("Dice after adaptation"),
                    &pairs(of, |said| said.after, |[_, after]| after),
                ) + &said(&name("change of Dice"), &pairs(of, |said| said.change, difference))
            })
            .collect()
    }

    fn ranking(&self) -> Vec<Vec<String>> {
        let names: std::collections::BTreeSet<&String> = self
            .cases
            .iter()
            .flat_map(|case| &case.subjects)
            .flat_map(|subject| subject.signals[0].keys())
            .collect();
        let mut rows = vec![["less is harm", "adaptations", "subjects"].map(String::from).to_vec()];
        let mut row = |name: &str, of: &dyn Fn(&Subject) -> Option<f64>| {
            let cells = [self.auroc_of_cases(|case| case.mean(of)), self.auroc_of_subjects(of)];
            rows.push(std::iter::once(name.to_string()).chain(cells.map(shown)).collect());
        };
        for (words, of) in self.predictions() {
            row(&format!("predicted change, {words}"), &|subject| Some(of(subject)?.change));
        }
        row("agreement of masks before and after", &|subject| Some(subject.agreement));
        for name in names {
            row(name, &|subject| {
                let [before, after] = &subject.signals;
                Some(after.get(name)? - before.get(name)?)
            });
        }
        let watched = self.auroc_of_cases(|case| case.watched.map(difference));
        rows.push(vec!["change of what the stop rule watches".into(), shown(watched), "-".into()]);
        rows
    }

    fn auroc_of_cases(&self, of: impl Fn(&Case) -> Option<f64>) -> Option<f64> {
        let values = self.cases.iter().filter_map(|case| Some([of(case)?, case.change()]));
        auroc_for_harm(values.collect())
    }

    fn auroc_of_subjects(&self, of: impl Fn(&Subject) -> Option<f64>) -> Option<f64> {
        let subjects = self.cases.iter().flat_map(|case| &case.subjects);
        let values = subjects.filter_map(|subject| Some([of(subject)?, difference(subject.dice)]));
        auroc_for_harm(values.collect())
    }
}

/// From pairs of what is known and the true change: a low value should mean harm.
fn auroc_for_harm(pairs: Vec<[f64; 2]>) -> Option<f64> {
    let (harmed, others): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|[_, change]| *change < -COUNTS);
    let lowness = |group: Vec<[f64; 2]>| -> Vec<f64> { group.iter().map(|[x, _]| -x).collect() };
    auroc(&lowness(harmed), &lowness(others))
}

fn shown(auroc: Option<f64>) -> String {
    auroc.map_or("-".into(), |auroc| format!("{auroc:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(decision: Decision, dice: [f64; 2], predicted: [f64; 2]) -> Case {
        let signals = |value: f64| BTreeMap::from([("flip".to_string(), value)]);
        let predicted = Predicted { after: predicted[1], change: difference(predicted) };
        let subject = Subject {
            name: "s".into(),
            dice,
            predicted_alone: Some(predicted),
            predicted_asked: None,
            agreement: 1.0,
            // A signal that rises whatever happens.
            signals: [signals(0.1), signals(0.2)],
        };
        Case {
            source: "s".into(),
            target: "t".into(),
            method: "m".into(),
            seed: 0,
            alone: decision,
            asked: None,
            uncalibrated: Some(Decision::Abstain),
            watched: Some([0.1, 0.9 - dice[1]]),
            subjects: vec![subject],
            shown: Verdict {
                decision,
                reasons: Vec::new(),
                predictions: Vec::new(),
                check_first: Vec::new(),
            },
        }
    }

    #[test]
    fn what_was_judged_is_shown_in_place_of_the_runs_own_verdict() {
        let study = Study { cases: vec![case(Decision::Keep, [0.8, 0.9], [0.8, 0.85])] };
        let outcome = |method: &str| Outcome {
            source: "s".into(),
            target: "t".into(),
            method: method.into(),
            ..Outcome::default()
        };
        let mut experiment =
            Experiment { outcomes: vec![outcome("m"), outcome("other")], ..Experiment::default() };
        study.show(&mut experiment);
        let decisions: Vec<_> =
            experiment.outcomes.iter().map(|o| o.verdict.as_ref().map(|v| v.decision)).collect();
        assert_eq!(decisions, [Some(Decision::Keep), None]);
    }

    #[test]
    fn harm_that_was_foreseen_counts_and_a_blind_signal_is_worth_a_coin() {
        let study = Study {
            cases: vec![
                case(Decision::Keep, [0.8, 0.9], [0.8, 0.85]),
                case(Decision::Keep, [0.8, 0.805], [0.8, 0.8]),
                case(Decision::RollBack, [0.8, 0.5], [0.8, 0.6]),
            ],
        };
        let text = study.text();
        let line = |start: &str| -> Vec<String> {
            let found = text.lines().find(|line| line.trim_start().starts_with(start));
            let found = found.unwrap_or_else(|| panic!("no line {start} in\n{text}"));
            found.split_whitespace().rev().take(3).map(String::from).collect()
        };
        assert!(!text.contains("asked"), "nobody was asked:\n{text}");
        assert_eq!(line("helped"), ["0", "0", "1"]);
        assert_eq!(line("harmed"), ["1", "0", "0"]);
        assert_eq!(line("predicted change, alone")[..2], ["1.000", "1.000"]);
        assert_eq!(line("flip")[..2], ["0.500", "0.500"]);
        // What the stop rule watches rises most where the harm is largest.
        assert_eq!(line("change of what")[..2], ["-", "0.000"]);
        // Errors 0.05, 0.005 and 0.1.
        assert_eq!(line("predicted Dice after")[0], "0.052");
    }
}
