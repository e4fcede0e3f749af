//! What is measured of a model on a subject without labels: the list of signals, a file a family.
pub mod confidence;
pub mod consistency;
pub mod neighbours;
pub mod norm_distance;
pub mod plausibility;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One number a model and subject that is known without labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Mean confidence of the foreground.
    ForegroundConfidence,
    /// Soft Dice confidence.
    SoftDiceConfidence,
    /// Average thresholded confidence.
    ThresholdedConfidence,
    /// Difference of confidences to the source.
    ConfidenceDifference,
    /// Dice under a flip.
    FlipConsistency,
    /// Dice under a small shift.
    ShiftConsistency,
    /// Dice under a change of contrast, shading and noise.
    IntensityConsistency,
    /// Dice when slices are dropped and interpolated.
    GapConsistency,
    /// Dice with the same network after AdaBN.
    NormAgreement,
    /// Dice with other trainings of the source model.
    PeerAgreement,
    /// Dice of neighbouring slices.
    NeighbourAgreement,
    /// Deviation of the volume from the source's.
    VolumeDeviation,
    /// Deviation of the number of components from the source's.
    ComponentDeviation,
    /// Deviation of the roundness of outlines from the source's.
    ShapeDeviation,
    /// Dice on the source of a classifier trained on the prediction.
    ReverseDice,
    /// Distance of batch-norm statistics.
    NormDistance,
}

/// What a signal is.
pub struct About {
    /// In a report.
    pub words: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What it costs beside the prediction of the sample's slices.
    pub cost: &'static str,
}

/// Signals of one model on one subject; those that need what is not at hand are absent.
pub type Signals = BTreeMap<Signal, f64>;

impl Signal {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ForegroundConfidence,
        Self::SoftDiceConfidence,
        Self::ThresholdedConfidence,
        Self::ConfidenceDifference,
        Self::FlipConsistency,
        Self::ShiftConsistency,
        Self::IntensityConsistency,
        Self::GapConsistency,
        Self::NormAgreement,
        Self::PeerAgreement,
        Self::NeighbourAgreement,
        Self::VolumeDeviation,
        Self::ComponentDeviation,
        Self::ShapeDeviation,
        Self::ReverseDice,
        Self::NormDistance,
    ];

    /// What it is, where it comes from and what it costs.
    pub fn about(self) -> About {
        let (words, source, cost) = match self {
            Self::ForegroundConfidence => (
                "confidence of the foreground",
                "Hendrycks and Gimpel 2017, arXiv 1610.02136",
                "nothing",
            ),
            Self::SoftDiceConfidence => {
                ("soft Dice confidence", "Borges et al. 2024, arXiv 2402.10665", "nothing")
            }
            Self::ThresholdedConfidence => (
                "average thresholded confidence",
                "Garg et al. 2022, arXiv 2201.04234",
                "nothing; needs a calibration",
            ),
            Self::ConfidenceDifference => (
                "difference of confidences to the source",
                "Guillory et al. 2021, arXiv 2107.03315",
                "nothing; needs a calibration",
            ),
            Self::FlipConsistency => (
                "consistency under a flip",
                "Wang et al. 2019, arXiv 1807.07356",
                "half a prediction",
            ),
            Self::ShiftConsistency => (
                "consistency under a small shift",
                "after Wang et al. 2019, arXiv 1807.07356 (flips and noise)",
                "half a prediction",
            ),
            Self::IntensityConsistency => (
                "consistency under changed contrast, shading and noise",
                "after Wang et al. 2019, arXiv 1807.07356 (flips and noise)",
                "half a prediction",
            ),
            Self::GapConsistency => (
                "consistency when slices are dropped and interpolated",
                "ours, after Wang et al. 2019, arXiv 1807.07356",
                "half a prediction; needs neighbouring slices",
            ),
            Self::NormAgreement => (
                "agreement with the same network after AdaBN",
                "after Jiang et al. 2022, arXiv 2106.13799 (two trainings)",
                "nothing beside the distance of statistics",
            ),
            Self::PeerAgreement => (
                "agreement with other trainings of the source model",
                "Jiang et al. 2022, arXiv 2106.13799",
                "half a prediction for each; needs them",
            ),
            Self::NeighbourAgreement => {
                ("agreement of neighbouring slices", "continuity of anatomy; no source", "nothing")
            }
            Self::VolumeDeviation => (
                "deviation of the volume from the source's labels",
                "Bateson et al. 2022, arXiv 2108.03152 (class-ratio prior), used as a check",
                "nothing; needs a calibration",
            ),
            Self::ComponentDeviation => (
                "deviation of the number of components from the source's labels",
                "connectedness of anatomy; no source",
                "nothing; needs a calibration",
            ),
            Self::ShapeDeviation => (
                "deviation of the roundness of outlines from the source's labels",
                "Cox 1927, J. Paleontology 1(3), used as a check",
                "nothing; needs a calibration",
            ),
            Self::ReverseDice => (
                "Dice on the source of a classifier trained on the prediction",
                "Valindria et al. 2017, arXiv 1702.03407 (reverse classification accuracy)",
                "a small linear system; needs a calibration",
            ),
            Self::NormDistance => (
                "distance of batch-norm statistics to the target's",
                "after Schneider et al. 2020, arXiv 2006.16971 (Wasserstein distance there)",
                "half a prediction",
            ),
        };
        About { words, source, cost }
    }
}
