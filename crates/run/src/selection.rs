//! Which subjects a command works on: paths, or domains of a data set, and a choice among them.
use crate::error::{Error, Result};
use crate::host::Host;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::Table;
use udas_data::{DataSet, Layout, Padding, Plane, Preprocessing, Subject, expand, holds_labels};
use udas_model::{Description, ModelFile, ModelInfo};

pub use crate::choice::choose;

/// Images by path, or a data set's domain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(rename_all = "kebab-case", default)]
pub struct Images {
    /// Image files, folders or patterns
    #[cfg_attr(feature = "clap", arg(short, long, num_args = 1.., value_name = "PATH", conflicts_with = "data"))]
    pub images: Vec<PathBuf>,
    /// A data set's domain in their place
    #[cfg_attr(feature = "clap", command(flatten))]
    #[serde(flatten)]
    pub set: OptionalSet,
}

/// A domain of a data set, where paths would do as well.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(rename_all = "kebab-case", default)]
pub struct OptionalSet {
    /// A data set: domain folders, CC-359, M&Ms, BIDS or nnU-Net raw data
    #[cfg_attr(feature = "clap", arg(long, value_name = "DIR"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Its domains, such as scanners
    #[cfg_attr(feature = "clap", arg(long, num_args = 1.., value_name = "NAME"))]
    pub domain: Vec<String>,
    /// Which subjects: names, or places in name order from 1, as 1-16,20; numbers are names where subjects are named by
    /// numbers [default: all]
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<String>,
}

impl Images {
    /// Refuses what flags and a file have between them where it names no images, or more than are meant.
    ///
    /// # Errors
    /// [`Error::Usage`] with the remedy.
    pub fn check(&self) -> Result<()> {
        let (images, set, domain) =
            (!self.images.is_empty(), self.set.data.is_some(), !self.set.domain.is_empty());
        let text = match (images, set, domain) {
            (true, true, _) => "--images and --data: both are given; keep one of them",
            (true, false, true) => "--domain: is of a data set, not of --images; give --data DIR",
            (false, true, false) => return self.set.data.as_deref().map_or(Ok(()), no_domain),
            (false, false, _) => "--images and --data are missing: give one of them",
            _ => return Ok(()),
        };
        Err(Error::usage(text))
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

    /// The subjects chosen; who was chosen of a list is said.
    ///
    /// # Errors
    /// Those of a data set or files that are not there, and [`Error::Usage`] or [`Error::Input`] for a list that names
    /// nobody.
    pub fn subjects(&self, host: &dyn Host) -> Result<Vec<Subject>> {
        let subjects = match &self.set.data {
            Some(root) => domains(root, &self.set.domain, host)?,
            None => without_masks(expand(&self.images, "target")?, host),
        };
        choose(subjects, self.set.subjects.as_deref(), host)
    }

    /// The preprocessing that the layout suggests, for models that say nothing of it.
    ///
    /// # Errors
    /// Those of a data set that cannot be opened.
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
pub fn without_masks(subjects: Vec<Subject>, host: &dyn Host) -> Vec<Subject> {
    let (images, masks) = udas_data::without_masks(subjects);
    if let Some(first) = masks.first() {
        host.warn(&format!(
            "{}: looks like a mask among the images; {} such files are left out",
            first.display(),
            masks.len()
        ));
    }
    images
}

/// A model; what it sees of a volume is as `suggestion` says where its file does not, and that is said, but for what
/// flags have `told`: `--plane`, `--intensity`.
///
/// # Errors
/// [`Error::Model`] for the folder of a run that is not done, and for files that are no model.
pub fn load_model(
    path: &Path,
    suggestion: Preprocessing,
    told: &[Option<&str>],
    host: &dyn Host,
) -> Result<ModelFile> {
    let (model, taken) = ModelFile::load_wrapped(path, Some(suggestion))?;
    if !taken.is_whole() {
        host.say(&format!("{}: {taken}", path.display()));
    }
    let Preprocessing { plane, intensity, .. } = &model.info.preprocessing;
    let guessed = [("--plane", word_for(plane)), ("--intensity", word_for(intensity))]
        .into_iter()
        .filter(|(flag, _)| !told.contains(&Some(flag)))
        .map(|(flag, word)| format!("{word} ({flag})"))
        .collect::<Vec<_>>();
    if model.info.description == Description::Assumed && !guessed.is_empty() {
        host.warn(&format!(
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
///
/// # Errors
/// [`Error::Data`] for a data set that cannot be opened, or has no such domain; [`Error::Usage`] where none is named.
pub fn domains(root: &Path, names: &[String], host: &dyn Host) -> Result<Vec<Subject>> {
    let set = DataSet::open(root)?;
    set.notes().iter().for_each(|note| host.warn(note));
    if names.is_empty() {
        no_domain(root)?;
    }
    let (mut subjects, mut seen) = (Vec::new(), BTreeSet::new());
    // A domain named twice has its subjects once.
    for name in names.iter().filter(|name| seen.insert(*name)) {
        subjects.extend(set.subjects(name)?);
    }
    Ok(subjects)
}

/// Refuses a data set of which no domain is named, and says which there are.
fn no_domain(root: &Path) -> Result<()> {
    let text = format!(
        "--domain is missing; {} has {}: name those that are meant",
        root.display(),
        DataSet::open(root)?.domains().join(", ")
    );
    Err(Error::usage(text))
}

/// Refuses subjects of one name: what is written of one would stand for the other.
///
/// # Errors
/// [`Error::Input`] with both files.
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
            return Err(Error::input(text));
        }
    }
    Ok(())
}

/// Says what is odd about files' headers, so that nobody takes a guessed orientation for a known one. Returns
/// what was said.
pub fn warn_of_headers(subjects: &[Subject], host: &dyn Host) -> Vec<String> {
    let mut said = Vec::new();
    for subject in subjects {
        // A file that cannot be read is refused where it is read.
        let Ok(probe) = udas_volume::probe(&subject.image) else { continue };
        let of = |warning: &udas_volume::Warning| format!("{}: {warning}", subject.image.display());
        said.extend(probe.header.warnings().iter().map(of));
    }
    said.extend(coloured(subjects));
    said.iter().for_each(|text| host.warn(text));
    said
}

/// A word on the first of the pictures that are in colour; once a data set, whose pictures are mostly of one kind.
fn coloured(subjects: &[Subject]) -> Option<String> {
    let is_coloured = |path: &&Path| udas_volume::is_coloured(path).unwrap_or(false);
    let first = subjects.iter().map(|subject| subject.image.as_path()).find(is_coloured)?;
    Some(format!("{}: {}, and so of others like it", first.display(), udas_volume::Warning::Colour))
}

/// Says where the first image holds what a mask does. Returns what was said. What cannot be read is refused where it is read.
pub fn warn_of_masks(subjects: &[Subject], host: &dyn Host) -> Option<String> {
    let image = &subjects.first().filter(|subject| holds_labels(&subject.image))?.image;
    let said = format!(
        "{}: holds a few whole numbers alone, as a mask does; is it one? Give images here",
        image.display()
    );
    host.warn(&said);
    Some(said)
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
    host: &dyn Host,
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
    said.iter().for_each(|text| host.warn(text));
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
