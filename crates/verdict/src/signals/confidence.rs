//! Signals from the network's own probabilities.
use crate::prediction::Prediction;
use serde::{Deserialize, Serialize};

/// Steps of confidence that are counted.
const BINS: usize = 200;

/// How many foreground pixels have which confidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram([u64; BINS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BINS])
    }
}

impl Histogram {
    /// Counts the foreground of a prediction.
    pub fn of(prediction: &Prediction) -> Self {
        let mut counts = Self::default();
        for (&confidence, &label) in prediction.confidence.iter().zip(&prediction.labels) {
            if label > 0 {
                let bin = (confidence * BINS as f32) as usize;
                counts.0[bin.min(BINS - 1)] += 1;
            }
        }
        counts
    }

    /// Adds another subject's counts.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }

    /// Share of the foreground with at least this confidence; 0 where there is no foreground.
    pub fn share_from(&self, threshold: Threshold) -> f64 {
        let total: u64 = self.0.iter().sum();
        let above: u64 = self.0.iter().skip(threshold.bin).sum();
        if total == 0 { 0.0 } else { above as f64 / total as f64 }
    }

    /// The threshold above which just the share `precision` of the foreground lies (Garg et al. 2022, eq. 1).
    pub fn threshold(&self, precision: f64) -> Threshold {
        let distance = |bin: usize| (self.share_from(Threshold { bin }) - precision).abs();
        let best = (0..=BINS).min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        Threshold { bin: best.unwrap_or(0) }
    }
}

/// A confidence above which predictions count as right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// In steps of 1/200.
    bin: usize,
}

/// Mean confidence over the predicted foreground; 0 where there is none.
pub fn foreground(prediction: &Prediction) -> f64 {
    let labelled = prediction.confidence.iter().zip(&prediction.labels);
    let inside = labelled.filter(|(_, label)| **label > 0);
    let (sum, count) = inside.fold((0.0, 0u64), |(sum, n), (p, _)| (sum + f64::from(*p), n + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// Mean confidence over all pixels.
pub fn everywhere(prediction: &Prediction) -> f64 {
    let sum: f64 = prediction.confidence.iter().map(|&p| f64::from(p)).sum();
    sum / prediction.confidence.len().max(1) as f64
}

/// Soft Dice confidence, 2 sum(p y) / (sum(p) + sum(y)) with the prediction y in place of the truth: about
/// the Dice that the network's own probabilities expect (Borges et al. 2024, for binary masks). The mean over
/// classes is ours; a class that is
/// predicted nowhere counts 0.
pub fn soft_dice(prediction: &Prediction) -> f64 {
    let of_class = |sums: &crate::prediction::ClassSums| {
        let total = sums.everywhere + sums.pixels;
        if sums.pixels == 0.0 { 0.0 } else { 2.0 * sums.inside / total }
    };
    let sum: f64 = prediction.sums.iter().map(of_class).sum();
    sum / prediction.classes().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_network::Task;

    fn binary(probabilities: &[f32]) -> Prediction {
        let mut prediction = Prediction::new(Task::Binary);
        prediction.push(probabilities);
        prediction
    }

    #[test]
    fn means_are_those_of_the_probabilities() {
        let prediction = binary(&[0.75, 1.0, 0.25, 0.0]);
        assert_eq!(foreground(&prediction), 0.875);
        assert_eq!(everywhere(&prediction), 0.875);
        // Inside 1.75, everywhere 2.0, pixels 2: 3.5 / 4.
        assert_eq!(soft_dice(&prediction), 0.875);
        let nothing = binary(&[0.25, 0.25]);
        assert_eq!((foreground(&nothing), soft_dice(&nothing)), (0.0, 0.0));
    }

    #[test]
    fn the_threshold_leaves_the_source_s_precision_above_it() {
        let source = Histogram::of(&binary(&[0.6, 0.7, 0.8, 0.9]));
        let threshold = source.threshold(0.75);
        assert_eq!(source.share_from(threshold), 0.75);
        let target = Histogram::of(&binary(&[0.55, 0.6, 0.58, 0.9]));
        assert_eq!(target.share_from(threshold), 0.25);
        assert_eq!(Histogram::default().share_from(threshold), 0.0);
    }
}
