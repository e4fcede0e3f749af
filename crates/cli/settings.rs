//! Settings of a command: flags over a configuration file over defaults, one struct for all three.
use crate::console::Console;
use crate::failure;
use crate::options::Common;
use crate::run_folder::{RunFolder, Start};
use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use udas_record::{StartRecord, read_start};

/// The settings of a run: flags over the file named by `--config`, or over the run's own where it goes on.
/// `give_way` takes out of the file what flags of other names stand in for.
pub fn of_run<S: Args + Serialize + DeserializeOwned>(
    given: S,
    flags: &ArgMatches,
    config: Option<PathBuf>,
    (start, run): (Start, &Path),
    give_way: impl FnOnce(&S, &mut Table) -> Result<()>,
) -> Result<S> {
    check_flags(flags)?;
    match (config, start) {
        (Some(file), _) => {
            let begun = run_of(&file);
            with_file(given, flags, &file, |given, entries| {
                give_way(given, entries)?;
                match &begun {
                    Some(begun) => locate_all(entries, begun, flags, &file),
                    None => Ok(()),
                }
            })
        }
        (None, Start::Fresh) => Ok(given),
        (None, Start::Resume) => {
            let begun = read_start(run).ok().flatten().unwrap_or_default();
            with_file(given, flags, &RunFolder::config(run), |given, file| {
                locate(file, &begun);
                give_way(given, file)
            })
        }
    }
}

/// Refuses what a run's settings could not be written down with, before anything is read.
fn check_flags(flags: &ArgMatches) -> Result<()> {
    for id in flags.ids() {
        let flag = id.as_str().replace('_', "-");
        for value in flags.try_get_raw(id.as_str()).ok().flatten().into_iter().flatten() {
            let shown = value.to_string_lossy();
            if value.to_str().is_none() {
                let text = format!(
                    "--{flag} {shown}: is not UTF-8, in which a run's settings are kept; rename the file or folder"
                );
                return Err(failure::usage(&text).into());
            }
            if id.as_str() == "seed"
                && shown.parse::<u64>().is_ok_and(|seed| i64::try_from(seed).is_err())
            {
                let text =
                    format!("--seed {shown}: give one up to {}, which TOML can hold", i64::MAX);
                return Err(failure::usage(&text).into());
            }
        }
    }
    Ok(())
}

/// The start of the run whose own settings file this is, if it is one.
fn run_of(file: &Path) -> Option<StartRecord> {
    let run = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let own = RunFolder::config(run);
    (own.file_name() == file.file_name()).then(|| read_start(run).ok().flatten())?
}

/// As [`locate`], for another run: what is not where it was is refused, since what lies here under its name may be
/// something else.
fn locate_all(
    entries: &mut Table,
    begun: &StartRecord,
    flags: &ArgMatches,
    file: &Path,
) -> Result<()> {
    let by_flag = |name: &str| flags.value_source(&id(name)) == Some(ValueSource::CommandLine);
    for name in PATHS.into_iter().filter(|name| entries.contains_key(*name) && !by_flag(name)) {
        let paths = match entries.get(name) {
            Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
            Some(path) => path.as_str().into_iter().collect(),
            None => Vec::new(),
        };
        let lost = |path: &&&str| {
            let path = Path::new(**path);
            path.is_relative() && !begun.directory.is_empty() && begun.locate(path) == path
        };
        if let Some(path) = paths.iter().find(lost) {
            let text = format!(
                "{}: `{name}` is {path}, counted from {}, where it is no more; give --{name}",
                file.display(),
                begun.directory
            );
            return Err(failure::input(text).into());
        }
    }
    locate(entries, begun);
    Ok(())
}

/// Settings that are paths, or lists of them.
const PATHS: [&str; 8] =
    ["model", "head", "teachers", "data", "images", "source-data", "calibration", "peers"];

/// Lets the paths in a run's own file lead to where they led when it was started.
pub fn locate(file: &mut Table, begun: &StartRecord) {
    let locate = |value: &mut Value| {
        if let Value::String(path) = value {
            *path = begun.locate(path.as_ref()).display().to_string();
        }
    };
    for name in PATHS {
        match file.get_mut(name) {
            Some(Value::Array(paths)) => paths.iter_mut().for_each(locate),
            Some(path) => locate(path),
            None => {}
        }
    }
}

/// A setting that must come from a flag or from the file.
pub fn needed<'a, T>(value: Option<&'a T>, flag: &str) -> Result<&'a T> {
    let missing = || failure::usage(&format!("{flag} is missing: neither given nor in a --config"));
    Ok(value.ok_or_else(missing)?)
}

/// Lets the entries of a TOML file stand for flags that were not given.
fn with_file<S: Args + Serialize + DeserializeOwned>(
    given: S,
    flags: &ArgMatches,
    file: &Path,
    give_way: impl FnOnce(&S, &mut Table) -> Result<()>,
) -> Result<S> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| failure::input(format!("{shown}: {error}; check the path")))?;
    let entries: Table = toml::from_str(&text).map_err(|error| {
        failure::input(format!("{shown}: {}; correct the file", in_short(&error, &text)))
    })?;
    let refuse = |text: String| failure::input(format!("{shown}: {text}"));
    // Only builds with debug assertions could ask `flags` which options there are.
    let options = Common::augment_args(S::augment_args(clap::Command::new("")));
    let is_option = |key: &str| options.get_arguments().any(|option| option.get_id() == &id(key));
    let mut named = Table::new();
    for (key, value) in entries {
        if !is_option(&key) {
            return Err(refuse(format!("`{key}` is no option of this command; see --help")).into());
        }
        let name = key.replace('_', "-");
        if named.insert(name.clone(), value).is_some() {
            return Err(refuse(format!("`{name}` is given twice; remove one")).into());
        }
    }
    let defaults = as_table(&given)?;
    let read = |entries: &Table| -> Result<S, toml::de::Error> {
        let mut settings = defaults.clone();
        settings.extend(entries.clone());
        settings.try_into()
    };
    let with = |entries: Table| -> Result<S> {
        let wrong = |error: toml::de::Error| {
            // The error does not name the entry that it is of.
            let alone = |(key, value): (&String, &Value)| {
                let entry = Table::from_iter([(key.clone(), value.clone())]);
                read(&entry).is_err().then(|| format!("`{key}`: "))
            };
            let key = entries.iter().find_map(alone).unwrap_or_default();
            refuse(format!("{key}{}; see --help for the values", error.message()))
        };
        Ok(read(&entries).map_err(wrong)?)
    };
    // What the settings do not keep would have no effect: options of every command, `resume` and its like.
    let kept = as_table(&with(named.clone())?)?;
    if let Some(name) = named.keys().find(|name| !kept.contains_key(*name)) {
        let text =
            format!("`{name}` cannot be set in a file; remove it, and give --{name} instead");
        return Err(refuse(text).into());
    }
    give_way(&given, &mut named)?;
    named.retain(|name, _| flags.value_source(&id(name)) != Some(ValueSource::CommandLine));
    with(named)
}

/// What the command line calls an option.
fn id(key: &str) -> String {
    key.replace('-', "_")
}

fn as_table<S: Serialize>(settings: &S) -> Result<Table> {
    Table::try_from(settings).context("settings cannot be written as TOML")
}

/// What is wrong with a TOML file and where; the line itself may be of any length.
fn in_short(error: &toml::de::Error, text: &str) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message())
}

/// What a dry run ends with: the settings as the run would keep them, every default filled in.
pub fn show<S: Serialize>(settings: &S, console: &Console) -> Result<()> {
    console.result(to_text(settings)?, settings)
}

/// The settings as a file that [`with_file`] reads.
pub fn to_text<S: Serialize>(settings: &S) -> Result<String> {
    toml::to_string(settings).context("settings cannot be written as TOML")
}
