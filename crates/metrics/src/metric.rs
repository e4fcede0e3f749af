//! The names of the scores, as columns of a table.
use serde::{Serialize, Serializer};
use std::fmt;

/// One column of a table of scores. `Display` gives its name in files, with the unit where there
/// is one: `dice`, `surface_dice_1mm`, `hausdorff_95_mm`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// Dice coefficient.
    Dice,
    /// Intersection over union.
    Iou,
    /// Sensitivity (recall).
    Sensitivity,
    /// Specificity.
    Specificity,
    /// Precision (positive predictive value).
    Precision,
    /// Volume of the truth in ml.
    TruthVolume,
    /// Volume of the prediction in ml.
    PredictionVolume,
    /// Prediction's volume minus truth's in ml.
    VolumeDifference,
    /// Volume difference over the truth's volume.
    RelativeVolumeDifference,
    /// Surface Dice.
    SurfaceDice {
        /// Largest distance that counts as agreement.
        tolerance_mm: f64,
    },
    /// Part of the truth's surface near the prediction's.
    TruthOverlap {
        /// Largest distance that counts as agreement.
        tolerance_mm: f64,
    },
    /// Part of the prediction's surface near the truth's.
    PredictionOverlap {
        /// Largest distance that counts as agreement.
        tolerance_mm: f64,
    },
    /// Average distance from the truth's surface to the prediction's.
    TruthToPrediction,
    /// Average distance from the prediction's surface to the truth's.
    PredictionToTruth,
    /// Average symmetric surface distance.
    AverageSymmetric,
    /// Robust Hausdorff distance.
    Hausdorff {
        /// Percent of the surface's area, 100 for the classical distance.
        percentile: f64,
    },
    /// Connected components of the truth.
    TruthComponents,
    /// Connected components of the prediction.
    PredictionComponents,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dice => "dice",
            Self::Iou => "iou",
            Self::Sensitivity => "sensitivity",
            Self::Specificity => "specificity",
            Self::Precision => "precision",
            Self::TruthVolume => "truth_volume_ml",
            Self::PredictionVolume => "prediction_volume_ml",
            Self::VolumeDifference => "volume_difference_ml",
            Self::RelativeVolumeDifference => "relative_volume_difference",
            Self::SurfaceDice { tolerance_mm } => {
                return write!(f, "surface_dice_{tolerance_mm}mm");
            }
            Self::TruthOverlap { tolerance_mm } => {
                return write!(f, "truth_surface_overlap_{tolerance_mm}mm");
            }
            Self::PredictionOverlap { tolerance_mm } => {
                return write!(f, "prediction_surface_overlap_{tolerance_mm}mm");
            }
            Self::TruthToPrediction => "truth_to_prediction_mm",
            Self::PredictionToTruth => "prediction_to_truth_mm",
            Self::AverageSymmetric => "average_symmetric_surface_distance_mm",
            Self::Hausdorff { percentile } => return write!(f, "hausdorff_{percentile}_mm"),
            Self::TruthComponents => "truth_components",
            Self::PredictionComponents => "prediction_components",
        })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
