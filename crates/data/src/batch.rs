//! Batches of slices, epoch by epoch, read ahead in the background.

use crate::augmentation::{AugmentationRanges, augment};
use crate::balance::Shown;
use crate::deformation::{Deformation, DeformationRanges};
use crate::randomisation::{Randomisation, RandomisationRanges};
use crate::{BatchPlan, Error, Groups, Labelled, Order, Prefetch, Result, Unlabelled};

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

/// What is done to the intensities of training slices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Contrast {
    /// They stay as they are.
    Kept,
    /// They are altered within these ranges.
    Altered(AugmentationRanges),
    /// They go through random convolutions, drawn for each labelled region apart, and pixels are made coarser; then shading, blur
    /// and noise.
    Randomised(RandomisationRanges),
}

/// How training slices are altered, each anew each epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    /// Their intensities, after the deformation.
    pub contrast: Contrast,
    /// Whether and how far slice and labels are turned, scaled and bent.
    pub deformation: Option<DeformationRanges>,
    /// Of what is drawn.
    pub seed: u64,
}

impl Augment {
    /// Slices are used as they are.
    pub const OFF: Self = Self { contrast: Contrast::Kept, deformation: None, seed: 0 };

    fn apply(
        &self,
        image: &mut Vec<f32>,
        labels: &mut Vec<u8>,
        width: usize,
        (epoch, index): (u64, usize),
    ) {
        let seed = self.seed;
        if let Some(ranges) = &self.deformation {
            Deformation::draw(ranges, seed, epoch, index).apply(image, labels, width);
        }
        match &self.contrast {
            Contrast::Kept => {}
            Contrast::Altered(ranges) => augment(image, width, ranges, seed, epoch, index),
            Contrast::Randomised(ranges) => {
                Randomisation::draw(ranges, seed, epoch, index).apply(image, labels, width);
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
    groups: Groups,
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
        Ok(Self { source, plan, augment: Augment::OFF, groups: Groups::new() })
    }

    /// The same number of batches of slices that are drawn from groups by their shares, in the place of each slice once.
    ///
    /// # Errors
    /// [`Error::Setting`] for an order without a seed to draw by.
    pub fn with_groups(self, groups: Groups) -> Result<Self> {
        if self.plan.order == Order::Sequential && !groups.is_empty() {
            return Err(Error::Setting("slices of groups are drawn, and have no sequence".into()));
        }
        Ok(Self { groups, ..self })
    }

    /// The same batches with their slices altered.
    pub fn with_augmentation(self, augment: Augment) -> Self {
        Self { augment, ..self }
    }

    /// The batches of an epoch, read ahead in the background; the same for the same epoch.
    pub fn epoch(&self, epoch: u64) -> Result<Prefetch<LabelledBatch>> {
        let (source, augmentation) = (self.source.clone(), self.augment);
        let batches = self.shown(epoch).into_iter();
        Prefetch::new(batches.map(move |shown| labelled(&source, &shown, augmentation, epoch)))
    }

    /// What the batches of an epoch show.
    fn shown(&self, epoch: u64) -> Vec<Vec<Shown>> {
        match self.plan.order {
            Order::Shuffled { seed } if !self.groups.is_empty() => {
                self.plan.group(&self.groups.order(self.slices(), seed, epoch))
            }
            _ => {
                let once = |index| Shown { index, time: 0 };
                let batches = self.plan.batches(self.slices(), epoch).into_iter();
                batches.map(|batch| batch.into_iter().map(once).collect()).collect()
            }
        }
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
    shown: &[Shown],
    augmentation: Augment,
    epoch: u64,
) -> Result<LabelledBatch> {
    let (slices, [height, width]) = (source.source().len(), source.source().size());
    let mut images = Vec::with_capacity(shown.len() * height * width);
    let mut labels = Vec::with_capacity(images.capacity());
    for &Shown { index, time } in shown {
        let (mut slice, mut classes) = source.read(index)?;
        // What is shown again is altered otherwise: as a slice of a number that there is not.
        let drawn_for = index + time * slices;
        augmentation.apply(&mut slice.image, &mut classes, width, (epoch, drawn_for));
        images.append(&mut slice.image);
        labels.extend(classes);
    }
    let indices: Vec<_> = shown.iter().map(|shown| shown.index).collect();
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
