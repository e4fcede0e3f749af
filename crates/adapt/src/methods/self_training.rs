//! Self-training of all layers on the network's own predictions.
use crate::{About, Method, Moves, Options, Output, PseudoLabel, Recipe, Supervision, View};

/// All weights move towards the network's own predictions.
pub struct SelfTraining;

impl Method for SelfTraining {
    fn name(&self) -> &'static str {
        "self-training"
    }

    fn about(&self) -> About {
        About {
            idea: "Takes the network's own predictions on the target as labels and goes on training all \
                   layers on them. Hard labels (--labels hard) and a threshold (--confidence) are options.",
            equation: "mean H(stop-gradient(q), unet(x)), q = own prediction",
            source: "Lee 2013 (pseudo-label); the baseline of Sheikh and Schultz 2022",
            needs: &[],
            failure: "Confirms its own errors: what is wrong with confidence stays wrong.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Everything,
            supervision: Supervision::OwnPrediction,
            output: Output::Final,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options { pseudo_label: PseudoLabel::Detached, ..Options::paper() }
    }
}
