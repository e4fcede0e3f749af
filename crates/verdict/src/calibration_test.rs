//! Calibrations from relations that are written down here.
use super::*;
use crate::signals::confidence::Histogram;
use crate::signals::plausibility::Spread;
use udas_quality::Pixels;

fn origin() -> Origin {
    Origin {
        model: "hash".into(),
        preprocessing: Some(Preprocessing::upright(udas_data::Plane::Axial)),
        plans: None,
        peers: Vec::new(),
        version: "0".into(),
        domain: "d".into(),
        subjects: Vec::new(),
        slices: 8,
        seed: 0,
    }
}

/// Eight shifts of four subjects and two models whose Dice is 0.1 + 0.8 times their consistency.
pub(crate) fn linear() -> Calibration {
    let mut rows = Vec::new();
    for shift in 0..8 {
        for (index, model) in ["as it is", "other"].into_iter().enumerate() {
            for subject in 0..4 {
                let flip =
                    0.2 + 0.09 * f64::from(shift) + 0.02 * f64::from(subject) - 0.1 * index as f64;
                let signals = Signals::from([
                    (Signal::FlipConsistency, flip),
                    (Signal::NormDistance, f64::from((shift * 5 + subject * 3) % 7)),
                ]);
                rows.push(Measurement {
                    shift: format!("shift {shift}"),
                    model: model.into(),
                    subject: format!("s{subject}"),
                    signals,
                    dice: 0.1 + 0.8 * flip,
                    agreement: if index == 0 { 1.0 } else { 0.9 },
                    left_out: 0.0,
                });
            }
        }
    }
    let reference = Reference {
        volume_ml: Spread { mean: 1000.0, deviation: 100.0 },
        components: Spread { mean: 1.0, deviation: 0.1 },
        roundness: Spread { mean: 0.5, deviation: 0.1 },
        pixels: Pixels::default(),
        confidence: 0.95,
        threshold: Histogram::default().threshold(0.9),
    };
    Calibration::learn(origin(), reference, rows).unwrap()
}

#[test]
fn a_linear_relation_is_learned_and_comes_back_from_its_file() {
    let calibration = linear();
    for flip in [0.3, 0.5, 0.7] {
        let signals = Signals::from([(Signal::FlipConsistency, flip), (Signal::NormDistance, 3.0)]);
        let estimate = calibration.estimate(&signals);
        let truth = 0.1 + 0.8 * flip;
        assert!((estimate.score - truth).abs() < 0.01, "{estimate:?}");
        assert!((estimate.low..=estimate.high).contains(&truth));
        assert!(estimate.outside.is_empty());
    }
    assert!(calibration.half_width < 0.02 && calibration.quality.correlation > 0.99);
    // Every change is harm here, and there is nothing to rank.
    assert_eq!(calibration.quality.harm_auroc, None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CALIBRATION_FILE);
    calibration.save(&path).unwrap();
    let back = Calibration::load(&path).unwrap();
    assert_eq!(back.columns, calibration.columns);
    assert_eq!(back.rows.len(), calibration.rows.len());
    assert_eq!(back.change_error, calibration.change_error);
}

#[test]
fn a_change_is_predicted_and_its_error_grows_with_the_share_of_the_masks_that_changed() {
    let calibration = linear();
    let [before, after] = [0.5, 0.4]
        .map(|flip| Signals::from([(Signal::FlipConsistency, flip), (Signal::NormDistance, 3.0)]));
    let change = calibration.change(&before, &after);
    // A ridge of one part in 101.
    assert!((change + 0.08 / 1.01).abs() < 1e-9, "{change}");
    let [from, to] = [calibration.estimate(&before), calibration.estimate_after(&before, &after)];
    assert!((to.score - from.score - change).abs() < 1e-12);
    let small = calibration.change_half_width(1.0);
    assert!((calibration.change_half_width(0.98) - 2.0 * small).abs() < 1e-12 && small > 0.0);
}

#[test]
fn signals_that_were_not_seen_are_named() {
    let calibration = linear();
    let far = Signals::from([(Signal::FlipConsistency, 0.5), (Signal::NormDistance, 20.0)]);
    assert_eq!(calibration.estimate(&far).outside, [Signal::NormDistance]);
    let absent = Signals::from([(Signal::NormDistance, 3.0)]);
    assert_eq!(calibration.estimate(&absent).outside, [Signal::FlipConsistency]);
}

#[test]
fn files_that_are_no_calibration_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.json");
    std::fs::write(&path, "{}").unwrap();
    let error = Calibration::load(&path).unwrap_err().to_string();
    assert!(error.contains("c.json") && error.contains("udas calibrate"), "{error}");
    for (format, remedy) in [(FORMAT + 1, "update udas"), (FORMAT - 1, "udas calibrate")] {
        Calibration { format, ..linear() }.save(&path).unwrap();
        let error = Calibration::load(&path).unwrap_err().to_string();
        assert!(error.contains(remedy) && error.contains("version"), "{error}");
    }
}

#[test]
fn without_its_peers_a_calibration_is_learned_without_their_agreement() {
    let plain = linear();
    let mut rows = plain.rows.clone();
    for row in &mut rows {
        row.signals.insert(Signal::PeerAgreement, row.dice);
    }
    let peers = ["a".to_string(), "b".to_string()];
    let origin = Origin { peers: peers.to_vec(), ..plain.origin.clone() };
    let calibration = Calibration::learn(origin, plain.reference.clone(), rows).unwrap();
    assert_eq!(calibration.columns.len(), 3);
    let turned = ["b".to_string(), "a".to_string()];
    assert_eq!(*calibration.with_peers(&turned).unwrap(), calibration);
    assert_eq!(*calibration.with_peers(&[]).unwrap(), plain);
    let error = calibration.with_peers(&turned[..1]).unwrap_err().to_string();
    assert!(error.contains("other peers"), "{error}");
    assert_eq!(*plain.with_peers(&peers).unwrap(), plain);
}
