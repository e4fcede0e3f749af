//! Settings of a command: flags over a configuration file over defaults, one struct for all three.
use crate::console::Console;
use crate::failure;
use crate::options::Common;
use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use udas_record::{StartRecord, read_start};
use udas_run::{RunFolder, Settings, Start};

pub use udas_run::settings::{needed, to_text};

/// The settings of a run: flags over the file named by `--config`, or over the run's own where it goes on.
/// `give_way` takes out of the file what flags of other names stand in for; `A` are all of the command's flags.
pub fn of_run<A: Args, S: Settings>(
    given: S,
    flags: &ArgMatches,
    config: Option<PathBuf>,
    (start, run): (Start, &Path),
    give_way: impl FnOnce(&S, &mut Table) -> Result<()>,
) -> Result<S> {
    check_flags(flags)?;
    let file = match (config, start) {
        (Some(path), _) => SettingsFile { begun: begun(&path), lost: Lost::Refused, path },
        (None, Start::Fresh) => return Ok(given),
        (None, Start::Resume) => {
            let begun = read_start(run).ok().flatten();
            SettingsFile { path: RunFolder::config(run), begun, lost: Lost::Left }
        }
    };
    let entries = file.entries::<A>()?;
    file.under(given, flags, entries, give_way)
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

/// Where a run began whose settings these are, whatever the file is called and wherever it lies now.
fn begun(file: &Path) -> Option<StartRecord> {
    let said = || {
        let text = std::fs::read_to_string(file).ok()?;
        let directory = udas_run::settings::counted_from(&text)?.to_owned();
        Some(StartRecord { directory, ..StartRecord::default() })
    };
    run_of(file).or_else(said)
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

/// A file of settings.
struct SettingsFile {
    path: PathBuf,
    /// The start of the run that wrote it, which its paths count from.
    begun: Option<StartRecord>,
    lost: Lost,
}

/// What becomes of paths in a run's own file that lead nowhere any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Another run refuses them: what lies here under such a name may be something else.
    Refused,
    /// The run itself knows its files by their hashes.
    Left,
}

impl SettingsFile {
    /// Lets entries of the file stand for flags that were not given.
    fn under<S: Settings>(
        &self,
        given: S,
        flags: &ArgMatches,
        mut entries: Table,
        give_way: impl FnOnce(&S, &mut Table) -> Result<()>,
    ) -> Result<S> {
        let defaults = as_table(&given)?;
        // What the settings do not keep would have no effect: options of every command, `resume` and its like.
        let kept = as_table(&self.with::<S>(&defaults, &entries)?)?;
        if let Some(name) = entries.keys().find(|name| !kept.contains_key(*name)) {
            let text =
                format!("`{name}` cannot be set in a file; remove it, and give --{name} instead");
            return Err(self.wrong(text).into());
        }
        give_way(&given, &mut entries)?;
        let mut settings: S = self.with(&defaults, &entries)?;
        let by_flag = |name: &str| flags.value_source(&id(name)) == Some(ValueSource::CommandLine);
        self.locate(&mut settings, |name| entries.contains_key(name) && !by_flag(name))?;
        let located = as_table(&settings)?;
        let of_file = |name: &str| entries.contains_key(name) && !by_flag(name);
        let entries = located.into_iter().filter(|(name, _)| of_file(name)).collect();
        self.with(&defaults, &entries)
    }

    /// What it says, by the names that settings have.
    fn entries<A: Args>(&self) -> Result<Table> {
        let shown = self.path.display();
        let text = std::fs::read_to_string(&self.path).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                failure::input(format!("{shown}: is no text in UTF-8; save it as UTF-8"))
            }
            _ => failure::input(format!("{shown}: {error}; check the path")),
        })?;
        let entries: Table = toml::from_str(&text).map_err(|error| {
            self.wrong(format!("{}; correct the file", in_short(&error, &text)))
        })?;
        // Only builds with debug assertions could ask the flags which options there are.
        let options = Common::augment_args(A::augment_args(clap::Command::new("")));
        let is_option = |key: &str| options.get_arguments().any(|o| o.get_id() == &id(key));
        let mut named = Table::new();
        for (key, value) in entries {
            if !is_option(&key) {
                let text = format!("`{key}` is no option of this command; see --help");
                return Err(self.wrong(text).into());
            }
            let name = key.replace('_', "-");
            if named.insert(name.clone(), value).is_some() {
                return Err(self.wrong(format!("`{name}` is given twice; remove one")).into());
            }
        }
        Ok(named)
    }

    /// Settings of entries over others.
    fn with<S: DeserializeOwned>(&self, defaults: &Table, entries: &Table) -> Result<S> {
        let read = |entries: &Table| -> Result<S, toml::de::Error> {
            let mut settings = defaults.clone();
            settings.extend(entries.clone());
            settings.try_into()
        };
        let wrong = |error: toml::de::Error| {
            // The error does not name the entry that it is of.
            let alone = |(key, value): (&String, &Value)| {
                let entry = Table::from_iter([(key.clone(), value.clone())]);
                read(&entry).is_err().then(|| format!("`{key}`: "))
            };
            let key = entries.iter().find_map(alone).unwrap_or_default();
            self.wrong(format!("{key}{}; see --help for the values", error.message()))
        };
        Ok(read(entries).map_err(wrong)?)
    }

    /// Lets the paths that a run has written lead to where they led when it was started. `is_of_file` says which of the
    /// settings are the file's.
    fn locate<S: Settings>(
        &self,
        settings: &mut S,
        is_of_file: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let Some(begun) = &self.begun else { return Ok(()) };
        let mut lost = None;
        settings.each_path(&mut |name, path| {
            let stays = path.is_relative() && !begun.directory.is_empty();
            if stays && lost.is_none() && is_of_file(name) && begun.locate(path) == *path {
                lost = Some((name, path.clone()));
            }
        });
        if let Some((name, path)) = lost.filter(|_| self.lost == Lost::Refused) {
            return Err(self
                .wrong(format!(
                    "`{name}` is {}, counted from {}, where it is no more; give --{name}",
                    path.display(),
                    begun.directory
                ))
                .into());
        }
        settings.locate(begun);
        Ok(())
    }

    fn wrong(&self, text: String) -> failure::Failure {
        failure::input(format!("{}: {text}", self.path.display()))
    }
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
