//! Consistency under altered intensities, taught by an averaged teacher.
use crate::{
    About, Method, Moves, NormChoice, Options, Output, PseudoLabel, Recipe, Supervision, View,
};
use udas_train::StopRule;

/// All weights move so that altered slices are segmented as the teacher segments plain ones.
pub struct AugmentedConsistency;

impl Method for AugmentedConsistency {
    fn name(&self) -> &'static str {
        "augmented-consistency"
    }

    fn about(&self) -> About {
        About {
            idea: "A slice whose contrast, shading, sharpness and noise are altered must be segmented as \
                   an average of the network over past steps segments the slice as it is. Small steps, no \
                   batch statistics: for a source model that is good already.",
            equation: "mean H(q, unet(altered x)), q = prediction of the averaged teacher on x",
            source: "After French et al. 2018, ICLR (arXiv 1706.05208), without source data, with soft \
                     cross-entropy for their squared difference and without their threshold; one plain \
                     and one altered view, as Sohn et al. 2020 (FixMatch) has a weakly and a strongly \
                     altered one",
            needs: &[],
            failure: "Spreads what the teacher knows to other intensities, but corrects no error that it \
                      makes on the plain slice with confidence.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Everything,
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
