//! Distillation of several trainings of the source model into one, on the target.
use crate::{
    About, Method, Moves, NormChoice, Options, Output, PseudoLabel, Recipe, Requirement,
    Supervision, View,
};
use udas_train::StopRule;

/// All weights move towards the mean prediction of several trainings.
pub struct EnsembleDistillation;

impl Method for EnsembleDistillation {
    fn name(&self) -> &'static str {
        "ensemble-distillation"
    }

    fn about(&self) -> About {
        About {
            idea: "The source model learns, on the target, to predict what it and other trainings of it \
                   (--teachers, other seeds) predict on the mean. Errors that each training makes by chance \
                   are averaged out, and one network remains.",
            equation: "mean H(q, unet(x)), q = mean of the teachers' predictions, the model as it was before \
                       the first step among them",
            source: "Hinton et al. 2015 (arXiv 1503.02531, section 2), at temperature 1 and on the target's \
                     images instead of the source's; the mean of probabilities as Lakshminarayanan et al. 2017 \
                     (NIPS, section 2.4)",
            needs: &[Requirement::OtherTrainings],
            failure: "What the shift does to all trainings alike stays, and teachers that are worse than the \
                      model pull it down. Agreement with the teachers is what it trains, and no evidence.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Everything,
            supervision: Supervision::Ensemble,
            output: Output::Final,
            view: View::Plain,
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
