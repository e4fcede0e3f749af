//! Which subjects to look at: the worst five and the best of the method in question.
use std::collections::BTreeSet;

use udas_record::Experiment;

use crate::Overview;
use crate::analysis::direction;
use crate::index::Selection;

/// How many of the worst are shown.
const WORST: usize = 5;

/// Why a case is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Among the lowest, 1 the very lowest.
    Worst(usize),
    /// The highest.
    Best,
}

/// A subject after one run, to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Why it is shown.
    pub rank: Rank,
    /// Source domain.
    pub source: String,
    /// Target domain.
    pub target: String,
    /// Method name.
    pub method: String,
    /// Seed of the run.
    pub seed: u64,
    /// Folder of the run, where it is known.
    pub run: Option<String>,
    /// Subject name.
    pub subject: String,
    /// First metric, mean over classes, before adaptation.
    pub before: Option<f64>,
    /// The same after it.
    pub after: Option<f64>,
}

impl Case {
    /// Whether both are the same subject of the same run.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let key = |c: &Self| {
            let [source, target, method, subject] =
                [&c.source, &c.target, &c.method, &c.subject].map(String::clone);
            (source, target, method, subject, c.seed)
        };
        key(self) == key(other)
    }
}

/// The worst five and the best subjects after adaptation by the method in question: by true score, else
/// by predicted score, else (nothing known) by how much the predicted volume changed. A subject is shown
/// once, at its worst or best seed.
pub fn cases(experiment: &Experiment) -> Vec<Case> {
    let Some(overview) = Overview::of(experiment) else { return Vec::new() };
    let mut ranked = ranked(experiment, &overview);
    // Names settle ties, so that the same results always show the same subjects.
    ranked.sort_by(|a, b| {
        a.0.total_cmp(&b.0).then_with(|| (&a.1.subject, a.1.seed).cmp(&(&b.1.subject, b.1.seed)))
    });
    let mut seen = BTreeSet::new();
    let mut first_of_subject = |(_, case): &&(f64, Case)| {
        seen.insert((case.source.clone(), case.target.clone(), case.subject.clone()))
    };
    let mut chosen: Vec<Case> =
        ranked.iter().filter(&mut first_of_subject).take(WORST).map(|(_, c)| c.clone()).collect();
    let best = ranked.iter().rev().find(|(_, best)| {
        !chosen.iter().any(|case| case.subject == best.subject && case.target == best.target)
    });
    for (index, case) in chosen.iter_mut().enumerate() {
        case.rank = Rank::Worst(index + 1);
    }
    chosen.extend(best.map(|(_, case)| Case { rank: Rank::Best, ..case.clone() }));
    chosen
}

/// Every subject and seed of the method, with what it is ranked by (small is bad).
fn ranked(experiment: &Experiment, overview: &Overview) -> Vec<(f64, Case)> {
    let mut ranked = Vec::new();
    for outcome in experiment.outcomes.iter().filter(|o| o.method == overview.focus.name) {
        for (index, subject) in outcome.subjects.iter().enumerate() {
            let score = overview.metric.map(|metric| {
                let selection = Selection { metric, class: None };
                let (before, after) = overview.index.subject(outcome, index, selection);
                (before.finite(), after.finite(), direction(metric))
            });
            let predicted = outcome.verdict.as_ref().and_then(|verdict| {
                verdict.predictions.iter().find(|p| p.subject == *subject).map(|p| p.score)
            });
            let (before, after, sign) = score.unwrap_or((None, None, 1.0));
            let key = after.map(|after| sign * after).or(predicted);
            let Some(key) = key.or_else(|| volume_change(outcome, index).map(|c| -c)) else {
                continue;
            };
            let case = Case {
                rank: Rank::Best,
                source: outcome.source.clone(),
                target: outcome.target.clone(),
                method: outcome.method.clone(),
                seed: outcome.seed,
                run: outcome.run.clone(),
                subject: subject.clone(),
                before,
                after,
            };
            ranked.push((key, case));
        }
    }
    ranked
}

/// Largest relative change of a class's predicted volume.
fn volume_change(outcome: &udas_record::Outcome, index: usize) -> Option<f64> {
    let volumes = outcome.scores.iter().filter(|c| c.metric == "prediction_volume_ml");
    let changes = volumes.filter_map(|column| {
        let (before, after) = ((*column.before.get(index)?)?, (*column.after.get(index)?)?);
        Some((after - before).abs() / before.max(1e-3))
    });
    changes.max_by(f64::total_cmp)
}
