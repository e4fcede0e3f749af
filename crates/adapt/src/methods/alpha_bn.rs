//! Alpha-BN: batch-norm statistics between the source's and the target's.
use crate::{
    About, Method, Moves, NormChoice, Options, Output, Recipe, Requirement, Supervision, View,
};

/// Batch-norm statistics moved part of the way to the target's.
pub struct AlphaBn;

impl Method for AlphaBn {
    fn name(&self) -> &'static str {
        "alpha-bn"
    }

    fn about(&self) -> About {
        About {
            idea: "Moves every batch norm's mean and variance part of the way from the source's to the \
                   target's (--target-share). What the source has seen steadies what few or one-sided \
                   target slices say.",
            equation: "mean <- (1 - a) mean_source + a mean_target, var alike; a = target share",
            source: "Schneider et al. 2020, NeurIPS (arXiv 2006.16971), equation 2; You et al. 2021 \
                     (arXiv 2110.04065)",
            needs: &[Requirement::BatchNorm],
            failure: "As AdaBN, less far: where the target's statistics mislead, half of the harm stays. \
                      The share 0.5 is a round number, not a tuned one.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Nothing,
            supervision: Supervision::OwnPrediction,
            output: Output::Final,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options { norm: NormChoice::ReEstimated, target_share: 0.5, ..Options::paper() }
    }
}
