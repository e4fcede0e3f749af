//! All scores of one subject: a prediction against its truth, class by class.
use crate::crop::Crop;
use crate::{
    Connectivity, Error, Grid, Metric, Overlap, Result, Score, SurfaceDistances, count_components,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What to measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    tolerances_mm: Vec<f64>,
    percentiles: Vec<f64>,
    connectivity: Connectivity,
}

impl Config {
    /// Tolerances of surface Dice and surface overlap in mm, percentiles of the Hausdorff distance
    /// in (0, 100], and which voxels count as connected.
    ///
    /// # Errors
    /// [`Error::Tolerance`] or [`Error::Percentile`] for a value out of range.
    pub fn new(
        tolerances_mm: Vec<f64>,
        percentiles: Vec<f64>,
        connectivity: Connectivity,
    ) -> Result<Self> {
        if let Some(&t) = tolerances_mm.iter().find(|t| !(t.is_finite() && **t >= 0.0)) {
            return Err(Error::Tolerance(t));
        }
        if let Some(&p) = percentiles.iter().find(|p| !(**p > 0.0 && **p <= 100.0)) {
            return Err(Error::Percentile(p));
        }
        Ok(Self { tolerances_mm, percentiles, connectivity })
    }
}

/// Scores of one subject, in the order of the classes asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectScores {
    /// One entry a class.
    pub classes: Vec<ClassScores>,
}

/// Scores of one class. Distances are in mm, volumes in ml; "truth to prediction" is measured on
/// the truth's surface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Label of the class.
    pub class: u8,
    /// Voxel counts that the overlap scores are made of.
    pub voxels: Overlap,
    /// Dice coefficient.
    pub dice: Score,
    /// Intersection over union.
    pub iou: Score,
    /// Sensitivity (recall).
    pub sensitivity: Score,
    /// Specificity.
    pub specificity: Score,
    /// Precision (positive predictive value).
    pub precision: Score,
    /// Volume of the truth.
    pub truth_volume_ml: f64,
    /// Volume of the prediction.
    pub prediction_volume_ml: f64,
    /// Prediction's volume minus truth's.
    pub volume_difference_ml: f64,
    /// Volume difference over the truth's volume.
    pub relative_volume_difference: Score,
    /// Surface Dice and surface overlaps, one entry a tolerance.
    pub surface: Vec<ToleranceScores>,
    /// Average distance from the truth's surface to the prediction's.
    pub truth_to_prediction_mm: Score,
    /// Average distance from the prediction's surface to the truth's.
    pub prediction_to_truth_mm: Score,
    /// Average symmetric surface distance.
    pub average_symmetric_mm: Score,
    /// Robust Hausdorff distances, one entry a percentile.
    pub hausdorff: Vec<PercentileScore>,
    /// Connected components of the truth.
    pub truth_components: usize,
    /// Connected components of the prediction.
    pub prediction_components: usize,
}

/// Agreement of surfaces at one tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToleranceScores {
    /// Largest distance that counts as agreement.
    pub tolerance_mm: f64,
    /// Surface Dice.
    pub surface_dice: Score,
    /// Part of the truth's surface near the prediction's.
    pub truth_overlap: Score,
    /// Part of the prediction's surface near the truth's.
    pub prediction_overlap: Score,
}

/// Robust Hausdorff distance at one percentile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PercentileScore {
    /// Percent of the surface's area.
    pub percentile: f64,
    /// The distance that this part of the area does not exceed.
    pub distance_mm: Score,
}

/// Scores a label map against the truth, one class after the other. Labels that are not among
/// `classes` are background to each of them.
///
/// # Errors
/// [`Error::MaskLength`] where a label map's length is not the grid's.
pub fn score_labels(
    prediction: &[u8],
    truth: &[u8],
    grid: &Grid,
    classes: &[u8],
    config: &Config,
) -> Result<SubjectScores> {
    let mask = |labels: &[u8], class| labels.par_iter().map(|&label| label == class).collect();
    let score = |&class: &u8| {
        let (prediction, truth): (Vec<_>, Vec<_>) = (mask(prediction, class), mask(truth, class));
        score_masks(&prediction, &truth, grid, class, config)
    };
    Ok(SubjectScores { classes: classes.iter().map(score).collect::<Result<_>>()? })
}

/// Scores one class that is given as two masks; `class` is only its name in the result.
///
/// # Errors
/// [`Error::MaskLength`] where a mask's length is not the grid's.
pub fn score_masks(
    prediction: &[bool],
    truth: &[bool],
    grid: &Grid,
    class: u8,
    config: &Config,
) -> Result<ClassScores> {
    let voxels = Overlap::count(prediction, truth, grid)?;
    let crop = Crop::around(prediction, truth, grid);
    let distances = match &crop {
        Some(crop) => SurfaceDistances::within(crop)?,
        None => SurfaceDistances::default(),
    };
    let components = |mask: fn(&Crop) -> &Vec<bool>| match &crop {
        Some(crop) => count_components(mask(crop), &crop.grid, config.connectivity),
        None => Ok(0),
    };
    let [truth_volume_ml, prediction_volume_ml] =
        [voxels.actual(), voxels.predicted()].map(|count| count as f64 * grid.voxel_ml());
    let at_tolerance = |&tolerance_mm: &f64| ToleranceScores {
        tolerance_mm,
        surface_dice: distances.surface_dice(tolerance_mm),
        truth_overlap: distances.truth_overlap(tolerance_mm),
        prediction_overlap: distances.prediction_overlap(tolerance_mm),
    };
    let at_percentile = |&percentile: &f64| PercentileScore {
        percentile,
        distance_mm: distances.hausdorff_mm(percentile),
    };
    Ok(ClassScores {
        class,
        voxels,
        dice: voxels.dice(),
        iou: voxels.iou(),
        sensitivity: voxels.sensitivity(),
        specificity: voxels.specificity(),
        precision: voxels.precision(),
        truth_volume_ml,
        prediction_volume_ml,
        volume_difference_ml: prediction_volume_ml - truth_volume_ml,
        relative_volume_difference: voxels.relative_volume_difference(),
        surface: config.tolerances_mm.iter().map(at_tolerance).collect(),
        truth_to_prediction_mm: distances.truth_to_prediction_mm(),
        prediction_to_truth_mm: distances.prediction_to_truth_mm(),
        average_symmetric_mm: distances.average_symmetric_mm(),
        hausdorff: config.percentiles.iter().map(at_percentile).collect(),
        truth_components: components(|crop| &crop.truth)?,
        prediction_components: components(|crop| &crop.prediction)?,
    })
}

impl ClassScores {
    /// Every score with its name, in the order of a table's columns.
    pub fn columns(&self) -> Vec<(Metric, Score)> {
        let mut columns = vec![
            (Metric::Dice, self.dice),
            (Metric::Iou, self.iou),
            (Metric::Sensitivity, self.sensitivity),
            (Metric::Specificity, self.specificity),
            (Metric::Precision, self.precision),
            (Metric::TruthVolume, self.truth_volume_ml.into()),
            (Metric::PredictionVolume, self.prediction_volume_ml.into()),
            (Metric::VolumeDifference, self.volume_difference_ml.into()),
            (Metric::RelativeVolumeDifference, self.relative_volume_difference),
        ];
        columns.extend(self.surface.iter().flat_map(|at| {
            let tolerance_mm = at.tolerance_mm;
            [
                (Metric::SurfaceDice { tolerance_mm }, at.surface_dice),
                (Metric::TruthOverlap { tolerance_mm }, at.truth_overlap),
                (Metric::PredictionOverlap { tolerance_mm }, at.prediction_overlap),
            ]
        }));
        columns.extend([
            (Metric::TruthToPrediction, self.truth_to_prediction_mm),
            (Metric::PredictionToTruth, self.prediction_to_truth_mm),
            (Metric::AverageSymmetric, self.average_symmetric_mm),
        ]);
        let hausdorff = |at: &PercentileScore| {
            (Metric::Hausdorff { percentile: at.percentile }, at.distance_mm)
        };
        columns.extend(self.hausdorff.iter().map(hausdorff));
        columns.extend([
            (Metric::TruthComponents, Score::from(self.truth_components as f64)),
            (Metric::PredictionComponents, Score::from(self.prediction_components as f64)),
        ]);
        columns
    }
}
