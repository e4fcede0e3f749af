//! No adaptation: the source model as it is, the line that every method must beat.
use crate::{About, Method, Moves, NormChoice, Options, Output, Recipe, Supervision, View};

/// The source model as it is.
pub struct SourceOnly;

impl Method for SourceOnly {
    fn name(&self) -> &'static str {
        "source-only"
    }

    fn about(&self) -> About {
        About {
            idea: "Leaves the model as it is. Every other method has to beat it.",
            equation: "none",
            source: "-",
            needs: &[],
            failure: "Loses accuracy as the target's scanner differs from the source's.",
        }
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            moves: Moves::Nothing,
            supervision: Supervision::OwnPrediction,
            output: Output::Final,
            view: View::Plain,
        }
    }

    fn options(&self) -> Options {
        Options { norm: NormChoice::Running, ..Options::paper() }
    }
}
