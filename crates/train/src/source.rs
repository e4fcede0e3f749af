//! The two trainings on labelled source data: the network, then an early head.
use crate::{LabelledBatch, Objective, Reliability, Result, Score, Supervised};
use candle_core::{Tensor, Var};
use udas_losses::dice_agreement;
use udas_network::{EarlyHead, Network, Task};
use udas_nn::{NormMode, Parameters, Role, RunningUpdate, StateDict};

/// Training of a whole network (method, stage 1).
pub struct SourceTraining {
    network: Box<dyn Network>,
    task: Task,
}

impl SourceTraining {
    /// All weights of `network` are trained.
    pub fn new(mut network: Box<dyn Network>) -> Self {
        network.parameters_mut().set_trainable(|_| true);
        let task = Task::of(network.spec().outputs);
        Self { network, task }
    }

    /// The network.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }
}

impl Objective for SourceTraining {
    type Batch = LabelledBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        self.network.parameters().trainable()
    }

    fn loss(&mut self, batch: &LabelledBatch) -> Result<Tensor> {
        let logits =
            self.network.forward(&batch.images, NormMode::Batch(RunningUpdate::Steps(1)))?;
        Ok(self.task.loss(&logits, &batch.target)?)
    }

    /// Dice of prediction and labels.
    fn score(&self, batch: &LabelledBatch) -> Result<Score> {
        dice_to_labels(self, batch)
    }

    fn statistics(&self) -> Vec<(String, Var)> {
        statistics(self.network.parameters())
    }

    fn state(&self) -> Result<StateDict> {
        Ok(self.network.parameters().state()?)
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        Ok(self.network.parameters().set_state(state)?)
    }
}

impl Supervised for SourceTraining {
    fn task(&self) -> Task {
        self.task
    }

    fn predict(&self, batch: &LabelledBatch) -> Result<Tensor> {
        Ok(self.network.forward(&batch.images, NormMode::Running)?)
    }

    fn logit_scale(&self) -> Result<Option<f64>> {
        Ok(self.network.logit_scale()?)
    }
}

/// Training of an early head; the network is frozen and in evaluation mode (method, stage 2).
pub struct HeadTraining {
    network: Box<dyn Network>,
    head: EarlyHead,
    task: Task,
}

impl HeadTraining {
    /// All weights of `head` are trained, none of `network`.
    pub fn new(mut network: Box<dyn Network>, mut head: EarlyHead) -> Self {
        network.parameters_mut().set_trainable(|_| false);
        head.parameters_mut().set_trainable(|_| true);
        let task = Task::of(network.spec().outputs);
        Self { network, head, task }
    }

    /// The head.
    pub fn head(&self) -> &EarlyHead {
        &self.head
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let features = self.network.encode(images, self.head.level(), NormMode::Running)?;
        Ok(self.head.forward(features.deepest()?)?)
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
