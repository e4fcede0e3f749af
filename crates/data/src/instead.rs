//! What to give in place of paths that are no images: the remedy of an error, by what lies there.

use std::path::{Path, PathBuf};

use udas_volume::{is_dicom, is_dicom_slice, is_supported};

use crate::files::{entries, images_in};
use crate::{DataSet, Error, Result, is_pattern};

/// How far down folders are looked into.
const DEPTH: usize = 3;

/// Folders beside which masks lie in a folder of their own, by the names that layouts give them.
const IMAGE_FOLDERS: [&str; 3] = ["images", "Original", "imagesTr"];
/// Those of the masks.
const MASK_FOLDERS: [&str; 3] = ["masks", "Silver-standard", "labelsTr"];

/// The error for a folder or a pattern without images: where they lie, if that is within.
pub(crate) fn of_empty(path: &Path) -> Error {
    match within(path) {
        Some(remedy) => Error::Empty { path: path.into(), remedy },
        None => Error::empty(path),
    }
}

fn within(folder: &Path) -> Option<String> {
    if is_pattern(folder) && !folder.exists() {
        let series = folder.parent().filter(|parent| is_dicom(parent))?;
        return Some(format!("give the folder of the DICOM series, {}", series.display()));
    }
    let has_images = |path: &PathBuf| images_in(path).is_ok_and(|found| !found.is_empty());
    let images = IMAGE_FOLDERS.map(|name| folder.join(name)).into_iter().find(has_images);
    if let Some(images) = images {
        let images = images.display();
        return Some(match data_set_of(folder) {
            Some(named) => format!("give {images}, or the data set that it is of: {named}"),
            None => format!("give {images}"),
        });
    }
    if let Some(named) = domains_of(folder) {
        return Some(format!("it is a data set: give {named}"));
    }
    let (first, depth) = first_below(folder, DEPTH)?;
    if !first.is_dir() {
        return None;
    }
    let pattern = folder.join(vec!["*"; depth].join("/"));
    Some(format!(
        "give the folders of its DICOM series, such as {}, or all of them by the pattern \"{}\"",
        first.display(),
        pattern.display()
    ))
}

/// How a folder of one domain is named as a part of the data set around it.
fn data_set_of(folder: &Path) -> Option<String> {
    let (root, name) = (folder_of(folder), folder.file_name()?.to_str()?);
    let set = DataSet::open(&root).ok()?;
    let is_domain = set.domains().iter().any(|domain| domain == name);
    is_domain.then(|| format!("--data {} --domain {name}", root.display()))
}

/// How a data set is named.
fn domains_of(root: &Path) -> Option<String> {
    let domains = DataSet::open(root).ok()?.domains();
    Some(format!("--data {} --domain NAME, of {}", root.display(), domains.join(", ")))
}

/// The first image in the folders of a folder, and how many levels down it lies.
fn first_below(folder: &Path, depth: usize) -> Option<(PathBuf, usize)> {
    if let Some(first) = images_in(folder).ok()?.into_iter().next() {
        return Some((first, 1));
    }
    let folders = entries(folder).ok()?.into_iter().filter(|path| depth > 0 && path.is_dir());
    let found = folders.into_iter().find_map(|folder| first_below(&folder, depth - 1))?;
    Some((found.0, found.1 + 1))
}

/// Folders that are named in an error.
const SHOWN: usize = 4;

/// Refuses single slices of DICOM series, once for all of them. A file that holds a whole series is an image.
pub(crate) fn refuse_slices(files: &[PathBuf]) -> Result<()> {
    let may_be = |path: &&PathBuf| path.is_file() && (is_dicom(path) || !is_supported(path));
    let mut slices: Vec<&PathBuf> = files.iter().filter(may_be).collect();
    // Of each folder one is looked into: they are of one kind.
    slices.sort_by_key(|slice| folder_of(slice));
    slices.dedup_by_key(|slice| folder_of(slice));
    slices.retain(|slice| is_dicom_slice(slice));
    let Some(first) = slices.first() else { return Ok(()) };
    let mut folders: Vec<String> =
        slices.iter().take(SHOWN).map(|slice| folder_of(slice).display().to_string()).collect();
    if slices.len() > SHOWN {
        folders.push(format!("and {} others", slices.len() - SHOWN));
    }
    Err(Error::Slice { path: first.to_path_buf(), folders: folders.join(", ") })
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => ".".into(),
    }
}

/// What helps where two files have one name.
pub(crate) fn of_same_name(first: &Path, second: &Path) -> String {
    let folder_name = |path: &Path| Some(path.parent()?.file_name()?.to_str()?.to_owned());
    let names = [folder_name(first), folder_name(second)].map(Option::unwrap_or_default);
    let is_of = |folders: &[&str], name: &String| folders.contains(&name.as_str());
    let [images, masks] = [&IMAGE_FOLDERS[..], &MASK_FOLDERS[..]];
    let images = match [(first, &names[0], &names[1]), (second, &names[1], &names[0])]
        .into_iter()
        .find(|(_, own, other)| is_of(images, own) && is_of(masks, other))
    {
        Some((image, ..)) => folder_of(image),
        None => return "rename or remove one".into(),
    };
    format!("one is a mask of the other: give the images alone, {}", images.display())
}
