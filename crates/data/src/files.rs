//! Listing image files: the contents of folders, trees and patterns, in a stable order. Hidden files are no images, and
//! links that lead back end the search. A folder that holds the slices of a DICOM series is listed as one image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use udas_volume::{is_dicom, is_supported, stem};
use unicode_normalization::UnicodeNormalization;

use crate::instead;
use crate::pattern::{self, is_pattern};
use crate::subject::sorted;
use crate::{Error, Frames, Result, Subject};

/// Entries of a folder in order of their names, hidden ones left out.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = all_entries(folder)?;
    paths.retain(|path| !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.'));
    Ok(paths)
}

/// Entries of a folder in order of their names.
pub(crate) fn all_entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::io(folder, source);
    let listing = std::fs::read_dir(folder).map_err(io)?;
    let mut paths =
        listing.map(|entry| Ok(entry.map_err(io)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The name of an image or mask without its ending, in composed characters: a letter with its accent is one name,
/// whether a file system keeps it as one character or as two.
pub fn name_of(path: &Path) -> String {
    composed(&stem(path))
}

/// Text in composed characters (Unicode's NFC).
pub fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// Image files directly in a folder, and DICOM series in folders of their own there, in order of their names. A .hdr/.img
/// pair is listed once.
pub(crate) fn images_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    // A link that leads nowhere is listed, so that whoever reads it says so.
    files.retain(|path| match path.is_dir() {
        true => is_dicom(path),
        false => is_supported(path) && !is_second_of_pair(path),
    });
    Ok(files)
}

/// Image files in a folder and those below it, `depth` levels down. A folder that links lead to again is listed once.
pub(crate) fn images_below(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let mut seen = BTreeSet::new();
    images_below_unseen(folder, depth, &mut seen)
}

fn images_below_unseen(
    folder: &Path,
    depth: usize,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<Vec<PathBuf>> {
    let place = folder.canonicalize().map_err(|source| Error::io(folder, source))?;
    if !seen.insert(place) {
        return Ok(Vec::new());
    }
    let mut files = images_in(folder)?;
    if depth > 0 {
        let is_folder = |entry: &PathBuf| entry.is_dir() && !is_dicom(entry);
        for entry in entries(folder)?.into_iter().filter(is_folder) {
            files.extend(images_below_unseen(&entry, depth - 1, seen)?);
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
/// (`*`, `?`, `[...]`, `**`), in order of their names, in a domain of the given name. A DICOM series is one image: the
/// folder of its slices. Hidden files are left out, and a
/// file that is named twice is taken once.
///
/// Two files of one name are refused: their results would overwrite each other.
pub fn expand(paths: &[PathBuf], domain: &str) -> Result<Vec<Subject>> {
    let mut files = Vec::new();
    for path in paths {
        let found = expand_one(path)?;
        if found.is_empty() {
            return Err(instead::of_empty(path));
        }
        files.extend(found);
    }
    files.sort();
    let mut places = BTreeSet::new();
    files.retain(|file| places.insert(place(file)));
    instead::refuse_slices(&files)?;
    let subject = |image: PathBuf| Subject {
        id: name_of(&image),
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
        return if is_dicom(path) { Ok(vec![path.into()]) } else { images_in(path) };
    }
    if path.exists() || !is_pattern(path) {
        // An absent file is reported by the reader, with the system's reason.
        return Ok(vec![path.into()]);
    }
    let mut files = Vec::new();
    for found in pattern::matches(path)? {
        if found.is_dir() {
            files.extend(expand_one(&found)?);
        } else if is_supported(&found) && !is_second_of_pair(&found) {
            files.push(found);
        }
    }
    Ok(files)
}

/// Where a file lies, however its folder is named. A link to it under another name is another file.
fn place(file: &Path) -> PathBuf {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), file.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => file.to_owned(),
    }
}
