//! AdaBN: batch-norm statistics of the target in place of the source's.
use crate::{
    About, Method, Moves, NormChoice, Options, Output, Recipe, Requirement, Supervision, View,
};

/// Batch-norm statistics re-estimated on the target.
pub struct AdaBn;

impl Method for AdaBn {
    fn name(&self) -> &'static str {
        "adabn"
    }

    fn about(&self) -> About {
        About {
            idea: "Replaces every batch norm's mean and variance by the target's. No weight changes.",
            equation: "mean <- E[x], var <- Var[x] over the target",
            source: "Li et al. 2016, arXiv 1603.04779",
            needs: &[Requirement::BatchNorm],
            failure: "Corrects only what a scale and a shift of each channel can: not a change of contrast \
                      order or of anatomy in view.",
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
        Options { norm: NormChoice::ReEstimated, ..Options::paper() }
    }
}
