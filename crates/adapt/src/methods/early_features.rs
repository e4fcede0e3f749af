//! Self-training of early features (Sheikh and Schultz, MIDL 2022): the paper's method.
use crate::{About, Method, Moves, Options, Output, Recipe, Requirement, Supervision, View};

/// Early layers move so that a small head on them predicts what the whole network predicts.
pub struct EarlyFeatures;

impl Method for EarlyFeatures {
    fn name(&self) -> &'static str {
        "early-features"
    }

    fn about(&self) -> About {
        About {
            idea: "A segmentation head on the early features learns, on the target, to predict what the \
                   whole network predicts, and the gradient moves the early layers alone. The frozen later \
                   layers supervise them without drifting along.",
            equation: "mean H(q, head(stage_L(x))), q = sigmoid or softmax of unet(x)",
            source: "Sheikh and Schultz 2022, MIDL (PMLR 172:1096-1107)",
            needs: &[Requirement::EarlyHead],
            failure: "A head that does not know the task on its own domain cannot teach it, and a source model that is \
                      right but unsure teaches its blur: train both until they have converged. Agreement of the two \
                      outputs is what it trains, so that it rises even where both get worse together. Where statistics \
                      do not follow the batch (instance norm, --norm running), classes vanish unless --hold keeps them.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::EarlyStages,
            supervision: Supervision::OwnPrediction,
            output: Output::EarlyHead,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options::paper()
    }
}
