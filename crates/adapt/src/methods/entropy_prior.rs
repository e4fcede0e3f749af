//! Entropy minimisation with the source's class ratio as a prior.
use crate::{About, Method, Moves, Options, Output, Recipe, Requirement, Supervision, View};

/// All weights move towards confident predictions in the source's class ratio.
pub struct EntropyPrior;

impl Method for EntropyPrior {
    fn name(&self) -> &'static str {
        "entropy-prior"
    }

    fn about(&self) -> About {
        About {
            idea: "Makes predictions confident, as TENT does, and holds the share of each class to what \
                   it is on the source, so that no class can vanish. All weights move.",
            equation: "mean H(p) + weight * KL(mean p || ratio)",
            source: "Bateson et al. 2022, MedIA (AdaMI, arXiv 2108.03152), whose direction of the \
                     divergence this is; Bateson et al. 2020, MICCAI (AdaEnt). Their prior is estimated \
                     image by image, with image-level tags; here it is the source's mean, over the batch",
            needs: &[Requirement::ClassRatio],
            failure: "The target's class ratio is taken to be the source's: another field of view or \
                      another disease breaks that.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Everything,
            supervision: Supervision::EntropyWithClassRatio,
            output: Output::Final,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options { learning_rate: 1e-4, ..Options::paper() }
    }
}
