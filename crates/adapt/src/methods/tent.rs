//! TENT: batch-norm scale and shift move towards low entropy.
use crate::{About, Method, Moves, Options, Output, Recipe, Supervision, View};

/// Batch-norm affine parameters move towards confident predictions.
pub struct Tent;

impl Method for Tent {
    fn name(&self) -> &'static str {
        "tent"
    }

    fn about(&self) -> About {
        About {
            idea: "Moves only the scale and shift of every norm so that predictions become \
                   confident. Statistics are each batch's own.",
            equation: "mean H(p), p = own prediction",
            source: "Wang et al. 2021, ICLR (arXiv 2006.10726), section 3.1",
            needs: &[],
            failure: "The most confident answer is one class everywhere; where foreground is rare, it \
                      can vanish.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::NormAffine,
            supervision: Supervision::Entropy,
            output: Output::Final,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options::paper()
    }
}
