//! What a network says of slices: a label and a confidence a pixel, and what its probabilities add up to.
use udas_network::Task;

/// Labels and confidences of a stack of slices.
#[derive(Clone, Debug)]
pub struct Prediction {
    task: Task,
    /// Classes, one a pixel.
    pub labels: Vec<u8>,
    /// Probability of the predicted class, one a pixel.
    pub confidence: Vec<f32>,
    /// For each class beyond background: the sum of its probability over the pixels that it was predicted
    /// for, over all pixels, and the number of the former.
    pub(crate) sums: Vec<ClassSums>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClassSums {
    pub(crate) inside: f64,
    pub(crate) everywhere: f64,
    pub(crate) pixels: f64,
}

impl Prediction {
    pub(crate) fn new(task: Task) -> Self {
        let sums = vec![ClassSums::default(); foreground_classes(task)];
        Self { task, labels: Vec::new(), confidence: Vec::new(), sums }
    }

    /// Adds a slice's probabilities `[C, H, W]`.
    pub(crate) fn push(&mut self, slice: &[f32]) {
        match self.task {
            Task::Binary => {
                for &p in slice {
                    let label = u8::from(p > 0.5);
                    self.labels.push(label);
                    self.confidence.push(p.max(1.0 - p));
                    self.sums[0].add(p, label == 1);
                }
            }
            Task::MultiClass { classes } => {
                let plane = slice.len() / classes.max(1);
                for pixel in 0..plane {
                    let channels = slice.iter().skip(pixel).step_by(plane).copied();
                    let best = |best: (usize, f32), (class, p): (usize, f32)| {
                        if p > best.1 { (class, p) } else { best }
                    };
                    let (label, confidence) =
                        channels.clone().enumerate().fold((0, f32::NEG_INFINITY), best);
                    self.labels.push(label as u8);
                    self.confidence.push(confidence);
                    for (class, (p, sums)) in channels.skip(1).zip(&mut self.sums).enumerate() {
                        sums.add(p, label == class + 1);
                    }
                }
            }
        }
    }

    /// Number of classes beyond background.
    pub fn classes(&self) -> usize {
        self.sums.len()
    }
}

impl ClassSums {
    fn add(&mut self, p: f32, predicted: bool) {
        self.everywhere += f64::from(p);
        if predicted {
            self.inside += f64::from(p);
            self.pixels += 1.0;
        }
    }
}

/// Number of classes beyond background.
pub(crate) fn foreground_classes(task: Task) -> usize {
    match task {
        Task::Binary => 1,
        Task::MultiClass { classes } => classes.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_confidences_are_those_of_the_probabilities() {
        let mut binary = Prediction::new(Task::Binary);
        binary.push(&[0.25, 0.75]);
        assert_eq!(binary.labels, [0, 1]);
        assert_eq!(binary.confidence, [0.75, 0.75]);
        let mut multi = Prediction::new(Task::MultiClass { classes: 3 });
        // Two pixels, channels one after another.
        multi.push(&[0.5, 0.125, 0.25, 0.25, 0.25, 0.625]);
        assert_eq!(multi.labels, [0, 2]);
        assert_eq!(multi.confidence, [0.5, 0.625]);
        assert_eq!((multi.sums[1].inside, multi.sums[1].everywhere), (0.625, 0.875));
    }
}
