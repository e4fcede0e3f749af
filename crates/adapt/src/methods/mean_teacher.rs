//! Mean teacher: source labels, and agreement with an averaged teacher on the target.
use crate::{About, Method, Moves, Options, Output, Recipe, Requirement, Supervision, View};
use udas_train::StopRule;

/// All weights move by source labels and by agreement with their own average.
pub struct MeanTeacher;

impl Method for MeanTeacher {
    fn name(&self) -> &'static str {
        "mean-teacher"
    }

    fn about(&self) -> About {
        About {
            idea: "Goes on training on labelled source slices, and on the target asks that predictions on \
                   altered slices agree with those of an average of the network over past steps. That \
                   average is the result.",
            equation: "H(y, unet(x_source)) + weight * mean (p_student(altered x) - p_teacher(x))^2",
            source: "Perone et al. 2019, NeuroImage (arXiv 1811.06042); Tarvainen and Valpola 2017. \
                     Without their ramp-up of the weight; intensities are altered, not positions",
            needs: &[Requirement::SourceData],
            failure: "Costs source data at the target's site, and two domains share every batch norm.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Everything,
            supervision: Supervision::SourceAndAveragedTeacher,
            output: Output::Final,
            view: View::Altered,
        }
    }

    fn options(&self) -> Options {
        Options {
            learning_rate: 1e-4,
            epochs: 10,
            stop: StopRule::Never,
            weight: 10.0,
            ..Options::paper()
        }
    }
}
