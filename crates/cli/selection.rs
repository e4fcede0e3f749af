//! Which subjects a command works on: paths, or domains of a data set, and a choice among them.
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::Table;
use udas_data::{DataSet, Layout, Padding, Plane, Preprocessing, Subject, expand};
use udas_model::{Description, MODEL_FILE, ModelFile, ModelInfo};

pub use crate::choice::choose;

/// Images by path, or a data set's domain.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Images {
    /// Image files, folders or patterns
    #[arg(short, long, num_args = 1.., value_name = "PATH", conflicts_with = "data")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub set: OptionalSet,
}

/// A domain of a data set, where paths would do as well.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct OptionalSet {
    /// A data set: domain folders, a CC-359 or an M&Ms tree
    #[arg(long, value_name = "DIR", requires = "domain")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Its domains, such as scanners
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub domain: Vec<String>,
    /// Which subjects: names, or places in name order from 1, as 1-16,20; numbers are names where subjects are named by
    /// numbers [default: all]
    #[arg(long, value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<String>,
}

impl Images {
    /// Refuses what flags and a file have between them where it names no images, or more than are meant.
    pub fn check(&self) -> Result<()> {
        let (images, set, domain) =
            (!self.images.is_empty(), self.set.data.is_some(), !self.set.domain.is_empty());
        let text = match (images, set, domain) {
            (true, true, _) => "--images and --data: both are given; keep one of them",
            (true, false, true) => "--domain: is of a data set, not of --images; give --data DIR",
            (false, true, false) => "--domain is missing: name the domains of --data",
            (false, false, _) => "--images and --data are missing: give one of them",
            _ => return Ok(()),
        };
        Err(failure::usage(text).into())
    }

    /// Takes out of a settings file the images that flags name others for.
    pub fn give_way(&self, file: &mut Table) {
        if !self.images.is_empty() {
            for name in ["data", "domain", "subjects"] {
                file.remove(name);
            }
        }
        if self.set.data.is_some() {
            file.remove("images");
        }
    }

    /// The subjects chosen.
    pub fn subjects(&self, console: &Console) -> Result<Vec<Subject>> {
        let subjects = match &self.set.data {
            Some(root) => domains(root, &self.set.domain, console)?,
            None => without_masks(expand(&self.images, "target")?, console),
        };
        choose(subjects, self.set.subjects.as_deref(), console)
    }

    /// The preprocessing that the layout suggests, for models that say nothing of it.
    pub fn preprocessing(&self) -> Result<Preprocessing> {
        Ok(match &self.set.data {
            Some(root) => preprocessing_of(DataSet::open(root)?.layout()),
            None => Preprocessing::upright(Plane::Sagittal),
        })
    }

    /// What the images are called in records.
    pub fn name(&self) -> String {
        if self.set.data.is_some() { self.set.domain.join("+") } else { "target".into() }
    }
}

/// The images without the masks that lie among them, `NAME_seg` beside `NAME`, which are named.
pub fn without_masks(subjects: Vec<Subject>, console: &Console) -> Vec<Subject> {
    let (images, masks) = udas_data::without_masks(subjects);
    if let Some(first) = masks.first() {
        console.warn(format!(
            "{}: looks like a mask among the images; {} such files are left out",
            first.display(),
            masks.len()
        ));
    }
    images
}

/// A model; what it sees of a volume is as `suggestion` says where its file does not, and that is said, but for what
/// flags have `told`: `--plane`, `--intensity`.
pub fn load_model(
    path: &Path,
    suggestion: Preprocessing,
    told: &[Option<&str>],
    console: &Console,
) -> Result<ModelFile> {
    if path.is_dir() && !path.join(MODEL_FILE).exists() && !crate::nnunet::is_folder(path) {
        let shown = path.display();
        let text =
            format!("{shown}: holds no {MODEL_FILE}; if it is a run that was cut off, --resume it");
        return Err(failure::input(text).into());
    }
    let (model, taken) = ModelFile::load_wrapped(path, Some(suggestion))?;
    if !taken.is_whole() {
        console.say(format!("{}: {taken}", path.display()));
    }
    let Preprocessing { plane, intensity, .. } = &model.info.preprocessing;
    let guessed = [("--plane", word_for(plane)), ("--intensity", word_for(intensity))]
        .into_iter()
        .filter(|(flag, _)| !told.contains(&Some(flag)))
        .map(|(flag, word)| format!("{word} ({flag})"))
        .collect::<Vec<_>>();
    if model.info.description == Description::Assumed && !guessed.is_empty() {
        console.warn(format!(
            "{}: does not say how volumes are prepared; assumed: {}. `udas convert {} OUT.safetensors --plane P \
             --intensity I` writes down what it was trained with",
            path.display(),
            guessed.join(", "),
            path.display()
        ));
    }
    Ok(model)
}

/// The word that a file has for a value.
fn word_for(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

/// All subjects of some domains, with the data set's remarks said.
pub fn domains(root: &Path, names: &[String], console: &Console) -> Result<Vec<Subject>> {
    let set = DataSet::open(root)?;
    set.notes().iter().for_each(|note| console.warn(note));
    let (mut subjects, mut seen) = (Vec::new(), BTreeSet::new());
    // A domain named twice has its subjects once.
    for name in names.iter().filter(|name| seen.insert(*name)) {
        subjects.extend(set.subjects(name)?);
    }
    Ok(subjects)
}

/// Refuses subjects of one name: what is written of one would stand for the other.
pub fn named_once(subjects: &[Subject]) -> Result<()> {
    let mut names = BTreeMap::new();
    for subject in subjects {
        if let Some(other) = names.insert(&subject.id, &subject.image) {
            let text = format!(
                "{} and {} are both named {}, and so would be their masks; give one --domain at a time, each with \
                 a folder of its own",
                other.display(),
                subject.image.display(),
                subject.id
            );
            return Err(failure::input(text).into());
        }
    }
    Ok(())
}

/// Says what is odd about files' headers, so that nobody takes a guessed orientation for a known one. Returns
/// what was said.
pub fn warn_of_headers(subjects: &[Subject], console: &Console) -> Vec<String> {
    let mut said = Vec::new();
    for subject in subjects {
        // A file that cannot be read is refused where it is read.
        let Ok(probe) = udas_volume::probe(&subject.image) else { continue };
        let of = |warning: &udas_volume::Warning| format!("{}: {warning}", subject.image.display());
        said.extend(probe.header.warnings().iter().map(of));
    }
    said.extend(coloured(subjects));
    said.iter().for_each(|text| console.warn(text));
    said
}

/// A word on the first of the pictures that are in colour; once a data set, whose pictures are mostly of one kind.
fn coloured(subjects: &[Subject]) -> Option<String> {
    let is_coloured = |path: &&Path| udas_volume::is_coloured(path).unwrap_or(false);
    let first = subjects.iter().map(|subject| subject.image.as_path()).find(is_coloured)?;
    Some(format!("{}: {}, and so of others like it", first.display(), udas_volume::Warning::Colour))
}

/// Axis codes of volumes, each with a file that has them. What cannot be read is refused where it is read.
pub fn orientations(subjects: &[Subject]) -> BTreeMap<String, &Path> {
    let of = |subject: &Subject| Some(udas_volume::probe(&subject.image).ok()?.grid.affine.codes());
    let mut found = BTreeMap::new();
    for subject in subjects {
        found.extend(of(subject).map(|codes| (codes, subject.image.as_path())));
    }
    found
}

/// Says where slices as they are stored would lie otherwise than those that a model learned from. Returns what was said.
pub fn warn_of_orientations(
    model: &ModelInfo,
    subjects: &[Subject],
    console: &Console,
) -> Vec<String> {
    if model.preprocessing.plane != Plane::Stored || model.orientations.is_empty() {
        return Vec::new();
    }
    let other = |(codes, path): (String, &Path)| {
        (!model.orientations.contains(&codes)).then(|| {
            format!(
                "{}: axes {codes}; the model takes slices as they are stored, and learned from {}: reorient such files \
                 to that, or expect mirrored or turned slices (`udas train --plane axial` makes models that do not mind)",
                path.display(),
                model.orientations.join(", ")
            )
        })
    };
    let said: Vec<String> = orientations(subjects).into_iter().filter_map(other).collect();
    said.iter().for_each(|text| console.warn(text));
    said
}

/// What the sides of slices are multiples of, unless a network asks for more.
const MULTIPLE: usize = 8;

/// The preprocessing that a layout suggests; slices come in sizes that the network takes.
pub fn preprocessing_of(layout: Layout) -> Preprocessing {
    match layout {
        Layout::DomainFolders | Layout::Bids | Layout::NnunetRaw => {
            Preprocessing::upright(Plane::Sagittal)
        }
        Layout::Cc359 => Preprocessing {
            padding: Padding::Square { multiple: MULTIPLE },
            ..Preprocessing::CC359
        },
        Layout::Mnms => Preprocessing::MNMS,
    }
}

/// A preprocessing with the plane that a flag names in place of the suggestion's.
pub fn in_plane(suggestion: Preprocessing, plane: Option<Plane>) -> Preprocessing {
    let plane = plane.unwrap_or(suggestion.plane);
    Preprocessing { plane, ..suggestion }
}

/// Subjects or a fold by flag stand in for whichever of the two a settings file has.
pub fn give_way(file: &mut Table, subjects: Option<&str>, fold: Option<&str>) {
    if subjects.is_some() {
        file.remove("fold");
    }
    if fold.is_some() {
        file.remove("subjects");
    }
}

/// The subjects less those of a fold, given as `0/3`, and those of the fold: what a cross-validation trains on, and what
/// it leaves out.
pub fn fold(subjects: Vec<Subject>, fold: Option<&str>) -> Result<(Vec<Subject>, Vec<Subject>)> {
    let Some(text) = fold else { return Ok((subjects, Vec::new())) };
    let numbers = text
        .split_once('/')
        .and_then(|(fold, folds)| Some((fold.trim().parse().ok()?, folds.trim().parse().ok()?)));
    let Some((fold, folds)) = numbers else {
        let text = format!("--fold {text}: give a fold and their number, such as 0/3");
        return Err(failure::usage(&text).into());
    };
    let udas_data::Split { train, test } = udas_data::fold(&subjects, folds, fold)?;
    Ok((train, test))
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_data::Frames;

    fn all() -> Vec<Subject> {
        let subject = |n: usize| Subject {
            id: format!("s{n}"),
            domain: "d".into(),
            image: PathBuf::from(format!("s{n}.nii")),
            labels: None,
            frames: Frames::Single,
            part: None,
        };
        (1..=5).map(subject).collect()
    }

    #[test]
    fn a_fold_is_left_out() {
        let kept = |fold| -> Result<Vec<String>> {
            let (kept, left_out) = super::fold(all(), fold)?;
            assert_eq!(kept.len() + left_out.len(), 5);
            Ok(kept.into_iter().map(|subject| subject.id).collect())
        };
        assert_eq!(kept(None).unwrap().len(), 5);
        assert_eq!(kept(Some("0/2")).unwrap(), ["s4", "s5"]);
        assert_eq!(kept(Some("1/2")).unwrap(), ["s1", "s2", "s3"]);
        for bad in ["", "0", "2/2", "0/9", "a/b", "0/0"] {
            assert!(kept(Some(bad)).is_err(), "{bad}");
        }
    }
}
