//! Statistics against SciPy's figures, textbook values, and their own invariants.
mod common;

use common::golden_json;
use serde_json::Value;
use udas_metrics::statistics::{
    Alternative, Bootstrap, Description, Interval, IntervalKind, NullDistribution, Pairs,
    bootstrap_mean, holm, wilcoxon_signed_rank,
};
use udas_metrics::{Error, Score};

fn floats(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("a list of numbers")
}

fn settings(kind: IntervalKind, resamples: usize, seed: u64) -> Bootstrap {
    Bootstrap { kind, level: 0.95, resamples, seed }
}

#[test]
fn wilcoxon_agrees_with_scipy() {
    let Some(golden) = golden_json("statistics.json") else { return };
    let cases = golden["wilcoxon"].as_array().expect("a list");
    assert_eq!(cases.len(), 60);
    for case in cases {
        let differences = floats(&case["differences"]);
        let alternative = serde_json::from_value(case["alternative"].clone()).expect("a side");
        let distribution: NullDistribution =
            serde_json::from_value(case["distribution"].clone()).expect("a distribution");
        let found = wilcoxon_signed_rank(&differences, alternative, Some(distribution)).unwrap();
        let expected = case["p_value"].as_f64().expect("a number");
        let name = format!("{distribution:?} of {} differences", differences.len());
        assert_eq!(Some(found.statistic), case["statistic"].as_f64(), "{name}");
        assert!((found.p_value / expected - 1.0).abs() < 1e-10, "{name}: {found:?}, {expected}");
    }
}

#[test]
fn wilcoxon_chooses_the_exact_test_for_few_pairs() {
    let differences: Vec<f64> = (1..=51).map(|i| f64::from(i) - 20.5).collect();
    let chosen = |n: usize| {
        let found = wilcoxon_signed_rank(&differences[..n], Alternative::TwoSided, None);
        found.unwrap().distribution
    };
    assert_eq!((chosen(50), chosen(51)), (NullDistribution::Exact, NullDistribution::Normal));
}

#[test]
fn wilcoxon_without_any_difference_finds_none() {
    for distribution in [NullDistribution::Exact, NullDistribution::Normal] {
        let found = wilcoxon_signed_rank(&[0.0; 4], Alternative::TwoSided, Some(distribution));
        let found = found.unwrap();
        assert_eq!((found.p_value, found.used, found.zeros), (1.0, 0, 4));
    }
}

#[test]
fn bootstrap_agrees_with_scipy_up_to_the_generator() {
    let Some(golden) = golden_json("statistics.json") else { return };
    let cases = golden["bootstrap"].as_array().expect("a list");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let values = floats(&case["values"]);
        let kind = serde_json::from_value(case["kind"].clone()).expect("a kind");
        let found = bootstrap_mean(&values, &settings(kind, 40_000, 1)).unwrap();
        let expected: Interval = serde_json::from_value(case.clone()).expect("an interval");
        let tolerance = 0.015 * (expected.high - expected.low);
        let error = (found.low - expected.low).abs().max((found.high - expected.high).abs());
        assert!(error < tolerance, "{kind:?}: {found:?}, SciPy {expected:?}");
    }
}

#[test]
fn bootstrap_repeats_itself_and_follows_its_seed() {
    let values: Vec<f64> = (0..20).map(|i| f64::from(i * i % 7)).collect();
    let interval = |seed| {
        let settings = settings(IntervalKind::BiasCorrectedAccelerated, 500, seed);
        bootstrap_mean(&values, &settings).unwrap()
    };
    assert_eq!(interval(3), interval(3));
    assert_ne!(interval(3), interval(4));
    let equal = bootstrap_mean(&[0.25; 5], &settings(IntervalKind::Percentile, 10, 0)).unwrap();
    assert_eq!(equal, Interval { low: 0.25, high: 0.25 });
}

#[test]
fn holm_by_hand() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]).unwrap();
    for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
    }
    assert_eq!(holm(&[0.6, 0.7]).unwrap(), [1.0, 1.0]);
    assert!(holm(&[]).unwrap().is_empty());
    assert_eq!(holm(&[0.5, 1.5]), Err(Error::Probability(1.5)));
}

#[test]
fn description_by_hand() {
    let found = Description::of(&[4.0, 1.0, 2.0, 9.0]).unwrap();
    let quartiles = (found.min, found.lower_quartile, found.median, found.upper_quartile);
    assert_eq!((found.count, found.mean, found.max), (4, 4.0, 9.0));
    assert_eq!(quartiles, (1.0, 1.75, 3.0, 5.25));
    assert!((found.sd.unwrap() - (38.0f64 / 3.0).sqrt()).abs() < 1e-12);
    assert_eq!(Description::of(&[2.0]).unwrap().sd, None);
}

#[test]
fn pairs_leave_out_what_has_no_value() {
    let before = [Score::Finite(0.5), Score::Undefined, Score::Finite(0.25), Score::Infinite];
    let after = [Score::Finite(0.75), Score::Finite(1.0), Score::Finite(0.0), Score::Infinite];
    let pairs = Pairs::new(&before, &after).unwrap();
    assert_eq!((pairs.differences, pairs.left_out), (vec![0.25, -0.25], 2));
    let uneven = Pairs::new(&before, &after[..3]);
    assert_eq!(uneven, Err(Error::Unpaired { before: 4, after: 3 }));
}

#[test]
fn wrong_input_is_refused() {
    let test = |differences: &[f64], distribution| {
        wilcoxon_signed_rank(differences, Alternative::TwoSided, distribution).unwrap_err()
    };
    assert!(matches!(test(&[], None), Error::TooFew { needed: 1, found: 0, .. }));
    assert!(matches!(test(&[1.0, f64::NAN], None), Error::NotFinite { index: 1, .. }));
    let exact = Some(NullDistribution::Exact);
    assert_eq!(test(&[1.0; 1001], exact), Error::ExactTooLarge(1001));
    let percentile = |resamples| settings(IntervalKind::Percentile, resamples, 0);
    let interval = |values: &[f64], settings| bootstrap_mean(values, &settings).unwrap_err();
    assert!(matches!(interval(&[1.0], percentile(9)), Error::TooFew { needed: 2, .. }));
    assert_eq!(interval(&[1.0, 2.0], percentile(0)), Error::NoResamples);
    let certain = Bootstrap { level: 1.0, ..percentile(9) };
    assert_eq!(interval(&[1.0, 2.0], certain), Error::Level(1.0));
}
