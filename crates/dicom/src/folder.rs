//! What lies in a folder: series by their identifier, and files that are passed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::parse::{Parsed, class_of, has_mark, parse};
use crate::tag::Tag;
use crate::{Error, Result};

/// Classes of images that are volumes or slices of them.
const IMAGES: [&str; 6] = [
    "1.2.840.10008.5.1.4.1.1.2",   // CT
    "1.2.840.10008.5.1.4.1.1.2.1", // Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2", // Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4",   // MR
    "1.2.840.10008.5.1.4.1.1.4.1", // Enhanced MR
    "1.2.840.10008.5.1.4.1.1.4.4", // Legacy Converted Enhanced MR
];
pub(crate) const SEGMENTATION: &str = "1.2.840.10008.5.1.4.1.1.66.4";
/// Label Map Segmentation Storage.
pub(crate) const LABEL_MAP: &str = "1.2.840.10008.5.1.4.1.1.66.7";
/// Enhanced MR Color Image Storage.
const COLOUR: &str = "1.2.840.10008.5.1.4.1.1.4.3";

/// Stands between a folder and the series of it that is meant.
const CHOICE: char = '@';
/// Digits of a series' hash that are shown and wanted of the user.
const HASH_DIGITS: usize = 8;
/// Files of a folder that are looked into before it is taken for none of a series.
const LOOKED_INTO: usize = 64;
/// Name endings of files that are no DICOM, so that they need not be opened to know it.
const OTHERS: [&str; 24] = [
    "nii",
    "gz",
    "hdr",
    "img",
    "png",
    "tif",
    "tiff",
    "jpg",
    "jpeg",
    "json",
    "jsonl",
    "csv",
    "tsv",
    "txt",
    "md",
    "toml",
    "html",
    "pth",
    "safetensors",
    "xml",
    "pdf",
    "zip",
    "onnx",
    "log",
];

/// The end of a file name after its last point, if it is one of those that files of other kinds have.
fn is_other(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| OTHERS.contains(&ending.as_str()))
}

fn is_nifti(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    [".nii", ".nii.gz"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a file is a DICOM file by its name: `NAME.dcm`.
pub fn is_named_as_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("dcm"))
}

/// Whether a path is a folder that holds images of CT or MR as DICOM files directly, or names a series of one
/// (`FOLDER@HASH`). A folder that holds NIfTI files beside them is taken for a folder of those.
pub fn is_series(path: &Path) -> bool {
    if !path.is_dir() {
        return split_choice(path).is_some();
    }
    let Ok(files) = files(path) else { return false };
    if files.iter().any(|file| is_nifti(file)) {
        return false;
    }
    let candidates = files.iter().filter(|file| !is_other(file) && !is_directory_file(file));
    candidates.take(LOOKED_INTO).any(|file| {
        let class = if has_mark(file) { class_of(file) } else { None };
        class.is_some_and(|class| is_image(&class))
    })
}

fn is_image(class: &str) -> bool {
    IMAGES.contains(&class) || class == COLOUR
}

/// The folder and the beginning of the hash of `FOLDER@HASH`.
pub(crate) fn split_choice(path: &Path) -> Option<(PathBuf, String)> {
    let name = path.file_name()?.to_str()?;
    let (folder, hash) = name.rsplit_once(CHOICE)?;
    let is_hash = hash.len() >= 4 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let folder = path.with_file_name(folder);
    (is_hash && !path.exists() && folder.is_dir()).then(|| (folder, hash.to_ascii_lowercase()))
}

/// `DICOMDIR` lists what lies on a medium, and holds no image.
fn is_directory_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"))
}

/// The files of a folder in order of their names, hidden ones left out.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::io(folder, source);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The first digits of the hash of a series' identifier, which is all that is said of it.
pub(crate) fn hash_of(uid: &str) -> String {
    let digest = Sha256::digest(uid.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.get(..HASH_DIGITS).unwrap_or_default().to_owned()
}

/// The files of one series, and how many others were passed over.
pub(crate) struct Found {
    pub(crate) uid: String,
    pub(crate) files: Vec<Parsed>,
    /// DICOM files that are no images of CT or MR, and files of other kinds.
    pub(crate) passed_over: usize,
}

/// Reads the files of a folder, of which one series is meant; or the one file that is named.
pub(crate) fn find(path: &Path) -> Result<Found> {
    if path.is_file() {
        let file = parse(path)?;
        let class = file.data.text(Tag::SOP_CLASS_UID);
        if [SEGMENTATION, LABEL_MAP].map(Some).contains(&class.as_deref()) {
            let remedy = "give it as a mask, and its series as the image";
            return Err(Error::refused(path, "is a DICOM SEG, a mask and no image", remedy));
        }
        let uid = series_of(&file)?;
        if !file.data.text(Tag::SOP_CLASS_UID).is_some_and(|class| is_image(&class)) {
            let remedy = "name a series of CT or MR images";
            return Err(Error::refused(path, "is no image of CT or MR", remedy));
        }
        if is_lone(&file) {
            let remedy = "name the folder of its series";
            return Err(Error::refused(path, "is one slice of a series", remedy));
        }
        return Ok(Found { uid, files: vec![file], passed_over: 0 });
    }
    let chosen = split_choice(path);
    let folder = chosen.as_ref().map_or(path, |(folder, _)| folder);
    let (mut series, mut passed_over) = (BTreeMap::<String, Vec<Parsed>>::new(), 0);
    for file in files(folder)? {
        if is_directory_file(&file) || is_other(&file) || !has_mark(&file) {
            passed_over += 1;
            continue;
        }
        if !class_of(&file).is_some_and(|class| is_image(&class)) {
            // Its header says what it is before anything else is read: what is no image need not be whole.
            passed_over += 1;
            continue;
        }
        let file = parse(&file)?;
        series.entry(series_of(&file)?).or_default().push(file);
    }
    let wanted = |uid: &String| match &chosen {
        Some((_, hash)) => hash_of(uid).starts_with(hash.get(..HASH_DIGITS).unwrap_or(hash)),
        None => true,
    };
    let names: Vec<String> = series.keys().filter(|uid| wanted(uid)).cloned().collect();
    match names.as_slice() {
        [uid] => {
            let files = series.remove(uid).unwrap_or_default();
            Ok(Found { uid: uid.clone(), files, passed_over })
        }
        [] if series.is_empty() => Err(Error::refused(
            folder,
            "holds no images of CT or MR as DICOM files",
            "name the folder that the slices of a series lie in",
        )),
        _ => Err(several(folder, &series)),
    }
}

/// Whether a file holds a single slice.
fn is_lone(file: &Parsed) -> bool {
    file.data.count(Tag::NUMBER_OF_FRAMES).is_none_or(|frames| frames < 2)
}

/// Whether a file is one slice of a series of CT or MR images, which makes no volume by itself.
pub fn is_slice(path: &Path) -> bool {
    let is_of_series =
        path.is_file() && has_mark(path) && class_of(path).is_some_and(|class| is_image(&class));
    is_of_series && parse(path).is_ok_and(|file| is_lone(&file))
}

fn series_of(file: &Parsed) -> Result<String> {
    let uid = file.data.text(Tag::SERIES_INSTANCE_UID);
    uid.ok_or_else(|| Error::damaged(&file.path, "does not say which series it is of"))
}

fn several(folder: &Path, series: &BTreeMap<String, Vec<Parsed>>) -> Error {
    let described: Vec<String> = series.iter().map(|(uid, files)| describe(uid, files)).collect();
    let problem = format!("holds {} series: {}", series.len(), described.join("; "));
    let first = series.keys().next().map(|uid| hash_of(uid)).unwrap_or_default();
    let remedy = format!(
        "name one as {}{CHOICE}{first}, or give each series a folder of its own",
        folder.display()
    );
    Error::refused(folder, problem, remedy)
}

/// A series in a few words, without its free text, which may name a person.
fn describe(uid: &str, files: &[Parsed]) -> String {
    let first = files.first().map(|file| &file.data);
    let word = |tag| {
        let text = first.and_then(|data| data.text(tag)).unwrap_or_default();
        text.chars().filter(char::is_ascii_alphanumeric).take(16).collect::<String>()
    };
    let side = |tag| first.and_then(|data| data.count(tag)).unwrap_or(0);
    let frames: u64 = files
        .iter()
        .map(|file| u64::from(file.data.count(Tag::NUMBER_OF_FRAMES).unwrap_or(1)))
        .sum();
    let localizer = if files.iter().any(is_localizer) { ", a localizer" } else { "" };
    format!(
        "{} ({}, number {}, {frames} slices of {}x{}{localizer})",
        hash_of(uid),
        word(Tag::MODALITY),
        first.and_then(|data| data.count(Tag::SERIES_NUMBER)).unwrap_or(0),
        side(Tag::COLUMNS),
        side(Tag::ROWS)
    )
}

/// Whether an image is a survey for planning the others.
pub(crate) fn is_localizer(file: &Parsed) -> bool {
    let words = file.data.text(Tag::IMAGE_TYPE).unwrap_or_default();
    words.split('\\').any(|word| word.trim() == "LOCALIZER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_split_off_only_where_it_names_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let scan = folder.path().join("scan");
        std::fs::create_dir(&scan).unwrap();
        let split = |name: &str| split_choice(&folder.path().join(name));
        assert_eq!(split("scan@00FFab12"), Some((scan.clone(), "00ffab12".into())));
        assert_eq!(split("scan@xyz1"), None);
        assert_eq!(split("scan@ab"), None);
        assert_eq!(split("other@00ffab12"), None);
        std::fs::create_dir(folder.path().join("scan@00ffab12")).unwrap();
        assert_eq!(split("scan@00ffab12"), None, "a folder of that name is meant");
    }
}
