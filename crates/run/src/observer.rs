//! What is shown and kept of a training while it runs.
use crate::host::{Host, Progress, Work};
use crate::readiness::Unready;
use crate::run_folder::RunFolder;
use udas_record::{EpochRecord, Event, Phase};
use udas_train::{Error, Observer, Result, Snapshot};

/// Tells of the steps and of each epoch, and saves the state after each.
pub struct Watch<'a> {
    folder: &'a mut RunFolder,
    host: &'a dyn Host,
    phase: Phase,
    /// What the score is, such as `agreement`.
    score: &'static str,
    epochs: usize,
    steps: Option<Box<dyn Progress + 'a>>,
    judge_start: Option<&'a JudgeStart>,
}

/// What is made of the score before the first epoch.
pub type JudgeStart = dyn Fn(f64) -> Option<(Unready, String)>;

impl<'a> Watch<'a> {
    /// Of a training of at most `epochs` epochs, by its score's name.
    pub fn new(
        folder: &'a mut RunFolder,
        host: &'a dyn Host,
        phase: Phase,
        score: &'static str,
        epochs: usize,
    ) -> Self {
        Self { folder, host, phase, score, epochs, steps: None, judge_start: None }
    }

    /// Lets the score before the first epoch decide whether there is one.
    pub fn judging(self, judge: &'a JudgeStart) -> Self {
        Self { judge_start: Some(judge), ..self }
    }
}

fn observer_error(error: crate::Error) -> Error {
    Error::Observer(error.with_causes())
}

impl Observer for Watch<'_> {
    fn before(&mut self, score: f64) -> Result<()> {
        self.host.say(&format!("before the first epoch: {} {score:.4}", self.score));
        // Kept with the first epoch's state too; a run that cannot write fails there.
        let _ = self.folder.record(Event::Before { phase: self.phase, score });
        match self.judge_start.and_then(|judge| judge(score)) {
            None => Ok(()),
            Some((Unready::Refuse, text)) => Err(Error::Refused(text)),
            Some((Unready::Warn, text)) => {
                self.folder.warn(&text, self.host).map_err(observer_error)
            }
        }
    }

    fn step(&mut self, epoch: usize, _step: usize, steps: usize, loss: f32) {
        let work = Work::Steps { epoch, epochs: self.epochs, count: steps };
        let host = self.host;
        let steps = self.steps.get_or_insert_with(|| host.progress(&work));
        steps.advance(&format!("loss {loss:.4}"));
    }

    fn waited(&mut self, epoch: usize, share: f64) {
        let (share, epochs) = (100.0 * share, self.epochs);
        self.host
            .detail(&format!("epoch {epoch}/{epochs}: {share:.1} % of the time waiting for data"));
    }

    fn epoch(&mut self, record: &EpochRecord, snapshot: &Snapshot) -> Result<()> {
        if let Some(steps) = self.steps.take() {
            steps.finish();
        }
        let score = record.score.map(|score| format!(", {} {score:.4}", self.score));
        let change = record.score_change.map(|change| format!(" ({change:+.4})"));
        self.host.say(&format!(
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
