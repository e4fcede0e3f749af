//! The objective of an adaptation: carries out any [`Recipe`] with any [`Options`].
use crate::{Labels, NormChoice, Options, Output, PseudoLabel, Recipe, Supervision};
use candle_core::{DType, Tensor, Var};
use udas_losses::{
    binary_cross_entropy_elements, class_ratio_divergence, dice_agreement, entropy, log_softmax,
    soft_cross_entropy,
};
use udas_nn::{NormMode, RunningUpdate, StateDict};
use udas_train::{Objective, Result, Task};
use udas_unet::{EarlyHead, UNet};

/// Slices of the target.
#[derive(Clone, Debug)]
pub struct TargetBatch {
    /// `[N, 1, H, W]`, preprocessed.
    pub images: Tensor,
    /// `[N, C, H, W]`; none for every method but the oracles.
    pub target: Option<Tensor>,
    /// Indices of the slices in their source.
    pub indices: Vec<usize>,
}

/// A network under adaptation.
pub struct Adaptation {
    unet: UNet,
    head: Option<EarlyHead>,
    recipe: Recipe,
    options: Options,
    task: Task,
    class_ratio: Vec<f64>,
}

impl Adaptation {
    /// Freezes everything but what the recipe moves. `class_ratio` is the source's, one entry an output
    /// channel; empty where the recipe needs none.
    pub fn new(
        mut unet: UNet,
        mut head: Option<EarlyHead>,
        recipe: Recipe,
        options: Options,
        class_ratio: Vec<f64>,
    ) -> Self {
        recipe.moves.apply(&mut unet, options.level);
        if let Some(head) = &mut head {
            head.parameters_mut().set_trainable(|_| false);
        }
        let task = Task::of(unet.architecture().outputs);
        Self { unet, head, recipe, options, task, class_ratio }
    }

    /// The network.
    pub fn unet(&self) -> &UNet {
        &self.unet
    }

    /// The network, for methods that compute some of its weights.
    pub fn unet_mut(&mut self) -> &mut UNet {
        &mut self.unet
    }

    fn mode(&self, update: RunningUpdate) -> NormMode {
        match self.options.norm {
            NormChoice::Batch => NormMode::Batch(update),
            NormChoice::Running | NormChoice::ReEstimated => NormMode::Running,
        }
    }

    /// The final logits and, where the recipe looks at it, the early head's, with the graph that the
    /// options ask for.
    fn logits(&self, images: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let (Output::EarlyHead, Some(head)) = (self.recipe.output, &self.head) else {
            return Ok((self.unet.forward(images, self.mode(RunningUpdate::Once))?, None));
        };
        // Published: the early layers run twice a step, once for each output. One pass whose statistics
        // are counted twice is the same.
        let features = self.unet.early(images, head.level(), self.mode(RunningUpdate::Twice))?;
        let onward = match self.options.pseudo_label {
            PseudoLabel::Attached => features.clone(),
            PseudoLabel::Detached => features.detach(),
        };
        let last = self.unet.finish(&onward, self.mode(RunningUpdate::Once))?;
        let early = features.last().map(|map| head.forward(map)).transpose()?;
        Ok((last, early))
    }

    /// Cross-entropy of `logits` with the network's own prediction.
    fn self_training_loss(&self, logits: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let teacher = match self.options.pseudo_label {
            PseudoLabel::Attached => teacher.clone(),
            PseudoLabel::Detached => teacher.detach(),
        };
        let probabilities = self.task.probabilities(&teacher)?;
        let target = match self.options.labels {
            Labels::Soft => probabilities.clone(),
            Labels::Hard => self.harden(&probabilities.detach())?,
        };
        if self.options.confidence <= 0.0 {
            return Ok(match self.task {
                Task::Binary => binary_cross_entropy_elements(logits, &target)?.mean_all()?,
                Task::MultiClass { .. } => soft_cross_entropy(logits, &target)?,
            });
        }
        let elements = match self.task {
            Task::Binary => binary_cross_entropy_elements(logits, &target)?,
            Task::MultiClass { .. } => (log_softmax(logits)? * &target)?.neg()?,
        };
        let sure = self.sure(&probabilities.detach())?;
        let count = sure.sum_all()?.to_scalar::<f32>()?.max(1.0) * self.task.outputs() as f32;
        Ok((elements.broadcast_mul(&sure)?.sum_all()? / f64::from(count))?)
    }

    fn harden(&self, probabilities: &Tensor) -> Result<Tensor> {
        let dtype = probabilities.dtype();
        Ok(match self.task {
            Task::Binary => probabilities.gt(0.5)?.to_dtype(dtype)?,
            Task::MultiClass { classes } => {
                let best = probabilities.argmax_keepdim(1)?;
                let of = |class| best.eq(class as u32)?.to_dtype(dtype);
                let channels = (0..classes).map(of).collect::<candle_core::Result<Vec<_>>>()?;
                Tensor::cat(&channels, 1)?
            }
        })
    }

    /// 1 where the most probable class is probable enough, `[N, 1, H, W]`.
    fn sure(&self, probabilities: &Tensor) -> Result<Tensor> {
        let best = match self.task {
            Task::Binary => probabilities.maximum(&probabilities.affine(-1.0, 1.0)?)?,
            Task::MultiClass { .. } => probabilities.max_keepdim(1)?,
        };
        Ok(best.ge(self.options.confidence)?.to_dtype(DType::F32)?)
    }
}

impl Objective for Adaptation {
    type Batch = TargetBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        self.unet.parameters().trainable()
    }

    fn loss(&mut self, batch: &TargetBatch) -> Result<Tensor> {
        let (last, early) = self.logits(&batch.images)?;
        let logits = early.as_ref().unwrap_or(&last);
        Ok(match (self.recipe.supervision, &batch.target) {
            (Supervision::OwnPrediction, _) => self.self_training_loss(logits, &last)?,
            (Supervision::Entropy, _) => entropy(logits)?,
            (Supervision::EntropyWithClassRatio, _) => {
                let prior = class_ratio_divergence(logits, &self.class_ratio)?;
                (entropy(logits)? + (prior * self.options.weight)?)?
            }
            (Supervision::TargetLabels, Some(target)) => self.task.loss(logits, target)?,
            (Supervision::TargetLabels, None) => {
                return Err(candle_core::Error::Msg("an oracle needs labels".into()).into());
            }
        })
    }

    /// The published agreement of early and final prediction; for recipes that look at the final output
    /// alone, the mean probability of the most probable class.
    fn score(&self, batch: &TargetBatch) -> Result<f64> {
        let (Output::EarlyHead, Some(head)) = (self.recipe.output, &self.head) else {
            let logits = self.unet.forward(&batch.images, NormMode::Running)?;
            let probabilities = self.task.probabilities(&logits)?;
            let best = match self.task {
                Task::Binary => probabilities.maximum(&probabilities.affine(-1.0, 1.0)?)?,
                Task::MultiClass { .. } => probabilities.max(1)?,
            };
            return Ok(f64::from(best.mean_all()?.to_scalar::<f32>()?));
        };
        let features = self.unet.early(&batch.images, head.level(), NormMode::Running)?;
        let last = self.unet.finish(&features, NormMode::Running)?;
        let Some(map) = features.last() else { return Ok(0.0) };
        Ok(dice_agreement(&head.forward(map)?, &last, self.task.agreement())?)
    }

    fn state(&self) -> Result<StateDict> {
        Ok(self.unet.parameters().state()?)
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        Ok(self.unet.parameters().set_state(state)?)
    }
}
