//! Listing image files: the contents of folders, trees and patterns, in a stable order.

use std::path::{Path, PathBuf};

use udas_volume::{is_supported, stem};

use crate::subject::sorted;
use crate::{Error, Frames, Result, Subject};

/// Entries of a folder in order of their names, hidden ones left out.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = std::fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let mut paths = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|source| Error::io(folder, source))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Image files directly in a folder, in order of their names. A .hdr/.img pair is listed once.
pub(crate) fn images_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    // A link that leads nowhere is listed, so that whoever reads it says so.
    files.retain(|path| is_supported(path) && !path.is_dir() && !is_second_of_pair(path));
    Ok(files)
}

/// Image files in a folder and those below it, `depth` levels down.
pub(crate) fn images_below(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let mut files = images_in(folder)?;
    if depth > 0 {
        for entry in entries(folder)?.into_iter().filter(|entry| entry.is_dir()) {
            files.extend(images_below(&entry, depth - 1)?);
        }
    }
    Ok(files)
}

/// Whether this is the .img of a pair whose .hdr lies beside it.
fn is_second_of_pair(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [(".img", ".hdr"), (".img.gz", ".hdr.gz"), (".IMG", ".HDR")].into_iter().any(|(img, hdr)| {
        name.strip_suffix(img).is_some_and(|stem| Path::new(&format!("{stem}{hdr}")).is_file())
    })
}

/// Unlabelled subjects from files, folders (their image files, not those further down) and patterns
/// (`*`, `?`, `[...]`), in order of their names, in a domain of the given name.
///
/// Two files of one name are refused: their results would overwrite each other.
pub fn expand(paths: &[PathBuf], domain: &str) -> Result<Vec<Subject>> {
    let mut files = Vec::new();
    for path in paths {
        let found = expand_one(path)?;
        if found.is_empty() {
            return Err(Error::Empty { path: path.clone() });
        }
        files.extend(found);
    }
    files.sort();
    files.dedup();
    let subject = |image: PathBuf| Subject {
        id: stem(&image),
        domain: domain.to_owned(),
        image,
        labels: None,
        frames: Frames::Single,
        part: None,
    };
    sorted(files.into_iter().map(subject).collect())
}

fn expand_one(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_dir() {
        return images_in(path);
    }
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['*', '?', '[']) {
        // An absent file is reported by the reader, with the system's reason.
        return Ok(vec![path.into()]);
    }
    let matches = glob::glob(&text)
        .map_err(|error| Error::Setting(format!("{text}: not a valid pattern ({error})")))?;
    let mut files = Vec::new();
    for found in matches {
        let found = found.map_err(|error| {
            let path = error.path().to_path_buf();
            Error::io(&path, error.into())
        })?;
        if found.is_dir() {
            files.extend(images_in(&found)?);
        } else if is_supported(&found) && !is_second_of_pair(&found) {
            files.push(found);
        }
    }
    Ok(files)
}
