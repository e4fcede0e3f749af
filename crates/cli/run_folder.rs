//! The folder of a run: locked while it is written, every file whole or absent, a state to go on from.
use crate::console::Console;
use crate::{failure, settings};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use udas_model::MODEL_FILE;
use udas_nn::write_whole;
use udas_record::{EVENTS_FILE, Event, StartRecord, read_events, to_lines};
use udas_train::Snapshot;

const CONFIG_FILE: &str = "config.toml";
const STATE_FILE: &str = "state.safetensors";
const LOG_FILE: &str = "log.txt";
const LOCK_FILE: &str = ".lock";

/// Whether a run begins or goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    Fresh,
    Resume,
}

impl Start {
    pub fn of(resume: bool) -> Self {
        if resume { Self::Resume } else { Self::Fresh }
    }
}

/// A run folder that this process alone writes to.
pub struct RunFolder {
    path: PathBuf,
    events: Vec<Event>,
    start: Start,
    _lock: File,
}

impl RunFolder {
    /// The configuration of a run that is to go on.
    pub fn config(path: &Path) -> PathBuf {
        path.join(CONFIG_FILE)
    }

    /// Makes or opens the folder and locks it.
    pub fn open(path: &Path, start: Start, console: &Console) -> Result<Self> {
        let shown = path.display();
        std::fs::create_dir_all(path)
            .map_err(|error| failure::input(format!("{shown}: {error}; choose another --out")))?;
        let lock = lock(path)?;
        if start == Start::Fresh && Self::config(path).exists() {
            let text = format!(
                "{shown} holds a run already; go on with it by --resume, or choose another --out"
            );
            return Err(failure::usage(&text).into());
        }
        let log = OpenOptions::new().create(true).append(true).open(path.join(LOG_FILE));
        console.keep_log(log.with_context(|| format!("{shown}: the log cannot be written"))?);
        Ok(Self { path: path.to_owned(), events: Vec::new(), start, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL_FILE)
    }

    /// Writes the settings, and the start of the events; a run that goes on keeps its start and what it
    /// has done.
    pub fn begin(&mut self, settings: &impl Serialize, start: StartRecord) -> Result<()> {
        write_whole(&Self::config(&self.path), settings::to_text(settings)?.as_bytes())?;
        let earlier = match self.start {
            Start::Resume => read_events(&self.path).ok(),
            Start::Fresh => None,
        };
        let earlier = earlier
            .and_then(|events| events.into_iter().find(|event| matches!(event, Event::Start(_))));
        self.events = vec![earlier.unwrap_or(Event::Start(start))];
        self.write_events()
    }

    /// The state to go on from, with the epochs it remembers put back into the events.
    pub fn restore(&mut self, phase: udas_record::Phase) -> Result<Option<Snapshot>> {
        let path = self.path.join(STATE_FILE);
        if self.start == Start::Fresh || !path.exists() {
            return Ok(None);
        }
        let snapshot = Snapshot::load(&path)?;
        let before = snapshot.history.before.map(|score| Event::Before { phase, score });
        self.events.extend(before);
        self.events.extend(snapshot.history.epochs.iter().cloned().map(Event::Epoch));
        self.write_events()?;
        Ok(Some(snapshot))
    }

    /// Saves the state after an epoch, then the record of it: a run killed in between writes the record
    /// anew from the state.
    pub fn save_state(&mut self, snapshot: &Snapshot, event: Event) -> Result<()> {
        snapshot.save(&self.path.join(STATE_FILE))?;
        self.record(event)
    }

    /// The last state that was saved.
    pub fn last_state(&self) -> Option<Snapshot> {
        Snapshot::load(&self.path.join(STATE_FILE)).ok()
    }

    /// Adds an event.
    pub fn record(&mut self, event: Event) -> Result<()> {
        self.events.push(event);
        self.write_events()
    }

    /// The run is done: its state is needed no more, and TensorBoard can show its curves.
    pub fn finish(&mut self, stop: Event) -> Result<()> {
        self.record(stop)?;
        udas_report::tensorboard::write_run(&self.path, &self.events, &[])?;
        match std::fs::remove_file(self.path.join(STATE_FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Whether the run has ended by itself.
    pub fn is_finished(&self) -> bool {
        let stopped = |event: &Event| matches!(event, Event::Stop(_));
        self.start == Start::Resume
            && self.model().exists()
            && read_events(&self.path).is_ok_and(|events| events.iter().any(stopped))
    }

    fn write_events(&self) -> Result<()> {
        write_whole(&self.path.join(EVENTS_FILE), to_lines(&self.events).as_bytes())?;
        Ok(())
    }
}

/// Takes the folder for this process; the system gives it back however the process ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK_FILE);
    let shown = folder.display();
    let file = OpenOptions::new().create(true).append(true).open(&path).map_err(|error| {
        failure::input(format!("{shown}: cannot be written ({error}); choose another --out"))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text =
                format!("{shown} is in use by another run; wait for it, or choose another --out");
            Err(failure::usage(&text).into())
        }
        // Some network file systems have no locks; a single run is safe there all the same.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}
