//! Batches of patches: the bridge from cases of nnU-Net to the methods and trainings.
use crate::failure;
use candle_core::Tensor;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use udas_adapt::TargetBatch;
use udas_network::Task;
use udas_nnunet::{Patch, Patches};
use udas_train::{Batches, Error, LabelledBatch, Result};

/// Steps an epoch: patches are drawn, so that an epoch has no length of its own.
const STEPS: usize = 25;
/// Patches on which scores are measured.
pub const CHECKED: usize = 8;

/// Flags that only models of nnU-Net know.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PatchFlags {
    /// nnU-Net: steps an epoch, each on a batch of patches [default: 25]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
}

/// Refuses `--steps` for other models.
pub fn refuse(steps: Option<usize>) -> anyhow::Result<()> {
    match steps {
        Some(_) => {
            let text =
                "--steps: is for nnU-Net folders alone, of which patches are drawn; leave it out";
            Err(failure::usage(text).into())
        }
        None => Ok(()),
    }
}

/// Steps an epoch, by `--steps` or without it.
pub fn steps(asked: Option<usize>) -> anyhow::Result<usize> {
    match asked.unwrap_or(STEPS) {
        0 => Err(failure::usage("--steps 0: give at least 1").into()),
        steps => Ok(steps),
    }
}

/// So many batches an epoch, of patches that are drawn anew in each.
///
/// Epochs of a training count from 1, so that what epoch 0 draws, by which scores are measured, is seen by no step.
#[derive(Clone)]
pub struct PatchBatches {
    pub patches: Arc<Patches>,
    pub seed: u64,
    pub steps: usize,
    pub batch_size: usize,
}

impl PatchBatches {
    /// The patches of a step, and their numbers in the epoch.
    fn draw(&self, epoch: u64, step: usize) -> Result<(Vec<usize>, Vec<Patch>)> {
        let numbers = step * self.batch_size..(step + 1) * self.batch_size;
        let patches = numbers
            .clone()
            .map(|number| self.patches.draw(self.seed, epoch, number))
            .map(|patch| patch.map_err(|error| Error::Batches(error.to_string())))
            .collect::<Result<_>>()?;
        Ok((numbers.collect(), patches))
    }

    fn names(&self, indices: &[usize]) -> String {
        let names: Vec<_> = self.patches.cases().iter().map(|case| case.name.as_str()).collect();
        format!("patches {indices:?} of the epoch, of the cases {}", names.join(", "))
    }
}

fn images(patches: &[Patch]) -> Result<Tensor> {
    let images: Vec<_> = patches.iter().map(|patch| &patch.image).collect();
    Ok(Tensor::cat(&images, 0)?)
}

impl Batches<TargetBatch> for PatchBatches {
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<TargetBatch>> + '_>> {
        Ok(Box::new((0..self.steps).map(move |step| {
            let (indices, patches) = self.draw(epoch, step)?;
            Ok(TargetBatch { images: images(&patches)?, target: None, indices })
        })))
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn slices(&self) -> usize {
        self.steps * self.batch_size
    }

    fn batch_size(&self) -> usize {
        self.batch_size
    }

    fn describe(&self, batch: &TargetBatch) -> String {
        self.names(&batch.indices)
    }
}

/// The same of cases with labels.
#[derive(Clone)]
pub struct LabelledPatches {
    pub batches: PatchBatches,
    pub task: Task,
}

impl LabelledPatches {
    fn target(&self, images: &Tensor, patches: Vec<Patch>) -> Result<Tensor> {
        let labels: Vec<u8> =
            patches.into_iter().filter_map(|patch| patch.labels).flatten().collect();
        let sizes = images.dims();
        let voxels: usize = sizes.iter().skip(2).product();
        let flat = self.task.target(&labels, (sizes[0], 1, voxels), images.device())?;
        let shape = [&[sizes[0], self.task.outputs()], &sizes[2..]].concat();
        Ok(flat.reshape(shape)?)
    }
}

impl Batches<LabelledBatch> for LabelledPatches {
    fn epoch(&self, epoch: u64) -> Result<Box<dyn Iterator<Item = Result<LabelledBatch>> + '_>> {
        Ok(Box::new((0..self.batches.steps).map(move |step| {
            let (indices, patches) = self.batches.draw(epoch, step)?;
            let images = images(&patches)?;
            Ok(LabelledBatch { target: self.target(&images, patches)?, images, indices })
        })))
    }

    fn steps(&self) -> usize {
        self.batches.steps
    }

    fn slices(&self) -> usize {
        self.batches.steps * self.batches.batch_size
    }

    fn batch_size(&self) -> usize {
        self.batches.batch_size
    }

    fn describe(&self, batch: &LabelledBatch) -> String {
        self.batches.names(&batch.indices)
    }
}
