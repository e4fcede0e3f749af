//! Harm that was foreseen counts; what was judged is shown.

use super::*;
use udas_record::{Experiment, Outcome, Verdict};
use udas_verdict::Signals;

fn case(decision: Decision, dice: [f64; 2], predicted: [f64; 2]) -> Case {
    let signals = |value: f64| Signals::from([(Signal::FlipConsistency, value)]);
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
    let verdicts = Verdicts { cases: vec![case(Decision::Keep, [0.8, 0.9], [0.8, 0.85])] };
    let outcome = |method: &str| Outcome {
        source: "s".into(),
        target: "t".into(),
        method: method.into(),
        ..Outcome::default()
    };
    let mut experiment =
        Experiment { outcomes: vec![outcome("m"), outcome("other")], ..Experiment::default() };
    verdicts.show(&mut experiment);
    let decisions: Vec<_> =
        experiment.outcomes.iter().map(|o| o.verdict.as_ref().map(|v| v.decision)).collect();
    assert_eq!(decisions, [Some(Decision::Keep), None]);
}

#[test]
fn harm_that_was_foreseen_counts_and_a_blind_signal_is_worth_a_coin() {
    let verdicts = Verdicts {
        cases: vec![
            case(Decision::Keep, [0.8, 0.9], [0.8, 0.85]),
            case(Decision::Keep, [0.8, 0.805], [0.8, 0.8]),
            case(Decision::RollBack, [0.8, 0.5], [0.8, 0.6]),
        ],
    };
    let text = verdicts.text();
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
