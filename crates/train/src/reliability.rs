//! How sure a network is beside how right it is, counted over labelled pixels.
use crate::{Error, Result};
use candle_core::Tensor;
use udas_network::Task;

/// Bins of confidence, as Guo et al. 2017 (arXiv 1706.04599) have them.
const BINS: usize = 15;

/// Confidence and accuracy over pixels. The confidence of a pixel is the probability of its most probable class; it is
/// right where that class is the label's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reliability {
    bins: [Bin; BINS],
    foreground: Bin,
    /// By class, the background first.
    overlaps: Vec<Overlap>,
}

/// Pixels of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Overlap {
    predicted: u64,
    labelled: u64,
    both: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bin {
    pixels: f64,
    right: f64,
    /// Sum of confidences; of the foreground, of probabilities of the label's class.
    sure: f64,
}

impl Reliability {
    /// Adds the pixels of a batch: logits `[N, C, H, W]` or `[N, C, D, H, W]` and a 0/1 target of that shape.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn add(&mut self, task: Task, logits: &Tensor, target: &Tensor) -> Result<()> {
        let c = logits.dim(1)?;
        let (logits, target) = (channels_last(logits)?, channels_last(target)?);
        if logits.len() != target.len() {
            let (found, needed) = (target.len(), logits.len());
            return Err(Error::Missing(format!("{needed} values of a target, and has {found}")));
        }
        let pixels = logits.chunks_exact(c).zip(target.chunks_exact(c));
        match task {
            Task::Binary => pixels.for_each(|(logit, label)| self.add_binary(logit, label)),
            Task::MultiClass { .. } => {
                pixels.for_each(|(logits, label)| self.add_classes(logits, label))
            }
        }
        Ok(())
    }

    fn add_binary(&mut self, logit: &[f32], label: &[f32]) {
        let (Some(&logit), Some(&label)) = (logit.first(), label.first()) else { return };
        let probability = 1.0 / (1.0 + f64::from(-logit).exp());
        let is_foreground = label > 0.5;
        let classes = [usize::from(logit > 0.0), usize::from(is_foreground)];
        self.count(probability.max(1.0 - probability), classes);
        if is_foreground {
            self.count_foreground(probability);
        }
    }

    fn add_classes(&mut self, logits: &[f32], label: &[f32]) {
        let largest = |values: &[f32]| {
            let first = (0, f32::NEG_INFINITY);
            let step = |best: (usize, f32), (class, &value): (usize, &f32)| {
                if value > best.1 { (class, value) } else { best }
            };
            values.iter().enumerate().fold(first, step)
        };
        let ((predicted, top), (labelled, _)) = (largest(logits), largest(label));
        let weight = |logit: &f32| f64::from(logit - top).exp();
        let total: f64 = logits.iter().map(weight).sum();
        self.count(1.0 / total, [predicted, labelled]);
        if let Some(own) = logits.get(labelled).filter(|_| labelled > 0) {
            self.count_foreground(weight(own) / total);
        }
    }

    fn count(&mut self, confidence: f64, [predicted, labelled]: [usize; 2]) {
        let is_right = predicted == labelled;
        let classes = predicted.max(labelled) + 1;
        self.overlaps.resize(self.overlaps.len().max(classes), Overlap::default());
        if let Some(overlap) = self.overlaps.get_mut(predicted) {
            overlap.predicted += 1;
            overlap.both += u64::from(is_right);
        }
        if let Some(overlap) = self.overlaps.get_mut(labelled) {
            overlap.labelled += 1;
        }
        let place = ((confidence * BINS as f64) as usize).min(BINS - 1);
        if let Some(bin) = self.bins.get_mut(place) {
            bin.pixels += 1.0;
            bin.right += f64::from(u8::from(is_right));
            bin.sure += confidence;
        }
    }

    fn count_foreground(&mut self, probability: f64) {
        self.foreground.pixels += 1.0;
        self.foreground.sure += probability;
    }

    fn total(&self, of: fn(&Bin) -> f64) -> f64 {
        self.bins.iter().map(of).sum()
    }

    fn pixels(&self) -> f64 {
        self.total(|bin| bin.pixels).max(1.0)
    }

    /// Dice over all pixels together, the mean of the foreground classes that are labelled or predicted; 1 where none is.
    pub fn dice(&self) -> f64 {
        let foreground = self.overlaps.iter().skip(1);
        let found: Vec<f64> = foreground
            .filter(|overlap| overlap.predicted + overlap.labelled > 0)
            .map(|overlap| {
                2.0 * overlap.both as f64 / (overlap.predicted + overlap.labelled) as f64
            })
            .collect();
        if found.is_empty() { 1.0 } else { found.iter().sum::<f64>() / found.len() as f64 }
    }

    /// Share of the pixels that are right.
    pub fn accuracy(&self) -> f64 {
        self.total(|bin| bin.right) / self.pixels()
    }

    /// Mean confidence.
    pub fn confidence(&self) -> f64 {
        self.total(|bin| bin.sure) / self.pixels()
    }

    /// Expected calibration error: the mean over pixels of the difference of accuracy and confidence in a pixel's bin
    /// (Guo et al. 2017, equation 3).
    pub fn calibration_error(&self) -> f64 {
        self.bins.iter().map(|bin| (bin.right - bin.sure).abs()).sum::<f64>() / self.pixels()
    }

    /// Mean probability of the label's class over labelled foreground; none where none is.
    pub fn foreground_probability(&self) -> Option<f64> {
        let Bin { pixels, sure, .. } = self.foreground;
        (pixels > 0.0).then(|| sure / pixels)
    }
}

/// The values of `[N, C, H, W]` pixel by pixel.
fn channels_last(tensor: &Tensor) -> Result<Vec<f32>> {
    let pixels = tensor.detach().flatten_from(2)?;
    Ok(pixels.transpose(1, 2)?.flatten_all()?.to_vec1::<f32>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn of(task: Task, logits: &[f32], target: &[f32]) -> Reliability {
        let c = task.outputs();
        let shape = (1, c, 1, logits.len() / c);
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let mut reliability = Reliability::default();
        reliability.add(task, &tensor(logits), &tensor(target)).unwrap();
        reliability
    }

    #[test]
    fn binary_pixels_are_counted() {
        // Probabilities 0.75, 0.25, 0.75, 0.75; the last is wrong.
        let logit = 3f32.ln();
        let found = of(Task::Binary, &[logit, -logit, logit, logit], &[1.0, 0.0, 1.0, 0.0]);
        assert!((found.accuracy() - 0.75).abs() < 1e-6);
        assert!((found.confidence() - 0.75).abs() < 1e-6);
        assert!(found.calibration_error() < 1e-6, "as sure as right: {found:?}");
        assert!((found.foreground_probability().unwrap() - 0.75).abs() < 1e-6);
        // Three are predicted, two labelled, two are both.
        assert!((found.dice() - 0.8).abs() < 1e-12);
    }

    #[test]
    fn classes_are_counted() {
        // Two pixels of three classes, channel by channel: classes 2 and 0, predicted as 2 and 1.
        let (low, high) = (0.0, 2f32.ln());
        let logits = [low, low, low, high, high, low];
        let target = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0];
        let found = of(Task::MultiClass { classes: 3 }, &logits, &target);
        assert!((found.accuracy() - 0.5).abs() < 1e-6);
        assert!((found.confidence() - 0.5).abs() < 1e-6);
        assert!((found.foreground_probability().unwrap() - 0.5).abs() < 1e-6);
        // Class 1 is predicted once and wrong, class 2 once and right.
        assert!((found.dice() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn doubt_shows_as_calibration_error() {
        let found = of(Task::Binary, &[0.1, -0.1], &[1.0, 0.0]);
        assert_eq!(found.accuracy(), 1.0);
        assert!((found.calibration_error() - 0.475).abs() < 1e-3, "{found:?}");
        assert_eq!(of(Task::Binary, &[-9.0], &[0.0]).foreground_probability(), None);
    }

    #[test]
    fn extreme_logits_are_certain() {
        let found = of(Task::Binary, &[1e4, -1e4], &[1.0, 0.0]);
        assert_eq!(found.confidence(), 1.0);
        assert_eq!(found.calibration_error(), 0.0);
    }
}
