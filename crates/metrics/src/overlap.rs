//! Scores that count voxels: Dice, IoU, sensitivity, specificity, precision, volume.
use crate::{Grid, Result, Score};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Voxel counts of one class in a prediction and its truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// Voxels of the class in both.
    pub true_positives: u64,
    /// Voxels of the class in the prediction only.
    pub false_positives: u64,
    /// Voxels of the class in the truth only.
    pub false_negatives: u64,
    /// Voxels of the class in neither.
    pub true_negatives: u64,
}

impl Overlap {
    /// Counts two masks of the same grid.
    ///
    /// # Errors
    /// [`crate::Error::MaskLength`] where a mask's length is not the grid's.
    pub fn count(prediction: &[bool], truth: &[bool], grid: &Grid) -> Result<Self> {
        grid.check("prediction", prediction.len())?;
        grid.check("truth", truth.len())?;
        let [both, predicted, actual] = prediction
            .par_chunks(CHUNK)
            .zip(truth.par_chunks(CHUNK))
            .map(|(p, t)| {
                let both = p.iter().zip(t).filter(|(p, t)| **p & **t).count() as u64;
                [both, count_set(p), count_set(t)]
            })
            .reduce(|| [0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
        Ok(Self {
            true_positives: both,
            false_positives: predicted - both,
            false_negatives: actual - both,
            true_negatives: truth.len() as u64 + both - predicted - actual,
        })
    }

    /// Voxels of the class in the prediction.
    pub fn predicted(&self) -> u64 {
        self.true_positives + self.false_positives
    }

    /// Voxels of the class in the truth.
    pub fn actual(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Dice coefficient, 2 |P and T| / (|P| + |T|).
    pub fn dice(&self) -> Score {
        quotient(2 * self.true_positives, self.predicted() + self.actual())
    }

    /// Intersection over union (Jaccard index), |P and T| / |P or T|.
    pub fn iou(&self) -> Score {
        quotient(self.true_positives, self.predicted() + self.false_negatives)
    }

    /// Sensitivity (recall), |P and T| / |T|.
    pub fn sensitivity(&self) -> Score {
        quotient(self.true_positives, self.actual())
    }

    /// Specificity, the part of the voxels outside the truth that the prediction leaves out. It
    /// depends on the field of view.
    pub fn specificity(&self) -> Score {
        quotient(self.true_negatives, self.true_negatives + self.false_positives)
    }

    /// Precision (positive predictive value), |P and T| / |P|.
    pub fn precision(&self) -> Score {
        quotient(self.true_positives, self.predicted())
    }

    /// Volume difference relative to the truth, (|P| - |T|) / |T|; positive where the prediction is
    /// too large.
    pub fn relative_volume_difference(&self) -> Score {
        Score::from((self.predicted() as f64 - self.actual() as f64) / self.actual() as f64)
    }
}

/// Small enough to share work between threads, large enough to hide its cost.
const CHUNK: usize = 1 << 16;

fn count_set(mask: &[bool]) -> u64 {
    mask.iter().filter(|&&set| set).count() as u64
}

fn quotient(numerator: u64, denominator: u64) -> Score {
    Score::ratio(numerator as f64, denominator as f64)
}
