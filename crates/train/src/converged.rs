//! When a training on labels is finished: the rule that stops it, and the measure that is kept of it.
use crate::{Batches, History, LabelledBatch, Reliability, Result, Supervised};
use serde::{Deserialize, Serialize};
use udas_record::{Convergence, EpochRecord};

/// Nothing more to learn: held-out slices are predicted no better than before for a number of steps, and the network is
/// about as sure as it is right. From there the learning rate falls to 0, so that the weights do not end wherever the last
/// large step took them.
///
/// Both parts of the rule are needed. Masks are good long before probabilities are, since Dice looks at the more probable
/// class alone; and what learns from a network learns from its probabilities. A constant rate with a decay at its end is
/// the schedule of Hu et al. 2024 (arXiv 2404.06395, section 4.2), where the end need not be known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plateau {
    /// Optimiser steps over which the best score does not rise.
    pub steps: usize,
    /// The rise that counts.
    pub rise: f64,
    /// By how much the network may be less sure than right.
    pub doubt: f64,
    /// The learning rate falls over this share of the epochs before.
    pub decay: f64,
}

impl Plateau {
    /// Whether the first epochs of a training end in a plateau.
    fn is_reached(&self, epochs: &[EpochRecord], doubts: &[f64]) -> bool {
        let sure = doubts.get(..epochs.len()).and_then(<[f64]>::last);
        let best = |epochs: &[EpochRecord]| {
            epochs.iter().filter_map(|epoch| epoch.score).fold(f64::NEG_INFINITY, f64::max)
        };
        let mut steps = 0;
        let recent = epochs.iter().rev().take_while(|epoch| {
            steps += epoch.steps;
            steps <= self.steps
        });
        let first = epochs.len() - recent.count();
        // An epoch alone may have more steps than a plateau needs; two are compared at least.
        let first = first.min(epochs.len().saturating_sub(1));
        let (before, recent) = epochs.split_at(first);
        let flat = !before.is_empty() && best(recent) < best(before) + self.rise;
        flat && sure.is_some_and(|&doubt| doubt <= self.doubt)
    }

    /// The epochs after which a training has first converged.
    fn reached(&self, history: &History) -> Option<usize> {
        let epochs = &history.epochs;
        (1..=epochs.len()).find(|&count| self.is_reached(&epochs[..count], &history.doubts))
    }

    /// The epochs over which the learning rate falls, of so many at its full size.
    fn falling(&self, full: usize) -> usize {
        ((self.decay * full as f64).ceil() as usize).max(1)
    }

    /// The epochs at the full learning rate, as far as they are known: up to the plateau, or as many as leave room for the
    /// decay within `bound`.
    fn full(&self, history: &History, bound: usize) -> usize {
        let room = (1..=bound).rev().find(|full| full + self.falling(*full) <= bound);
        self.reached(history).unwrap_or(usize::MAX).min(room.unwrap_or(bound))
    }

    /// Whether the training is over, of at most `bound` epochs.
    pub(crate) fn ends(&self, history: &History, bound: usize) -> bool {
        let full = self.full(history, bound);
        history.epochs.len() >= full.saturating_add(self.falling(full)).min(bound)
    }

    /// Whether it has converged.
    pub(crate) fn is_met(&self, history: &History) -> bool {
        self.reached(history).is_some()
    }

    /// The share of the learning rate with which a step of the next epoch is taken, from 0 to 1; `step` of `steps` counts
    /// from 0.
    pub(crate) fn rate(&self, history: &History, bound: usize, step: usize, steps: usize) -> f64 {
        let full = self.full(history, bound);
        let Some(fallen) = history.epochs.len().checked_sub(full) else { return 1.0 };
        let done = fallen as f64 + step as f64 / steps.max(1) as f64;
        (1.0 - done / self.falling(full) as f64).max(0.0)
    }
}

/// Where a training stands after `steps`, on labelled slices.
///
/// # Errors
/// When data cannot be read or a tensor operation fails.
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
        dice: reliability.dice(),
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

    const RULE: Plateau = Plateau { steps: 300, rise: 0.01, doubt: 0.05, decay: 0.5 };

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
    fn it_is_met_where_scores_stay_and_doubt_is_gone() {
        let rising = [(0.5, 0.0), (0.6, 0.0), (0.7, 0.0), (0.8, 0.0)];
        assert!(!RULE.is_met(&history(&rising)));
        let flat = [(0.8, 0.0), (0.8, 0.0), (0.805, 0.0), (0.79, 0.0)];
        assert!(RULE.is_met(&history(&flat)));
        assert!(!RULE.is_met(&history(&flat[..3])), "too few steps to tell");
        assert!(!RULE.is_met(&History::default()));
    }

    #[test]
    fn good_masks_of_an_unsure_network_are_no_end() {
        let unsure = [(0.8, 0.2), (0.8, 0.2), (0.8, 0.15), (0.8, 0.1)];
        assert!(!RULE.is_met(&history(&unsure)));
        let surer_than_right = [(0.8, 0.2), (0.8, 0.0), (0.8, -0.1), (0.8, -0.2)];
        assert!(RULE.is_met(&history(&surer_than_right)));
    }

    #[test]
    fn epochs_longer_than_a_plateau_are_compared_two_by_two() {
        let rule = Plateau { steps: 50, ..RULE };
        assert!(rule.is_met(&history(&[(0.8, 0.0), (0.8, 0.0)])));
        assert!(!rule.is_met(&history(&[(0.7, 0.0), (0.8, 0.0)])));
        assert!(!rule.is_met(&history(&[(0.8, 0.0)])));
    }

    #[test]
    fn the_rate_falls_after_the_plateau_and_the_training_ends_with_it() {
        // Four epochs to the plateau, two to fall.
        let course = [(0.8, 0.0); 6];
        assert_eq!(RULE.rate(&history(&course[..3]), 99, 50, 100), 1.0);
        assert!(!RULE.ends(&history(&course[..4]), 99));
        assert_eq!(RULE.rate(&history(&course[..4]), 99, 0, 100), 1.0);
        assert_eq!(RULE.rate(&history(&course[..4]), 99, 50, 100), 0.75);
        assert_eq!(RULE.rate(&history(&course[..5]), 99, 50, 100), 0.25);
        assert!(!RULE.ends(&history(&course[..5]), 99));
        assert!(RULE.ends(&history(&course), 99));
    }

    #[test]
    fn a_bound_leaves_room_for_the_fall() {
        // Never sure: of nine epochs six are at the full rate.
        let course = [(0.8, 0.5); 9];
        assert_eq!(RULE.rate(&history(&course[..5]), 9, 99, 100), 1.0);
        assert!(RULE.rate(&history(&course[..6]), 9, 50, 100) < 1.0);
        assert!(!RULE.ends(&history(&course[..8]), 9));
        assert!(RULE.ends(&history(&course), 9) && !RULE.is_met(&history(&course)));
        assert!(RULE.ends(&history(&course[..1]), 1), "one epoch is one epoch");
    }
}
