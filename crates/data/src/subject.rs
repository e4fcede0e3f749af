//! One subject of a data set: where its files are and which frames count.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Error, Result, instead};

/// A subject: an image, perhaps its mask, and the frames that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name of the image file without extension, or the data set's own code.
    pub id: String,
    /// The domain it belongs to, such as a scanner.
    pub domain: String,
    /// The image.
    pub image: PathBuf,
    /// The mask, where there is one.
    pub labels: Option<PathBuf>,
    /// Which frames of the files are used.
    pub frames: Frames,
    /// The part of a data set that comes divided.
    pub part: Option<Part>,
}

/// Which frames of a file are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frames {
    /// The only one of a 3-D file.
    Single,
    /// These of a 4-D file, counted from 0.
    Chosen(Vec<usize>),
}

/// A part of a data set that comes divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// For training.
    Training,
    /// For choosing between models.
    Validation,
    /// For the final test.
    Testing,
}

impl Subject {
    /// The same subject without its mask, which then is not even opened.
    pub fn without_labels(&self) -> Self {
        Self { labels: None, ..self.clone() }
    }

    /// How many frames are used.
    pub fn frame_count(&self) -> usize {
        match &self.frames {
            Frames::Single => 1,
            Frames::Chosen(frames) => frames.len(),
        }
    }
}

/// The subjects with the given ids, in the order given.
pub fn select(subjects: &[Subject], ids: &[String]) -> Result<Vec<Subject>> {
    ids.iter()
        .map(|id| {
            let found = subjects.iter().find(|subject| &subject.id == id);
            found.cloned().ok_or_else(|| Error::UnknownSubject {
                name: id.clone(),
                existing: subjects.iter().map(|subject| subject.id.clone()).collect(),
            })
        })
        .collect()
}

/// Subjects in order of their ids; two of one id and domain are an error that names both images.
pub(crate) fn sorted(mut subjects: Vec<Subject>) -> Result<Vec<Subject>> {
    subjects.sort_by(|a, b| (&a.domain, &a.id).cmp(&(&b.domain, &b.id)));
    for pair in subjects.windows(2) {
        if let [a, b] = pair
            && (&a.domain, &a.id) == (&b.domain, &b.id)
        {
            return Err(same_name(&a.id, &a.image, &b.image));
        }
    }
    Ok(subjects)
}

/// Files by name; two of one name are an error that names both.
pub(crate) fn by_name(files: Vec<(String, PathBuf)>) -> Result<BTreeMap<String, PathBuf>> {
    let mut map = BTreeMap::new();
    for (name, path) in files {
        if let Some(other) = map.insert(name.clone(), path.clone()) {
            return Err(same_name(&name, &other, &path));
        }
    }
    Ok(map)
}

fn same_name(name: &str, first: &std::path::Path, second: &std::path::Path) -> Error {
    let remedy = instead::of_same_name(first, second);
    Error::SameName { name: name.to_owned(), first: first.into(), second: second.into(), remedy }
}
