//! Patterns of paths (`*`, `?`, `[...]`, `**`), as a shell resolves them.

use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::files::entries;
use crate::{Error, Result};

/// Whether a path is a pattern rather than a name.
pub fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// Files and folders that a pattern names, in no order. Hidden ones are left out, unless the pattern has their dot, and
/// `**` does not follow links: they may lead back to where it came from.
pub(crate) fn matches(pattern: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        found = match part {
            Component::Normal(_) if text == "**" => {
                found.into_iter().map(|folder| below(&folder)).collect::<Result<Vec<_>>>()?.concat()
            }
            Component::Normal(_) if is_pattern(Path::new(&*text)) => {
                let part = Pattern::new(&text).map_err(|error| {
                    let shown = pattern.display();
                    Error::Setting(format!("{shown}: not a valid pattern ({error})"))
                })?;
                found
                    .into_iter()
                    .map(|folder| named(&folder, &part))
                    .collect::<Result<Vec<_>>>()?
                    .concat()
            }
            part => found.into_iter().map(|folder| folder.join(part)).collect(),
        };
    }
    // What follows a pattern as a plain name may not be there.
    found.retain(|path| path.symlink_metadata().is_ok());
    Ok(found)
}

fn named(folder: &Path, part: &Pattern) -> Result<Vec<PathBuf>> {
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let is_named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        part.matches_with(&name.to_string_lossy(), options)
    };
    let mut paths = listed(folder, part.as_str().starts_with('.'))?;
    paths.retain(is_named);
    Ok(paths)
}

/// A folder and all folders below it that are no links.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        left.extend(
            listed(&folder, false)?
                .into_iter()
                .filter(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())),
        );
        found.push(folder);
    }
    Ok(found)
}

/// Entries of a folder; none of what is no folder. The empty path is the present one.
fn listed(folder: &Path, hidden: bool) -> Result<Vec<PathBuf>> {
    let present = folder.as_os_str().is_empty();
    let place = if present { Path::new(".") } else { folder };
    if !place.is_dir() {
        return Ok(Vec::new());
    }
    let paths = if hidden { crate::files::all_entries(place)? } else { entries(place)? };
    let shown = |path: PathBuf| match path.strip_prefix(place) {
        Ok(name) if present => name.to_owned(),
        _ => path,
    };
    Ok(paths.into_iter().map(shown).collect())
}
