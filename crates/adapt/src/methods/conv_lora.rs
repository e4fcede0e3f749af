//! ConvLoRA with AdaBN: low-rank adapters on the early convolutions.
use crate::{
    About, Method, Moves, NormChoice, Options, Output, Recipe, Requirement, Supervision, View,
};

/// Low-rank adapters move on early convolutions whose batch norms know the target.
pub struct ConvLora;

impl Method for ConvLora {
    fn name(&self) -> &'static str {
        "conv-lora"
    }

    fn about(&self) -> About {
        About {
            idea: "The paper's self-training of early features, where a small low-rank matrix beside each \
                   early convolution moves in the place of its weights. Batch-norm statistics are first \
                   re-estimated on the target.",
            equation: "mean H(q, head(stage_L(x))), weights W + up down with rank r",
            source: "Aleem et al. 2024, ISBI (arXiv 2402.04964); scaling alpha / r = 1; statistics are \
                     fixed before the first step",
            needs: &[Requirement::EarlyHead],
            failure: "As early features; a low rank only bounds how far weights can go, not where to.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::EarlyAdapters,
            supervision: Supervision::OwnPrediction,
            output: Output::EarlyHead,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options { norm: NormChoice::ReEstimated, rank: 2, ..Options::paper() }
    }
}
