//! The subjects that a run worked on, and the files behind the masks that `predict` has named after them.
use crate::commands::predict::output_names;
use crate::console::Console;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use udas_data::{DataSet, Frames, Subject};
use udas_record::{SubjectVolumes, read_start};
use udas_run::RunFolder;
use udas_run::selection::OptionalSet;
use udas_volume::stem;

/// Subjects by the data set and the domains that the settings of runs name. Many runs share them: each list is
/// made once.
#[derive(Default)]
pub struct RunSubjects {
    listed: BTreeMap<(PathBuf, Vec<String>), Vec<Subject>>,
}

impl RunSubjects {
    /// All subjects of a run's domains, seen by it or not; none where it was given images by path, or where
    /// the data set is gone.
    pub fn of_run(&mut self, run: &Path, console: &Console) -> &[Subject] {
        let Some((root, domains)) = set_of(run) else { return &[] };
        self.listed.entry((root, domains)).or_insert_with_key(|(root, domains)| {
            list(root, domains).unwrap_or_else(|error| {
                console.warn(format!("pictures and histograms may be missing: {error:#}"));
                Vec::new()
            })
        })
    }
}

fn set_of(run: &Path) -> Option<(PathBuf, Vec<String>)> {
    let text = std::fs::read_to_string(RunFolder::config(run)).ok()?;
    let set: OptionalSet = toml::from_str(&text).ok()?;
    let start = read_start(run).ok().flatten().unwrap_or_default();
    Some((start.locate(&set.data?), set.domain))
}

fn list(root: &Path, domains: &[String]) -> Result<Vec<Subject>> {
    let set = DataSet::open(root)?;
    let mut subjects = Vec::new();
    for domain in domains {
        subjects.extend(set.subjects(domain)?);
    }
    Ok(subjects)
}

/// Adds the image, the labels and the frame where no image is named yet.
pub fn complete(volumes: &mut [SubjectVolumes], subjects: &[Subject]) {
    let by_mask: BTreeMap<String, (&Subject, Option<usize>)> =
        subjects.iter().flat_map(masks).collect();
    let shown = |path: &Path| path.display().to_string();
    for files in volumes.iter_mut().filter(|files| files.image.is_none()) {
        let Some((subject, frame)) = by_mask.get(&files.subject) else { continue };
        files.image = Some(shown(&subject.image));
        files.frame = *frame;
        if files.truth.is_none() {
            files.truth = subject.labels.as_deref().map(shown);
        }
    }
}

/// The names of a subject's masks, each with its frame of the image.
fn masks(subject: &Subject) -> impl Iterator<Item = (String, (&Subject, Option<usize>))> {
    let frames = match &subject.frames {
        Frames::Single => vec![None],
        Frames::Chosen(frames) => frames.iter().copied().map(Some).collect(),
    };
    let names = output_names(subject).into_iter().map(|name| stem(Path::new(&name)));
    names.zip(frames).map(move |(name, frame)| (name, (subject, frame)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(id: &str, frames: Frames) -> Subject {
        Subject {
            id: id.into(),
            domain: "A".into(),
            image: format!("set/{id}_sa.nii.gz").into(),
            labels: Some(format!("set/{id}_sa_gt.nii.gz").into()),
            frames,
            part: None,
        }
    }

    #[test]
    fn masks_find_their_image_and_frame_by_the_whole_name() {
        let subjects = [
            subject("A1", Frames::Chosen(vec![0, 12])),
            subject("A1_frame1", Frames::Single),
            subject("A12", Frames::Single),
        ];
        let mut volumes = ["A1_frame12", "A12", "A1_frame1", "A1"]
            .map(|name| SubjectVolumes { subject: name.into(), ..SubjectVolumes::default() });
        complete(&mut volumes, &subjects);
        let found = volumes.each_ref().map(|files| (files.image.as_deref(), files.frame));
        let expected = [
            (Some("set/A1_sa.nii.gz"), Some(12)),
            (Some("set/A12_sa.nii.gz"), None),
            (Some("set/A1_frame1_sa.nii.gz"), None),
            (None, None),
        ];
        assert_eq!(found, expected);
        assert_eq!(volumes[0].truth.as_deref(), Some("set/A1_sa_gt.nii.gz"));
    }

    #[test]
    fn what_is_named_already_stays() {
        let mut volumes = [SubjectVolumes {
            subject: "A1".into(),
            image: Some("elsewhere/A1.nii.gz".into()),
            ..SubjectVolumes::default()
        }];
        let before = volumes.clone();
        complete(&mut volumes, &[subject("A1", Frames::Single)]);
        assert_eq!(volumes, before);
    }
}
