//! What is shown and kept of a training while it runs.
use crate::console::Console;
use crate::readiness::Unready;
use crate::run_folder::RunFolder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use udas_record::{EpochRecord, Event, Phase};
use udas_train::{Error, Observer, Result, Snapshot};

/// Shows a bar for the steps and a line for each epoch, and saves the state after each.
pub struct Watch<'a> {
    folder: &'a mut RunFolder,
    console: &'a Console,
    phase: Phase,
    /// What the score is, such as `agreement`.
    score: &'static str,
    epochs: usize,
    bar: Option<ProgressBar>,
    judge_start: Option<&'a JudgeStart>,
}

/// What is made of the score before the first epoch.
pub type JudgeStart = dyn Fn(f64) -> Option<(Unready, String)>;

impl<'a> Watch<'a> {
    pub fn new(
        folder: &'a mut RunFolder,
        console: &'a Console,
        phase: Phase,
        score: &'static str,
        epochs: usize,
    ) -> Self {
        Self { folder, console, phase, score, epochs, bar: None, judge_start: None }
    }

    /// Lets the score before the first epoch decide whether there is one.
    pub fn judging(self, judge: &'a JudgeStart) -> Self {
        Self { judge_start: Some(judge), ..self }
    }

    fn bar(&mut self, steps: usize) -> &ProgressBar {
        self.bar.get_or_insert_with(|| {
            let shown = std::io::stderr().is_terminal();
            let target =
                if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
            let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
            let style = "epoch {prefix} [{bar:30}] {pos}/{len}, {eta} left, {msg}";
            match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style.progress_chars("=> ")),
                Err(_) => bar,
            }
        })
    }
}

fn observer_error(error: anyhow::Error) -> Error {
    Error::Observer(format!("{error:#}"))
}

impl Observer for Watch<'_> {
    fn before(&mut self, score: f64) -> Result<()> {
        self.console.say(format!("before the first epoch: {} {score:.4}", self.score));
        // Kept with the first epoch's state too; a run that cannot write fails there.
        let _ = self.folder.record(Event::Before { phase: self.phase, score });
        match self.judge_start.and_then(|judge| judge(score)) {
            None => Ok(()),
            Some((Unready::Refuse, text)) => Err(Error::Refused(text)),
            Some((Unready::Warn, text)) => {
                self.folder.warn(&text, self.console).map_err(observer_error)
            }
        }
    }

    fn step(&mut self, epoch: usize, step: usize, steps: usize, loss: f32) {
        let prefix = format!("{epoch}/{}", self.epochs);
        let bar = self.bar(steps);
        bar.set_prefix(prefix);
        bar.set_message(format!("loss {loss:.4}"));
        bar.set_position(step as u64);
    }

    fn epoch(&mut self, record: &EpochRecord, snapshot: &Snapshot) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let score = record.score.map(|score| format!(", {} {score:.4}", self.score));
        let change = record.score_change.map(|change| format!(" ({change:+.4})"));
        self.console.say(format!(
            "epoch {}/{}: loss {:.4}{}{}, {:.1} s, {:.1} slices/s",
            record.epoch,
            self.epochs,
            record.loss,
            score.unwrap_or_default(),
            change.unwrap_or_default(),
            record.seconds,
            record.slices_per_second,
        ));
        self.folder.save_state(snapshot, Event::Epoch(record.clone())).map_err(observer_error)
    }
}
