//! Appending to `events.jsonl` so that a killed run loses at most its last line, and a resumed one has
//! every epoch once.
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::{EVENTS_FILE, EpochRecord, Error, Event, Phase};

/// The events file of a run, open for writing. One process at a time can hold it.
///
/// ```
/// use udas_record::{Event, EventLog, read_events};
/// # let folder = tempfile::tempdir()?;
/// # let run = folder.path().join("run");
/// let mut log = EventLog::create(&run)?;
/// log.append(&Event::Warning { message: "no early head beside the model".into() })?;
/// assert_eq!(read_events(&run)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
}

/// What a saved state knows of its training; what the log must agree with before it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Which training.
    pub phase: Phase,
    /// The score before the first epoch.
    pub before: Option<f64>,
    /// Every epoch that the state holds, in order. Empty: the training starts again.
    pub epochs: &'a [EpochRecord],
}

impl EventLog {
    /// Starts the file in a run's folder, which is made where it is missing.
    ///
    /// # Errors
    /// [`Error::Exists`] where the run has one already, [`Error::Write`] where it cannot be made.
    pub fn create(run: &Path) -> Result<Self, Error> {
        let path = run.join(EVENTS_FILE);
        let fail = |reason: io::Error| match reason.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: path.clone() },
            _ => Error::Write { path: path.clone(), reason },
        };
        std::fs::create_dir_all(run).map_err(fail)?;
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(fail)?;
        lock(&file, &path)?;
        Ok(Self { path, file })
    }

    /// Opens the file of a run that goes on from a saved state.
    ///
    /// A run can be killed between saving its state and writing the epoch's line, in the middle of the
    /// line, or after a line whose state was never saved. So the log is brought to what the state knows:
    /// a torn last line goes, as do epochs after the state's last and the training's stop; epochs that
    /// the state has and the log lacks are added. Everything else stays as it is.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no log, [`Error::Busy`] where another process writes it,
    /// [`Error::Line`] for a line that is no event, [`Error::Write`] where it cannot be written.
    pub fn resume(run: &Path, progress: Progress) -> Result<Self, Error> {
        let path = run.join(EVENTS_FILE);
        let io = |reason| Error::Io { path: path.clone(), reason };
        let mut old = OpenOptions::new().read(true).append(true).open(&path).map_err(io)?;
        lock(&old, &path)?;
        let mut bytes = Vec::new();
        old.read_to_end(&mut bytes).map_err(io)?;
        // A line torn inside a letter is no UTF-8; it is dropped with the rest of its line.
        let text = String::from_utf8_lossy(&bytes);
        let wanted = reconciled(&text, progress).map_err(|(line, source)| Error::Line {
            path: path.clone(),
            line,
            source,
        })?;
        if wanted.as_bytes() == bytes {
            return Ok(Self { path, file: old });
        }
        udas_files::write_whole(&path, wanted.as_bytes())
            .map_err(|reason| Error::Write { path: path.clone(), reason })?;
        let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
        lock(&file, &path)?;
        Ok(Self { path, file })
    }

    /// Appends a line and hands it to the disk. A run that ended before its first line was written starts
    /// when it is resumed: to an empty log, [`Event::Resume`] is added as [`Event::Start`].
    ///
    /// # Errors
    /// [`Error::Write`]; the file then ends where it did before.
    pub fn append(&mut self, event: &Event) -> Result<(), Error> {
        let fail = |reason| Error::Write { path: self.path.clone(), reason };
        let metadata = self.file.metadata().map_err(fail)?;
        if is_removed(&metadata) {
            return Err(fail(io::Error::other("it was removed while the run went on")));
        }
        let end = metadata.len();
        let line = match event {
            Event::Resume(start) if end == 0 => serde_json::to_string(&Event::Start(start.clone())),
            event => serde_json::to_string(event),
        };
        let mut line = line.map_err(|e| fail(io::Error::other(e)))?;
        line.push('\n');
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| {
            // Half a line would spoil the next one.
            let _ = self.file.set_len(end);
            fail(source)
        })
    }
}

/// Whether an open file has lost its last name: what is written to it is lost when it is closed.
#[cfg(unix)]
fn is_removed(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

/// An open file cannot be removed here.
#[cfg(not(unix))]
fn is_removed(_: &std::fs::Metadata) -> bool {
    false
}

/// Not every file system has locks; without them two writers are the user's own care.
fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match udas_files::try_lock(file) {
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: path.to_owned() }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// The text of a log that agrees with a saved state.
fn reconciled(text: &str, progress: Progress) -> Result<String, (usize, serde_json::Error)> {
    let Progress { phase, before, epochs } = progress;
    let score_before = before.filter(|_| !epochs.is_empty());
    let mut out = String::new();
    let mut missing = epochs.iter().peekable();
    let mut has_before = false;
    let lines = text.lines().count();
    for (index, line) in text.lines().enumerate() {
        let last = index + 1 == lines && !text.ends_with('\n');
        let event = match serde_json::from_str::<Event>(line) {
            Ok(event) => event,
            Err(_) if last => break,
            Err(_) if crate::log::is_foreign(line) => {
                push_line(&mut out, line);
                continue;
            }
            Err(source) => return Err((index + 1, source)),
        };
        match &event {
            Event::Before { phase: of, .. }
                if *of == phase
                    && (score_before.is_none() || std::mem::replace(&mut has_before, true)) =>
            {
                continue;
            }
            Event::Stop(stop) if stop.phase == phase => continue,
            Event::Convergence { phase: of, .. } if *of == phase => continue,
            Event::Epoch(record) if record.phase == phase => {
                if let (Some(score), false) = (score_before, has_before) {
                    push_event(&mut out, &Event::Before { phase, score });
                    has_before = true;
                }
                while let Some(lost) = missing.next_if(|known| known.epoch < record.epoch) {
                    push_event(&mut out, &Event::Epoch(lost.clone()));
                }
                if missing.next_if(|known| known.epoch == record.epoch).is_none() {
                    continue;
                }
            }
            _ => {}
        }
        push_line(&mut out, line);
    }
    if let (Some(score), false) = (score_before, has_before) {
        push_event(&mut out, &Event::Before { phase, score });
    }
    missing.for_each(|lost| push_event(&mut out, &Event::Epoch(lost.clone())));
    Ok(out)
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn push_event(out: &mut String, event: &Event) {
    out.push_str(&crate::to_lines(std::slice::from_ref(event)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: usize) -> EpochRecord {
        EpochRecord {
            phase: Phase::Adapt,
            epoch,
            steps: 20,
            loss: 0.5,
            score: None,
            score_change: None,
            learning_rate: 1e-3,
            seconds: 1.5,
            slices_per_second: 32.0,
            peak_memory_bytes: None,
        }
    }

    #[test]
    fn a_log_cut_at_any_byte_agrees_with_any_saved_state() {
        let warning = Event::Warning { message: "Größe".into() };
        let before = Event::Before { phase: Phase::Adapt, score: 0.25 };
        let epochs: Vec<EpochRecord> = (1..=4).map(epoch).collect();
        let events = epochs.iter().cloned().map(Event::Epoch);
        let whole: Vec<Event> = [before.clone()].into_iter().chain(events).collect();
        let [first, rest @ ..] = &whole[..] else { panic!("events") };
        let log = [std::slice::from_ref(first), &[warning], rest].concat();
        let bytes = crate::to_lines(&log).into_bytes();
        for (cut, known) in (0..=bytes.len()).flat_map(|cut| (0..=4).map(move |k| (cut, k))) {
            let progress =
                Progress { phase: Phase::Adapt, before: Some(0.25), epochs: &epochs[..known] };
            let text = String::from_utf8_lossy(&bytes[..cut]);
            let mended = reconciled(&text, progress).unwrap();
            let mut events = crate::parse_events(&mended).unwrap();
            events.retain(|event| !matches!(event, Event::Warning { .. }));
            let expected = if known == 0 { &[][..] } else { &whole[..=known] };
            assert_eq!(events, expected, "cut at byte {cut}, state after epoch {known}");
            assert!(mended.is_empty() || mended.ends_with('\n'));
        }
    }
}
