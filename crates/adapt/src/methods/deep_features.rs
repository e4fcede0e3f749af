//! Early features from the deepest stage, with small steps: a variant of the paper's method.
use super::EarlyFeatures;
use crate::{About, Method, Options, Recipe, Requirement};
use udas_network::Spec;

/// The whole encoder moves so that a small head on its deepest stage predicts what the whole network predicts.
pub struct DeepFeatures;

impl Method for DeepFeatures {
    fn name(&self) -> &'static str {
        "deep-features"
    }

    fn about(&self) -> About {
        About {
            idea: "The paper's method where a head can know the task: on the deepest encoder stage, which sees the most of \
                   the image. The whole encoder moves, a tenth of the published step at a time; the frozen way back up \
                   supervises it.",
            equation: "mean H(q, head(stage_D(x))), q = sigmoid or softmax of unet(x), D the deepest stage",
            source: "a variant of Sheikh and Schultz 2022, MIDL (PMLR 172:1096-1107)",
            needs: &[Requirement::EarlyHead],
            failure: "A head at a fraction of the image's size does not know a border to a voxel: on real heads the border \
                      moved and surface Dice fell. With the published learning rate it harmed on every target of the \
                      phantom.",
        }
    }

    fn recipe(&self) -> Recipe {
        EarlyFeatures.recipe()
    }

    fn options(&self) -> Options {
        Options { learning_rate: 1e-4, ..Options::paper() }
    }

    fn level(&self, network: &Spec) -> Option<usize> {
        Some(network.deepest())
    }
}
