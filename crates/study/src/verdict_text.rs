//! Verdicts beside the truth, for people: the confusion, how well scores are predicted, and each signal alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use udas_metrics::statistics::{Description, auroc, correlation};
use udas_record::Decision;
use udas_verdict::Signal;

use crate::table::align;
use crate::verdicts::{COUNTS, Case, Predicted, Subject, Truth, Verdicts, difference};

type Prediction = fn(&Subject) -> Option<Predicted>;

/// The two predictions of a subject, in words.
const PREDICTED: [(&str, Prediction); 2] = [
    ("other trainings asked", |subject| subject.predicted_asked),
    ("alone", |subject| subject.predicted_alone),
];

impl Verdicts {
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
        let subjects = self.cases.iter().flat_map(|case| &case.subjects);
        let signals = subjects.flat_map(|subject| subject.signals[0].keys());
        let signals: BTreeMap<String, Signal> =
            signals.map(|signal| (name(*signal), *signal)).collect();
        let mut rows = vec![["less is harm", "adaptations", "subjects"].map(String::from).to_vec()];
        let mut row = |name: &str, of: &dyn Fn(&Subject) -> Option<f64>| {
            let cells = [self.auroc_of_cases(|case| case.mean(of)), self.auroc_of_subjects(of)];
            rows.push(std::iter::once(name.to_string()).chain(cells.map(shown)).collect());
        };
        for (words, of) in self.predictions() {
            row(&format!("predicted change, {words}"), &|subject| Some(of(subject)?.change));
        }
        row("agreement of masks before and after", &|subject| Some(subject.agreement));
        for (name, signal) in &signals {
            row(name, &|subject| {
                let [before, after] = &subject.signals;
                Some(after.get(signal)? - before.get(signal)?)
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

/// As files name it.
fn name(signal: Signal) -> String {
    match serde_json::to_value(signal) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{signal:?}"),
    }
}

fn shown(auroc: Option<f64>) -> String {
    auroc.map_or("-".into(), |auroc| format!("{auroc:.3}"))
}

#[cfg(test)]
#[path = "verdicts_test.rs"]
mod tests;
