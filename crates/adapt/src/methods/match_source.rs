//! Histogram matching: the target's intensities are given the source's histogram, the network stays.
use crate::{
    About, Method, Moves, NormChoice, Options, Output, Recipe, Requirement, Supervision, View,
};

/// The source model on intensities that were matched to the source's.
pub struct MatchSource;

impl Method for MatchSource {
    fn name(&self) -> &'static str {
        "match-source"
    }

    fn about(&self) -> About {
        About {
            idea: "Gives the intensities of each target volume the histogram of the source's volumes. No \
                   weight moves: what is adapted is the normalisation that the model's file carries.",
            equation: "x' = Q_source(F_target(x)), F the volume's distribution function, Q the source's quantiles",
            source: "histogram specification, Gonzalez and Woods, Digital Image Processing; piecewise linear \
                     between quantiles, as Nyul et al. 2000 between landmarks",
            needs: &[Requirement::SourceHistogram],
            failure: "Takes a difference of anatomy or field of view for one of contrast: shares of tissues and \
                      of air must be alike in source and target.",
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
