//! A folder of predictions: which model it is of, what each mask was made of, and which of its files are masks.
use crate::console::Console;
use crate::{failure, out_file, segmentations};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use udas_data::{Preprocessing, Subject};
use udas_model::Views;
use udas_run::training;
use udas_volume::{Labels, Volume, files_of, probe, read, read_labels, stem};

const MADE_BY: &str = "predictions.json";
const MASKS: &str = "masks.jsonl";

/// Names that a message about many masks lists.
const NAMED: usize = 5;

/// Whether a mask shows nothing.
pub fn is_empty(labels: &Labels) -> bool {
    labels.data().iter().all(|&label| label == 0)
}

/// Says which masks show nothing, if some do.
pub fn warn_of_empty(empty: &[String], written: usize, console: &Console) {
    if empty.is_empty() {
        return;
    }
    let named = empty.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = empty.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    console.warn(format!(
        "{} of {written} masks are empty: the model has found nothing in {named}{more}; `udas doctor FILES --model MODEL` says what is odd \
         about the images",
        empty.len()
    ));
}

/// Which model a folder of predictions is from.
#[derive(Clone, Serialize, Deserialize)]
pub struct MadeBy {
    pub model: String,
    /// Of the model; of an ensemble the hashes of all, with `+` between them.
    pub hash: String,
    pub preprocessing: Preprocessing,
    /// The views of each slice that probabilities are the mean of.
    #[serde(default, skip_serializing_if = "Views::is_one")]
    pub views: Views,
    pub version: String,
    /// Whether every mask is listed with what it was made of, as by builds before it was not.
    #[serde(default)]
    pub listed: bool,
}

/// What a mask was made of; a line of the list.
#[derive(Clone, Serialize, Deserialize)]
struct Made {
    /// File name of the mask.
    mask: String,
    image: String,
    /// Of the image's bytes; of a pair of header and voxels those of both, of a DICOM series those of all slices.
    sha256: String,
}

/// How a mask that is there stands to an image.
pub enum Origin {
    /// Made of it.
    Same,
    /// Made of the file at this place, which has other content now.
    Changed,
    /// Made of another file of this name.
    Other(String),
    /// Its making was not finished.
    Unfinished,
    /// Made by a build that did not say.
    Unknown,
}

/// A folder that masks are written to, perhaps by several programs at once.
pub struct Predictions {
    folder: PathBuf,
    /// Of the model.
    pub hash: String,
    listed: bool,
    made: BTreeMap<String, Made>,
}

/// The hash of the model that a folder's predictions are of, where that is known.
pub fn made_by(folder: &Path) -> Option<String> {
    Some(mark_of(folder)?.hash)
}

fn mark_of(folder: &Path) -> Option<MadeBy> {
    serde_json::from_slice(&std::fs::read(folder.join(MADE_BY)).ok()?).ok()
}

/// Whether predictions of another model may be replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Keep,
    Replace,
}

impl Predictions {
    /// Marks the folder as this model's. Refuses to mix the predictions of two models in one folder; those of another
    /// model that are to be replaced go first, so that none is taken for the new model's after an interruption.
    /// `masks` are the file names of those to be made.
    pub fn open(
        folder: &Path,
        mut made_by: MadeBy,
        masks: &[String],
        existing: Existing,
    ) -> Result<Self> {
        let shown = folder.display();
        std::fs::create_dir_all(folder)
            .map_err(|error| failure::input(format!("{shown}: {error}; choose another --out")))?;
        check_model(folder, &made_by, existing)?;
        // Others may begin in this folder at the same time.
        let _lock = locked(folder)?;
        let before = masks.iter().any(|name| folder.join(name).exists());
        let earlier = check_model(folder, &made_by, existing)?;
        made_by.listed = match &earlier {
            Some(earlier) if !same(earlier, &made_by) => {
                remove_earlier(folder, masks)?;
                true
            }
            Some(earlier) => earlier.listed,
            None => !before,
        };
        let text = serde_json::to_string_pretty(&made_by)?;
        out_file::write(&folder.join(MADE_BY), text.as_bytes())?;
        let (listed, hash) = (made_by.listed, made_by.hash);
        Ok(Self { folder: folder.to_owned(), hash, listed, made: list(folder) })
    }

    /// How masks stand to their image; those that are not there count for nothing.
    pub fn origin(&mut self, masks: &[String], image: &Path) -> Result<Origin> {
        self.origin_of(masks, image, &|| hash(image))
    }

    /// The same for masks of an image in several files, of which one stands for all, with the hash of all.
    pub fn origin_of(
        &mut self,
        masks: &[String],
        image: &Path,
        hash: &dyn Fn() -> Result<String>,
    ) -> Result<Origin> {
        let mut sha256 = None;
        for mask in masks.iter().filter(|mask| self.folder.join(mask).exists()) {
            if !self.made.contains_key(mask) {
                // Another program may have made it meanwhile.
                self.made = list(&self.folder);
            }
            let Some(made) = self.made.get(mask) else {
                let unfit = !fits(&self.folder.join(mask), image);
                return Ok(match self.listed {
                    true => Origin::Unfinished,
                    false if unfit => Origin::Changed,
                    false => Origin::Unknown,
                });
            };
            let now = match &sha256 {
                Some(sha256) => sha256,
                None => sha256.insert(hash()?),
            };
            if &made.sha256 != now {
                return Ok(if made.image == place(image) {
                    Origin::Changed
                } else {
                    Origin::Other(made.image.clone())
                });
            }
        }
        Ok(Origin::Same)
    }

    /// Lists masks that have been written.
    pub fn add(&mut self, masks: &[String], image: &Path, sha256: &str) -> Result<()> {
        let mut file = locked(&self.folder)?;
        let mut text = String::new();
        // A line that was cut short stays alone.
        if file.seek(SeekFrom::End(-1)).is_ok() {
            let mut last = [0];
            file.read_exact(&mut last).context(MASKS)?;
            text.extend((last != *b"\n").then_some('\n'));
        }
        for mask in masks {
            let made = Made { mask: mask.clone(), image: place(image), sha256: sha256.to_owned() };
            text += &(serde_json::to_string(&made)? + "\n");
            self.made.insert(mask.clone(), made);
        }
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.with_context(|| format!("{} cannot be written", self.folder.join(MASKS).display()))
    }
}

/// The bytes that an image consists of, as a hash.
pub fn hash(image: &Path) -> Result<String> {
    let files = files_of(image)?;
    Ok(training::sha256_of(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?)
}

fn place(image: &Path) -> String {
    std::path::absolute(image).unwrap_or_else(|_| image.to_owned()).display().to_string()
}

fn fits(mask: &Path, image: &Path) -> bool {
    match (probe(mask), probe(image)) {
        (Ok(mask), Ok(image)) => mask.grid.difference(&image.grid).is_none(),
        _ => true,
    }
}

fn same(one: &MadeBy, two: &MadeBy) -> bool {
    (&one.hash, &one.preprocessing, one.views) == (&two.hash, &two.preprocessing, two.views)
}

/// The mark of an earlier call; refused where it is another model's that is to be kept.
fn check_model(folder: &Path, made_by: &MadeBy, existing: Existing) -> Result<Option<MadeBy>> {
    let earlier = mark_of(folder);
    if let Some(earlier) = &earlier
        && !same(earlier, made_by)
        && existing == Existing::Keep
    {
        let other = if earlier.hash == made_by.hash {
            "of the same model, which saw volumes in another way (--intensity, --plane, --views)"
                .to_owned()
        } else {
            format!("of another model ({})", earlier.model)
        };
        let shown = folder.display();
        let text =
            format!("{shown} holds predictions {other}; choose another --out, or --overwrite");
        return Err(failure::usage(&text).into());
    }
    Ok(earlier)
}

/// The list of masks, open to be added to, and this program's alone while it is open.
fn locked(folder: &Path) -> Result<File> {
    let path = folder.join(MASKS);
    let file = OpenOptions::new().create(true).append(true).read(true).open(&path);
    let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    // Some network file systems have no locks; short lines are added whole there as a rule.
    let _ = file.lock();
    Ok(file)
}

/// What masks were made of, by name; what was written last counts.
fn list(folder: &Path) -> BTreeMap<String, Made> {
    let text = std::fs::read_to_string(folder.join(MASKS)).unwrap_or_default();
    let made = text.lines().filter_map(|line| serde_json::from_str::<Made>(line).ok());
    made.map(|made| (made.mask.clone(), made)).collect()
}

/// Removes what an earlier model has left of the masks that are made now; refused where it has left something of
/// others, which would pass for the new model's.
fn remove_earlier(folder: &Path, masks: &[String]) -> Result<()> {
    let masks: BTreeSet<String> = masks.iter().map(|name| stem(Path::new(name))).collect();
    let is_own =
        |name: &str| masks.contains(name) || beside(name).is_some_and(|m| masks.contains(m));
    let (own, others): (Vec<_>, Vec<_>) =
        files(folder)?.into_iter().partition(|file| is_own(&file.id));
    if let Some(other) = others.first() {
        let text = format!(
            "{}: is of another model, and of none of the subjects that are predicted; choose another --out, or predict \
             all of them anew",
            other.image.display()
        );
        return Err(failure::usage(&text).into());
    }
    masks
        .iter()
        .try_for_each(|mask| segmentations::remove_own(&folder.join(segmentations::name(mask))))?;
    own.iter().try_for_each(|file| remove(&file.image))
}

/// Removes what lies beside a mask that is made anew: it would show another image.
pub fn remove_beside(folder: &Path, mask: &str, console: &Console) -> Result<()> {
    let mask = stem(Path::new(mask));
    segmentations::remove_own(&folder.join(segmentations::name(&mask)))?;
    for file in files(folder)?.iter().filter(|file| beside(&file.id) == Some(&mask)) {
        if !is_mask(file, &list(folder)) {
            remove(&file.image)?;
            console
                .detail(format!("{}: removed, since its image has changed", file.image.display()));
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).with_context(|| path.display().to_string())
}

fn files(folder: &Path) -> Result<Vec<Subject>> {
    match udas_data::expand(&[folder.to_owned()], "") {
        Err(udas_data::Error::Empty { .. }) => Ok(Vec::new()),
        found => Ok(found?),
    }
}

/// The mask whose overlay or probabilities a file of this name may be.
fn beside(name: &str) -> Option<&str> {
    let class = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.strip_suffix("_overlay").or_else(|| class.strip_suffix("_prob"))
}

/// The masks in a folder; overlays and probabilities that `predict` writes beside them are left out.
pub fn masks(folder: &Path) -> udas_data::Result<Vec<Subject>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = segmentations::masks_in(folder)?;
    let (names, made): (BTreeSet<_>, _) =
        (files.iter().map(|file| file.id.clone()).collect(), list(folder));
    let keep = |file: &Subject| match beside(&file.id) {
        Some(mask) if names.contains(mask) => is_mask(file, &made),
        _ => true,
    };
    Ok(without_images(files.into_iter().filter(keep).collect()))
}

/// The masks of a folder that holds images too.
fn without_images(files: Vec<Subject>) -> Vec<Subject> {
    let (images, masks) = udas_data::without_masks(files.clone());
    let images: BTreeSet<String> = images.into_iter().map(|image| image.id).collect();
    let masks: Vec<String> = masks.iter().map(|mask| udas_data::name_of(mask)).collect();
    let is_image = |file: &Subject| {
        images.contains(&file.id)
            && masks.iter().any(|mask| udas_data::extends(mask, &file.id))
            && !udas_data::holds_labels(&file.image)
    };
    files.into_iter().filter(|file| !is_image(file)).collect()
}

/// Whether a file with the name of something beside a mask is a mask all the same, of a subject of that name: it is
/// listed as one or, where masks are not listed, holds labels in an image of one channel, as overlays and probabilities
/// do not.
fn is_mask(file: &Subject, made: &BTreeMap<String, Made>) -> bool {
    let folder = file.image.parent().unwrap_or(Path::new("."));
    if mark_of(folder).is_some_and(|mark| mark.listed) {
        let name = file.image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return made.contains_key(&name);
    }
    // Probabilities may all be near 0; labels are whole numbers.
    let is_whole = |volume: &Volume| volume.data().iter().all(|value| value.fract() == 0.0);
    !udas_volume::is_stored_in_colour(&file.image).unwrap_or(false)
        && read_labels(&file.image).is_ok()
        && read(&file.image).is_ok_and(|volume| is_whole(&volume))
}
