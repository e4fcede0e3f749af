//! BIDS: `sub-NAME[/ses-NAME]/anat/sub-NAME_..._T1w.nii.gz`, masks below `derivatives/`.
//!
//! Source: the Brain Imaging Data Structure, 1.10: file names are entities (`key-value`, joined by `_`) and a suffix;
//! `participants.tsv` has a row a participant; a JSON file beside an image names the scanner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Found, mnms};
use crate::files::{entries, images_below, images_in, name_of};
use crate::{Error, Frames, Result, Subject};

/// Suffixes of anatomical images, the likeliest first; the first that a data set has is taken.
const IMAGES: [&str; 7] = ["T1w", "T2w", "FLAIR", "PDw", "T2starw", "UNIT1", "MP2RAGE"];
/// Suffixes of masks.
const MASKS: [&str; 2] = ["mask", "dseg"];
/// Entities that say how a derivative was made, and not of which image.
const OF_DERIVATIVES: [&str; 5] = ["label", "desc", "space", "res", "den"];
/// Columns of `participants.tsv` that name a scanner, the likeliest first.
const COLUMNS: [&str; 6] = ["domain", "scanner", "site", "center", "centre", "manufacturer"];
/// `PIPELINE/sub-NAME/ses-NAME/anat` is four levels below `derivatives`.
const DEPTH: usize = 4;

pub(crate) fn is_here(root: &Path) -> Result<bool> {
    Ok(participants(root)?.iter().any(|folder| !anatomies(folder).is_empty()))
}

/// The participants' folders.
fn participants(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = entries(root)?;
    folders.retain(|folder| folder.is_dir() && base(folder).starts_with("sub-"));
    Ok(folders)
}

/// The folders of anatomical images of a participant: its own, or one a session.
fn anatomies(participant: &Path) -> Vec<PathBuf> {
    let sessions = entries(participant).unwrap_or_default().into_iter();
    let sessions = sessions.filter(|folder| base(folder).starts_with("ses-"));
    let folders = std::iter::once(participant.to_owned()).chain(sessions);
    folders.map(|folder| folder.join("anat")).filter(|folder| folder.is_dir()).collect()
}

fn base(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file name's entities, and its suffix.
struct Name<'a> {
    entities: BTreeMap<&'a str, &'a str>,
    suffix: &'a str,
}

impl<'a> Name<'a> {
    fn parse(stem: &'a str) -> Option<Self> {
        let (entities, suffix) = stem.rsplit_once('_')?;
        let entities = entities.split('_').map(|entity| entity.split_once('-'));
        Some(Self { entities: entities.collect::<Option<_>>()?, suffix })
    }

    /// Whether this mask is of an image: every entity of it is the image's, but for those of derivatives.
    fn is_of(&self, image: &Name) -> bool {
        let own = self.entities.iter().filter(|(key, _)| !OF_DERIVATIVES.contains(key));
        let own: BTreeMap<_, _> = own.collect();
        own == image.entities.iter().collect() && !self.entities.contains_key("space")
    }
}

pub(crate) fn find(root: &Path) -> Result<Found> {
    let mut images = Vec::new();
    for folder in participants(root)?.iter().flat_map(|folder| anatomies(folder)) {
        images.extend(images_in(&folder)?);
    }
    let of = |suffix: &str| -> Vec<PathBuf> {
        let is = |path: &&PathBuf| Name::parse(&name_of(path)).is_some_and(|n| n.suffix == suffix);
        images.iter().filter(is).cloned().collect()
    };
    let (suffix, chosen) = IMAGES
        .into_iter()
        .map(|suffix| (suffix, of(suffix)))
        .find(|(_, found)| !found.is_empty())
        .ok_or_else(|| Error::empty(root))?;
    let mut notes = Vec::new();
    if chosen.len() < images.len() {
        notes.push(format!(
            "{}: the {} images that end in _{suffix} are taken, {} others are passed over",
            root.display(),
            chosen.len(),
            images.len() - chosen.len()
        ));
    }
    let masks = masks(root)?;
    let scanners = Scanners::read(root)?;
    let subject = |image: PathBuf| {
        let stem = name_of(&image);
        let id = stem.trim_end_matches(suffix).trim_end_matches('_').to_owned();
        let domain = scanners.of(&image, root);
        let labels = mask_of(&image, &stem, &masks)?;
        Ok(Subject { id, domain, image, labels, frames: Frames::Single, part: None })
    };
    Ok((chosen.into_iter().map(subject).collect::<Result<_>>()?, notes))
}

/// Masks below `derivatives`.
fn masks(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join("derivatives");
    let mut masks = if folder.is_dir() { images_below(&folder, DEPTH)? } else { Vec::new() };
    let is_mask = |path: &PathBuf| {
        Name::parse(&name_of(path)).is_some_and(|name| MASKS.contains(&name.suffix))
    };
    masks.retain(is_mask);
    Ok(masks)
}

/// The one mask of an image; several are refused, since there is no telling which is meant.
fn mask_of(image: &Path, stem: &str, masks: &[PathBuf]) -> Result<Option<PathBuf>> {
    let Some(name) = Name::parse(stem) else { return Ok(None) };
    let is_of = |mask: &&PathBuf| Name::parse(&name_of(mask)).is_some_and(|mask| mask.is_of(&name));
    let found: Vec<_> = masks.iter().filter(is_of).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        [first, second, ..] => Err(Error::TwoMasks {
            image: image.into(),
            first: (*first).clone(),
            second: (*second).clone(),
        }),
    }
}

/// Which scanner each participant was seen by.
struct Scanners {
    /// By `participant_id` without its `sub-`, which some tables leave out, of the column that names scanners.
    table: BTreeMap<String, String>,
}

impl Scanners {
    fn read(root: &Path) -> Result<Self> {
        let path = root.join("participants.tsv");
        let mut table = BTreeMap::new();
        if path.is_file() {
            let columns = mnms::columns(&path)?;
            let named = COLUMNS.iter().find_map(|column| columns.get(*column));
            let id = columns.get("participant_id");
            for record in mnms::reader(&path)?.records() {
                let record = record.map_err(|error| mnms::invalid(&path, error.to_string()))?;
                let field = |place: Option<&usize>| place.and_then(|&place| record.get(place));
                if let (Some(id), Some(value)) = (field(id), field(named))
                    && !["", "n/a"].contains(&value)
                {
                    table.insert(without_key(id).to_owned(), value.replace([' ', '/'], "_"));
                }
            }
        }
        Ok(Self { table })
    }

    /// The domain of an image: by the table, by the scanner that the JSON file beside it names, or the data set's name.
    fn of(&self, image: &Path, root: &Path) -> String {
        let name = name_of(image);
        let participant = name.split('_').next().unwrap_or_default();
        let by_table = self.table.get(without_key(participant)).cloned();
        let place = || root.canonicalize().unwrap_or_else(|_| root.to_owned());
        by_table.or_else(|| by_sidecar(image)).unwrap_or_else(|| base(&place()))
    }
}

fn without_key(participant: &str) -> &str {
    participant.strip_prefix("sub-").unwrap_or(participant)
}

/// `MANUFACTURER_FIELD`, such as `Siemens_3`, by the JSON file beside an image.
fn by_sidecar(image: &Path) -> Option<String> {
    let text = std::fs::read_to_string(image.with_file_name(name_of(image) + ".json")).ok()?;
    let said: serde_json::Value = serde_json::from_str(&text).ok()?;
    let maker = said.get("Manufacturer")?.as_str()?.split_whitespace().next()?.to_owned();
    let field = said.get("MagneticFieldStrength").and_then(serde_json::Value::as_f64);
    Some(field.map_or_else(|| maker.clone(), |tesla| format!("{maker}_{tesla}")))
}
