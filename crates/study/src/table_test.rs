//! Means, deviations and paired tests of the table, counted by hand.

use super::*;
use udas_record::{Better, DataSet, MetricDescription, Published};

fn outcome(target: &str, method: &str, seed: u64, scores: &[Option<f64>]) -> Outcome {
    Outcome {
        source: "S".into(),
        target: target.into(),
        method: method.into(),
        seed,
        subjects: (0..scores.len()).map(|index| format!("{target}{index}")).collect(),
        scores: vec![ScoreColumn {
            class: "1".into(),
            metric: "dice".into(),
            before: Vec::new(),
            after: scores.to_vec(),
        }],
        ..Outcome::default()
    }
}

fn experiment() -> Experiment {
    let method = |name: &str, kind| MethodDescription {
        name: name.into(),
        title: name.into(),
        kind,
        idea: String::new(),
    };
    let base = [Some(0.5), Some(0.7), None];
    let better = [Some(0.75), Some(0.9), Some(0.9)];
    Experiment {
        title: "T".into(),
        focus: Some("tent".into()),
        data: DataSet {
            name: "D".into(),
            origin: Origin::Real,
            classes: vec![Class { label: "1".into(), name: "brain".into() }],
            ..DataSet::default()
        },
        metrics: vec![MetricDescription {
            name: "dice".into(),
            title: "Dice".into(),
            better: Better::Higher,
            smallest_change: 0.01,
            unit: String::new(),
        }],
        methods: vec![
            method("source-only", MethodKind::Baseline),
            method("tent", MethodKind::Adaptation),
        ],
        outcomes: vec![
            outcome("A", "source-only", 0, &base),
            outcome("A", "source-only", 1, &[Some(0.6), Some(0.8), None]),
            outcome("A", "tent", 0, &better),
            outcome("A", "tent", 1, &better),
            outcome("B", "source-only", 0, &base),
        ],
        published: vec![Published {
            source: "S".into(),
            target: "A".into(),
            method: "tent".into(),
            metric: "dice".into(),
            value: 0.8765,
            reference: "r".into(),
        }],
        ..Experiment::default()
    }
}

#[test]
fn means_and_deviations_over_seeds_stand_in_their_cells() {
    let text = text(&experiment());
    let line = |start: &str| {
        let found = text.lines().find(|line| line.trim_start().starts_with(start));
        found.unwrap_or_else(|| panic!("no line {start} in\n{text}")).to_string()
    };
    // Seeds' means 0.6 and 0.7: mean 0.65, deviation 0.1 / sqrt 2.
    assert!(line("A ").contains("0.6500 ± 0.0707"), "{text}");
    assert!(line("A ").contains("0.8500 ± 0.0000"), "{text}");
    assert!(line("published").ends_with("0.877") || line("published").ends_with("0.876"), "{text}");
    // One seed: no deviation; no outcome: a dash.
    assert!(line("B ").contains("0.6000 ") && line("B ").ends_with('-'), "{text}");
}

#[test]
fn subjects_are_paired_and_averaged_over_seeds() {
    let text = text(&experiment());
    // Pairs: A0 0.55 to 0.75, A1 0.75 to 0.9; A2 has no score before, B none after.
    assert!(text.contains("paired over 2 subjects"), "{text}");
    assert!(text.contains("+0.1750") && text.contains("2 / 0"), "{text}");
    // Exact two-sided p of two positive differences.
    assert!(text.contains("0.5000"), "{text}");
}

#[test]
fn a_class_counts_where_both_have_it() {
    let mut experiment = experiment();
    let label = experiment.data.classes[0].label.clone();
    experiment.data.classes.push(Class { label: "9".into(), name: "rare".into() });
    let method = experiment.methods[1].name.clone();
    for outcome in &mut experiment.outcomes {
        let mut column = outcome.column(&label, "dice").unwrap().clone();
        column.class = "9".into();
        // Undefined for the source model, 0 for the method: a false positive where there is nothing.
        let value = (outcome.method == method).then_some(0.0);
        column.after.iter_mut().for_each(|score| *score = value);
        outcome.scores.push(column);
    }
    assert!(text(&experiment).contains("+0.1750"), "{}", text(&experiment));
}

#[test]
fn frames_weigh_alike_whatever_classes_they_show() {
    let mut experiment = experiment();
    experiment.outcomes.truncate(1);
    let mut before = experiment.outcomes.remove(0);
    let label = experiment.data.classes[0].label.clone();
    experiment.data.classes.push(Class { label: "9".into(), name: "rare".into() });
    before.subjects = ["a_frame00", "a_frame09"].map(String::from).to_vec();
    let column = |class: &str, after: [Option<f64>; 2]| ScoreColumn {
        class: class.into(),
        metric: "dice".into(),
        before: Vec::new(),
        after: after.to_vec(),
    };
    let mut after = before.clone();
    after.method.clone_from(&experiment.methods[1].name);
    // The second frame shows one class alone.
    before.scores = vec![column(&label, [Some(0.5); 2]), column("9", [Some(0.5), None])];
    after.scores = vec![column(&label, [Some(0.8), Some(0.4)]), column("9", [Some(0.8), None])];
    experiment.outcomes = vec![before, after];
    let text = text(&experiment);
    assert!(text.contains("over 1 subjects") && text.contains("+0.1000"), "{text}");
}

#[test]
fn a_volume_that_is_scored_from_two_sources_counts_once() {
    let mut experiment = experiment();
    let from_r = experiment.outcomes.clone().into_iter().filter(|o| o.target == "A");
    let from_r = from_r.map(|outcome| Outcome { source: "R".into(), ..outcome });
    experiment.outcomes.extend(from_r.collect::<Vec<_>>());
    let text = text(&experiment);
    assert!(text.contains("over 2 subjects of all targets (sources and seeds"), "{text}");
    assert!(text.contains("+0.1750") && text.contains("0.5000"), "{text}");
}

#[test]
fn a_phantom_says_what_it_is() {
    let mut experiment = experiment();
    experiment.data.origin = Origin::Synthetic;
    assert!(text(&experiment).contains("synthetic"));
}
