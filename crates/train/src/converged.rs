//! When a training on labels is finished: the rule that stops it, and the measure that is kept of it.
use crate::{Batches, History, LabelledBatch, Reliability, Result, Supervised, mean_score};
use serde::{Deserialize, Serialize};
use udas_record::Convergence;

/// Nothing more to learn: held-out slices are predicted no better than before for a number of steps, and the network is
/// about as sure as it is right.
///
/// Both parts are needed. Masks are good long before probabilities are, since Dice looks at the more probable class
/// alone; and what learns from a network learns from its probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plateau {
    /// Optimiser steps over which the best score does not rise.
    pub steps: usize,
    /// The rise that counts.
    pub rise: f64,
    /// By how much the network may be less sure than right.
    pub doubt: f64,
}

impl Plateau {
    /// Whether the epochs so far end in a plateau.
    pub(crate) fn is_reached(&self, history: &History) -> bool {
        let sure = history.doubts.last().is_some_and(|&doubt| doubt <= self.doubt);
        let best = |epochs: &[udas_record::EpochRecord]| {
            epochs.iter().filter_map(|epoch| epoch.score).fold(f64::NEG_INFINITY, f64::max)
        };
        let mut steps = 0;
        let recent = history.epochs.iter().rev().take_while(|epoch| {
            steps += epoch.steps;
            steps <= self.steps
        });
        let first = history.epochs.len() - recent.count();
        // An epoch alone may have more steps than a plateau needs; two are compared at least.
        let first = first.min(history.epochs.len().saturating_sub(1));
        let (before, recent) = history.epochs.split_at(first);
        sure && !before.is_empty() && best(recent) < best(before) + self.rise
    }
}

/// Where a training stands after `steps`, on labelled slices.
///
/// # Errors
/// When data cannot be read, there are none, or a tensor operation fails.
pub fn measure<O: Supervised>(
    objective: &O,
    check: &dyn Batches<LabelledBatch>,
    steps: usize,
    held_out: bool,
) -> Result<Convergence> {
    let mut reliability = Reliability::default();
    for batch in check.epoch(0)? {
        let batch = batch?;
        reliability.add(objective.task(), &objective.predict(&batch)?, &batch.target)?;
    }
    Ok(Convergence {
        steps,
        logit_scale: objective.logit_scale()?,
        slices: check.slices(),
        held_out,
        dice: mean_score(objective, check)?.value,
        accuracy: reliability.accuracy(),
        confidence: reliability.confidence(),
        calibration_error: reliability.calibration_error(),
        foreground_probability: reliability.foreground_probability(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_record::{EpochRecord, Phase};

    const RULE: Plateau = Plateau { steps: 300, rise: 0.01, doubt: 0.05 };

    /// Epochs of 100 steps with these scores and doubts.
    fn history(course: &[(f64, f64)]) -> History {
        let epoch = |(index, &(score, _)): (usize, &(f64, f64))| EpochRecord {
            phase: Phase::Source,
            epoch: index + 1,
            steps: 100,
            loss: 1.0,
            score: Some(score),
            score_change: None,
            learning_rate: 1e-3,
            seconds: 1.0,
            slices_per_second: 1.0,
            peak_memory_bytes: None,
        };
        History {
            epochs: course.iter().enumerate().map(epoch).collect(),
            doubts: course.iter().map(|&(_, doubt)| doubt).collect(),
            ..History::default()
        }
    }

    #[test]
    fn it_ends_where_scores_stay_and_doubt_is_gone() {
        let rising = [(0.5, 0.0), (0.6, 0.0), (0.7, 0.0), (0.8, 0.0)];
        assert!(!RULE.is_reached(&history(&rising)));
        let flat = [(0.8, 0.0), (0.8, 0.0), (0.805, 0.0), (0.79, 0.0)];
        assert!(RULE.is_reached(&history(&flat)));
        assert!(!RULE.is_reached(&history(&flat[..3])), "too few steps to tell");
        assert!(!RULE.is_reached(&History::default()));
    }

    #[test]
    fn good_masks_of_an_unsure_network_are_no_end() {
        let unsure = [(0.8, 0.2), (0.8, 0.2), (0.8, 0.15), (0.8, 0.1)];
        assert!(!RULE.is_reached(&history(&unsure)));
        let surer_than_right = [(0.8, 0.2), (0.8, 0.0), (0.8, -0.1), (0.8, -0.2)];
        assert!(RULE.is_reached(&history(&surer_than_right)));
    }

    #[test]
    fn epochs_longer_than_a_plateau_are_compared_two_by_two() {
        let rule = Plateau { steps: 50, ..RULE };
        assert!(rule.is_reached(&history(&[(0.8, 0.0), (0.8, 0.0)])));
        assert!(!rule.is_reached(&history(&[(0.7, 0.0), (0.8, 0.0)])));
        assert!(!rule.is_reached(&history(&[(0.8, 0.0)])));
    }
}
