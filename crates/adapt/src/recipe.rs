//! The small space of methods: what moves, what supervises it, at which output, on which view of a slice.
use crate::NormChoice;
use std::collections::BTreeSet;
use udas_network::{Network, Part};
use udas_nn::Role;

/// Which weights move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// None.
    Nothing,
    /// Encoder stages 0 to the level of the options, batch-norm affine parameters included.
    EarlyStages,
    /// Low-rank adapters on the convolutions of stages 0 to the level of the options, and the batch-norm
    /// affine parameters there.
    EarlyAdapters,
    /// The affine parameters of the norms of all layers: batch norms, or instance norms.
    NormAffine,
    /// The last layers, from which logits come.
    LastLayers,
    /// All weights.
    Everything,
}

impl Moves {
    /// Makes the network's weights trainable that move; adapters are no weights of it.
    pub fn apply(self, network: &mut dyn Network, level: usize) {
        let moving: BTreeSet<String> = network
            .parameters()
            .names()
            .filter(|&(name, role)| self.moves(network, level, name, role))
            .map(|(name, _)| name.to_owned())
            .collect();
        network.parameters_mut().set_trainable(|name| moving.contains(name));
    }

    /// Whether the network has weights that move.
    pub fn any(self, network: &dyn Network, level: usize) -> bool {
        let mut names = network.parameters().names().filter(|(_, role)| role.is_trainable());
        names.any(|(name, role)| self.moves(network, level, name, role))
    }

    fn moves(self, network: &dyn Network, level: usize, name: &str, role: Role) -> bool {
        let is_norm = role == Role::NormAffine;
        match self {
            Self::Nothing => false,
            Self::EarlyStages => network.is_early(name, level),
            Self::EarlyAdapters => network.is_early(name, level) && is_norm,
            Self::NormAffine => is_norm,
            Self::LastLayers => network.part(name) == Part::Output,
            Self::Everything => true,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::EarlyStages => "encoder stages 0 to L",
            Self::EarlyAdapters => {
                "low-rank adapters on the convolutions of encoder stages 0 to L, and the norms there"
            }
            Self::NormAffine => "scale and shift of the norms",
            Self::LastLayers => "last layers",
            Self::Everything => "all weights",
        }
    }
}

/// What tells the moving weights where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervision {
    /// The network's own final prediction.
    OwnPrediction,
    /// The prediction of the network as it was before the first step.
    FirstPrediction,
    /// The mean prediction of the network as it was before the first step and of other trainings of it.
    Ensemble,
    /// Low entropy of the prediction.
    Entropy,
    /// Low entropy, and the class ratio of the source.
    EntropyWithClassRatio,
    /// The prediction of an average of the network over its past steps. The average is what is kept.
    AveragedTeacher,
    /// Labelled source slices, and agreement with such an average on the target.
    SourceAndAveragedTeacher,
    /// Labels of target subjects: an oracle, for comparison only.
    TargetLabels,
}

impl Supervision {
    /// Whether a step needs labelled source slices.
    pub fn needs_source(self) -> bool {
        self == Self::SourceAndAveragedTeacher
    }

    /// Whether other trainings of the source model teach.
    pub fn needs_teachers(self) -> bool {
        self == Self::Ensemble
    }

    /// The teacher that goes along.
    pub fn teacher(self) -> Option<TeacherKind> {
        match self {
            Self::FirstPrediction | Self::Ensemble => Some(TeacherKind::Fixed),
            Self::AveragedTeacher | Self::SourceAndAveragedTeacher => Some(TeacherKind::Averaged),
            Self::OwnPrediction
            | Self::Entropy
            | Self::EntropyWithClassRatio
            | Self::TargetLabels => None,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::OwnPrediction => "its own final prediction",
            Self::FirstPrediction => "the prediction of the model as it was before the first step",
            Self::Ensemble => {
                "the mean prediction of the model as it was before the first step and of its other trainings"
            }
            Self::Entropy => "low entropy",
            Self::EntropyWithClassRatio => "low entropy and the source's class ratio",
            Self::AveragedTeacher => "an average of itself over past steps",
            Self::SourceAndAveragedTeacher => {
                "source labels, and an average of itself over past steps"
            }
            Self::TargetLabels => "labels of target subjects",
        }
    }
}

/// A second network whose predictions teach the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeacherKind {
    /// The network as it was before the first step.
    Fixed,
    /// An exponential average of the network over its steps, which is what is kept.
    Averaged,
}

/// Which logits are supervised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The early head's.
    EarlyHead,
    /// The network's own.
    Final,
}

impl Output {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::EarlyHead => "the early head",
            Self::Final => "the final output",
        }
    }
}

/// What the network sees of a target slice; a teacher always sees the slice as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The slice as it is.
    Plain,
    /// The slice with contrast, shading, sharpness and noise altered, anew at every step.
    Altered,
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
    /// On which view of a slice.
    pub view: View,
}

impl Recipe {
    /// Whether a run depends on an option, named as on the command line; `norm` is batch norm's behaviour in it.
    pub fn uses(&self, option: &str, norm: NormChoice) -> bool {
        match option {
            "level" => {
                matches!(self.moves, Moves::EarlyStages | Moves::EarlyAdapters)
                    || self.output == Output::EarlyHead
            }
            "pseudo-label" | "hold" => {
                self.supervision == Supervision::OwnPrediction && self.moves != Moves::Nothing
            }
            "labels" | "confidence" => {
                matches!(
                    self.supervision,
                    Supervision::OwnPrediction
                        | Supervision::FirstPrediction
                        | Supervision::Ensemble
                        | Supervision::AveragedTeacher
                ) && self.moves != Moves::Nothing
            }
            "head" => self.output == Output::EarlyHead,
            "source-data" | "source-domain" | "source-subjects" => self.supervision.needs_source(),
            "rank" => self.moves == Moves::EarlyAdapters,
            "teacher-decay" => self.supervision.teacher() == Some(TeacherKind::Averaged),
            "weight" => matches!(
                self.supervision,
                Supervision::EntropyWithClassRatio | Supervision::SourceAndAveragedTeacher
            ),
            "target-share" => norm == NormChoice::ReEstimated,
            "lr" | "epochs" | "stop-change" | "keep" => self.moves != Moves::Nothing,
            _ => true,
        }
    }
}
