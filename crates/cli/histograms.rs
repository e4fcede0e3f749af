//! How the intensities of an experiment's domains are distributed, as the network sees them.
use crate::console::Console;
use crate::run_subjects::RunSubjects;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use udas_data::{Intensity, LabelUse, SliceSource, Subject, VolumeSlices, expand};
use udas_model::{MODEL_FILE, ModelFile};
use udas_record::{Experiment, Histogram, Outcome, StartRecord, read_start};

/// Volumes of each domain that are looked at: enough for the shape of a distribution, whatever the size of the
/// data set.
const VOLUMES: usize = 4;
const BINS: usize = 64;

/// Adds the histograms of domains that have none: of the target of an adaptation and, where the source model is a
/// run with its files still there, of the source. One run speaks for its domains, the method in question's first.
pub fn add(experiment: &mut Experiment, subjects: &mut RunSubjects, console: &Console) {
    let mut done: BTreeSet<String> =
        experiment.histograms.iter().map(|histogram| histogram.domain.clone()).collect();
    let mut outcomes: Vec<&Outcome> = experiment.outcomes.iter().collect();
    outcomes.sort_by_key(|outcome| experiment.focus.as_ref() != Some(&outcome.method));
    let mut found = Vec::new();
    for outcome in outcomes {
        let Some(run) = outcome.run.as_deref().map(Path::new) else { continue };
        let Some(start) = start_of(run).filter(|_| run.join(MODEL_FILE).is_file()) else {
            continue;
        };
        let source = source_of(&start);
        let source = source.as_ref().map(|(run, start)| (&outcome.source, run.as_path(), start));
        for (domain, run, start) in source.into_iter().chain([(&outcome.target, run, &start)]) {
            if !done.insert(domain.clone()) {
                continue;
            }
            let read = read(start, subjects.of_run(run, console));
            match read.and_then(|read| histogram(domain, read, &ModelFile::load(run, None)?)) {
                Ok(histogram) => found.extend(histogram),
                Err(error) => console.warn(format!("no histogram of {domain}: {error:#}")),
            }
        }
    }
    experiment.histograms.extend(found);
}

/// The run that made the source model. Where that was an adaptation too, its images are no source's.
fn source_of(start: &StartRecord) -> Option<(PathBuf, StartRecord)> {
    let model = start.inputs.iter().find(|input| input.role == "model")?;
    let run = start.locate(model.path.as_ref()).parent()?.to_owned();
    let start = start_of(&run).filter(|start| start.target.is_none())?;
    let there = images(&start).all(|image| image.is_file());
    there.then_some((run, start))
}

fn start_of(run: &Path) -> Option<StartRecord> {
    read_start(run).ok().flatten()
}

fn images(start: &StartRecord) -> impl Iterator<Item = PathBuf> {
    let images = start.inputs.iter().filter(|input| input.role == "image");
    images.take(VOLUMES).map(|input| start.locate(input.path.as_ref()))
}

/// The first subjects that a run read, with the frames that their data set chooses.
fn read(start: &StartRecord, subjects: &[Subject]) -> Result<Vec<Subject>> {
    let mut read = Vec::new();
    for image in images(start) {
        match subjects.iter().find(|subject| subject.image == image) {
            Some(subject) => read.push(subject.without_labels()),
            None => read.extend(expand(&[image], "images")?),
        }
    }
    Ok(read)
}

/// None where there is nothing to count.
fn histogram(domain: &str, subjects: Vec<Subject>, model: &ModelFile) -> Result<Option<Histogram>> {
    let preprocessing = &model.info.preprocessing;
    let range = match preprocessing.intensity {
        Intensity::ForegroundZScore => [-3.0, 5.0],
        _ => [0.0, 1.0],
    };
    let mut histogram = Histogram::new(domain, "as the network sees them", range, BINS);
    for subject in subjects {
        // One volume at a time is in memory.
        let slices =
            VolumeSlices::new(vec![subject], preprocessing.clone(), LabelUse::Ignore, usize::MAX)?;
        for index in 0..slices.len() {
            histogram.count(slices.read(index)?.image.into_iter().map(f64::from));
        }
    }
    let counted = histogram.counts.iter().any(|&count| count > 0);
    Ok(counted.then_some(histogram))
}
