//! A run killed at any moment, then resumed: no epoch twice, none missing, no line torn.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use udas_record::{
    EVENTS_FILE, EpochRecord, Error, Event, EventLog, Phase, Progress, StartRecord, StopReason,
    StopRecord, parse_events, read_events, to_lines,
};

const PHASE: Phase = Phase::Adapt;
const BEFORE: Event = Event::Before { phase: PHASE, score: 0.25 };

fn epoch(epoch: usize) -> EpochRecord {
    EpochRecord {
        phase: PHASE,
        epoch,
        steps: 20,
        loss: 1.0 / epoch as f64,
        score: Some(0.5),
        score_change: None,
        learning_rate: 1e-3,
        seconds: 1.5,
        slices_per_second: 32.0,
        peak_memory_bytes: None,
    }
}

/// A head was trained in the same folder before; its epochs have the same numbers.
fn head_epoch() -> Event {
    Event::Epoch(EpochRecord { phase: Phase::Head, ..epoch(1) })
}

fn whole_log() -> Vec<Event> {
    let start = StartRecord { command: "adapt".into(), ..StartRecord::default() };
    let warning = Event::Warning { message: "Größe: 2 mm, résumé".into() };
    let events = [Event::Start(start), head_epoch(), BEFORE, Event::Epoch(epoch(1)), warning];
    events.into_iter().chain((2..=3).map(|n| Event::Epoch(epoch(n)))).collect()
}

fn progress(epochs: &[EpochRecord]) -> Progress<'_> {
    Progress { phase: PHASE, before: Some(0.25), epochs }
}

/// What a resumed log must hold of the training after `known` epochs.
fn check(run: &Path, known: usize, what: &str) {
    let text = std::fs::read_to_string(run.join(EVENTS_FILE)).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{what}: the last line is whole");
    let events = parse_events(&text).unwrap();
    let numbers: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::Epoch(record) if record.phase == PHASE => Some(record.epoch),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, (1..=known).collect::<Vec<_>>(), "{what}");
    let befores = events.iter().filter(|event| **event == BEFORE).count();
    assert_eq!(befores, usize::from(known > 0), "{what}: the score before");
    let first_epoch = events.iter().position(|e| *e == Event::Epoch(epoch(1)));
    let before = events.iter().position(|e| *e == BEFORE);
    assert!(before <= first_epoch, "{what}: the score before comes first");
}

#[test]
fn a_log_cut_anywhere_is_mended_to_any_saved_state() {
    let bytes = to_lines(&whole_log()).into_bytes();
    let folder = tempfile::tempdir().unwrap();
    // Every byte is tried in memory beside `reconciled`; files are synced, which takes its time.
    for cut in (0..=bytes.len()).step_by(61) {
        for known in 0..=3 {
            let what = format!("cut at byte {cut}, state after epoch {known}");
            std::fs::write(folder.path().join(EVENTS_FILE), &bytes[..cut]).unwrap();
            let epochs: Vec<EpochRecord> = (1..=known).map(epoch).collect();
            let mut log = EventLog::resume(folder.path(), progress(&epochs)).unwrap();
            check(folder.path(), known, &what);
            if known > 0 {
                (known + 1..=4).for_each(|n| log.append(&Event::Epoch(epoch(n))).unwrap());
                check(folder.path(), 4, &what);
            }
        }
    }
}

#[test]
fn what_agrees_is_left_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(EVENTS_FILE);
    // A field and an event of a later version.
    let text = to_lines(&whole_log()).replace("\"steps\":20", "\"steps\":20,\"later\":[1]")
        + "{\"event\":\"applause\",\"hands\":2}\n";
    std::fs::write(&path, &text).unwrap();
    let epochs: Vec<EpochRecord> = (1..=3).map(epoch).collect();
    drop(EventLog::resume(folder.path(), progress(&epochs)).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    drop(EventLog::resume(folder.path(), progress(&epochs[..2])).unwrap());
    let shorter = std::fs::read_to_string(&path).unwrap();
    assert!(shorter.contains("applause") && shorter.contains("later"), "{shorter}");
    assert_eq!(read_events(folder.path()).unwrap(), whole_log()[..6]);
}

#[test]
fn the_stop_of_a_training_that_goes_on_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let stop = |phase| {
        let reason = StopReason::Interrupted;
        Event::Stop(StopRecord { phase, reason, epochs: 1, seconds: 1.0, rejected: None })
    };
    let events = [stop(Phase::Head), BEFORE, Event::Epoch(epoch(1)), stop(PHASE)];
    std::fs::write(folder.path().join(EVENTS_FILE), to_lines(&events)).unwrap();
    drop(EventLog::resume(folder.path(), progress(&[epoch(1)])).unwrap());
    assert_eq!(read_events(folder.path()).unwrap(), events[..3]);
}

#[test]
fn a_bad_line_in_the_middle_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(EVENTS_FILE);
    let text = format!("{}nonsense\n{}", to_lines(&[BEFORE]), to_lines(&[BEFORE]));
    std::fs::write(&path, &text).unwrap();
    let error = EventLog::resume(folder.path(), progress(&[])).unwrap_err();
    assert!(matches!(&error, Error::Line { line: 2, .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_run_is_neither_overwritten_nor_written_twice_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("new/run");
    let first = EventLog::create(&run).unwrap();
    let again = EventLog::create(&run).unwrap_err();
    assert!(matches!(again, Error::Exists { .. }), "{again}");
    let busy = EventLog::resume(&run, progress(&[])).unwrap_err();
    assert!(matches!(busy, Error::Busy { .. }), "{busy}");
    drop(first);
    EventLog::resume(&run, progress(&[])).unwrap();
    let missing = EventLog::resume(folder.path(), progress(&[])).unwrap_err();
    assert!(missing.to_string().contains("is this the folder of a run?"), "{missing}");
}

#[test]
fn a_run_that_ended_before_its_first_line_starts_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let start = StartRecord { command: "adapt".into(), ..StartRecord::default() };
    let resume = Event::Resume(start.clone());
    // Nothing was written, or a part of the line.
    for torn in ["", "{\"event\":\"start\",\"comm"] {
        std::fs::write(folder.path().join(EVENTS_FILE), torn).unwrap();
        let mut log = EventLog::resume(folder.path(), progress(&[])).unwrap();
        log.append(&resume).unwrap();
        log.append(&resume).unwrap();
        let expected = [Event::Start(start.clone()), resume.clone()];
        assert_eq!(read_events(folder.path()).unwrap(), expected, "{torn:?}");
    }
}

#[cfg(unix)]
#[test]
fn events_are_not_written_into_a_file_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = EventLog::create(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join(EVENTS_FILE)).unwrap();
    let error = log.append(&BEFORE).unwrap_err().to_string();
    assert!(error.contains(EVENTS_FILE) && error.contains("removed"), "{error}");
}

const CHILD: &str = "UDAS_TEST_EVENT_LOG_CHILD";

/// Writes epochs until it is killed; runs only as a child of the test below.
#[test]
fn child_that_is_killed() {
    let Some(run) = std::env::var_os(CHILD) else { return };
    let mut log = EventLog::create(Path::new(&run)).unwrap();
    log.append(&BEFORE).unwrap();
    for n in 1..1_000_000 {
        log.append(&Event::Epoch(epoch(n))).unwrap();
    }
}

#[test]
fn a_process_killed_while_writing_leaves_a_log_to_go_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed"])
        .env(CHILD, &run)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while read_events(&run).map_or(0, |events| events.len()) < 20 {
        assert!(Instant::now() < deadline, "the child wrote too little");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let written = read_events(&run).unwrap().len() - 1;
    // The state on disk is one epoch behind the log, or one ahead of it.
    for known in [written - 1, written + 1] {
        let epochs: Vec<EpochRecord> = (1..=known).map(epoch).collect();
        let mut log = EventLog::resume(&run, progress(&epochs)).unwrap();
        log.append(&Event::Epoch(epoch(known + 1))).unwrap();
        check(&run, known + 1, &format!("killed after epoch {written}, state of {known}"));
    }
}
