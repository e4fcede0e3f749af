//! From measurements before and after to a decision: with a calibration, and conservative rules without one.
use crate::calibration::Calibration;
use crate::judgement::{SubjectJudgement, mean};
use crate::measurement::HARM;
use crate::signals::{Signal, Signals};
use udas_record::Decision;

/// Masks this much alike are the same for all purposes.
const SAME: f64 = 0.995;
/// A foreground that shrinks below this share, or grows beyond its inverse, is no improvement.
const VANISHED: f64 = 0.1;
/// Standard deviations of the source's volumes from which a volume is implausible.
const IMPLAUSIBLE: f64 = 4.0;
/// A change of a Dice-like signal that counts.
const CHANGE: f64 = 0.01;

/// A decision and its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// What to do.
    pub decision: Decision,
    /// Why, in sentences.
    pub reasons: Vec<String>,
}

fn ruling(decision: Decision, reason: String) -> Ruling {
    Ruling { decision, reasons: vec![reason] }
}

/// Decides for a target. Subjects on which neither model finds anything are no evidence.
pub fn decide(subjects: &[SubjectJudgement], calibration: Option<&Calibration>) -> Ruling {
    let shows = |subject: &&SubjectJudgement| {
        subject.before.volume_ml > 0.0 || subject.after.volume_ml > 0.0
    };
    let total = subjects.len();
    let subjects: Vec<SubjectJudgement> = subjects.iter().filter(shows).cloned().collect();
    if subjects.is_empty() {
        let text = format!(
            "Neither model finds anything on any of {total} subjects: there is nothing to judge by. Look at the masks."
        );
        return ruling(Decision::Abstain, text);
    }
    let subjects = subjects.as_slice();
    if let Some(ruling) = plain(subjects) {
        return ruling;
    }
    match calibration {
        Some(calibration) => calibrated(subjects, calibration),
        None => uncalibrated(subjects),
    }
}

/// What needs no weighing: nothing changed, or the foreground is gone.
fn plain(subjects: &[SubjectJudgement]) -> Option<Ruling> {
    let total = subjects.len();
    if subjects.iter().all(|subject| subject.agreement >= SAME) {
        let least = subjects.iter().map(|subject| subject.agreement).fold(1.0, f64::min);
        let text = format!(
            "The masks before and after are practically the same (Dice at least {least:.3} on every subject)."
        );
        return Some(ruling(Decision::Keep, text));
    }
    let vanished = subjects.iter().filter(|subject| {
        subject.before.volume_ml > 0.0
            && subject.after.volume_ml < VANISHED * subject.before.volume_ml
    });
    let grown = subjects.iter().filter(|subject| {
        subject.before.volume_ml > 0.0
            && subject.after.volume_ml * VANISHED > subject.before.volume_ml
    });
    let cases =
        [(vanished.count(), "less than a tenth of"), (grown.count(), "more than ten times")];
    let (count, words) = cases.into_iter().find(|(count, _)| 2 * count > total)?;
    let text = format!(
        "The adapted model segments {words} the volume that the source model does, on {count} of {total} subjects."
    );
    Some(ruling(Decision::RollBack, text))
}

fn calibrated(subjects: &[SubjectJudgement], calibration: &Calibration) -> Ruling {
    let total = subjects.len();
    let deviation = |signals: &Signals| {
        signals.get(&Signal::VolumeDeviation).map_or(0.0, |logarithm| logarithm.exp_m1())
    };
    let implausible = subjects.iter().filter(|subject| {
        let after = deviation(&subject.after.signals);
        after > IMPLAUSIBLE && after > 2.0 * deviation(&subject.before.signals)
    });
    let implausible = implausible.count();
    if 2 * implausible > total {
        let text = format!(
            "The volume is implausible after adaptation and was less so before, on {implausible} of {total} \
             subjects: more than {IMPLAUSIBLE} standard deviations from the source's {:.0} ml.",
            calibration.reference.volume_ml.mean
        );
        return ruling(Decision::RollBack, text);
    }
    let outside = subjects.iter().filter(|subject| !subject.outside().is_empty()).count();
    if 2 * outside > total {
        let mut names: Vec<Signal> =
            subjects.iter().flat_map(|subject| subject.outside()).collect();
        names.sort();
        names.dedup();
        let words: Vec<&str> = names.iter().map(|signal| signal.about().words).collect();
        let text = format!(
            "{outside} of {total} subjects lie outside what the calibration has seen ({}).",
            words.join("; ")
        );
        return ruling(Decision::Abstain, text);
    }
    let before = mean(subjects, |subject| Some(subject.predicted_before.as_ref()?.score));
    let change = mean(subjects, |subject| subject.predicted_change);
    let after = (before + change).clamp(0.0, 1.0);
    let half = calibration.change_half_width(mean(subjects, |subject| Some(subject.agreement)));
    let (low, high) = (change - half, change + half);
    let decision = if high < 0.0 {
        Decision::RollBack
    } else if low > HARM {
        Decision::Keep
    } else {
        Decision::Abstain
    };
    let meaning = match decision {
        Decision::Keep => "harm is unlikely",
        Decision::RollBack => "the source model is better",
        Decision::Abstain => "both help and harm are possible",
    };
    let text = format!(
        "The predicted mean Dice goes from {before:.3} to {after:.3} ({change:+.3}, between {low:+.3} and \
         {high:+.3}): {meaning}."
    );
    let mut ruling = ruling(decision, text);
    ruling.reasons.extend(strongest(subjects, calibration));
    ruling
}

/// The signal that moved the prediction most.
fn strongest(subjects: &[SubjectJudgement], calibration: &Calibration) -> Option<String> {
    let effect =
        |column: &crate::calibration::Column| column.slope * change(subjects, column.signal);
    let columns = calibration.columns.iter().map(|column| (column.signal, effect(column)));
    let (signal, effect) = columns.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
    let words = signal.about().words;
    (effect.abs() > 0.001).then(|| format!("Most of it is from the {words} ({effect:+.3})."))
}

/// Votes of signals; confidence, which adaptation raises whatever it does, can only speak against.
fn uncalibrated(subjects: &[SubjectJudgement]) -> Ruling {
    let consistency =
        [Signal::FlipConsistency, Signal::ShiftConsistency, Signal::IntensityConsistency];
    let mut votes = Votes::default();
    let stable = consistency.iter().map(|&signal| change(subjects, signal)).sum::<f64>() / 3.0;
    votes.count("consistency under flips, shifts and contrast", stable, CHANGE);
    let neighbours = change(subjects, Signal::NeighbourAgreement);
    votes.count("agreement of neighbouring slices", neighbours, CHANGE);
    let peers = change(subjects, Signal::PeerAgreement);
    votes.count("agreement with other trainings", peers, CHANGE);
    let parts = |of: fn(&SubjectJudgement) -> f64| mean(subjects, |subject| Some(of(subject)));
    let (before, after) =
        (parts(|subject| subject.before.components), parts(|subject| subject.after.components));
    let fewer = (before - after) / before.max(1.0);
    votes.count_as(format!("{before:.1} -> {after:.1} parts a slice"), fewer, 0.2);
    let confidence = change(subjects, Signal::SoftDiceConfidence);
    votes.count("soft Dice confidence", confidence.min(0.0), CHANGE);
    votes.ruling()
}

#[derive(Default)]
struct Votes {
    better: Vec<String>,
    worse: Vec<String>,
}

impl Votes {
    fn count(&mut self, what: &str, change: f64, least: f64) {
        self.count_as(format!("{what} {change:+.3}"), change, least);
    }

    /// A vote in other words.
    fn count_as(&mut self, text: String, change: f64, least: f64) {
        if change > least {
            self.better.push(text);
        } else if change < -least {
            self.worse.push(text);
        }
    }

    fn ruling(self) -> Ruling {
        let (better, worse) = (self.better.len(), self.worse.len());
        let decision = match (better, worse) {
            (2.., 0) => Decision::Keep,
            (0, 2..) => Decision::RollBack,
            _ => Decision::Abstain,
        };
        let mut reasons = Vec::new();
        for (names, word) in [(self.better, "Better"), (self.worse, "Worse")] {
            if !names.is_empty() {
                reasons.push(format!("{word} after adaptation: {}.", names.join("; ")));
            }
        }
        if decision == Decision::Abstain {
            reasons.push(match (better, worse) {
                (1.., 1..) => "The signals disagree.".into(),
                _ => "Too few signals changed enough to tell.".into(),
            });
        }
        Ruling { decision, reasons }
    }
}

/// Mean change of a signal over the subjects that have it.
fn change(subjects: &[SubjectJudgement], signal: Signal) -> f64 {
    mean(subjects, |subject| {
        let of = |signals: &Signals| signals.get(&signal).copied();
        Some(of(&subject.after.signals)? - of(&subject.before.signals)?)
    })
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
