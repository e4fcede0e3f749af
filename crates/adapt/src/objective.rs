//! The objective of an adaptation: carries out any [`Recipe`] with any [`Options`].
use crate::adapters::Adapters;
use crate::altered::altered;
use crate::pseudo_label::{confidence, pseudo_label_loss};
use crate::teacher::Teacher;
use crate::{
    Moves, NormChoice, Options, Output, PseudoLabel, Recipe, StepBatch, Supervision, TargetBatch,
    View,
};
use candle_core::{Device, Tensor, Var};
use std::sync::Arc;
use udas_losses::{class_ratio_divergence, dice_agreement, entropy};
use udas_network::{EarlyHead, Network, Task};
use udas_nn::{NormMode, RunningUpdate, StateDict};
use udas_train::{Objective, Result, Score, statistics};

/// What an adaptation is given beside the network.
#[derive(Default)]
pub struct Aids {
    /// The early head, for recipes that look at it.
    pub head: Option<EarlyHead>,
    /// Mean of each class over the source's pixels, one entry an output channel; empty where the recipe
    /// needs none.
    pub class_ratio: Vec<f64>,
    /// Other trainings of the source model, which teach beside it; empty where the recipe needs none.
    pub teachers: Vec<Arc<dyn Network>>,
    /// Seed of everything random.
    pub seed: u64,
}

/// A network under adaptation.
pub struct Adaptation {
    network: Box<dyn Network>,
    adapters: Option<Adapters>,
    teacher: Option<Teacher>,
    /// The network as it was, where its logits are held.
    anchor: Option<Box<dyn Network>>,
    aids: Aids,
    recipe: Recipe,
    options: Options,
    task: Task,
    steps: u64,
}

/// Prefixes and names in the saved state, beside the network's own entries.
const ADAPTER: &str = "adapter.";
const TEACHER: &str = "teacher.";
const STEPS: &str = "steps";

impl Adaptation {
    /// Freezes everything but what the recipe moves.
    ///
    /// # Errors
    /// When memory for adapters or a teacher cannot be had.
    pub fn new(
        mut network: Box<dyn Network>,
        aids: Aids,
        recipe: Recipe,
        options: Options,
    ) -> Result<Self> {
        recipe.moves.apply(&mut *network, options.level);
        let device = device_of(&*network)?;
        let adapters = match recipe.moves {
            Moves::EarlyAdapters => {
                let (level, rank) = (options.level, options.rank);
                Some(Adapters::new(&*network, level, rank, aids.seed, &device)?)
            }
            _ => None,
        };
        if let Some(adapters) = &adapters {
            adapters.apply(&mut *network)?;
        }
        let teacher = recipe.supervision.teacher();
        let teacher = teacher
            .map(|kind| Teacher::of(&*network, kind, options.teacher_decay, &device))
            .transpose()?;
        let holds = options.hold > 0.0 && recipe.uses("hold", options.norm);
        let copy = || network.with_state(&network.parameters().state()?, &device);
        let anchor = holds.then(copy).transpose()?;
        let task = Task::of(network.spec().outputs);
        Ok(Self { network, adapters, teacher, anchor, aids, recipe, options, task, steps: 0 })
    }

    /// The network that the steps move.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// The network that comes of it: the averaged teacher where there is one; adapters are added in.
    fn result(&self) -> &dyn Network {
        let kept = self.teacher.as_ref().filter(|teacher| teacher.is_kept());
        kept.map_or(&*self.network, Teacher::network)
    }

    /// The entries of the network that comes of it.
    ///
    /// # Errors
    /// When memory for the copy cannot be had.
    pub fn adapted(&self) -> Result<StateDict> {
        Ok(self.result().parameters().state()?)
    }

    /// Names of the network's weights that can move.
    pub fn moved(&self) -> Vec<String> {
        let own = self.network.parameters().trainable().into_iter().map(|(name, _)| name);
        let adapted = self.adapters.iter().flat_map(Adapters::weights).map(str::to_owned);
        own.chain(adapted).collect()
    }

    fn mode(&self, update: RunningUpdate) -> NormMode {
        match self.options.norm {
            NormChoice::Batch => NormMode::Batch(update),
            NormChoice::Running | NormChoice::ReEstimated => NormMode::Running,
        }
    }

    /// The images that the network sees.
    fn view(&self, batch: &TargetBatch) -> Result<Tensor> {
        Ok(match self.recipe.view {
            View::Plain => batch.images.clone(),
            View::Altered => altered(batch, self.aids.seed, self.steps)?,
        })
    }

    /// The final logits and, where the recipe looks at it, the early head's, with the graph that the
    /// options ask for.
    fn logits(&self, images: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let (Output::EarlyHead, Some(head)) = (self.recipe.output, &self.aids.head) else {
            return Ok((self.network.forward(images, self.mode(RunningUpdate::Steps(1)))?, None));
        };
        // Published: the early layers run twice a step, once for each output. One pass whose statistics
        // are counted twice is the same.
        let features =
            self.network.encode(images, head.level(), self.mode(RunningUpdate::Steps(2)))?;
        let onward = match self.options.pseudo_label {
            PseudoLabel::Attached => features.clone(),
            PseudoLabel::Detached => features.detach(),
        };
        let last = self.network.decode(&onward, self.mode(RunningUpdate::Steps(1)))?;
        let early = head.forward(features.deepest()?)?;
        Ok((last, Some(early)))
    }

    /// The probabilities that the prediction of `last` teaches.
    fn own_prediction(&self, last: &Tensor) -> Result<Tensor> {
        let last = match self.options.pseudo_label {
            PseudoLabel::Attached => last.clone(),
            PseudoLabel::Detached => last.detach(),
        };
        Ok(self.task.probabilities(&last)?)
    }

    /// The teacher's probabilities for the slices as they are; where other trainings teach too, the mean of all.
    fn taught(&self, batch: &TargetBatch) -> Result<Tensor> {
        let teacher = self.teacher.as_ref().ok_or_else(|| missing("a teacher"))?;
        Ok(self.task.mean_probabilities(teacher.network(), &self.aids.teachers, &batch.images)?)
    }

    /// How far the final logits have moved from the anchor's, in the anchor's deviations, a mean over channels; none without
    /// an anchor.
    ///
    /// A network whose last layer is a batch norm, as the paper's, has logits of the same mean and deviation whatever its early
    /// layers do. Any other can meet its own prediction best by predicting background everywhere.
    fn drift(&self, images: &Tensor, last: &Tensor) -> Result<Option<Tensor>> {
        let Some(anchor) = &self.anchor else { return Ok(None) };
        let before = anchor.forward(images, self.mode(RunningUpdate::Keep))?.detach();
        let (mean, variance) = moments_of_channels(last)?;
        let (held_mean, held_variance) = moments_of_channels(&before)?;
        let shift = ((mean - held_mean)?.sqr()? / &held_variance)?;
        let stretch = ((variance.log()? - held_variance.log()?)? * 0.5)?.sqr()?;
        Ok(Some(((shift + stretch)?.mean_all()? * self.options.hold)?))
    }

    /// Cross-entropy on labelled source slices. The running statistics stay the target's.
    fn source_loss(&self, batch: &StepBatch) -> Result<Tensor> {
        let source = batch.source.as_ref().ok_or_else(|| missing("labelled source slices"))?;
        let logits = self.network.forward(&source.images, self.mode(RunningUpdate::Keep))?;
        Ok(self.task.loss(&logits, &source.target)?)
    }

    /// Mean squared difference of a prediction and the probabilities taught (Perone et al. 2019, section 2).
    fn consistency(&self, logits: &Tensor, taught: &Tensor) -> Result<Tensor> {
        Ok((self.task.probabilities(logits)? - taught)?.sqr()?.mean_all()?)
    }
}

/// Mean and variance of each channel of logits `[N, C, ...]`, `[C, 1]` each.
fn moments_of_channels(logits: &Tensor) -> Result<(Tensor, Tensor)> {
    // No variance is 0 to a logarithm.
    const LEAST: f64 = 1e-6;
    let channels = logits.transpose(0, 1)?.flatten_from(1)?;
    let mean = channels.mean_keepdim(1)?;
    let variance = channels.broadcast_sub(&mean)?.sqr()?.mean_keepdim(1)?;
    Ok((mean, (variance + LEAST)?))
}

fn device_of(network: &dyn Network) -> Result<Device> {
    let name = network.parameters().names().next().map_or("", |(name, _)| name);
    Ok(network.parameters().var(name)?.device().clone())
}

fn missing(what: &str) -> udas_train::Error {
    udas_train::Error::Missing(what.to_owned())
}

impl Objective for Adaptation {
    type Batch = StepBatch;

    fn trainable(&self) -> Vec<(String, Var)> {
        let mut variables = self.network.parameters().trainable();
        let adapters = self.adapters.iter().flat_map(Adapters::variables);
        variables.extend(adapters.map(|(name, var)| (format!("{ADAPTER}{name}"), var)));
        variables
    }

    fn loss(&mut self, batch: &StepBatch) -> Result<Tensor> {
        let (last, early) = self.logits(&self.view(&batch.target)?)?;
        let logits = early.as_ref().unwrap_or(&last);
        let weight = self.options.weight;
        Ok(match self.recipe.supervision {
            Supervision::OwnPrediction => {
                let own = self.own_prediction(&last)?;
                let loss = pseudo_label_loss(self.task, logits, &own, &self.options)?;
                match self.drift(&batch.target.images, &last)? {
                    Some(drift) => (loss + drift)?,
                    None => loss,
                }
            }
            Supervision::Entropy => entropy(logits)?,
            Supervision::EntropyWithClassRatio => {
                let prior = class_ratio_divergence(logits, &self.aids.class_ratio)?;
                (entropy(logits)? + (prior * weight)?)?
            }
            Supervision::FirstPrediction | Supervision::Ensemble | Supervision::AveragedTeacher => {
                let taught = self.taught(&batch.target)?;
                pseudo_label_loss(self.task, logits, &taught, &self.options)?
            }
            Supervision::SourceAndAveragedTeacher => {
                let agreement = self.consistency(logits, &self.taught(&batch.target)?)?;
                (self.source_loss(batch)? + (agreement * weight)?)?
            }
            Supervision::TargetLabels => {
                let labels = batch.target.target.as_ref();
                self.task.loss(logits, labels.ok_or_else(|| missing("labels of the target"))?)?
            }
        })
    }

    /// The published agreement of early and final prediction; for recipes that look at the final output
    /// alone, the mean probability of the most probable class.
    fn score(&self, batch: &StepBatch) -> Result<Score> {
        let (images, network) = (&batch.target.images, self.result());
        let (Output::EarlyHead, Some(head)) = (self.recipe.output, &self.aids.head) else {
            let logits = network.forward(images, NormMode::Running)?;
            let sure = confidence(self.task, &self.task.probabilities(&logits)?)?;
            let value = f64::from(sure.mean_all()?.to_scalar::<f32>()?);
            let foreground = self.task.foreground(&logits)?;
            return Ok(Score { value, foreground, doubt: 0.0 });
        };
        let features = network.encode(images, head.level(), NormMode::Running)?;
        let last = network.decode(&features, NormMode::Running)?;
        let early = head.forward(features.deepest()?)?;
        let value = dice_agreement(&early, &last, self.task.agreement())?;
        Ok(Score { value, foreground: self.task.foreground(&last)?, doubt: 0.0 })
    }

    fn after_step(&mut self) -> Result<()> {
        self.steps += 1;
        if let Some(adapters) = &self.adapters {
            adapters.apply(&mut *self.network)?;
        }
        if let Some(teacher) = &self.teacher {
            teacher.follow(self.network.parameters())?;
        }
        Ok(())
    }

    fn statistics(&self) -> Vec<(String, Var)> {
        statistics(self.network.parameters())
    }

    fn state(&self) -> Result<StateDict> {
        let mut state = StateDict::new();
        // The stored entries, not what adapters make of them.
        for (name, _) in self.network.parameters().names() {
            state.insert(name.to_owned(), self.network.parameters().var(name)?.copy()?);
        }
        for (name, var) in self.adapters.iter().flat_map(Adapters::variables) {
            state.insert(format!("{ADAPTER}{name}"), var.copy()?);
        }
        if let Some(teacher) = &self.teacher {
            let entries = teacher.network().parameters().state()?;
            state.extend(entries.into_iter().map(|(name, t)| (format!("{TEACHER}{name}"), t)));
        }
        state.insert(STEPS.into(), Tensor::new(self.steps as i64, &Device::Cpu)?);
        Ok(state)
    }

    fn restore(&mut self, state: &StateDict) -> Result<()> {
        let with = |prefix: &str| -> StateDict {
            let part = state.iter().filter_map(|(name, tensor)| {
                Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            });
            part.collect()
        };
        self.network.parameters().set_state(state)?;
        if let Some(adapters) = &self.adapters {
            adapters.restore(&with(ADAPTER))?;
            adapters.apply(&mut *self.network)?;
        }
        if let Some(teacher) = &self.teacher {
            teacher.restore(&with(TEACHER))?;
        }
        let steps = state.get(STEPS).ok_or_else(|| missing("the number of steps so far"))?;
        self.steps = steps.to_scalar::<i64>()?.max(0) as u64;
        Ok(())
    }
}
