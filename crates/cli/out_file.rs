//! A file that a command leaves: whether it can be written is found out before the work.
use crate::failure;
use anyhow::{Context, Result};
use std::path::Path;

/// Makes the file's folder and tries to write there. `option` is what names the file on the command line.
pub fn prepare(path: &Path, option: &str) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let tried = std::fs::create_dir_all(folder)
        .and_then(|()| tempfile::tempfile_in(folder))
        .and_then(|_| match path.is_dir() {
            true => Err(std::io::ErrorKind::IsADirectory.into()),
            false => Ok(()),
        });
    let refused = |error| {
        failure::input(format!("{}: {error}; choose another {option}", path.display())).into()
    };
    tried.map_err(refused)
}

/// As [`prepare`], for a file that is JSON.
pub fn prepare_json(path: &Path) -> Result<()> {
    names_json(path)?;
    prepare(path, "--out")
}

/// Refuses the name of another kind of file: it may be the user's image, mask or model that is written over.
pub fn names_json(path: &Path) -> Result<()> {
    match path.extension() {
        Some(ending) if !ending.eq_ignore_ascii_case("json") => {
            let text = format!(
                "{}: --out names JSON, and another kind of file is not written over; give {}",
                path.display(),
                path.with_extension("json").display()
            );
            Err(failure::usage(&text).into())
        }
        _ => Ok(()),
    }
}

/// Writes it, whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    udas_files::write_whole(path, bytes)
        .with_context(|| format!("{} cannot be written", path.display()))
}
