//! The overlays that go into a page: drawn by the caller, or from the volumes that the outcomes name.
use std::path::Path;

use udas_record::{Experiment, SubjectVolumes};
use udas_volume::{Labels, Volume};

use crate::{Case, Error, Overlay, Picture, Plane, Result, after_only, before_after, cases};

/// Overlays of cases, encoded as PNG; nothing of the volumes is kept.
#[derive(Debug, Default)]
pub struct Pictures {
    drawn: Vec<(Case, EncodedPicture)>,
    missing: Vec<(Case, Error)>,
}

/// A picture as it is embedded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EncodedPicture {
    pub width: usize,
    pub height: usize,
    pub png: Vec<u8>,
    pub description: String,
}

impl Pictures {
    /// Draws the [`cases`] of an experiment from the volumes that its outcomes name
    /// ([`udas_record::Outcome::volumes`]), one after the other so that only one subject is in memory; where
    /// the volumes are gone, a picture that was drawn earlier is taken. Relative paths start at `folder`.
    ///
    /// A case that cannot be drawn keeps its reason, see [`Pictures::missing`]; cases whose outcomes name no
    /// files are listed on the page without one.
    pub fn draw(experiment: &Experiment, folder: &Path, plane: Plane) -> Self {
        let mut pictures = Self::default();
        for case in cases(experiment) {
            let Some(volumes) = volumes(experiment, &case) else { continue };
            match draw(volumes, folder, plane) {
                Ok(picture) => pictures.drawn.push((case, picture)),
                Err(error) => pictures.missing.push((case, error)),
            }
        }
        pictures
    }

    /// Adds the picture of a case; a later one replaces an earlier one.
    ///
    /// # Errors
    /// [`crate::Error::Picture`] where it cannot be encoded.
    pub fn insert(&mut self, case: Case, picture: &Picture) -> Result<()> {
        let encoded = EncodedPicture::of(picture)?;
        self.drawn.retain(|(drawn, _)| !drawn.is_same(&case));
        self.drawn.push((case, encoded));
        Ok(())
    }

    /// Cases that could not be drawn, and why.
    pub fn missing(&self) -> impl Iterator<Item = (&Case, &Error)> {
        self.missing.iter().map(|(case, error)| (case, error))
    }

    pub(crate) fn get(&self, case: &Case) -> Option<&EncodedPicture> {
        self.drawn.iter().find(|(drawn, _)| drawn.is_same(case)).map(|(_, picture)| picture)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Case, EncodedPicture)> {
        self.drawn.iter()
    }
}

impl EncodedPicture {
    fn of(picture: &Picture) -> Result<Self> {
        Ok(Self {
            width: picture.width(),
            height: picture.height(),
            png: picture.png()?,
            description: picture.description().to_owned(),
        })
    }

    /// A PNG file, taken as it is once its header says that it is one.
    fn read(path: &Path, description: &str) -> Result<Self> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let png = std::fs::read(path).map_err(io)?;
        let no_png = || io(std::io::Error::other("it is no PNG file; draw it again"));
        let dimension = |at: usize| {
            let bytes: [u8; 4] = png.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(bytes)).ok()
        };
        let signed = png.starts_with(b"\x89PNG\r\n\x1a\n");
        let (Some(width), Some(height), true) = (dimension(16), dimension(20), signed) else {
            return Err(no_png());
        };
        Ok(Self { width, height, png, description: description.to_owned() })
    }
}

/// The files of a case.
fn volumes<'a>(experiment: &'a Experiment, case: &Case) -> Option<&'a SubjectVolumes> {
    let outcome = experiment.outcomes.iter().find(|outcome| {
        (&outcome.source, &outcome.target) == (&case.source, &case.target)
            && (&outcome.method, outcome.seed) == (&case.method, case.seed)
    })?;
    outcome.volumes.iter().find(|volumes| volumes.subject == case.subject)
}

fn draw(files: &SubjectVolumes, folder: &Path, plane: Plane) -> Result<EncodedPicture> {
    let path = |file: &Option<String>| file.as_ref().map(|file| folder.join(file));
    if let (Some(image), Some(after)) = (path(&files.image), path(&files.after)) {
        if let (true, Some(picture)) = (!image.exists(), path(&files.picture)) {
            return EncodedPicture::read(&picture, &files.description);
        }
        let image = read(&image, files.frame)?;
        let truth = path(&files.truth).map(|truth| read_truth(&truth, files.frame)).transpose()?;
        let before =
            path(&files.before).map(|before| udas_volume::read_labels(&before)).transpose()?;
        let after = udas_volume::read_labels(&after)?;
        return EncodedPicture::of(
            &overlay(&image, truth.as_ref(), before.as_ref(), &after, plane).draw()?,
        );
    }
    match path(&files.picture) {
        Some(picture) => EncodedPicture::read(&picture, &files.description),
        None => Err(Error::NoVolumes { subject: files.subject.clone() }),
    }
}

fn overlay<'a>(
    image: &'a Volume,
    truth: Option<&'a Labels>,
    before: Option<&'a Labels>,
    after: &'a Labels,
    plane: Plane,
) -> Overlay<'a> {
    match before {
        Some(before) => before_after(image, truth, before, after, plane),
        None => after_only(image, truth, after, plane),
    }
}

fn read(path: &Path, frame: Option<usize>) -> Result<Volume> {
    match frame {
        None => Ok(udas_volume::read(path)?),
        Some(frame) => first(path, frame, udas_volume::read_frames(path, &[frame])?),
    }
}

/// Labels of the image's frame, of a file with all frames or with this one alone.
fn read_truth(path: &Path, frame: Option<usize>) -> Result<Labels> {
    match frame.filter(|_| udas_volume::probe(path).is_ok_and(|probe| probe.frames > 1)) {
        None => Ok(udas_volume::read_labels(path)?),
        Some(frame) => first(path, frame, udas_volume::read_label_frames(path, &[frame])?),
    }
}

fn first<T>(path: &Path, frame: usize, frames: Vec<T>) -> Result<T> {
    let missing = || Error::Frame { path: path.to_owned(), frame };
    frames.into_iter().next().ok_or_else(missing)
}
