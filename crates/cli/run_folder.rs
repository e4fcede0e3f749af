//! The folder of a run: locked while it is written, every file whole or absent, a state to go on from.
use crate::console::Console;
use crate::{failure, out_file, settings};
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use udas_model::MODEL_FILE;
use udas_record::{
    EVENTS_FILE, Event, EventLog, Input, Phase, Progress, StartRecord, StopRecord, read_events,
    read_start,
};
use udas_train::Snapshot;

/// The model folder in a run that adapts one of nnU-Net.
pub const RESULT_FOLDER: &str = "nnunet";

const CONFIG_FILE: &str = "config.toml";
const STATE_FILE: &str = "state.safetensors";
const LOG_FILE: &str = "log.txt";
const LOCK_FILE: &str = ".lock";

/// Settings that say where things are and how much memory there is: folders may have been moved.
const PLACES: [&str; 8] =
    ["cache-gib", "out", "model", "head", "teachers", "data", "images", "source-data"];
/// Settings that decide how long a run goes on, and what becomes of its result.
const ENDS: [&str; 5] = ["epochs", "stop-change", "on-harm", "calibration", "peers"];

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
    log: Option<EventLog>,
    start: Start,
    _lock: File,
}

impl RunFolder {
    /// The configuration of a run that is to go on.
    pub fn config(path: &Path) -> PathBuf {
        path.join(CONFIG_FILE)
    }

    /// Refuses a folder that holds a run already, before anything is read for another.
    pub fn expect_free(path: &Path, start: Start) -> Result<()> {
        let taken = start == Start::Fresh && Self::config(path).exists();
        if taken && !is_failed_start(path) { Err(taken_by_a_run(path)) } else { Ok(()) }
    }

    /// Makes or opens the folder and locks it.
    pub fn open(path: &Path, start: Start, console: &Console) -> Result<Self> {
        let shown = path.display();
        std::fs::create_dir_all(path)
            .map_err(|error| failure::input(format!("{shown}: {error}; choose another --out")))?;
        let (lock, lock_kind) = lock(path)?;
        let taken = start == Start::Fresh && Self::config(path).exists();
        // Without a lock, a run without an epoch may be one that goes on.
        if taken && !(lock_kind == Lock::Held && forget_failed_start(path)?) {
            return Err(taken_by_a_run(path));
        }
        let log = OpenOptions::new().create(true).append(true).open(path.join(LOG_FILE));
        console.keep_log(log.with_context(|| format!("{shown}: the log cannot be written"))?);
        Ok(Self { path: path.to_owned(), log: None, start, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL_FILE)
    }

    /// Writes the settings, as TOML, and the start of the events. Gives the state to go on from, with which the
    /// events of a run that was cut off are brought into agreement.
    pub fn begin(
        &mut self,
        settings: &str,
        start: StartRecord,
        phase: Phase,
    ) -> Result<Option<Snapshot>> {
        let mut snapshot = None;
        if self.start == Start::Resume {
            let may_change = [&PLACES[..], &ENDS].concat();
            self.check_unchanged((settings, &start), &may_change, "leave it out to go on, or ")?;
            self.check_inputs(&start)?;
            if self.path.join(STATE_FILE).exists() {
                let state = Snapshot::load(&self.path.join(STATE_FILE))?;
                check_epochs(settings, state.history.epochs.len())?;
                snapshot = Some(state);
            }
        }
        out_file::write(&Self::config(&self.path), settings.as_bytes())?;
        if self.path.join(EVENTS_FILE).exists() {
            let history = snapshot.as_ref().map(|snapshot| &snapshot.history);
            let progress = Progress {
                phase,
                before: history.and_then(|history| history.before),
                epochs: history.map_or(&[], |history| &history.epochs),
            };
            self.log = Some(EventLog::resume(&self.path, progress)?);
            self.record(Event::Resume(start))?;
        } else {
            self.log = Some(EventLog::create(&self.path)?);
            self.record(Event::Start(start))?;
        }
        Ok(snapshot)
    }

    /// Refuses to go on with other settings than the run began with, but for those that may change; paths count by where
    /// they lead. `remedy` says what to do instead.
    fn check_unchanged(
        &self,
        (settings, now): (&str, &StartRecord),
        may_change: &[&str],
        remedy: &str,
    ) -> Result<()> {
        let path = Self::config(&self.path);
        let Ok(begun_with) = std::fs::read_to_string(&path) else { return Ok(()) };
        let begun = read_start(&self.path).ok().flatten().unwrap_or_default();
        let table = |text: &str, start: &StartRecord| {
            let table = text.parse::<toml::Table>();
            let mut table = table.with_context(|| path.display().to_string())?;
            settings::locate(&mut table, start);
            anyhow::Ok(table)
        };
        let (old, new) = (table(&begun_with, &begun)?, table(settings, now)?);
        let changed = old
            .keys()
            .chain(new.keys())
            .find(|key| !may_change.contains(&key.as_str()) && old.get(*key) != new.get(*key));
        let Some(key) = changed else { return Ok(()) };
        let value = |table: &toml::Table| table.get(key).map_or("none".into(), ToString::to_string);
        let text = format!(
            "--{key} is {} now and was {} when {} began: {remedy}choose another --out",
            value(&new),
            value(&old),
            self.path.display()
        );
        Err(failure::usage(&text).into())
    }

    /// Refuses to go on with other files than the run began with, wherever they lie now.
    fn check_inputs(&self, now: &StartRecord) -> Result<()> {
        let Ok(Some(begun)) = read_start(&self.path) else { return Ok(()) };
        let stray = |inputs: &[Input], of: &[Input]| {
            let is_there = |input: &Input| {
                of.iter().any(|other| (&other.role, &other.sha256) == (&input.role, &input.sha256))
            };
            inputs.iter().find(|input| !is_there(input)).cloned()
        };
        let run = self.path.display();
        let text = if let Some(Input { path, role, .. }) = stray(&now.inputs, &begun.inputs) {
            format!("{path}: is not among the files that {run} began with; give the same {role}")
        } else if let Some(Input { path, role, .. }) = stray(&begun.inputs, &now.inputs) {
            format!("{run} began with {path} too, which is missing now; give the same {role}")
        } else {
            return Ok(());
        };
        Err(failure::usage(&(text + ", or choose another --out")).into())
    }

    /// Saves the state after an epoch, then the record of it: a run killed in between adds the record from
    /// the state.
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
        match &mut self.log {
            Some(log) => Ok(log.append(&event)?),
            None => anyhow::bail!("{}: the run has not begun", self.path.display()),
        }
    }

    /// Says and records something that the user should know.
    pub fn warn(&mut self, text: &str, console: &Console) -> Result<()> {
        console.warn(text);
        self.record(Event::Warning { message: text.to_owned() })
    }

    /// Adds warnings, once a run.
    pub fn record_warnings(&mut self, warnings: &[String]) -> Result<()> {
        if self.start == Start::Resume {
            return Ok(());
        }
        let event = |message: &String| Event::Warning { message: message.clone() };
        warnings.iter().map(event).try_for_each(|event| self.record(event))
    }

    /// The run is done: its state is needed no more, and TensorBoard can show its curves.
    pub fn finish(&mut self, stop: StopRecord) -> Result<()> {
        self.record(Event::Stop(stop))?;
        udas_report::tensorboard::write_run(&self.path, &read_events(&self.path)?, &[])?;
        match std::fs::remove_file(self.path.join(STATE_FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// How the run ended, if it has ended by itself; refused for settings or files that it did not have, so that
    /// nobody takes its result for another's.
    pub fn finished(&self, settings: &str, start: &StartRecord) -> Result<Option<StopRecord>> {
        let is_there = self.model().exists() || self.path.join(RESULT_FOLDER).exists();
        if self.start != Start::Resume || !is_there {
            return Ok(None);
        }
        let Ok(events) = read_events(&self.path) else { return Ok(None) };
        let stop = events.into_iter().rev().find_map(|event| match event {
            Event::Stop(stop) => Some(stop),
            _ => None,
        });
        if stop.is_some() {
            let remedy = "it is done, and its result is that; for another one ";
            self.check_unchanged((settings, start), &PLACES, remedy)?;
            self.check_inputs(start)?;
        }
        Ok(stop)
    }
}

/// Refuses fewer epochs than are done: the record would be that of another run.
fn check_epochs(settings: &str, done: usize) -> Result<()> {
    let settings: toml::Table = settings.parse().context("settings")?;
    let asked = settings.get("epochs").and_then(toml::Value::as_integer).unwrap_or(i64::MAX);
    if usize::try_from(asked).is_ok_and(|asked| asked < done) {
        let text = format!("--epochs {asked}: {done} are done already; leave it out, or give more");
        return Err(failure::usage(&text).into());
    }
    Ok(())
}

fn taken_by_a_run(path: &Path) -> anyhow::Error {
    let text = format!(
        "{} holds a run already; go on with it by --resume, or choose another --out",
        path.display()
    );
    failure::usage(&text).into()
}

/// Whether the folder holds a run that failed before its first epoch.
fn is_failed_start(path: &Path) -> bool {
    let kept = [MODEL_FILE, STATE_FILE].iter().any(|name| path.join(name).exists());
    // Without events that can be read it is none of our runs.
    let Ok(events) = read_events(path) else { return false };
    let only_begun = events.iter().all(|event| {
        matches!(event, Event::Start(_) | Event::Warning { .. } | Event::Before { .. })
    });
    !kept && !events.is_empty() && only_begun
}

/// Forgets a run that failed before its first epoch: there is nothing to lose, and the next one may have been put
/// right. Says whether it was one.
fn forget_failed_start(path: &Path) -> Result<bool> {
    if !is_failed_start(path) {
        return Ok(false);
    }
    for name in [EVENTS_FILE, CONFIG_FILE] {
        match std::fs::remove_file(path.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| path.join(name).display().to_string());
            }
            _ => {}
        }
    }
    Ok(true)
}

/// Whether a folder is this process's alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    Held,
    /// Some network file systems have no locks; a single run is safe there all the same.
    Unsupported,
}

/// Takes the folder for this process; the system gives it back however the process ends.
fn lock(folder: &Path) -> Result<(File, Lock)> {
    let path = folder.join(LOCK_FILE);
    let shown = folder.display();
    let file = OpenOptions::new().create(true).append(true).open(&path).map_err(|error| {
        failure::input(format!("{shown}: cannot be written ({error}); choose another --out"))
    })?;
    match udas_files::try_lock(&file) {
        Ok(()) => Ok((file, Lock::Held)),
        Err(TryLockError::WouldBlock) => {
            let text =
                format!("{shown} is in use by another run; wait for it, or choose another --out");
            Err(failure::usage(&text).into())
        }
        Err(TryLockError::Error(_)) => Ok((file, Lock::Unsupported)),
    }
}
