//! The small space of methods: what moves, what supervises it, at which output.
use udas_nn::{Parameters, Role};
use udas_unet::UNet;

/// Which weights move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// None.
    Nothing,
    /// Encoder stages 0 to the level of the options, batch-norm affine parameters included.
    EarlyStages,
    /// The batch-norm affine parameters of all layers.
    NormAffine,
    /// The last layers: `out_path`.
    LastLayers,
    /// All weights.
    Everything,
}

impl Moves {
    /// Makes the weights trainable that move.
    pub fn apply(self, unet: &mut UNet, level: usize) {
        let norms = norm_names(unet.parameters());
        unet.parameters_mut().set_trainable(|name| match self {
            Self::Nothing => false,
            Self::EarlyStages => UNet::is_early(name, level),
            Self::NormAffine => norms.iter().any(|norm| belongs_to(name, norm)),
            Self::LastLayers => name.starts_with("out_path."),
            Self::Everything => true,
        });
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::EarlyStages => "encoder stages 0 to L",
            Self::NormAffine => "batch-norm scale and shift",
            Self::LastLayers => "last layers",
            Self::Everything => "all weights",
        }
    }
}

fn norm_names(parameters: &Parameters) -> Vec<String> {
    parameters
        .names()
        .filter(|(_, role)| *role == Role::Statistic)
        .filter_map(|(name, _)| name.strip_suffix(".running_mean").map(str::to_owned))
        .collect()
}

fn belongs_to(name: &str, layer: &str) -> bool {
    name.strip_prefix(layer).is_some_and(|rest| rest == ".weight" || rest == ".bias")
}

/// What tells the moving weights where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervision {
    /// The network's own final prediction.
    OwnPrediction,
    /// Low entropy of the prediction.
    Entropy,
    /// Low entropy, and the class ratio of the source.
    EntropyWithClassRatio,
    /// Labels of target subjects: an oracle, for comparison only.
    TargetLabels,
}

/// Which logits are supervised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The early head's.
    EarlyHead,
    /// The network's own.
    Final,
}

/// A method as a point in the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Which weights move.
    pub moves: Moves,
    /// What supervises them.
    pub supervision: Supervision,
    /// At which output.
    pub output: Output,
}
