//! Whether a training is finished, as slices that it has not seen tell.
use serde::{Deserialize, Serialize};

/// Where a training stands, measured on labelled slices that were held out of it.
///
/// A network that ends in a batch norm begins with logits of scale 1, and Adam moves that scale by at most its learning
/// rate a step. After a few hundred steps such a network is right and unsure: its probabilities lie near the middle, and
/// whoever learns from them learns the blur.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Convergence {
    /// Optimiser steps done.
    pub steps: usize,
    /// Mean size of the scale that the last batch norm gives the logits; 1 before the first step. None for heads, which
    /// end in a convolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_scale: Option<f64>,
    /// Slices that it was measured on.
    pub slices: usize,
    /// Whether the training has not seen them.
    pub held_out: bool,
    /// Dice of prediction and labels over all these slices together, the mean of the classes.
    pub dice: f64,
    /// Share of the pixels whose most probable class is the label's.
    pub accuracy: f64,
    /// Mean probability of the most probable class.
    pub confidence: f64,
    /// Expected calibration error over 15 bins of confidence (Guo et al. 2017, arXiv 1706.04599, equation 3).
    pub calibration_error: f64,
    /// Mean probability of the label's class over the pixels that are labelled foreground; none where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreground_probability: Option<f64>,
}

impl Convergence {
    /// By how much a finished network may be less sure than right, over all pixels.
    pub const DOUBT: f64 = 0.05;
    /// Least Dice on its own domain with which an early head can teach.
    pub const HEAD_DICE: f64 = 0.5;
    /// Dice on its own domain below which a network is no model of the task.
    pub const MODEL_DICE: f64 = 0.5;

    /// By how much it is less sure than right; below 0 where it is surer than right.
    pub fn doubt(&self) -> f64 {
        self.accuracy - self.confidence
    }

    /// Whether its probabilities say what it knows.
    pub fn is_sure(&self) -> bool {
        self.doubt() <= Self::DOUBT
    }

    /// What it comes to, in a line.
    pub fn sentence(&self) -> String {
        let scale = self.logit_scale.map(|scale| format!(", logits of scale {scale:.2}"));
        let foreground =
            self.foreground_probability.map(|p| format!(", foreground given probability {p:.2}"));
        format!(
            "after {} steps{}: on {} {} slices Dice {:.3}, right on {:.1} % of the pixels and {:.1} % sure (calibration error \
             {:.3}){}",
            self.steps,
            scale.unwrap_or_default(),
            self.slices,
            if self.held_out { "held-out" } else { "training" },
            self.dice,
            100.0 * self.accuracy,
            100.0 * self.confidence,
            self.calibration_error,
            foreground.unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(accuracy: f64, confidence: f64) -> Convergence {
        Convergence {
            steps: 300,
            logit_scale: Some(1.1),
            slices: 40,
            held_out: true,
            dice: 0.9,
            accuracy,
            confidence,
            calibration_error: (accuracy - confidence).abs(),
            foreground_probability: Some(0.7),
        }
    }

    #[test]
    fn a_network_that_is_right_and_unsure_is_not_finished() {
        assert!(!measured(0.98, 0.75).is_sure());
        assert!(measured(0.98, 0.97).is_sure());
        assert!(measured(0.9, 0.95).is_sure());
    }

    #[test]
    fn the_sentence_says_what_was_measured_on_what() {
        let text = measured(0.98, 0.75).sentence();
        for part in
            ["300 steps", "scale 1.10", "40 held-out slices", "98.0 %", "75.0 % sure", "0.70"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
