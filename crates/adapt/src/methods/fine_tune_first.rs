//! Oracle: the first layers (encoder stages 0 to L) fine-tuned on labelled target subjects.
use crate::{About, Method, Moves, Options, Output, Recipe, Requirement, Supervision, View};
use udas_train::StopRule;

/// Goes on training the first layers (encoder stages 0 to L) with labels of the target.
pub struct FineTuneFirst;

impl Method for FineTuneFirst {
    fn name(&self) -> &'static str {
        "fine-tune-first"
    }

    fn about(&self) -> About {
        About {
            idea: "Goes on training the first layers (encoder stages 0 to L) on target subjects whose \
                   labels are given. An oracle: it bounds what adaptation without labels could reach.",
            equation: "mean H(y, unet(x)), x and y of the k labelled target subjects",
            source: "Shirokikh et al. 2020, DART (arXiv 2008.07357)",
            needs: &[Requirement::TargetLabels],
            failure: "Needs labels; with few subjects it fits those.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::EarlyStages,
            supervision: Supervision::TargetLabels,
            output: Output::Final,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options { learning_rate: 1e-4, epochs: 20, stop: StopRule::Never, ..Options::paper() }
    }
}
