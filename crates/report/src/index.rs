//! Outcomes found by source, target and method, and a subject's scores before and after in them.
use std::collections::BTreeMap;

use udas_metrics::Score;
use udas_record::{Experiment, MethodKind, MetricDescription, Outcome, ScoreColumn};

/// Which scores are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    pub metric: &'a MetricDescription,
    /// Label of the class; none: the mean over all classes.
    pub class: Option<&'a str>,
}

/// Outcomes by source, target and method.
pub(crate) struct Index<'a> {
    groups: BTreeMap<(&'a str, &'a str, &'a str), Vec<&'a Outcome>>,
    baseline: Option<&'a str>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(experiment: &'a Experiment) -> Self {
        let mut groups: BTreeMap<_, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &experiment.outcomes {
            let key = (&*outcome.source, &*outcome.target, &*outcome.method);
            groups.entry(key).or_default().push(outcome);
        }
        let baseline = experiment.methods.iter().find(|m| m.kind == MethodKind::Baseline);
        Self { groups, baseline: baseline.map(|m| m.name.as_str()) }
    }

    /// The seeds of a method on a source and target.
    pub(crate) fn seeds(
        &self,
        (source, target): (&'a str, &'a str),
        method: &'a str,
    ) -> &[&'a Outcome] {
        self.groups.get(&(source, target, method)).map_or(&[], Vec::as_slice)
    }

    /// A subject's score before: the outcome's own, or the baseline's on the same source, target and seed.
    fn before(&self, outcome: &'a Outcome, column: &'a ScoreColumn, index: usize) -> Option<f64> {
        if let Some(before) = column.before.get(index) {
            return *before;
        }
        let baseline = self.baseline?;
        if outcome.method == baseline {
            return column.after.get(index).copied().flatten();
        }
        let subject = outcome.subjects.get(index)?;
        let same = self.seeds((&outcome.source, &outcome.target), baseline);
        let reference = same.iter().find(|o| o.seed == outcome.seed)?;
        let position = match reference.subjects.get(index) {
            Some(name) if name == subject => index,
            _ => reference.subjects.iter().position(|name| name == subject)?,
        };
        let column = reference.column(&column.class, &column.metric)?;
        column.after.get(position).copied().flatten()
    }

    /// A subject's scores of one seed, averaged over the classes asked for.
    pub(crate) fn subject(
        &self,
        outcome: &'a Outcome,
        index: usize,
        selection: Selection,
    ) -> (Score, Score) {
        let asked = |c: &&ScoreColumn| {
            c.metric == selection.metric.name
                && selection.class.is_none_or(|class| c.class == class)
        };
        let columns = outcome.scores.iter().filter(asked);
        let value = |score: Option<f64>| score.map_or(Score::Undefined, Score::from);
        let both = columns.map(|column| {
            let after = column.after.get(index).copied().flatten();
            (value(self.before(outcome, column, index)), value(after))
        });
        paired_means(&both.collect::<Vec<_>>())
    }
}

/// Means before and after, over the pairs of which both sides are defined: a class that one of two masks lacks would
/// otherwise count on one side alone. Where one side has nothing at all, the other's mean; where no pair is whole though
/// both have something, nothing.
pub(crate) fn paired_means(pairs: &[(Score, Score)]) -> (Score, Score) {
    let is_whole = |(before, after): &&(Score, Score)| {
        *before != Score::Undefined && *after != Score::Undefined
    };
    let means = |pairs: Vec<(Score, Score)>| {
        let (before, after): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        (mean_score(&before), mean_score(&after))
    };
    let whole: Vec<_> = pairs.iter().filter(is_whole).copied().collect();
    if !whole.is_empty() {
        return means(whole);
    }
    let all = means(pairs.to_vec());
    if is_whole(&&all) { (Score::Undefined, Score::Undefined) } else { all }
}

/// Mean of the defined scores; infinite where one is.
fn mean_score(scores: &[Score]) -> Score {
    if scores.contains(&Score::Infinite) {
        return Score::Infinite;
    }
    mean(scores.iter().filter_map(|score| score.finite())).map_or(Score::Undefined, Score::from)
}

pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.into_iter().fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_one_side_make_no_pair() {
        let (none, zero, one) = (Score::Undefined, Score::from(0.0), Score::from(1.0));
        assert_eq!(paired_means(&[(one, zero), (none, one)]), (one, zero));
        assert_eq!(paired_means(&[(none, zero), (zero, none)]), (none, none));
        assert_eq!(paired_means(&[(none, one), (none, zero)]), (none, Score::from(0.5)));
    }
}
