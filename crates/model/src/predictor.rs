//! From the slices of a volume to probabilities and labels on the volume's own grid.
use crate::views::Sum;
use crate::{Error, Result, Views};
use candle_core::{Device, Tensor};
use std::sync::Arc;
use udas_data::{SliceSource, Slicing, VolumeSlices};
use udas_network::{Network, Task};
use udas_volume::{Labels, Volume};

/// Pixels that go through the network together where slices are small: what does not depend on pixels, the
/// transforms of weights above all, is then a small part of the work.
const PIXELS: usize = 4 * 256 * 256;
/// Slices that go through together where they are large: as many as keep some cores busy, few enough that memory
/// stays small.
const SLICES: usize = 4;

/// A network that predicts, or several that predict together.
pub struct Predictor {
    network: Arc<dyn Network>,
    /// Other trainings of it.
    others: Vec<Arc<dyn Network>>,
    task: Task,
    views: Views,
    device: Device,
}

impl Predictor {
    /// A predictor by a network on `device`, in evaluation mode.
    pub fn new(network: impl Into<Arc<dyn Network>>, device: &Device) -> Self {
        let network = network.into();
        let task = Task::of(network.spec().outputs);
        Self { network, others: Vec::new(), task, views: Views::ONE, device: device.clone() }
    }

    /// Adds another training of the network: probabilities are the mean of all.
    ///
    /// # Errors
    /// When it has not as many output channels.
    pub fn add(&mut self, network: impl Into<Arc<dyn Network>>) -> Result<()> {
        let network = network.into();
        let outputs = network.spec().outputs;
        if outputs != self.task.outputs() {
            let expected = self.task.outputs();
            return Err(Error::OtherOutputs { found: outputs, expected });
        }
        self.others.push(network);
        Ok(())
    }

    /// The same, whose predictions of volumes are the mean over several views of each slice.
    #[must_use]
    pub fn with_views(self, views: Views) -> Self {
        Self { views, ..self }
    }

    /// What the output channels mean.
    pub fn task(&self) -> Task {
        self.task
    }

    /// How many slices of this size should go through the network together. Probabilities do not depend on it.
    pub fn slices_at_once([height, width]: [usize; 2]) -> usize {
        (PIXELS / (height * width).max(1)).max(SLICES)
    }

    /// Probabilities `[N, C, H, W]` of slices `[N, 1, H, W]`.
    ///
    /// # Errors
    /// When a size is no multiple of 8 or a tensor operation fails.
    pub fn forward(&self, slices: &Tensor) -> Result<Tensor> {
        Ok(self.task.mean_probabilities(&*self.network, &self.others, slices)?)
    }

    /// Calls `visit` with the probabilities `[C, H, W]` of each slice of a subject, in order.
    ///
    /// # Errors
    /// When the volume cannot be read or a tensor operation fails; [`Error::NoNumbers`] where a probability is none.
    pub fn for_each_slice(
        &self,
        slices: &VolumeSlices,
        subject: usize,
        mut visit: impl FnMut(&[f32]),
    ) -> Result<()> {
        let [height, width] = slices.size();
        let outputs = self.task.outputs();
        let at_once = Self::slices_at_once([height, width]);
        let mut indices = slices.indices(subject).peekable();
        while indices.peek().is_some() {
            let mut images = Vec::with_capacity(at_once * height * width);
            for index in indices.by_ref().take(at_once) {
                images.extend(slices.read(index)?.image);
            }
            let values = self.over_views(images, [height, width])?;
            if values.iter().any(|value| !value.is_finite()) {
                let image = slices.subjects().nth(subject).map(|subject| subject.image.clone());
                return Err(Error::NoNumbers { path: image.unwrap_or_default() });
            }
            values.chunks_exact(outputs * height * width).for_each(&mut visit);
        }
        Ok(())
    }

    /// Probabilities `[N, C, H, W]` of slices `[N, H, W]`: the mean over the views, one of which is in memory at a time.
    fn over_views(&self, images: Vec<f32>, size: [usize; 2]) -> Result<Vec<f32>> {
        if self.views.is_one() {
            return self.of_images(images, size);
        }
        let count = images.len() / size.iter().product::<usize>();
        let mut sum = Sum::new(count * self.task.outputs(), size);
        for view in self.views.iter() {
            let values = self.of_images(view.show(&images, size), size)?;
            sum.add(&view, &values, size);
        }
        Ok(sum.mean())
    }

    /// Probabilities `[N, C, H, W]` of slices `[N, H, W]`, as they are.
    fn of_images(&self, images: Vec<f32>, [height, width]: [usize; 2]) -> Result<Vec<f32>> {
        let count = images.len() / (height * width);
        let images = Tensor::from_vec(images, (count, 1, height, width), &self.device)?;
        Ok(self.forward(&images)?.flatten_all()?.to_vec1()?)
    }

    /// The most probable class of every voxel, on the grid of the subject's file; one a frame.
    ///
    /// # Errors
    /// When the volume cannot be read or a tensor operation fails.
    pub fn labels(&self, slices: &VolumeSlices, subject: usize) -> Result<Vec<Labels>> {
        if is_resampled(slices, subject) {
            return Ok(self.labels_and_probabilities(slices, subject)?.0);
        }
        let mut stack = Vec::new();
        self.for_each_slice(slices, subject, |slice| self.append_labels(slice, &mut stack))?;
        Ok(slices.restore_labels(subject, &stack)?)
    }

    /// Labels and probabilities in one pass: the labels, one a frame, and the probabilities of each class
    /// beyond background, a stack `[slices, H, W]` a class.
    ///
    /// # Errors
    /// When the volume cannot be read or a tensor operation fails.
    pub fn labels_and_probabilities(
        &self,
        slices: &VolumeSlices,
        subject: usize,
    ) -> Result<(Vec<Labels>, Vec<Vec<f32>>)> {
        let first = self.first_foreground();
        let mut stack = Vec::new();
        let mut classes = vec![Vec::new(); self.task.outputs() - first];
        let plane: usize = slices.size().iter().product();
        self.for_each_slice(slices, subject, |slice| {
            self.append_labels(slice, &mut stack);
            let channels = slice.chunks_exact(plane).skip(first);
            for (class, channel) in classes.iter_mut().zip(channels) {
                class.extend_from_slice(channel);
            }
        })?;
        let labels = if is_resampled(slices, subject) {
            self.labels_of(slices, subject, &classes)?
        } else {
            slices.restore_labels(subject, &stack)?
        };
        Ok((labels, classes))
    }

    /// The most probable class of every voxel where slices have other voxels than the file: probabilities are brought onto
    /// its grid, class by class, before they are compared, as nnU-Net does it.
    fn labels_of(
        &self,
        slices: &VolumeSlices,
        subject: usize,
        classes: &[Vec<f32>],
    ) -> Result<Vec<Labels>> {
        let mut frames: Vec<MostProbable> = Vec::new();
        for (class, stack) in classes.iter().enumerate() {
            let volumes = slices.restore_volume(subject, stack)?;
            if class == 0 {
                frames.extend(volumes.iter().map(MostProbable::of));
            }
            for (frame, volume) in frames.iter_mut().zip(&volumes) {
                frame.offer(class as u8 + 1, volume);
            }
        }
        Ok(frames.into_iter().map(MostProbable::labels).collect())
    }

    /// The channel of the first class that is not background.
    fn first_foreground(&self) -> usize {
        match self.task {
            Task::Binary => 0,
            Task::MultiClass { .. } => 1,
        }
    }

    /// The labels of one slice's probabilities `[C, H, W]`.
    fn append_labels(&self, slice: &[f32], to: &mut Vec<u8>) {
        let plane = slice.len() / self.task.outputs();
        match self.task {
            Task::Binary => to.extend(slice.iter().map(|&p| u8::from(p > 0.5))),
            Task::MultiClass { .. } => to.extend((0..plane).map(|pixel| {
                let channels = slice.iter().skip(pixel).step_by(plane).enumerate();
                let best = channels.fold((0, f32::NEG_INFINITY), |best, (class, &p)| {
                    if p > best.1 { (class, p) } else { best }
                });
                best.0 as u8
            })),
        }
    }
}

fn is_resampled(slices: &VolumeSlices, subject: usize) -> bool {
    slices.slicing(subject).is_some_and(Slicing::is_resampled)
}

/// The most probable class so far of every voxel of a volume.
struct MostProbable {
    labels: Labels,
    /// Its probability.
    highest: Vec<f32>,
    /// Of all foreground.
    foreground: Vec<f32>,
}

impl MostProbable {
    /// Of no class yet, on a volume's grid.
    fn of(volume: &Volume) -> Self {
        let none = vec![0.0; volume.data().len()];
        Self { labels: volume.map(|_| 0), highest: none.clone(), foreground: none }
    }

    /// Takes a class where it is more probable than those before it.
    fn offer(&mut self, class: u8, probabilities: &Volume) {
        let Self { labels, highest, foreground } = self;
        let voxels =
            labels.data_mut().iter_mut().zip(highest).zip(foreground).zip(probabilities.data());
        for (((label, highest), foreground), &p) in voxels {
            *foreground += p;
            if p > *highest {
                (*label, *highest) = (class, p);
            }
        }
    }

    /// The classes of all that were offered, background where it is no less probable: the rest to 1 is its probability.
    fn labels(self) -> Labels {
        let Self { mut labels, highest, foreground } = self;
        let voxels = labels.data_mut().iter_mut().zip(highest).zip(foreground);
        for ((label, highest), foreground) in voxels {
            if highest <= 1.0 - foreground {
                *label = 0;
            }
        }
        labels
    }
}

/// Probabilities of one class as volumes on the file's grid, one a frame.
///
/// # Errors
/// When the stack has not the subject's size.
pub fn probability_volumes(
    slices: &VolumeSlices,
    subject: usize,
    class: &[f32],
) -> Result<Vec<Volume>> {
    Ok(slices.restore_volume(subject, class)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_network::Shape;
    use udas_unet::UNet;

    #[test]
    fn the_most_probable_class_is_found_class_by_class() {
        let affine = udas_volume::Affine::from_spacing([1.0; 3]);
        let volume = |values: &[f32]| Volume::new(values.to_vec(), [4, 1, 1], affine).unwrap();
        let (first, second) = (volume(&[0.6, 0.2, 0.3, 0.25]), volume(&[0.3, 0.5, 0.3, 0.5]));
        let mut found = MostProbable::of(&first);
        found.offer(1, &first);
        found.offer(2, &second);
        // The third voxel's background has 0.4, the fourth's 0.25.
        assert_eq!(found.labels().data(), [1, 2, 0, 2]);
        let mut binary = MostProbable::of(&first);
        binary.offer(1, &volume(&[0.5, 0.51, 0.0, 1.0]));
        assert_eq!(binary.labels().data(), [0, 1, 0, 1]);
    }

    #[test]
    fn several_networks_predict_the_mean_of_their_probabilities() {
        for outputs in [1, 3] {
            let device = Device::Cpu;
            let network = |outputs, seed| -> Box<dyn Network> {
                Box::new(UNet::random(Shape { filters: 2, outputs }, seed, &device).unwrap())
            };
            let slices: Vec<f32> = (0..2 * 16 * 8).map(|i| (i % 23) as f32 / 23.0).collect();
            let slices = Tensor::from_vec(slices, (2, 1, 16, 8), &device).unwrap();
            let values = |predictor: &Predictor| -> Vec<f32> {
                let probabilities = predictor.forward(&slices).unwrap();
                probabilities.flatten_all().unwrap().to_vec1().unwrap()
            };
            let alone = [1, 2, 3].map(|seed| Predictor::new(network(outputs, seed), &device));
            let alone = alone.each_ref().map(values);
            let mut together = Predictor::new(network(outputs, 1), &device);
            together.add(network(outputs, 2)).unwrap();
            together.add(network(outputs, 3)).unwrap();
            for (index, value) in values(&together).into_iter().enumerate() {
                let mean = alone.iter().map(|values| f64::from(values[index])).sum::<f64>() / 3.0;
                assert!((f64::from(value) - mean).abs() < 1e-6, "{value} and {mean}");
            }
            let error = together.add(network(4, 1)).unwrap_err();
            assert!(error.to_string().contains("4 output channels"), "{error}");
        }
    }
}
