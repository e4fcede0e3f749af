//! A file that is written after long work: whether it can be is found out before.
use crate::failure;
use anyhow::Result;
use std::path::Path;

/// Makes the file's folder and tries to write there.
pub fn prepare(path: &Path) -> Result<()> {
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
    let refused =
        |error| failure::input(format!("{}: {error}; choose another --out", path.display())).into();
    tried.map_err(refused)
}
