//! The folder of a run: locked while it is written, every file whole or absent, a state to go on from.
use crate::error::{Error, Result, Tried};
use crate::host::Host;
use crate::settings::{self, Settings};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use toml::Table;
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

/// Whether a run begins or goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// It begins.
    Fresh,
    /// It goes on from its last epoch.
    Resume,
}

impl Start {
    /// Whether a run goes on, as a flag says it.
    pub fn of(resume: bool) -> Self {
        if resume { Self::Resume } else { Self::Fresh }
    }
}

/// How far a run has come that is called again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    CutOff,
    Done,
}

impl Stage {
    /// What to do instead of changing a setting.
    fn remedy(self) -> &'static str {
        match self {
            Self::CutOff => "leave it out to go on, or ",
            Self::Done => "it is done, and its result is that; for another one ",
        }
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
    ///
    /// # Errors
    /// [`Error::Usage`] where it does.
    pub fn expect_free(path: &Path, start: Start) -> Result<()> {
        let taken = start == Start::Fresh && Self::config(path).exists();
        if taken && !is_failed_start(path) { Err(taken_by_a_run(path)) } else { Ok(()) }
    }

    /// Makes or opens the folder and locks it. The host is given its log.
    ///
    /// # Errors
    /// [`Error::Usage`] for a folder that holds a run, or that another process writes to; [`Error::Input`] or
    /// [`Error::System`] for one that cannot be written to.
    pub fn open(path: &Path, start: Start, host: &dyn Host) -> Result<Self> {
        let shown = path.display();
        std::fs::create_dir_all(path)
            .map_err(|error| Error::input(format!("{shown}: {error}; choose another --out")))?;
        let (lock, lock_kind) = lock(path)?;
        let taken = start == Start::Fresh && Self::config(path).exists();
        // Without a lock, a run without an epoch may be one that goes on.
        if taken && !(lock_kind == Lock::Held && forget_failed_start(path)?) {
            return Err(taken_by_a_run(path));
        }
        let log = OpenOptions::new().create(true).append(true).open(path.join(LOG_FILE));
        host.keep_log(log.tried(|| format!("{shown}: the log cannot be written"))?);
        Ok(Self { path: path.to_owned(), log: None, start, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run's model is once it is done.
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL_FILE)
    }

    /// Writes the settings, as TOML, and the start of the events. Gives the state to go on from, with which the
    /// events of a run that was cut off are brought into agreement.
    ///
    /// # Errors
    /// [`Error::Usage`] where a run would go on with settings or files that it did not begin with; those of files that
    /// cannot be read or written.
    pub fn begin<S: Settings>(
        &mut self,
        settings: &S,
        start: StartRecord,
        phase: Phase,
    ) -> Result<Option<Snapshot>> {
        let mut snapshot = None;
        if self.start == Start::Resume {
            self.check_unchanged(settings, &start, Stage::CutOff)?;
            self.check_inputs(&start)?;
            if self.path.join(STATE_FILE).exists() {
                let state = Snapshot::load(&self.path.join(STATE_FILE))?;
                check_epochs(settings.epochs(), state.history.epochs.len())?;
                snapshot = Some(state);
            }
        }
        let config = Self::config(&self.path);
        // A run that goes on elsewhere still counts from where it began.
        let begun = read_start(&self.path).ok().flatten();
        let directory = begun.map_or_else(|| start.directory.clone(), |begun| begun.directory);
        let text = settings::to_file(settings, &directory)?;
        udas_files::write_whole(&config, text.as_bytes())
            .tried(|| format!("{} cannot be written", config.display()))?;
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

    /// Refuses other settings than the run began with, but for those that may change; paths count by where they lead.
    fn check_unchanged<S: Settings>(
        &self,
        settings: &S,
        now: &StartRecord,
        stage: Stage,
    ) -> Result<()> {
        let path = Self::config(&self.path);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
        let unreadable = |error| Error::input(format!("{}: {error}", path.display()));
        let mut begun: S = toml::from_str(&text).map_err(unreadable)?;
        begun.locate(&read_start(&self.path).ok().flatten().unwrap_or_default());
        let mut settings = settings.clone();
        settings.locate(now);
        settings.take_places(&begun);
        if stage == Stage::CutOff {
            settings.take_ends(&begun);
        }
        let (old, new) = (Table::try_from(&begun)?, Table::try_from(&settings)?);
        let Some(key) = old.keys().chain(new.keys()).find(|key| old.get(*key) != new.get(*key))
        else {
            return Ok(());
        };
        let value = |table: &Table| table.get(key).map_or("none".into(), ToString::to_string);
        let (run, remedy) = (self.path.display(), stage.remedy());
        let (new, old) = (value(&new), value(&old));
        let text = format!(
            "--{key} is {new} now and was {old} when {run} began: {remedy}choose another --out"
        );
        Err(Error::usage(text))
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
        Err(Error::usage(text + ", or choose another --out"))
    }

    /// Saves the state after an epoch, then the record of it: a run killed in between adds the record from
    /// the state.
    ///
    /// # Errors
    /// Those of files that cannot be written.
    pub fn save_state(&mut self, snapshot: &Snapshot, event: Event) -> Result<()> {
        snapshot.save(&self.path.join(STATE_FILE))?;
        self.record(event)
    }

    /// The last state that was saved.
    pub fn last_state(&self) -> Option<Snapshot> {
        Snapshot::load(&self.path.join(STATE_FILE)).ok()
    }

    /// Adds an event.
    ///
    /// # Errors
    /// [`Error::NotBegun`] before [`begin`](Self::begin); [`Error::Record`] where it cannot be written.
    pub fn record(&mut self, event: Event) -> Result<()> {
        match &mut self.log {
            Some(log) => Ok(log.append(&event)?),
            None => Err(Error::NotBegun(self.path.clone())),
        }
    }

    /// Says and records something that the user should know.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn warn(&mut self, text: &str, host: &dyn Host) -> Result<()> {
        host.warn(text);
        self.record(Event::Warning { message: text.to_owned() })
    }

    /// Adds warnings, once a run.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_warnings(&mut self, warnings: &[String]) -> Result<()> {
        if self.start == Start::Resume {
            return Ok(());
        }
        let event = |message: &String| Event::Warning { message: message.clone() };
        warnings.iter().map(event).try_for_each(|event| self.record(event))
    }

    /// The run is done: its state is needed no more, and TensorBoard can show its curves.
    ///
    /// # Errors
    /// Those of files that cannot be written, or removed.
    pub fn finish(&mut self, stop: StopRecord) -> Result<()> {
        self.record(Event::Stop(stop))?;
        udas_report::tensorboard::write_run(&self.path, &read_events(&self.path)?, &[])?;
        remove(&self.path.join(STATE_FILE))
    }

    /// How the run ended, if it has ended by itself; refused for settings or files that it did not have, so that
    /// nobody takes its result for another's.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is refused.
    pub fn finished<S: Settings>(
        &self,
        settings: &S,
        start: &StartRecord,
    ) -> Result<Option<StopRecord>> {
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
            self.check_unchanged(settings, start, Stage::Done)?;
            self.check_inputs(start)?;
        }
        Ok(stop)
    }
}

/// Refuses fewer epochs than are done: the record would be that of another run.
fn check_epochs(asked: Option<usize>, done: usize) -> Result<()> {
    match asked.filter(|asked| *asked < done) {
        Some(asked) => Err(Error::usage(format!(
            "--epochs {asked}: {done} are done already; leave it out, or give more"
        ))),
        None => Ok(()),
    }
}

fn taken_by_a_run(path: &Path) -> Error {
    let text = format!(
        "{} holds a run already; go on with it by --resume, or choose another --out",
        path.display()
    );
    Error::usage(text)
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
        remove(&path.join(name))?;
    }
    Ok(true)
}

/// Removes a file that may be there.
fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).tried(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
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
        Error::input(format!("{shown}: cannot be written ({error}); choose another --out"))
    })?;
    match udas_files::try_lock(&file) {
        Ok(()) => Ok((file, Lock::Held)),
        Err(TryLockError::WouldBlock) => {
            let text =
                format!("{shown} is in use by another run; wait for it, or choose another --out");
            Err(Error::usage(text))
        }
        Err(TryLockError::Error(_)) => Ok((file, Lock::Unsupported)),
    }
}
