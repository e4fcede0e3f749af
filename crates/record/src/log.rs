//! Reading and writing of `events.jsonl`.
use crate::{Event, StartRecord};
use std::path::{Path, PathBuf};

/// Name of the events file in a run folder.
pub const EVENTS_FILE: &str = "events.jsonl";

/// Why events could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not there or cannot be opened.
    #[error("{path}: {reason}; is this the folder of a run?", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The file cannot be written.
    #[error("{path}: {reason}; is there space, and may the folder be written?", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The run has a log already.
    #[error("{path} is there already: resume that run, or choose another folder", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the log.
    #[error("{path}: another process is writing this run; wait for it, or choose another folder", path = path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A line is no event.
    #[error("{path}, line {line}: not an event of this version ({source})", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was wrong with it.
        source: serde_json::Error,
    },
}

/// Reads the events of a run folder.
///
/// # Errors
/// [`Error`] with the path. A last line that was cut short (the run was killed while writing it) is left
/// out, wherever it was cut.
pub fn read_events(run: &Path) -> Result<Vec<Event>, Error> {
    let path = run.join(EVENTS_FILE);
    let bytes = std::fs::read(&path).map_err(|reason| Error::Io { path: path.clone(), reason })?;
    // A line may be cut inside a letter.
    parse_events(&String::from_utf8_lossy(&bytes)).map_err(|(line, source)| Error::Line {
        path,
        line,
        source,
    })
}

/// What a run was started with, if its events say so.
///
/// # Errors
/// As of [`read_events`].
pub fn read_start(run: &Path) -> Result<Option<StartRecord>, Error> {
    Ok(read_events(run)?.into_iter().find_map(|event| match event {
        Event::Start(start) => Some(start),
        _ => None,
    }))
}

/// Parses lines of JSON; a last line without its line end is left out when it is no event. Events with a
/// name of a later version are left out too, so that old programs read new runs.
///
/// # Errors
/// The number of the first bad line, and why.
pub fn parse_events(text: &str) -> Result<Vec<Event>, (usize, serde_json::Error)> {
    let count = text.lines().count();
    let mut events = Vec::with_capacity(count);
    for (index, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) if index + 1 == count && !text.ends_with('\n') => {}
            Err(_) if is_foreign(line) => {}
            Err(source) => return Err((index + 1, source)),
        }
    }
    Ok(events)
}

/// Whether a line is an event of another version: an object whose `event` is a name unknown here.
pub(crate) fn is_foreign(line: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Named {
        event: String,
    }
    serde_json::from_str::<Named>(line)
        .is_ok_and(|named| !Event::NAMES.contains(&named.event.as_str()))
}

/// The text of `events.jsonl`.
pub fn to_lines(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        // Events hold no maps with keys other than text, so that this cannot fail.
        if let Ok(line) = serde_json::to_string(event) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Phase, StopReason, StopRecord};

    fn events() -> Vec<Event> {
        vec![
            Event::Before { phase: Phase::Adapt, score: 0.5 },
            Event::Stop(StopRecord {
                phase: Phase::Adapt,
                reason: StopReason::Converged,
                epochs: 3,
                seconds: 1.5,
                rejected: None,
            }),
        ]
    }

    #[test]
    fn events_survive_a_round_trip() {
        assert_eq!(parse_events(&to_lines(&events())).unwrap(), events());
    }

    #[test]
    fn a_last_line_cut_short_is_left_out() {
        let text = to_lines(&events());
        let cut = &text[..text.len() - 5];
        assert_eq!(parse_events(cut).unwrap(), events()[..1]);
    }

    #[test]
    fn a_bad_line_in_the_middle_is_an_error_with_its_number() {
        let text = format!("nonsense\n{}", to_lines(&events()));
        assert_eq!(parse_events(&text).unwrap_err().0, 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = read_events(Path::new("no/such/run")).unwrap_err().to_string();
        assert!(error.contains("no/such/run/events.jsonl"), "{error}");
    }
}
