//! The loop: epochs of steps, a score after each, a rule that stops it.
use crate::snapshot::History;
use crate::{Batches, Error, Objective, Result, Snapshot};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use udas_nn::{Adam, AdamConfig};
use udas_record::{EpochRecord, Phase, StopReason, peak_memory_bytes};

/// When a training ends before its last epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopRule {
    /// Never.
    Never,
    /// When the score differs from the one before by less than this (the paper: 0.005).
    ScoreChangeBelow(f64),
}

impl StopRule {
    fn is_met(self, change: Option<f64>) -> bool {
        match (self, change) {
            (Self::ScoreChangeBelow(threshold), Some(change)) => change.abs() < threshold,
            _ => false,
        }
    }
}

/// Which weights a training ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The last epoch's (the paper).
    Last,
    /// Those of the epoch with the highest score.
    BestScore,
}

/// How to train. No defaults: the paper's values are in the callers' configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct FitConfig {
    /// What the records call this training.
    pub phase: Phase,
    /// Adam's constants.
    pub adam: AdamConfig,
    /// At most this many epochs.
    pub epochs: usize,
    /// When to stop before.
    pub stop: StopRule,
    /// Which weights to end with.
    pub keep: Keep,
}

/// Hears of progress. All methods do nothing unless they are overridden.
pub trait Observer {
    /// After the score before the first epoch.
    fn before(&mut self, _score: f64) {}

    /// After every step: epoch and step from 1, steps an epoch, loss.
    fn step(&mut self, _epoch: usize, _step: usize, _steps: usize, _loss: f32) {}

    /// After every epoch, with the state to go on from.
    ///
    /// # Errors
    /// [`Error::Observer`] when the state cannot be kept; ends the training.
    fn epoch(&mut self, _record: &EpochRecord, _snapshot: &Snapshot) -> Result<()> {
        Ok(())
    }
}

/// An observer that does nothing.
pub struct Silent;

impl Observer for Silent {}

/// How a training went.
#[derive(Clone, Debug, PartialEq)]
pub struct FitSummary {
    /// Why it ended.
    pub reason: StopReason,
    /// The score before the first epoch.
    pub before: Option<f64>,
    /// The epochs, in order, those before a resume included.
    pub epochs: Vec<EpochRecord>,
}

/// The surroundings of a training.
pub struct Fit<'a, B> {
    /// Batches to learn from.
    pub train: &'a dyn Batches<B>,
    /// Batches to measure the score on; none where nothing is watched.
    pub check: Option<&'a dyn Batches<B>>,
    /// How to train.
    pub config: &'a FitConfig,
    /// Hears of progress.
    pub observer: &'a mut dyn Observer,
    /// Set to true (by Ctrl-C) to end before the next step; the epoch under way is lost.
    pub interrupt: &'a AtomicBool,
    /// The state to go on from.
    pub resume: Option<Snapshot>,
}

/// Minimises `objective`.
///
/// # Errors
/// When data cannot be read, a tensor operation fails, or the loss is no longer a number.
pub fn fit<O: Objective>(objective: &mut O, fit: Fit<O::Batch>) -> Result<FitSummary> {
    let Fit { train, check, config, observer, interrupt, resume } = fit;
    if train.steps() == 0 {
        return Err(Error::NoBatches { slices: train.slices(), batch_size: train.batch_size() });
    }
    let mut adam = Adam::new(objective.trainable(), config.adam);
    let mut best = Best { keep: config.keep, score: f64::NEG_INFINITY, state: None };
    let mut history = History::default();
    match resume {
        Some(snapshot) => {
            objective.restore(&snapshot.objective)?;
            adam.restore(&snapshot.optimiser)?;
            best.restore(&snapshot);
            history = snapshot.history;
        }
        None => {
            if let Some(check) = check {
                let score = mean_score(objective, check)?;
                observer.before(score);
                history.before = Some(score);
            }
        }
    }
    let mut reason = StopReason::EpochsDone;
    while !history.finished && history.epochs.len() < config.epochs {
        let started = Instant::now();
        let epoch = history.epochs.len() + 1;
        let Some(loss) = run_epoch(objective, &mut adam, train, epoch, observer, interrupt)? else {
            reason = StopReason::Interrupted;
            break;
        };
        let trained = started.elapsed().as_secs_f64();
        let score = check.map(|check| mean_score(objective, check)).transpose()?;
        let previous = history.epochs.last().map_or(history.before, |record| record.score);
        let score_change = score.zip(previous).map(|(now, before)| now - before);
        let record = EpochRecord {
            phase: config.phase,
            epoch,
            steps: train.steps(),
            loss,
            score,
            score_change,
            learning_rate: config.adam.learning_rate,
            seconds: started.elapsed().as_secs_f64(),
            slices_per_second: (train.steps() * train.batch_size()) as f64 / trained.max(1e-9),
            peak_memory_bytes: peak_memory_bytes(),
        };
        history.epochs.push(record.clone());
        history.finished = config.stop.is_met(score_change) || epoch == config.epochs;
        best.offer(objective, score)?;
        let snapshot = best.snapshot(objective, &adam, &history)?;
        observer.epoch(&record, &snapshot)?;
    }
    if let Some(last) = history.epochs.last()
        && config.stop.is_met(last.score_change)
        && reason == StopReason::EpochsDone
    {
        reason = StopReason::Converged;
    }
    best.settle(objective)?;
    Ok(FitSummary { reason, before: history.before, epochs: history.epochs })
}

/// Mean loss of the epoch, or none when it was interrupted.
fn run_epoch<O: Objective>(
    objective: &mut O,
    adam: &mut Adam,
    train: &dyn Batches<O::Batch>,
    epoch: usize,
    observer: &mut dyn Observer,
    interrupt: &AtomicBool,
) -> Result<Option<f64>> {
    let mut total = 0.0;
    for (index, batch) in train.epoch(epoch as u64)?.enumerate() {
        if interrupt.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let batch = batch?;
        let loss_tensor = objective.loss(&batch)?;
        let loss = loss_tensor.to_scalar::<f32>()?;
        if !loss.is_finite() {
            let batch = train.describe(&batch);
            return Err(Error::Diverged { epoch, step: index + 1, loss, batch });
        }
        adam.step(&loss_tensor.backward()?)?;
        drop(loss_tensor);
        objective.after_step()?;
        total += f64::from(loss);
        observer.step(epoch, index + 1, train.steps(), loss);
    }
    Ok(Some(total / train.steps() as f64))
}

fn mean_score<O: Objective>(objective: &O, check: &dyn Batches<O::Batch>) -> Result<f64> {
    let mut total = 0.0;
    let mut count = 0;
    for batch in check.epoch(0)? {
        total += objective.score(&batch?)?;
        count += 1;
    }
    if count == 0 {
        return Err(Error::NoBatches { slices: check.slices(), batch_size: check.batch_size() });
    }
    Ok(total / f64::from(count))
}

/// The weights to end with.
struct Best {
    keep: Keep,
    score: f64,
    state: Option<udas_nn::StateDict>,
}

/// Prefix of the best state within a snapshot's objective.
const BEST: &str = "best.";

impl Best {
    fn offer<O: Objective>(&mut self, objective: &O, score: Option<f64>) -> Result<()> {
        if self.keep == Keep::BestScore
            && let Some(score) = score
            && score > self.score
        {
            self.score = score;
            self.state = Some(objective.state()?);
        }
        Ok(())
    }

    fn snapshot<O: Objective>(
        &self,
        objective: &O,
        adam: &Adam,
        history: &History,
    ) -> Result<Snapshot> {
        let mut state = objective.state()?;
        for (name, tensor) in self.state.iter().flatten() {
            state.insert(format!("{BEST}{name}"), tensor.clone());
        }
        Ok(Snapshot { objective: state, optimiser: adam.state()?, history: history.clone() })
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        let best = snapshot.objective.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(BEST)?.to_owned(), tensor.clone()))
        });
        let best: udas_nn::StateDict = best.collect();
        if !best.is_empty() {
            let scores = snapshot.history.epochs.iter().filter_map(|record| record.score);
            self.score = scores.fold(f64::NEG_INFINITY, f64::max);
            self.state = Some(best);
        }
    }

    fn settle<O: Objective>(self, objective: &mut O) -> Result<()> {
        match self.state {
            Some(state) => objective.restore(&state),
            None => Ok(()),
        }
    }
}
