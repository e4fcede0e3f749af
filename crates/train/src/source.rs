//! The two trainings on labelled source data: the network, then an early head.
use crate::{LabelledBatch, Objective, Reliability, Result, Score, Supervised, Task};
use candle_core::{Tensor, Var};
use udas_losses::dice_agreement;
use udas_nn::{NormMode, Parameters, Role, RunningUpdate, StateDict};
use udas_unet::{EarlyHead, UNet};

/// Training of a whole network (method, stage 1).
pub struct SourceTraining {
    unet: UNet,
    task: Task,
}

impl SourceTraining {
    /// All weights of `unet` are trained.
    pub fn new(mut unet: UNet) -> Self {
        unet.parameters_mut().set_trainable(|_| true);
        let task = Task::of(unet.architecture().outputs);
        Self { unet, task }
    }

    /// The network.
    pub fn unet(&self) -> &UNet {
        &self.unet
    }
}

impl Objective for SourceTraining {
    type Batch = LabelledBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        self.unet.parameters().trainable()
    }

    fn loss(&mut self, batch: &LabelledBatch) -> Result<Tensor> {
        let logits = self.unet.forward(&batch.images, NormMode::Batch(RunningUpdate::Once))?;
        Ok(self.task.loss(&logits, &batch.target)?)
    }

    /// Dice of prediction and labels.
    fn score(&self, batch: &LabelledBatch) -> Result<Score> {
        dice_to_labels(self, batch)
    }

    fn statistics(&self) -> Vec<(String, Var)> {
        statistics(self.unet.parameters())
    }

    fn state(&self) -> Result<StateDict> {
        Ok(self.unet.parameters().state()?)
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        Ok(self.unet.parameters().set_state(state)?)
    }
}

impl Supervised for SourceTraining {
    fn task(&self) -> Task {
        self.task
    }

    fn predict(&self, batch: &LabelledBatch) -> Result<Tensor> {
        Ok(self.unet.forward(&batch.images, NormMode::Running)?)
    }

    fn logit_scale(&self) -> Result<Option<f64>> {
        Ok(Some(self.unet.logit_scale()?))
    }
}

/// Training of an early head; the network is frozen and in evaluation mode (method, stage 2).
pub struct HeadTraining {
    unet: UNet,
    head: EarlyHead,
    task: Task,
}

impl HeadTraining {
    /// All weights of `head` are trained, none of `unet`.
    pub fn new(mut unet: UNet, mut head: EarlyHead) -> Self {
        unet.parameters_mut().set_trainable(|_| false);
        head.parameters_mut().set_trainable(|_| true);
        let task = Task::of(unet.architecture().outputs);
        Self { unet, head, task }
    }

    /// The head.
    pub fn head(&self) -> &EarlyHead {
        &self.head
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let features = self.unet.early(images, self.head.level(), NormMode::Running)?;
        match features.last() {
            Some(map) => Ok(self.head.forward(map)?),
            None => Err(candle_core::Error::Msg("no early features".into()).into()),
        }
    }
}

impl Objective for HeadTraining {
    type Batch = LabelledBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        self.head.parameters().trainable()
    }

    fn loss(&mut self, batch: &LabelledBatch) -> Result<Tensor> {
        Ok(self.task.loss(&self.logits(&batch.images)?, &batch.target)?)
    }

    /// Dice of the head's prediction and labels.
    fn score(&self, batch: &LabelledBatch) -> Result<Score> {
        dice_to_labels(self, batch)
    }

    fn state(&self) -> Result<StateDict> {
        Ok(self.head.parameters().state()?)
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        Ok(self.head.parameters().set_state(state)?)
    }
}

impl Supervised for HeadTraining {
    fn task(&self) -> Task {
        self.task
    }

    fn predict(&self, batch: &LabelledBatch) -> Result<Tensor> {
        self.logits(&batch.images)
    }

    /// A head ends in a convolution.
    fn logit_scale(&self) -> Result<Option<f64>> {
        Ok(None)
    }
}

/// Dice of the prediction and a 0/1 target over the whole batch, and how sure the prediction is.
fn dice_to_labels(objective: &impl Supervised, batch: &LabelledBatch) -> Result<Score> {
    let (task, logits) = (objective.task(), objective.predict(batch)?);
    // A one-hot target is its own logits: its largest entry is the class, and 1 is above 0.
    let value = dice_agreement(&logits, &batch.target, task.agreement())?;
    let mut reliability = Reliability::default();
    reliability.add(task, &logits, &batch.target)?;
    let doubt = reliability.accuracy() - reliability.confidence();
    Ok(Score { value, foreground: task.foreground(&logits)?, doubt })
}

/// The running means and variances of a network.
pub fn statistics(parameters: &Parameters) -> Vec<(String, Var)> {
    let moments = parameters
        .names()
        .filter(|(name, role)| *role == Role::Statistic && !name.ends_with(".num_batches_tracked"));
    let named =
        moments.filter_map(|(name, _)| Some((name.to_owned(), parameters.var(name).ok()?.clone())));
    named.collect()
}
