//! Broken and hostile files: each must be refused with its message, within a second, and nothing may panic.
//!
//! `tests/must_fail/KIND/NAME` is discovered, with `KIND/NAME.expected` beside it: what the message must say, a
//! phrase a line. The folder's name says how the file is read. `tests/must_fail/make.py` writes most of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use udas_data::{DataSet, LabelUse, Layout, Plane, Preprocessing, SliceSource, VolumeSlices};
use udas_model::families;
use udas_model::{HeadFile, ModelFile};
use udas_network::Shape;
use udas_nn::Checkpoint;

type Outcome = Result<(), Box<dyn Error>>;

/// Far above what any of these files honestly needs.
const MEMORY: usize = 256 << 20;

fn reader(kind: &str) -> Option<fn(&Path) -> Outcome> {
    Some(match kind {
        "volume" => volume,
        "mask" => |path| Ok(udas_volume::read_labels(path).map(drop)?),
        "dataset" => data_set,
        "checkpoint" => |path| Ok(Checkpoint::load(path).map(drop)?),
        "network" => |path| Ok(ModelFile::load(path, None).map(drop)?),
        "head" => |path| {
            Ok(HeadFile::load(path, &families()[0].spec(Shape { filters: 2, outputs: 1 }))
                .map(drop)?)
        },
        "preprocessing" => preprocessing,
        _ => return None,
    })
}

fn volume(path: &Path) -> Outcome {
    Ok(udas_volume::read(path)?.check_finite(path)?)
}

/// Reads every slice of every domain, as training does.
fn data_set(path: &Path) -> Outcome {
    let data = DataSet::open(path)?;
    let (preprocessing, classes) = match data.layout() {
        Layout::Cc359 => (Preprocessing::CC359, 2),
        Layout::Mnms => (Preprocessing::MNMS, 4),
        Layout::DomainFolders | Layout::Bids | Layout::NnunetRaw => {
            (Preprocessing::upright(Plane::Axial), 2)
        }
    };
    for domain in data.domains() {
        let subjects = data.subjects(&domain)?;
        let labels = LabelUse::Require { classes };
        let slices = VolumeSlices::new(subjects, preprocessing.clone(), labels, 1 << 20)?;
        (0..slices.len()).try_for_each(|index| slices.read(index).map(drop))?;
    }
    Ok(())
}

fn preprocessing(path: &Path) -> Outcome {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    let preprocessing: Preprocessing =
        toml::from_str(&text).map_err(|error| named(&error.message()))?;
    Ok(preprocessing.check().map_err(|error| named(&error))?)
}

/// Every `.expected` file, by kind and name.
fn cases() -> Vec<(String, PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/must_fail");
    let mut cases = Vec::new();
    for kind in root.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        if !kind.is_dir() {
            continue;
        }
        for entry in kind.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            if entry.extension().is_some_and(|extension| extension == "expected") {
                let phrases = std::fs::read_to_string(&entry).unwrap();
                let phrases = phrases.lines().map(str::to_owned).collect();
                let kind = kind.file_name().unwrap().to_str().unwrap().to_owned();
                cases.push((kind, entry.with_extension(""), phrases));
            } else {
                let expected = format!("{}.expected", entry.display());
                assert!(Path::new(&expected).is_file(), "{expected} is missing");
            }
        }
    }
    cases.sort();
    cases
}

/// What is wrong with a case, if anything.
fn check(kind: &str, path: &Path, phrases: &[String]) -> Option<String> {
    let read = reader(kind)?;
    let start = Instant::now();
    let outcome = std::panic::catch_unwind(|| read(path).map_err(|error| error.to_string()));
    let elapsed = start.elapsed();
    let message = match outcome {
        Err(_) => return Some("panics".into()),
        Ok(Ok(())) => return Some("is accepted".into()),
        Ok(Err(message)) => message,
    };
    let name = path.file_stem().unwrap().to_str().unwrap();
    let silent =
        phrases.iter().map(String::as_str).chain([name]).find(|part| !message.contains(*part));
    if let Some(part) = silent {
        return Some(format!("says nothing of {part:?}: {message}"));
    }
    if message.len() > 2000 {
        return Some(format!("has a message of {} bytes", message.len()));
    }
    (elapsed > Duration::from_secs(1)).then(|| format!("takes {elapsed:?}"))
}

/// The most memory this process has held so far, where the system tells.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok().map(|kib| kib * 1024)
}

#[test]
fn each_is_refused_with_its_message_quickly_and_in_little_memory() {
    let cases = cases();
    let before = peak_bytes();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (kind, path, phrases) in &cases {
        assert!(reader(kind).is_some(), "tests/must_fail.rs does not say how a {kind} is read");
        *kinds.entry(kind).or_default() += 1;
        if let Some(problem) = check(kind, path, phrases) {
            wrong.push(format!("{} {problem}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 60, "{} cases", cases.len());
    match before.zip(peak_bytes()) {
        Some((before, after)) => {
            let grown = after - before;
            assert!(grown < MEMORY, "memory grew by {} MiB", grown >> 20);
            eprintln!("{kinds:?}: refused, memory grew by {} MiB at most", grown >> 20);
        }
        None => eprintln!("{kinds:?}: refused; skipped: this system does not tell peak memory"),
    }
}
