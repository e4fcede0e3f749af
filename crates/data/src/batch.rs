//! Batches of slices, epoch by epoch, read ahead in the background.

use crate::augmentation::{AugmentationRanges, augment};
use crate::randomisation::{Randomisation, RandomisationRanges};
use crate::{BatchPlan, Labelled, Prefetch, Result, Unlabelled};

/// Some slices of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Intensities `[n, height, width]`.
    pub images: Vec<f32>,
    /// Number of slices.
    pub n: usize,
    /// Rows of a slice.
    pub height: usize,
    /// Columns of a slice.
    pub width: usize,
    /// Numbers of the slices in their source.
    pub indices: Vec<usize>,
}

/// Some slices of one size with their classes.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledBatch {
    /// The slices.
    pub batch: Batch,
    /// Classes `[n, height, width]`.
    pub labels: Vec<u8>,
}

/// Whether training slices are altered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Augment {
    /// They are used as they are.
    Off,
    /// Their intensities are altered, each slice anew each epoch.
    Intensity {
        /// How far.
        ranges: AugmentationRanges,
        /// Of what is drawn.
        seed: u64,
    },
    /// They go through random convolutions, drawn for each labelled region apart, and are made coarser; then shading, blur
    /// and noise. Each slice anew each epoch.
    Randomised {
        /// How far.
        ranges: RandomisationRanges,
        /// Of what is drawn.
        seed: u64,
    },
}

impl Augment {
    fn apply(&self, image: &mut [f32], labels: &[u8], width: usize, (epoch, index): (u64, usize)) {
        match *self {
            Self::Off => {}
            Self::Intensity { ranges, seed } => augment(image, width, &ranges, seed, epoch, index),
            Self::Randomised { ranges, seed } => {
                Randomisation::draw(&ranges, seed, epoch, index).apply(image, labels, width);
                augment(image, width, &AugmentationRanges::TEXTURE, seed, epoch, index);
            }
        }
    }
}

/// Labelled batches, epoch by epoch.
#[derive(Clone)]
pub struct LabelledBatches {
    source: Labelled,
    plan: BatchPlan,
    augment: Augment,
}

/// Unlabelled batches, epoch by epoch.
#[derive(Clone)]
pub struct UnlabelledBatches {
    source: Unlabelled,
    plan: BatchPlan,
}

impl LabelledBatches {
    /// Batches of `source` by `plan`, without augmentation.
    pub fn new(source: Labelled, plan: BatchPlan) -> Result<Self> {
        plan.check()?;
        Ok(Self { source, plan, augment: Augment::Off })
    }

    /// The same batches with their intensities altered.
    pub fn with_augmentation(self, augment: Augment) -> Self {
        Self { augment, ..self }
    }

    /// The batches of an epoch, read ahead in the background; the same for the same epoch.
    pub fn epoch(&self, epoch: u64) -> Result<Prefetch<LabelledBatch>> {
        let (source, augmentation) = (self.source.clone(), self.augment);
        let batches = self.plan.batches(self.slices(), epoch).into_iter();
        Prefetch::new(batches.map(move |indices| labelled(&source, indices, augmentation, epoch)))
    }

    /// Batches in an epoch.
    pub fn steps(&self) -> usize {
        self.plan.len(self.slices())
    }

    /// Slices at hand, those of a dropped last batch included.
    pub fn slices(&self) -> usize {
        self.source.source().len()
    }

    /// How slices are grouped.
    pub fn plan(&self) -> &BatchPlan {
        &self.plan
    }

    /// The files and slices of a batch, for messages.
    pub fn describe(&self, indices: &[usize]) -> String {
        describe(indices, |index| self.source.source().describe(index))
    }
}

impl UnlabelledBatches {
    /// Batches of `source` by `plan`.
    pub fn new(source: Unlabelled, plan: BatchPlan) -> Result<Self> {
        plan.check()?;
        Ok(Self { source, plan })
    }

    /// The batches of an epoch, read ahead in the background; the same for the same epoch.
    pub fn epoch(&self, epoch: u64) -> Result<Prefetch<Batch>> {
        let source = self.source.clone();
        let batches = self.plan.batches(self.slices(), epoch).into_iter();
        Prefetch::new(batches.map(move |indices| unlabelled(&source, indices)))
    }

    /// Batches in an epoch.
    pub fn steps(&self) -> usize {
        self.plan.len(self.slices())
    }

    /// Slices at hand, those of a dropped last batch included.
    pub fn slices(&self) -> usize {
        self.source.len()
    }

    /// How slices are grouped.
    pub fn plan(&self) -> &BatchPlan {
        &self.plan
    }

    /// The files and slices of a batch, for messages.
    pub fn describe(&self, indices: &[usize]) -> String {
        describe(indices, |index| self.source.describe(index))
    }
}

fn describe(indices: &[usize], name: impl Fn(usize) -> String) -> String {
    indices.iter().map(|&index| name(index)).collect::<Vec<_>>().join("; ")
}

fn labelled(
    source: &Labelled,
    indices: Vec<usize>,
    augmentation: Augment,
    epoch: u64,
) -> Result<LabelledBatch> {
    let [height, width] = source.source().size();
    let mut images = Vec::with_capacity(indices.len() * height * width);
    let mut labels = Vec::with_capacity(images.capacity());
    for &index in &indices {
        let (mut slice, classes) = source.read(index)?;
        augmentation.apply(&mut slice.image, &classes, width, (epoch, index));
        images.append(&mut slice.image);
        labels.extend(classes);
    }
    let batch = Batch { images, n: indices.len(), height, width, indices };
    Ok(LabelledBatch { batch, labels })
}

fn unlabelled(source: &Unlabelled, indices: Vec<usize>) -> Result<Batch> {
    let [height, width] = source.size();
    let mut images = Vec::with_capacity(indices.len() * height * width);
    for &index in &indices {
        images.extend(source.read(index)?.image);
    }
    Ok(Batch { images, n: indices.len(), height, width, indices })
}
