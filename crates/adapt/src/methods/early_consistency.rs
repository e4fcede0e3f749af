//! Consistency under altered intensities that moves the early layers alone.
use crate::{
    About, Method, Moves, NormChoice, Options, Output, PseudoLabel, Recipe, Supervision, View,
};
use udas_train::StopRule;

/// Early layers move so that altered slices are segmented as the teacher segments plain ones.
pub struct EarlyConsistency;

impl Method for EarlyConsistency {
    fn name(&self) -> &'static str {
        "early-consistency"
    }

    fn about(&self) -> About {
        About {
            idea: "Altered slices must be segmented as an average of the network over past steps segments \
                   them as they are, and only the early layers may move to reach that. The later layers, \
                   frozen, keep what they know of anatomy.",
            equation: "mean H(q, unet(altered x)), q = prediction of the averaged teacher on x; weights of \
                       stages 0 to L",
            source: "The early layers of Shirokikh et al. 2020 (arXiv 2008.07357) and Sheikh and Schultz \
                     2022 with a consistency after French et al. 2018 (arXiv 1706.05208); this combination \
                     is ours and unpublished",
            needs: &[],
            failure: "Corrects no error that the teacher makes with confidence, and none that later \
                      layers make.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::EarlyStages,
            supervision: Supervision::AveragedTeacher,
            output: Output::Final,
            view: View::Altered,
        }
    }

    fn options(&self) -> Options {
        Options {
            pseudo_label: PseudoLabel::Detached,
            norm: NormChoice::Running,
            learning_rate: 1e-4,
            epochs: 5,
            stop: StopRule::Never,
            ..Options::paper()
        }
    }
}
