//! An experiment as the published table has it: targets by methods, mean and standard deviation over seeds,
//! the literature's figures beside them, and paired tests below.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::ingredients;
use udas_metrics::statistics::{
    Alternative, Bootstrap, Description, bootstrap_mean, holm, wilcoxon_signed_rank,
};
use udas_record::{
    Class, Experiment, MethodDescription, MethodKind, Origin, Outcome, ScoreColumn, person,
};

/// The whole text.
pub fn text(experiment: &Experiment) -> String {
    let mut text = String::new();
    let Some(metric) = experiment.metrics.first() else { return text };
    let classes = &experiment.data.classes;
    let all: Vec<&Class> = classes.iter().collect();
    let mut views = vec![(all, String::new())];
    if classes.len() > 1 {
        views[0].1 = ", mean of the classes".into();
        views.extend(classes.iter().map(|class| (vec![class], format!(", {}", class.name))));
    }
    let _ = writeln!(text, "{}", experiment.title);
    let _ = writeln!(text, "data: {}{}", experiment.data.name, origin(experiment));
    text.push_str(&ingredients::text(experiment));
    for (classes, said) in views {
        let view = View { experiment, metric: &metric.name, classes };
        let _ = writeln!(text, "\n{}{said}: mean ± standard deviation over seeds", metric.title);
        text.push_str(&view.table());
    }
    let all = View { experiment, metric: &metric.name, classes: classes.iter().collect() };
    text.push_str(&all.tests());
    text
}

fn origin(experiment: &Experiment) -> &'static str {
    match experiment.data.origin {
        Origin::Real => "",
        Origin::Synthetic => " (synthetic: no figure here says anything about patients)",
        Origin::Unknown => " (of unknown origin)",
    }
}

/// One metric of some classes.
struct View<'a> {
    experiment: &'a Experiment,
    metric: &'a str,
    classes: Vec<&'a Class>,
}

/// Source and target.
type Pair<'a> = (&'a str, &'a str);

/// Scores by source and target, seed, subject, and class.
type Scores<'a> = BTreeMap<(Pair<'a>, u64, &'a str, &'a str), f64>;

impl View<'_> {
    /// The outcomes' scores by subject: means over the classes that the source model's masks have a score of too;
    /// undefined ones are left out, and so is a subject of which one is infinite.
    fn subjects<'o>(&self, outcome: &'o Outcome) -> Vec<(&'o str, f64)> {
        let columns: Vec<_> = self
            .classes
            .iter()
            .filter_map(|class| outcome.column(&class.label, self.metric))
            .collect();
        let score = |index: usize| {
            let counts = |column: &&&ScoreColumn| {
                column.before.is_empty() || defined(&column.before, index).is_some()
            };
            let values = columns.iter().filter(counts);
            mean(values.filter_map(|column| defined(&column.after, index)))
                .filter(|m| m.is_finite())
        };
        let subjects = outcome.subjects.iter().enumerate();
        subjects
            .filter_map(|(index, subject)| score(index).map(|score| (subject.as_str(), score)))
            .collect()
    }

    /// Mean over subjects of each seed, described over seeds.
    fn cell(&self, pair: Pair, method: &str) -> Option<Description> {
        let means: Vec<f64> = self
            .experiment
            .outcomes
            .iter()
            .filter(|outcome| pair_of(outcome) == pair && outcome.method == method)
            .filter_map(|outcome| mean(self.subjects(outcome).into_iter().map(|(_, score)| score)))
            .collect();
        Description::of(&means).ok()
    }

    fn table(&self) -> String {
        let methods = &self.experiment.methods;
        let mut rows = vec![header(self.experiment, methods)];
        for (source, target) in self.experiment.pairs() {
            let cells: Vec<Option<Description>> =
                methods.iter().map(|method| self.cell((source, target), &method.name)).collect();
            let shown = cells.iter().map(|cell| cell.as_ref().map_or("-".into(), shown));
            let name = match only_source(self.experiment) {
                Some(_) => target.to_string(),
                None => format!("{source} to {target}"),
            };
            rows.push(std::iter::once(name).chain(shown).collect());
            rows.extend(self.published((source, target)));
        }
        align(&rows)
    }

    /// The literature's figures for a source and target, if there are any.
    fn published(&self, (source, target): Pair) -> Option<Vec<String>> {
        let figure = |method: &MethodDescription| {
            self.experiment.published.iter().find(|figure| {
                let Self { metric, .. } = self;
                (figure.source.as_str(), figure.target.as_str()) == (source, target)
                    && figure.method == method.name
                    && figure.metric == *metric
            })
        };
        let figures: Vec<_> = self.experiment.methods.iter().map(figure).collect();
        if figures.iter().all(Option::is_none) {
            return None;
        }
        let shown = figures
            .into_iter()
            .map(|figure| figure.map_or(String::new(), |figure| format!("{:.3}", figure.value)));
        Some(std::iter::once("  published".to_string()).chain(shown).collect())
    }

    /// All scores of a method; undefined ones are left out.
    fn scores(&self, method: &str) -> Scores<'_> {
        let mut scores = Scores::new();
        for outcome in self.experiment.outcomes.iter().filter(|o| o.method == method) {
            for class in &self.classes {
                let Some(column) = outcome.column(&class.label, self.metric) else { continue };
                for (index, subject) in outcome.subjects.iter().enumerate() {
                    if let Some(value) = defined(&column.after, index) {
                        let key = (pair_of(outcome), outcome.seed, &**subject, &*class.label);
                        scores.insert(key, value);
                    }
                }
            }
        }
        scores
    }

    /// Every method against the source model, and the others against the one in question.
    fn tests(&self) -> String {
        let methods = &self.experiment.methods;
        let baseline = methods.iter().find(|method| method.kind == MethodKind::Baseline);
        let focus = self.experiment.focus.as_deref();
        let focus = methods.iter().find(|method| Some(method.name.as_str()) == focus);
        let mut text = String::new();
        let mut shown = Vec::new();
        for reference in [baseline, focus].into_iter().flatten() {
            // No pair of methods twice.
            shown.push(&reference.name);
            let others: Vec<_> =
                methods.iter().filter(|method| !shown.contains(&&method.name)).collect();
            text.push_str(&self.tests_against(reference, &others));
        }
        text
    }

    fn tests_against(
        &self,
        reference: &MethodDescription,
        others: &[&MethodDescription],
    ) -> String {
        let before = self.scores(&reference.name);
        let compared: Vec<(&MethodDescription, Comparison)> = others
            .iter()
            .filter_map(|method| {
                Comparison::of(&before, &self.scores(&method.name)).map(|found| (*method, found))
            })
            .collect();
        let raw: Vec<f64> = compared.iter().map(|(_, comparison)| comparison.p).collect();
        // Wilcoxon's test gives probabilities, which is all that Holm's correction asks for.
        let adjusted = holm(&raw).unwrap_or_default();
        let mut rows = vec![
            ["method", "change", "95 % interval", "higher / lower", "p (Holm)"]
                .map(String::from)
                .to_vec(),
        ];
        for ((method, comparison), p) in compared.iter().zip(adjusted) {
            rows.push(comparison.row(&method.title, p));
        }
        if rows.len() == 1 {
            return String::new();
        }
        let people = compared.iter().map(|(_, comparison)| comparison.people).max().unwrap_or(0);
        let averaged = match only_source(self.experiment) {
            Some(_) => "seeds averaged",
            None => "sources and seeds averaged",
        };
        format!(
            "\nagainst {}, paired over {people} subjects of all targets ({averaged}; Wilcoxon's \
             signed-rank test):\n{}",
            reference.title,
            align(&rows)
        )
    }
}

/// A method's change against another, person by person.
struct Comparison {
    people: usize,
    mean: f64,
    interval: Option<(f64, f64)>,
    higher: usize,
    lower: usize,
    p: f64,
}

impl Comparison {
    /// A person counts once, with the mean of the changes over the classes that both have, then over seeds, frames and
    /// sources: those are no independent observations. Who has an infinite score is left out.
    fn of(before: &Scores, after: &Scores) -> Option<Self> {
        let change = |(key, old): (&_, &f64)| Some((*key, after.get(key)? - old));
        let classes = before.iter().filter_map(change);
        let seeds = averaged(classes, |(pair, seed, subject, _)| (pair, seed, subject));
        let subjects = averaged(seeds, |(pair, _, subject)| (pair, subject));
        let people = averaged(subjects, |(pair, subject)| (pair, person(subject)));
        let changes = averaged(people, |((_, target), person)| (target, person));
        let differences: Vec<f64> =
            changes.into_values().filter(|change| change.is_finite()).collect();
        let mean = Description::of(&differences).ok()?.mean;
        let test = wilcoxon_signed_rank(&differences, Alternative::TwoSided, None).ok()?;
        let interval = bootstrap_mean(&differences, &Bootstrap::REPORTED).ok();
        Some(Self {
            people: differences.len(),
            mean,
            interval: interval.map(|interval| (interval.low, interval.high)),
            higher: differences.iter().filter(|change| **change > 0.0).count(),
            lower: differences.iter().filter(|change| **change < 0.0).count(),
            p: test.p_value,
        })
    }

    fn row(&self, title: &str, p: f64) -> Vec<String> {
        let interval =
            self.interval.map_or("-".into(), |(low, high)| format!("{low:+.4} to {high:+.4}"));
        let sides = format!("{} / {}", self.higher, self.lower);
        vec![title.into(), format!("{:+.4}", self.mean), interval, sides, format!("{p:.4}")]
    }
}

/// Means over what keys have in common.
fn averaged<K, L: Ord>(
    values: impl IntoIterator<Item = (K, f64)>,
    common: impl Fn(K) -> L,
) -> BTreeMap<L, f64> {
    let mut gathered: BTreeMap<L, Vec<f64>> = BTreeMap::new();
    for (key, value) in values {
        gathered.entry(common(key)).or_default().push(value);
    }
    gathered.into_iter().filter_map(|(key, values)| Some((key, mean(values)?))).collect()
}

/// The mean, if there is anything.
fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.into_iter().collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A score, unless it is undefined.
fn defined(scores: &[Option<f64>], index: usize) -> Option<f64> {
    scores.get(index).copied().flatten().filter(|score| !score.is_nan())
}

fn pair_of(outcome: &Outcome) -> Pair<'_> {
    (&outcome.source, &outcome.target)
}

/// The source, where there is but one.
fn only_source(experiment: &Experiment) -> Option<&str> {
    let mut sources = experiment.pairs().into_iter().map(|(source, _)| source);
    let first = sources.next()?;
    sources.all(|source| source == first).then_some(first)
}

fn header(experiment: &Experiment, methods: &[MethodDescription]) -> Vec<String> {
    let first =
        only_source(experiment).map_or("from ... to".into(), |source| format!("{source} to"));
    std::iter::once(first).chain(methods.iter().map(|method| method.title.clone())).collect()
}

/// `0.8123 ± 0.0045`; a single seed has no deviation.
fn shown(cell: &Description) -> String {
    match cell.sd {
        Some(sd) => format!("{:.4} ± {sd:.4}", cell.mean),
        None => format!("{:.4}", cell.mean),
    }
}

/// Columns of equal width, the first to the left, the others to the right.
pub fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        let _ = writeln!(text, "  {}", cells.join("  ").trim_end());
    }
    text
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
