//! The loop: epochs of steps, a score after each, a rule that stops it.
use crate::average::Moving;
use crate::keep::Best;
use crate::snapshot::History;
use crate::{
    Batches, Collapse, Ema, Error, Keep, Objective, Plateau, Result, Score, Snapshot, finite,
};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
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
    /// When labelled slices say that there is no more to learn.
    UntilConverged(Plateau),
}

impl StopRule {
    fn is_met(self, history: &History) -> bool {
        match self {
            Self::Never => false,
            Self::ScoreChangeBelow(threshold) => {
                history.last_change().is_some_and(|change| change.abs() < threshold)
            }
            Self::UntilConverged(plateau) => plateau.is_met(history),
        }
    }
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
    /// Whether their average is scored, kept and ended with, in the place of where the last step has led.
    pub average: Option<Ema>,
}

/// Hears of progress. All methods do nothing unless they are overridden.
pub trait Observer {
    /// After the score before the first epoch.
    ///
    /// # Errors
    /// [`Error::Refused`] where it speaks against the training, which does not begin then.
    fn before(&mut self, _score: f64) -> Result<()> {
        Ok(())
    }

    /// After every step: epoch and step from 1, steps an epoch, loss.
    fn step(&mut self, _epoch: usize, _step: usize, _steps: usize, _loss: f32) {}

    /// After every epoch's steps: the share of their time in which the computing waited for batches.
    fn waited(&mut self, _epoch: usize, _share: f64) {}

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
    /// What it predicts everywhere, if it has come to that; seen only where a score is measured.
    pub collapse: Option<Collapse>,
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
/// An epoch that is interrupted, or in which something stops being a number, is undone: the objective
/// keeps the state before it.
///
/// # Errors
/// When data cannot be read, a tensor operation fails, or a loss, gradient or statistic is no longer a
/// number.
pub fn fit<O: Objective>(objective: &mut O, mut fit: Fit<O::Batch>) -> Result<FitSummary> {
    let Fit { train, check, config, interrupt, .. } = fit;
    if train.steps() == 0 {
        return Err(Error::NoBatches { slices: train.slices(), batch_size: train.batch_size() });
    }
    let scored = config.keep == Keep::BestScore || config.stop != StopRule::Never;
    if scored && check.is_none() {
        return Err(Error::NoScore);
    }
    let mut adam = Adam::new(objective.trainable(), config.adam)?;
    let mut best = Best::new(config.keep);
    let resumed = fit.resume.as_ref().map(|snapshot| snapshot.objective.clone());
    let mut history = begin(objective, &mut adam, &mut best, &mut fit)?;
    let mut average = config.average.map(|ema| Moving::begin(ema, objective)).transpose()?;
    if let (Some(average), Some(state)) = (&mut average, &resumed) {
        average.restore(state, history.steps())?;
    }
    let mut good = resumed.map_or_else(|| objective.state(), Ok)?;
    let mut reason = StopReason::EpochsDone;
    while !config.ends(&history) {
        let started = Instant::now();
        let epoch = history.epochs.len() + 1;
        let rate = |step| config.rate(&history, step, train.steps());
        let moving: (_, &dyn Fn(usize) -> f64, _) = (&mut adam, &rate, average.as_mut());
        let loss = match run_epoch(objective, moving, train, epoch, fit.observer, interrupt) {
            Ok(Some(loss)) => loss,
            unfinished => {
                objective.restore(&good)?;
                if let Some(average) = &mut average {
                    average.restore(&good, history.steps())?;
                }
                unfinished?;
                reason = StopReason::Interrupted;
                break;
            }
        };
        let trained = started.elapsed().as_secs_f64();
        let own = average.as_ref().map(|average| average.show(objective)).transpose()?;
        let score = check.map(|check| mean_score(objective, check)).transpose()?;
        history.foreground.extend(score.map(|score| score.foreground));
        history.doubts.extend(score.map(|score| score.doubt));
        let record = EpochRecord {
            steps: train.steps(),
            seconds: started.elapsed().as_secs_f64(),
            slices_per_second: (train.steps() * train.batch_size()) as f64 / trained.max(1e-9),
            ..config.record(&history, loss, score.map(|score| score.value))
        };
        history.epochs.push(record.clone());
        history.finished = config.ends(&history);
        best.offer(objective, epoch, record.score)?;
        own.map(|own| objective.restore(&own)).transpose()?;
        let mut snapshot = best.snapshot(objective, &adam, &history)?;
        if let Some(average) = &average {
            average.keep_in(&mut snapshot.objective);
        }
        fit.observer.epoch(&record, &snapshot)?;
        good = snapshot.objective;
    }
    if reason == StopReason::EpochsDone && config.stop.is_met(&history) {
        reason = StopReason::Converged;
    }
    average.map(|average| average.show(objective)).transpose()?;
    let kept = best.settle(objective, history.epochs.len())?;
    Ok(history.summary(reason, kept))
}

/// From the snapshot, or from the score before the first epoch.
fn begin<O: Objective>(
    objective: &mut O,
    adam: &mut Adam,
    best: &mut Best,
    fit: &mut Fit<O::Batch>,
) -> Result<History> {
    let mut history = History::default();
    if let Some(snapshot) = fit.resume.take() {
        objective.restore(&snapshot.objective)?;
        adam.restore(&snapshot.optimiser)?;
        best.restore(&snapshot);
        history = snapshot.history;
    } else if let Some(check) = fit.check {
        let score = mean_score(objective, check)?;
        fit.observer.before(score.value)?;
        history.before = Some(score.value);
        history.foreground.push(score.foreground);
    }
    Ok(history)
}

impl History {
    /// How a training went that ends with the state after `kept` epochs.
    fn summary(self, reason: StopReason, kept: usize) -> FitSummary {
        let shares = self.foreground.first().zip(self.foreground.get(kept));
        let collapse = shares.and_then(|(&before, &after)| Collapse::of(before, after));
        FitSummary { reason, before: self.before, epochs: self.epochs, collapse }
    }
}

impl FitConfig {
    fn ends(&self, history: &History) -> bool {
        let met = match self.stop {
            StopRule::UntilConverged(plateau) => plateau.ends(history, self.epochs),
            rule => rule.is_met(history),
        };
        history.epochs.len() >= self.epochs || met
    }

    /// The learning rate of a step of the next epoch, counted from 0.
    fn rate(&self, history: &History, step: usize, steps: usize) -> f64 {
        let share = match self.stop {
            StopRule::UntilConverged(plateau) => plateau.rate(history, self.epochs, step, steps),
            StopRule::Never | StopRule::ScoreChangeBelow(_) => 1.0,
        };
        self.adam.learning_rate * share
    }

    /// The next epoch's record, its times left open.
    fn record(&self, history: &History, loss: f64, score: Option<f64>) -> EpochRecord {
        let previous = history.epochs.last().map_or(history.before, |record| record.score);
        EpochRecord {
            phase: self.phase,
            epoch: history.epochs.len() + 1,
            steps: 0,
            loss,
            score,
            score_change: score.zip(previous).map(|(now, before)| now - before),
            learning_rate: self.rate(history, 0, 1),
            seconds: 0.0,
            slices_per_second: 0.0,
            peak_memory_bytes: peak_memory_bytes(),
        }
    }
}

/// Mean loss of the epoch, or none when it was interrupted.
fn run_epoch<O: Objective>(
    objective: &mut O,
    (adam, rate, mut average): (&mut Adam, &dyn Fn(usize) -> f64, Option<&mut Moving>),
    train: &dyn Batches<O::Batch>,
    epoch: usize,
    observer: &mut dyn Observer,
    interrupt: &AtomicBool,
) -> Result<Option<f64>> {
    let mut total = 0.0;
    let started = Instant::now();
    let mut waited = Duration::ZERO;
    let mut batches = train.epoch(epoch as u64)?;
    for index in 0.. {
        let asked = Instant::now();
        let Some(batch) = batches.next() else { break };
        waited += asked.elapsed();
        if interrupt.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (batch, step) = (batch?, index + 1);
        adam.set_learning_rate(rate(index));
        let loss = run_step(objective, adam, &batch)?.map_err(|(what, value)| Error::Diverged {
            what,
            epoch,
            step,
            value,
            batch: train.describe(&batch),
        })?;
        total += f64::from(loss);
        if let Some(average) = &mut average {
            average.follow(objective)?;
        }
        observer.step(epoch, step, train.steps(), loss);
    }
    observer.waited(epoch, waited.as_secs_f64() / started.elapsed().as_secs_f64().max(1e-9));
    Ok(Some(total / train.steps() as f64))
}

/// One step and its loss, or what was no number, and then no weight has moved.
fn run_step<O: Objective>(
    objective: &mut O,
    adam: &mut Adam,
    batch: &O::Batch,
) -> Result<std::result::Result<f32, (String, f32)>> {
    let loss = objective.loss(batch)?;
    let value = loss.to_scalar::<f32>()?;
    if let Some(fault) = finite::in_loss(value) {
        return Ok(Err(fault));
    }
    if let Some(fault) = finite::in_statistics(objective)? {
        return Ok(Err(fault));
    }
    let gradients = loss.backward()?;
    if let Some(fault) = finite::in_gradients(objective, &gradients)? {
        return Ok(Err(fault));
    }
    adam.step(&gradients)?;
    objective.after_step()?;
    Ok(Ok(value))
}

/// The score of an objective as it is, a mean over batches.
///
/// # Errors
/// When data cannot be read, there are none, or a tensor operation fails.
pub fn mean_score<O: Objective>(objective: &O, check: &dyn Batches<O::Batch>) -> Result<Score> {
    let mut total = Score::default();
    let mut count = 0.0;
    for batch in check.epoch(0)? {
        let score = objective.score(&batch?)?;
        total.value += score.value;
        total.foreground += score.foreground;
        total.doubt += score.doubt;
        count += 1.0;
    }
    if count == 0.0 {
        return Err(Error::NoBatches { slices: check.slices(), batch_size: check.batch_size() });
    }
    Ok(Score {
        value: total.value / count,
        foreground: total.foreground / count,
        doubt: total.doubt / count,
    })
}
