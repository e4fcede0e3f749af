//! How the intensities of a run's two domains are distributed, as the network sees them.
use anyhow::Result;
use std::path::{Path, PathBuf};
use udas_data::{Intensity, LabelUse, SliceSource, VolumeSlices, expand};
use udas_model::ModelFile;
use udas_record::{Event, Histogram, StartRecord, read_events};

/// Volumes of each domain that are looked at.
const VOLUMES: usize = 4;
const BINS: usize = 64;

/// Histograms of the target of an adaptation and, where the source model is a run with its files still
/// there, of the source.
pub fn of_run(run: &Path) -> Result<Vec<Histogram>> {
    let Some(start) = start_of(run) else { return Ok(Vec::new()) };
    let target = start.target.clone().unwrap_or_else(|| "target".into());
    let mut histograms = vec![histogram(&target, &images(&start), &ModelFile::load(run, None)?)?];
    let model = start.inputs.iter().find(|input| input.role == "model");
    let base = model.and_then(|model| Path::new(&model.path).parent());
    if let Some(base) = base
        && let Some(source) = start_of(base)
        && images(&source).iter().all(|image| image.is_file())
    {
        let name = source.source.clone().unwrap_or_else(|| "source".into());
        histograms.insert(0, histogram(&name, &images(&source), &ModelFile::load(base, None)?)?);
    }
    Ok(histograms)
}

fn start_of(run: &Path) -> Option<StartRecord> {
    read_events(run).ok()?.into_iter().find_map(|event| match event {
        Event::Start(start) => Some(start),
        _ => None,
    })
}

fn images(start: &StartRecord) -> Vec<PathBuf> {
    let images = start.inputs.iter().filter(|input| input.role == "image");
    images.take(VOLUMES).map(|input| PathBuf::from(&input.path)).collect()
}

fn histogram(domain: &str, images: &[PathBuf], model: &ModelFile) -> Result<Histogram> {
    let preprocessing = model.info.preprocessing.clone();
    let range = match preprocessing.intensity {
        Intensity::ForegroundZScore => [-3.0, 5.0],
        _ => [0.0, 1.0],
    };
    let mut histogram = Histogram::new(domain, "as the network sees them", range, BINS);
    for subject in expand(images, domain)? {
        // Files of several frames are left out: which frames were used is the data set's to say.
        let slices =
            VolumeSlices::new(vec![subject], preprocessing.clone(), LabelUse::Ignore, usize::MAX);
        let Ok(slices) = slices else { continue };
        for index in 0..slices.len() {
            histogram.count(slices.read(index)?.image.into_iter().map(f64::from));
        }
    }
    Ok(histogram)
}
