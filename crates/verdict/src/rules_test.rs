//! Decisions for measurements that are written down here.
use super::*;
use crate::calibration::tests::linear;
use crate::judgement::Measured;

fn measured(flip: f64, volume_ml: f64, calibration: &Calibration) -> Measured {
    let deviation = calibration.reference.volume_ml.deviations(volume_ml).ln_1p();
    let signals = Signals::from([
        (Signal::FlipConsistency, flip),
        (Signal::ShiftConsistency, flip),
        (Signal::IntensityConsistency, flip),
        (Signal::NeighbourAgreement, flip),
        (Signal::SoftDiceConfidence, 0.9),
        (Signal::NormDistance, 3.0),
        (Signal::VolumeDeviation, deviation),
    ]);
    Measured { signals, volume_ml, components: 1.0 }
}

/// A subject whose consistency and volume go from the first to the second.
fn subject(flip: [f64; 2], volume_ml: [f64; 2]) -> SubjectJudgement {
    let calibration = linear();
    let [before, after] = [0, 1].map(|side| measured(flip[side], volume_ml[side], &calibration));
    SubjectJudgement {
        subject: "s".into(),
        predicted_before: Some(calibration.estimate(&before.signals)),
        predicted_change: Some(calibration.change(&before.signals, &after.signals)),
        predicted_after: Some(calibration.estimate_after(&before.signals, &after.signals)),
        before,
        after,
        agreement: 0.9,
    }
}

#[track_caller]
fn check(subject: SubjectJudgement, calibrated: Decision, uncalibrated: Decision, part: &str) {
    let subjects = [subject];
    let ruling = decide(&subjects, Some(&linear()));
    assert_eq!(ruling.decision, calibrated, "{ruling:?}");
    assert!(ruling.reasons.join(" ").contains(part), "{ruling:?}");
    let ruling = decide(&subjects, None);
    assert_eq!(ruling.decision, uncalibrated, "{ruling:?}");
}

const PLAUSIBLE: [f64; 2] = [1000.0, 1000.0];

#[test]
fn better_is_kept_and_worse_is_rolled_back() {
    check(subject([0.4, 0.7], PLAUSIBLE), Decision::Keep, Decision::Keep, "harm is unlikely");
    let worse = subject([0.7, 0.4], PLAUSIBLE);
    check(worse, Decision::RollBack, Decision::RollBack, "the source model is better");
}

#[test]
fn masks_that_stay_are_kept_whatever_the_signals_say() {
    let mut same = subject([0.7, 0.4], PLAUSIBLE);
    same.agreement = 0.999;
    check(same, Decision::Keep, Decision::Keep, "practically the same");
}

#[test]
fn where_neither_model_finds_anything_there_is_no_verdict() {
    let nothing = || SubjectJudgement { agreement: 1.0, ..subject([0.4, 0.7], [0.0, 0.0]) };
    check(nothing(), Decision::Abstain, Decision::Abstain, "nothing to judge by");
    // Among others it is no evidence for either.
    let gone = subject([0.4, 0.7], [1000.0, 1.0]);
    let ruling = decide(&[nothing(), gone, nothing(), nothing()], None);
    assert_eq!(ruling.decision, Decision::RollBack, "{ruling:?}");
    assert!(ruling.reasons[0].contains("1 of 1 subjects"), "{ruling:?}");
}

#[test]
fn a_foreground_that_is_gone_is_rolled_back() {
    let gone = subject([0.4, 0.7], [1000.0, 1.0]);
    check(gone, Decision::RollBack, Decision::RollBack, "less than a tenth");
}

#[test]
fn an_implausible_volume_needs_a_calibration_to_be_seen() {
    let grown = subject([0.4, 0.7], [1000.0, 1600.0]);
    check(grown, Decision::RollBack, Decision::Keep, "implausible");
}

#[test]
fn a_target_outside_what_was_seen_is_not_judged() {
    let mut strange = subject([0.4, 0.7], PLAUSIBLE);
    strange.after.signals.insert(Signal::NormDistance, 50.0);
    let (before, after) = (&strange.before.signals, &strange.after.signals);
    strange.predicted_after = Some(linear().estimate_after(before, after));
    let part = "batch-norm statistics";
    check(strange, Decision::Abstain, Decision::Keep, part);
}

#[test]
fn signals_that_disagree_abstain() {
    let mut split = subject([0.4, 0.7], PLAUSIBLE);
    split.after.components = 5.0;
    let ruling = decide(&[split], None);
    assert_eq!(ruling.decision, Decision::Abstain);
    assert!(ruling.reasons.join(" ").contains("disagree"), "{ruling:?}");
}
