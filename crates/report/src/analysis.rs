//! Paired comparison of every method with the source model, per target and over all targets.
//!
//! The unit is the subject: its scores are averaged over classes (unless one is asked for), over seeds and, where there are
//! several frames of one person, over these before anything else, so that neither feigns more subjects.
use std::collections::BTreeMap;

use udas_metrics::Score;
use udas_metrics::statistics::{
    Alternative, Bootstrap, Description, Interval, Pairs, bootstrap_mean, holm,
    wilcoxon_signed_rank,
};
use udas_record::{Better, Experiment, MethodDescription, MethodKind, MetricDescription, person};

use crate::index::{Index, Selection, mean, paired_means};

/// Below this many pairs no two-sided signed-rank test reaches 0.05.
pub(crate) const FEWEST_PAIRS: usize = 6;
/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The method is the one that others are compared with.
    Reference,
    /// Better, beyond chance.
    Helps,
    /// Worse, beyond chance.
    Harms,
    /// Neither beyond chance.
    Unclear,
    /// Too few subjects to say.
    TooFew,
}

impl Effect {
    /// For tables and filters.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Helps => "helps",
            Self::Harms => "harms",
            Self::Unclear => "unclear",
            Self::TooFew => "too few",
        }
    }
}

/// A subject, averaged over classes and seeds.
#[derive(Clone, Debug)]
pub(crate) struct SubjectScore<'a> {
    pub name: &'a str,
    pub before: Score,
    pub after: Score,
}

/// After compared with before.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// After minus before, per subject that has both.
    pub pairs: Pairs,
    pub mean: Option<f64>,
    pub interval: Option<Interval>,
    /// Wilcoxon's signed-rank test, two-sided, corrected by Holm within its family.
    pub p: Option<f64>,
    /// Subjects better and worse by more than the metric's smallest change, and the others.
    pub better: usize,
    pub worse: usize,
    pub same: usize,
    pub effect: Effect,
}

/// A method on one source and target.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'a> {
    pub source: &'a str,
    pub target: &'a str,
    pub seeds: usize,
    /// One a volume, in order of their names: frames of a person each on their own.
    pub subjects: Vec<SubjectScore<'a>>,
    /// One a person, in order of their names.
    pub people: Vec<SubjectScore<'a>>,
    pub before: Option<Description>,
    pub after: Option<Description>,
    /// Spread of the seeds' means.
    pub seed_sd: Option<f64>,
    pub change: Change,
}

/// A method on all its targets.
#[derive(Clone, Debug)]
pub(crate) struct MethodResult<'a> {
    pub method: &'a MethodDescription,
    pub cells: Vec<Cell<'a>>,
    /// Mean over subjects, of those that have both.
    pub before: Option<f64>,
    pub after: Option<f64>,
    pub pooled: Change,
}

impl<'a> MethodResult<'a> {
    /// The result on a source and target.
    pub(crate) fn cell(&self, pair: (&str, &str)) -> Option<&Cell<'a>> {
        self.cells.iter().find(|cell| (cell.source, cell.target) == pair)
    }
}

/// Compares every method with the source model.
pub(crate) fn compare<'a>(
    experiment: &'a Experiment,
    index: &Index<'a>,
    selection: Selection,
) -> Vec<MethodResult<'a>> {
    let pairs = experiment.pairs();
    let results = experiment.methods.iter().filter_map(|method| {
        let cells = pairs.iter().filter_map(|pair| cell(index, *pair, method, selection));
        let mut cells: Vec<Cell> = cells.collect();
        if cells.is_empty() {
            return None;
        }
        correct(cells.iter_mut().map(|cell| &mut cell.change), selection.metric);
        Some(pool(method, cells, selection.metric))
    });
    let mut results: Vec<MethodResult> = results.collect();
    correct(results.iter_mut().map(|result| &mut result.pooled), selection.metric);
    results
}

/// One method on one source and target; none where nothing was scored.
pub(crate) fn cell<'a>(
    index: &Index<'a>,
    pair: (&'a str, &'a str),
    method: &'a MethodDescription,
    selection: Selection,
) -> Option<Cell<'a>> {
    let outcomes = index.seeds(pair, &method.name);
    let mut gathered: BTreeMap<&str, Vec<(Score, Score)>> = BTreeMap::new();
    let mut seed_means = Vec::new();
    for outcome in outcomes {
        let mut finite = Vec::new();
        for (position, name) in outcome.subjects.iter().enumerate() {
            let (before, after) = index.subject(outcome, position, selection);
            gathered.entry(name).or_default().push((before, after));
            finite.extend(after.finite());
        }
        seed_means.extend(mean(finite));
    }
    let subjects = averaged(gathered);
    let people = by_person(&subjects);
    let (before, after): (Vec<_>, Vec<_>) = people.iter().map(|p| (p.before, p.after)).unzip();
    if subjects.iter().all(|s| (s.before, s.after) == (Score::Undefined, Score::Undefined)) {
        return None;
    }
    let describe = |scores: &[Score]| {
        Description::of(&scores.iter().filter_map(|s| s.finite()).collect::<Vec<_>>()).ok()
    };
    Some(Cell {
        source: pair.0,
        target: pair.1,
        seeds: outcomes.len(),
        before: describe(&before),
        after: describe(&after),
        seed_sd: Description::of(&seed_means).ok().and_then(|d| d.sd),
        change: change(Pairs::new(&before, &after).ok()?, method.kind, selection.metric),
        subjects,
        people,
    })
}

/// Scores before and after, one a person.
fn by_person<'a>(subjects: &[SubjectScore<'a>]) -> Vec<SubjectScore<'a>> {
    let mut gathered: BTreeMap<&str, Vec<(Score, Score)>> = BTreeMap::new();
    for SubjectScore { name, before, after } in subjects {
        gathered.entry(person(name)).or_default().push((*before, *after));
    }
    averaged(gathered)
}

fn averaged<'a>(gathered: BTreeMap<&'a str, Vec<(Score, Score)>>) -> Vec<SubjectScore<'a>> {
    let average = |(name, pairs): (&'a str, Vec<_>)| {
        let (before, after) = paired_means(&pairs);
        SubjectScore { name, before, after }
    };
    gathered.into_iter().map(average).collect()
}

/// All targets together; a subject seen from several sources counts once.
fn pool<'a>(
    method: &'a MethodDescription,
    cells: Vec<Cell<'a>>,
    metric: &MetricDescription,
) -> MethodResult<'a> {
    let mut gathered: BTreeMap<(&str, &str), Vec<(f64, f64)>> = BTreeMap::new();
    let mut left_out = 0;
    for cell in &cells {
        left_out += cell.change.pairs.left_out;
        for SubjectScore { name, before, after } in &cell.people {
            if let (Some(before), Some(after)) = (before.finite(), after.finite()) {
                gathered.entry((cell.target, *name)).or_default().push((before, after));
            }
        }
    }
    let mean_of = |scores: &Vec<(f64, f64)>, pick: fn(&(f64, f64)) -> f64| {
        mean(scores.iter().map(pick)).unwrap_or(f64::NAN)
    };
    let subjects: Vec<(f64, f64)> =
        gathered.values().map(|s| (mean_of(s, |p| p.0), mean_of(s, |p| p.1))).collect();
    let differences = subjects.iter().map(|(before, after)| after - before).collect();
    MethodResult {
        method,
        cells,
        before: mean(subjects.iter().map(|s| s.0)),
        after: mean(subjects.iter().map(|s| s.1)),
        pooled: change(Pairs { differences, left_out }, method.kind, metric),
    }
}

fn change(pairs: Pairs, kind: MethodKind, metric: &MetricDescription) -> Change {
    let differences = &pairs.differences;
    let direction = direction(metric);
    let beyond = |sign: f64| {
        let counts = |d: &&f64| sign * direction * **d > metric.smallest_change;
        differences.iter().filter(counts).count()
    };
    let (better, worse) = (beyond(1.0), beyond(-1.0));
    let test = wilcoxon_signed_rank(differences, Alternative::TwoSided, None);
    let reference = kind == MethodKind::Baseline;
    Change {
        mean: mean(differences.iter().copied()),
        interval: bootstrap_mean(differences, &Bootstrap::REPORTED).ok(),
        p: test.ok().filter(|_| !reference).map(|test| test.p_value),
        better,
        worse,
        same: differences.len() - better - worse,
        effect: if reference { Effect::Reference } else { Effect::TooFew },
        pairs,
    }
}

/// 1 where larger is better, else -1.
pub(crate) fn direction(metric: &MetricDescription) -> f64 {
    match metric.better {
        Better::Higher => 1.0,
        Better::Lower => -1.0,
    }
}

/// Corrects the p-values of a family (Holm) and says which changes are beyond chance: those whose
/// interval leaves out zero and whose corrected p-value is below 0.05.
fn correct<'c>(changes: impl Iterator<Item = &'c mut Change>, metric: &MetricDescription) {
    let mut tested: Vec<&mut Change> = changes.filter(|change| change.p.is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|change| change.p).collect();
    let Ok(corrected) = holm(&p_values) else { return };
    for (change, p) in tested.iter_mut().zip(corrected) {
        change.p = Some(p);
        change.effect = match change.interval {
            _ if change.pairs.differences.len() < FEWEST_PAIRS => Effect::TooFew,
            Some(Interval { low, high }) if p < 0.05 && low * high > 0.0 => {
                if low * direction(metric) > 0.0 { Effect::Helps } else { Effect::Harms }
            }
            _ => Effect::Unclear,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_record::{Outcome, ScoreColumn};

    fn outcome(method: &str, seed: u64, before: &[f64], after: &[f64]) -> Outcome {
        let some = |scores: &[f64]| scores.iter().copied().map(Some).collect();
        let column = ScoreColumn {
            class: "1".into(),
            metric: "dice".into(),
            before: some(before),
            after: some(after),
        };
        Outcome {
            source: "a".into(),
            target: "b".into(),
            method: method.into(),
            seed,
            subjects: (0..after.len()).map(|i| format!("s{i}")).collect(),
            scores: vec![column],
            ..Outcome::default()
        }
    }

    fn experiment(outcomes: Vec<Outcome>) -> Experiment {
        let mut experiment = Experiment { outcomes, ..Experiment::default() };
        experiment.describe_missing();
        experiment
    }

    fn check(experiment: &Experiment, method: usize) -> MethodResult<'_> {
        let selection = Selection { metric: &experiment.metrics[0], class: None };
        compare(experiment, &Index::new(experiment), selection).remove(method)
    }

    #[test]
    fn seeds_are_averaged_before_subjects_are_counted() {
        let seeds = [
            outcome("tent", 0, &[0.5; 6], &[0.6, 0.7, 0.8, 0.6, 0.7, 0.8]),
            outcome("tent", 1, &[0.5; 6], &[0.8, 0.9, 1.0, 0.8, 0.9, 1.0]),
        ];
        let experiment = experiment(seeds.to_vec());
        let result = check(&experiment, 0);
        let change = &result.cells[0].change;
        assert_eq!((change.pairs.differences.len(), change.better, change.worse), (6, 6, 0));
        assert!((change.mean.unwrap() - 0.3).abs() < 1e-12);
        assert!((result.cells[0].seed_sd.unwrap() - 0.2 / 2f64.sqrt()).abs() < 1e-12);
        assert_eq!((change.p, change.effect), (Some(0.03125), Effect::Helps));
    }

    #[test]
    fn a_class_counts_where_both_sides_have_it() {
        let mut lost = outcome("tent", 0, &[0.9; 6], &[0.91; 6]);
        let absent = vec![None; 6];
        let zero = vec![Some(0.0); 6];
        let second = |before: &Vec<_>, after: &Vec<_>| ScoreColumn {
            class: "2".into(),
            metric: "dice".into(),
            before: before.clone(),
            after: after.clone(),
        };
        lost.scores.push(second(&absent, &zero));
        let mut found = lost.clone();
        found.seed = 1;
        found.scores[1] = second(&zero, &absent);
        let experiment = experiment(vec![lost, found]);
        let change = check(&experiment, 0).pooled;
        assert!(change.pairs.differences.iter().all(|d| (d - 0.01).abs() < 1e-9), "{change:?}");
    }

    #[test]
    fn frames_of_one_person_are_one_subject() {
        let mut frames = outcome("tent", 0, &[0.5; 4], &[0.6, 0.8, 0.9, 0.9]);
        frames.subjects =
            ["a_frame00", "a_frame12", "b_frame00", "b_frame09"].map(String::from).to_vec();
        let experiment = experiment(vec![frames]);
        let result = check(&experiment, 0);
        assert_eq!(result.cells[0].subjects.len(), 4);
        for differences in [&result.pooled, &result.cells[0].change].map(|c| &c.pairs.differences) {
            assert_eq!(differences.len(), 2);
            assert!((differences[0] - 0.2).abs() < 1e-12 && (differences[1] - 0.4).abs() < 1e-12);
        }
    }

    #[test]
    fn a_person_with_an_infinite_frame_is_left_out_of_every_figure() {
        let lost = [f64::INFINITY, 9.0, 9.0, 9.0];
        let mut frames = outcome("tent", 0, &[10.0; 4], &lost);
        frames.subjects =
            ["a_frame00", "a_frame12", "b_frame00", "b_frame09"].map(String::from).to_vec();
        let experiment = experiment(vec![frames]);
        let result = check(&experiment, 0);
        for change in [&result.pooled, &result.cells[0].change] {
            assert_eq!((&change.pairs.differences, change.pairs.left_out), (&vec![-1.0], 1));
        }
    }

    #[test]
    fn the_baseline_stands_in_for_scores_before_by_name() {
        let mut source = outcome("source-only", 0, &[], &[0.9, 0.5]);
        source.subjects.reverse();
        let experiment = experiment(vec![source, outcome("tent", 0, &[], &[0.25, 1.0])]);
        let result = check(&experiment, 1);
        assert_eq!(result.cells[0].change.pairs.differences, [-0.25, 0.09999999999999998]);
        assert_eq!(result.pooled.effect, Effect::TooFew);
        assert_eq!(check(&experiment, 0).pooled.effect, Effect::Reference);
    }

    #[test]
    fn for_distances_less_is_better() {
        let mut experiment = experiment(vec![outcome("tent", 0, &[9.0; 8], &[1.0; 8])]);
        experiment.metrics[0].better = Better::Lower;
        let change = check(&experiment, 0).pooled;
        assert_eq!((change.better, change.worse, change.effect), (8, 0, Effect::Helps));
    }

    #[test]
    fn undefined_and_infinite_scores_are_left_out_and_counted() {
        let wild = outcome("tent", 0, &[0.5, 0.5, f64::INFINITY], &[0.75, f64::NAN, 0.5]);
        let change = check(&experiment(vec![wild]), 0).pooled.pairs;
        assert_eq!((change.differences, change.left_out), (vec![0.25], 2));
    }
}
