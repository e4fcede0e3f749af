//! Self-training of all layers on the predictions of the model as it came.
use crate::{
    About, Labels, Method, Moves, Options, Output, PseudoLabel, Recipe, Supervision, View,
};

/// All weights move towards the predictions of the model as it came.
pub struct SelfTraining;

impl Method for SelfTraining {
    fn name(&self) -> &'static str {
        "self-training"
    }

    fn about(&self) -> About {
        About {
            idea: "Takes the source model's predictions on the target as labels and goes on training all \
                   layers on them. Soft labels (--labels soft) and a threshold (--confidence) are options.",
            equation: "mean H(q, unet(x)), q = prediction of the model before the first step",
            source: "Lee 2013 (pseudo-label), in rounds of one; the baseline of Sheikh and Schultz 2022. \
                     Labels come from a fixed copy: those of the same pass, soft and detached, would have \
                     no gradient at all",
            needs: &[],
            failure: "Confirms its own errors: what is wrong with confidence stays wrong.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Everything,
            supervision: Supervision::FirstPrediction,
            output: Output::Final,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options { pseudo_label: PseudoLabel::Detached, labels: Labels::Hard, ..Options::paper() }
    }
}
