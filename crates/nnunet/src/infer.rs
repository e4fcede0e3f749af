//! From a prepared case to labels on the image's own grid.
use crate::conv::Arithmetic;
use crate::dataset::LabelRule;
use crate::grid;
use crate::model::Model;
use crate::preprocess::{Origin, Prepared, prepare};
use crate::window::{OnPatch, Sum, Window};
use crate::{Error, Result};
use half::f16;
use std::ops::ControlFlow;
use udas_volume::{Labels, Volume};

/// Whether predictions of mirrored patches are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mirroring {
    /// Along the axes that the model allows.
    #[default]
    Allowed,
    /// They are not.
    Off,
}

/// Whether probabilities are wanted beside the labels. They take memory for all classes at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probabilities {
    /// They are not.
    #[default]
    Unwanted,
    /// They are.
    Wanted,
}

/// How a model predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Mirror images.
    pub mirroring: Mirroring,
    /// Beside the labels.
    pub probabilities: Probabilities,
}

/// What a model makes of a case.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// A label for each voxel of the image.
    pub labels: Labels,
    /// A volume for each output of the network, where they were wanted.
    pub probabilities: Vec<Volume>,
}

impl Model {
    /// Predicts a case from its channels.
    ///
    /// # Errors
    /// When the images do not fit the model, a tensor operation fails, or `on_patch` breaks off.
    pub fn predict(
        &self,
        images: Vec<Volume>,
        case: &str,
        options: Options,
        on_patch: &mut OnPatch,
    ) -> Result<Prediction> {
        let prepared = prepare(images, &self.plans, &self.configuration, case)?;
        match self.arithmetic {
            Arithmetic::Exact => self.predict_in::<f16>(prepared, options, on_patch),
            Arithmetic::Fast => self.predict_in::<f32>(prepared, options, on_patch),
        }
    }

    fn predict_in<T: Sum>(
        &self,
        prepared: Prepared,
        options: Options,
        on_patch: &mut OnPatch,
    ) -> Result<Prediction> {
        let logits = self.logits::<T>(&prepared, options.mirroring, on_patch)?;
        let Prepared { shape, origin, data } = prepared;
        drop(data);
        if options.probabilities == Probabilities::Unwanted {
            let labels = self.labels(logits, shape, &origin);
            return Ok(Prediction {
                labels: restore(&labels, 0, &origin)?,
                probabilities: Vec::new(),
            });
        }
        let (labels, probabilities) = self.labels_and_probabilities(logits, shape, &origin);
        let outside = |output: usize| match self.data.labels {
            LabelRule::Classes { .. } if output == 0 => 1.0,
            _ => 0.0,
        };
        let volumes = probabilities.iter().enumerate();
        let volumes = volumes.map(|(output, values)| restore(values, outside(output), &origin));
        Ok(Prediction {
            probabilities: volumes.collect::<Result<_>>()?,
            labels: restore(&labels, 0, &origin)?,
        })
    }

    /// Logits `[outputs, z, y, x]` of a prepared case, the mean over the folds.
    ///
    /// # Errors
    /// When a tensor operation fails, logits are no numbers, or `on_patch` breaks off.
    pub fn logits<T: Sum>(
        &self,
        prepared: &Prepared,
        mirroring: Mirroring,
        on_patch: &mut OnPatch,
    ) -> Result<Vec<T>> {
        let mirror_axes = match mirroring {
            Mirroring::Allowed => self.mirror_axes.as_slice(),
            Mirroring::Off => &[],
        };
        let (patch, outputs) = (self.configuration.patch.as_slice(), self.data.labels.outputs());
        let window = Window { prepared, patch, mirror_axes, outputs };
        let all = window.count() * self.networks.len();
        let mut sum: Vec<T> = Vec::new();
        for (fold, network) in self.networks.iter().enumerate() {
            let before = fold * window.count();
            let mut on_own = |done: usize, _: usize| on_patch(before + done, all);
            let logits = window.logits::<T>(&**network, &mut on_own)?;
            if sum.is_empty() {
                sum = logits;
            } else {
                let pairs = sum.iter_mut().zip(logits);
                pairs.for_each(|(sum, value)| *sum = T::of(sum.wide() + value.wide()));
            }
        }
        if self.networks.len() > 1 {
            let count = self.networks.len() as f32;
            sum.iter_mut().for_each(|sum| *sum = T::of(sum.wide() / count));
        }
        if sum.iter().any(|value| !value.wide().is_finite()) {
            return Err(Error::NotFinite);
        }
        Ok(sum)
    }

    /// One output's logits at the spacing of the image.
    fn resampled<T: Sum>(&self, logits: &[T], shape: [usize; 3], origin: &Origin) -> Vec<T> {
        let (to, [case, plan]) = (origin.kept_shape(), origin.spacings);
        if shape == to {
            return logits.to_vec();
        }
        let wide = logits.iter().map(|value| f64::from(value.wide())).collect();
        let resampled = self.configuration.logit_resampling.run(wide, shape, to, [plan, case]);
        resampled.into_iter().map(T::of_double).collect()
    }

    /// Labels of the part that was kept; memory is held for one output at a time.
    fn labels<T: Sum>(&self, logits: Vec<T>, shape: [usize; 3], origin: &Origin) -> Vec<u8> {
        let voxels: usize = origin.kept_shape().iter().product();
        let mut labels = vec![0; voxels];
        let mut best: Vec<T> = Vec::new();
        let outputs = logits.chunks_exact(shape.iter().product());
        for (output, logits) in outputs.enumerate() {
            let logits = self.resampled(logits, shape, origin);
            match &self.data.labels {
                LabelRule::Classes { .. } if output == 0 => best = logits,
                LabelRule::Classes { .. } => {
                    let voxels = labels.iter_mut().zip(&mut best).zip(logits);
                    for ((label, best), logit) in
                        voxels.filter(|((_, best), logit)| *logit > **best)
                    {
                        (*label, *best) = (output as u8, logit);
                    }
                }
                LabelRule::Regions { paint } => {
                    let likely = logits.into_iter().map(|logit| sigmoid(logit.wide()) > 0.5);
                    let painted = labels.iter_mut().zip(likely).filter(|(_, likely)| *likely);
                    painted.for_each(|(label, _)| *label = paint[output]);
                }
            }
        }
        labels
    }

    /// Labels by probabilities, as the original takes them where it saves these.
    fn labels_and_probabilities<T: Sum>(
        &self,
        logits: Vec<T>,
        shape: [usize; 3],
        origin: &Origin,
    ) -> (Vec<u8>, Vec<Vec<f32>>) {
        let outputs = logits.chunks_exact(shape.iter().product());
        let resampled = outputs.map(|logits| self.resampled(logits, shape, origin));
        let mut values: Vec<Vec<f32>> =
            resampled.map(|logits| logits.into_iter().map(T::wide).collect()).collect();
        let voxels = values.first().map_or(0, Vec::len);
        let mut labels = vec![0; voxels];
        for (voxel, label) in labels.iter_mut().enumerate() {
            match &self.data.labels {
                LabelRule::Classes { .. } => *label = softmax(&mut values, voxel),
                LabelRule::Regions { paint } => {
                    for (values, paint) in values.iter_mut().zip(paint) {
                        values[voxel] = sigmoid(values[voxel]);
                        if values[voxel] > 0.5 {
                            *label = *paint;
                        }
                    }
                }
            }
        }
        (labels, values)
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Softmax of a voxel's values, in place; gives the first of the largest.
fn softmax(values: &mut [Vec<f32>], voxel: usize) -> u8 {
    let most = values.iter().map(|class| class[voxel]).fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for class in values.iter_mut() {
        class[voxel] = (class[voxel] - most).exp();
        sum += class[voxel];
    }
    let mut best = (0, f32::NEG_INFINITY);
    for (output, class) in values.iter_mut().enumerate() {
        class[voxel] /= sum;
        if class[voxel] > best.1 {
            best = (output, class[voxel]);
        }
    }
    best.0 as u8
}

/// Values of the part that was kept, on the image's own grid; `outside` elsewhere.
fn restore<T: Copy>(kept: &[T], outside: T, origin: &Origin) -> Result<udas_volume::Image<T>> {
    let mut whole = vec![outside; origin.shape.iter().product()];
    grid::paste(kept, &mut whole, origin.shape, &origin.kept);
    let (whole, _) = grid::transpose(whole, origin.shape, origin.transpose_backward);
    let header = origin.header.of_result();
    Ok(match &origin.orientation {
        None => udas_volume::Image::with_header(whole, origin.grid, header)?,
        Some(way) => udas_volume::Image::with_header(whole, way.ras(), header)?.from_ras(way)?,
    })
}

/// Goes on whatever happens.
pub fn go_on(_: usize, _: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
