//! Settings of a command: flags over a configuration file over defaults, one struct for all three.
use crate::failure;
use crate::run_folder::{RunFolder, Start};
use anyhow::{Context, Result};
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::Table;

/// The settings of a run: flags over the file named by `--config`, or over the run's own where it goes on.
pub fn of_run<S: Serialize + DeserializeOwned>(
    given: S,
    flags: &ArgMatches,
    config: Option<PathBuf>,
    (start, run): (Start, &Path),
) -> Result<S> {
    let own = || (start == Start::Resume).then(|| RunFolder::config(run));
    match config.or_else(own) {
        Some(file) => with_file(given, flags, &file),
        None => Ok(given),
    }
}

/// Lets the entries of a TOML file stand for flags that were not given.
fn with_file<S: Serialize + DeserializeOwned>(
    given: S,
    flags: &ArgMatches,
    file: &Path,
) -> Result<S> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| failure::input(format!("{shown}: {error}; check the path")))?;
    let entries: Table = toml::from_str(&text).map_err(|error| {
        failure::input(format!("{shown}: {}; correct the file", in_short(&error, &text)))
    })?;
    let mut settings = Table::try_from(&given).context("settings cannot be written as TOML")?;
    for (key, value) in entries {
        let id = key.replace('-', "_");
        let Ok(_) = flags.try_contains_id(&id) else {
            let text = format!("{shown}: `{key}` is no option of this command; see --help");
            return Err(failure::input(text).into());
        };
        if flags.value_source(&id) != Some(ValueSource::CommandLine) {
            settings.insert(key, value);
        }
    }
    let wrong = |error| failure::input(format!("{shown}: {error}; see --help for the values"));
    Ok(settings.try_into().map_err(wrong)?)
}

/// What is wrong with a TOML file and where; the line itself may be of any length.
fn in_short(error: &toml::de::Error, text: &str) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message())
}

/// The settings as a file that [`with_file`] reads.
pub fn to_text<S: Serialize>(settings: &S) -> Result<String> {
    toml::to_string(settings).context("settings cannot be written as TOML")
}
