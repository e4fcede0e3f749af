//! `udas doctor`: what is wrong with files, before hours are spent on them.
use crate::console::Console;
use crate::suitability::{SHIFTED, Suitability};
use crate::{contrast, failure, nnunet};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use udas_data::{DataSet, Frames, Subject, expand};
use udas_model::ModelFile;
use udas_run::selection;
use udas_volume::{
    FileKind, Probe, Volume, Warning, format_mm, is_dicom, probe, probe_labels, read_frames,
    read_label_frames,
};

/// Says what is wrong or risky in a set of files, before hours are spent on them
///
/// Examples: udas doctor new_scanner --source brains/scanner_a/images,
///
/// udas doctor new_scanner --model runs/source
///
/// Exit code 3 when a file cannot be used.
#[derive(Args)]
pub struct DoctorArgs {
    /// Image files, folders, patterns, or a data set
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Images of the source scanner, to compare intensities with
    #[arg(long, num_args = 1.., value_name = "PATH")]
    source: Vec<PathBuf>,
    /// A model that is to work on the images, ours or a model folder of nnU-Net: what it was trained on beside what they
    /// are, and what to do
    #[arg(short, long)]
    model: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    Remark,
    Risk,
    Error,
}

#[derive(Serialize)]
struct Finding {
    severity: Severity,
    file: String,
    problem: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Diagnosis {
    files: usize,
    orientations: BTreeMap<String, usize>,
    spacings_mm: BTreeMap<String, usize>,
    /// Values of the masks, as `0 1`, with the number of masks that have them.
    labels: BTreeMap<String, usize>,
    #[serde(skip)]
    classes: BTreeMap<u8, Vec<PathBuf>>,
    /// Images of each domain without masks, and the number of those with one.
    #[serde(skip)]
    domains: BTreeMap<String, (Vec<PathBuf>, usize)>,
    /// Mean distance of the intensity quantiles from the source's, after min-max; 0 is equal.
    intensity_distance: Option<f64>,
    findings: Vec<Finding>,
    /// Whether the model can be expected to work here.
    #[serde(skip_serializing_if = "Option::is_none")]
    suitability: Option<Suitability>,
    /// Pictures in colour.
    #[serde(skip)]
    coloured: Vec<PathBuf>,
    #[serde(skip)]
    digests: BTreeMap<String, String>,
    #[serde(skip)]
    quantiles: Vec<Vec<f64>>,
}

const QUANTILES: usize = 21;

pub fn run(args: &DoctorArgs, console: &Console) -> Result<()> {
    let mut diagnosis = Diagnosis::default();
    let subjects = subjects(&args.paths, console)?;
    let mut progress = console.progress(subjects.len(), "files");
    for subject in &subjects {
        diagnosis.examine(subject);
        progress.advance(&subject.id);
    }
    progress.finish();
    diagnosis.look_at_the_set();
    if !args.source.is_empty() {
        let mut source = Diagnosis::default();
        self::subjects(&args.source, console)?.iter().for_each(|subject| source.examine(subject));
        diagnosis.compare(&source);
    }
    let errors = diagnosis.findings.iter().filter(|f| f.severity == Severity::Error).count();
    let mut text = diagnosis.text();
    if let Some(path) = args.model.as_deref().filter(|_| errors == 0) {
        let suitability = if nnunet::is_folder(path) {
            nnunet::doctor::suitability(path, &subjects)?
        } else {
            Suitability::of(&ModelFile::load(path, None)?, path, &subjects)?
        };
        text += &suitability.text(path);
        diagnosis.suitability = Some(suitability);
    }
    console.result(text, &diagnosis)?;
    if errors > 0 {
        return Err(failure::input(format!("{errors} files cannot be used as they are")).into());
    }
    Ok(())
}

fn subjects(paths: &[PathBuf], console: &Console) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for path in paths {
        match DataSet::open(path) {
            Ok(set) if path.is_dir() => {
                set.notes().iter().for_each(|note| console.warn(note));
                for domain in set.domains() {
                    subjects.extend(set.subjects(&domain)?);
                }
            }
            Err(error)
                if path.is_dir() && !matches!(error, udas_data::Error::Unrecognised { .. }) =>
            {
                return Err(error.into());
            }
            _ if !path.exists()
                && !is_dicom(path)
                && !path.to_string_lossy().contains(['*', '?', '[']) =>
            {
                let text = format!("{}: there is no such file or folder", path.display());
                return Err(failure::input(text).into());
            }
            _ => {
                let found = expand(std::slice::from_ref(path), "")?;
                subjects.extend(selection::without_masks(found, console));
            }
        }
    }
    Ok(subjects)
}

impl Diagnosis {
    fn find(&mut self, severity: Severity, file: &Path, problem: impl Into<String>) {
        let (file, problem) = (file.display().to_string(), problem.into());
        self.findings.push(Finding { severity, file, problem });
    }

    fn examine(&mut self, subject: &Subject) {
        self.files += 1;
        let path = &subject.image;
        let (without, with) = self.domains.entry(subject.domain.clone()).or_default();
        match subject.labels {
            Some(_) => *with += 1,
            None => without.push(path.clone()),
        }
        let probe = match probe(path) {
            Ok(probe) => probe,
            Err(error) => return self.find(Severity::Error, path, error.to_string()),
        };
        self.geometry(path, &probe);
        let frames = match &subject.frames {
            Frames::Single => vec![0],
            Frames::Chosen(frames) => frames.clone(),
        };
        if probe.frames > 1 && subject.frames == Frames::Single {
            let problem = format!("holds {} frames; split it into a file each", probe.frames);
            return self.find(Severity::Error, path, problem);
        }
        match read_frames(path, &frames) {
            Ok(volumes) => volumes.iter().for_each(|volume| {
                if volume.header().warnings().contains(&Warning::Colour) {
                    self.coloured.push(path.clone());
                }
                self.intensities(path, volume);
            }),
            Err(error) => return self.find(Severity::Error, path, error.to_string()),
        }
        if let Some(labels) = &subject.labels {
            self.mask(path, &probe, labels, &frames);
        }
    }

    fn geometry(&mut self, path: &Path, probe: &Probe) {
        *self.orientations.entry(probe.grid.affine.codes()).or_default() += 1;
        let spacing = probe.grid.affine.spacing();
        *self.spacings_mm.entry(spacing.map(format_mm).join(" x ")).or_default() += 1;
        for warning in probe.header.warnings() {
            self.find(Severity::Risk, path, warning.to_string());
        }
        let (min, max) =
            spacing.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &mm| (a.min(mm), b.max(mm)));
        if max > 8.0 * min {
            let [min, max] = [min, max].map(format_mm);
            let problem = format!("voxels of {min} to {max} mm: check the plane of slices");
            self.find(Severity::Remark, path, problem);
        }
    }

    fn intensities(&mut self, path: &Path, volume: &Volume) {
        let bad = volume.not_finite();
        if bad > 0 {
            let problem =
                format!("{bad} voxels are NaN or infinite; replace them, for example by zero");
            return self.find(Severity::Error, path, problem);
        }
        let mut values = volume.data().to_vec();
        values.sort_unstable_by(f32::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else { return };
        if min == max {
            // As prediction has it: a slice among others may be empty, a volume may not.
            let [nx, ny, nz] = volume.shape();
            let is_slice = volume.header().kind() == FileKind::Picture || (nz == 1 && nx * ny > 1);
            let severity = if is_slice && nx * ny > 1 { Severity::Risk } else { Severity::Error };
            return self.find(severity, path, format!("every voxel is {min}: nothing to see"));
        }
        for risk in contrast::risks(&values) {
            self.find(Severity::Risk, path, risk);
        }
        let quantile = |k: usize| {
            let value =
                values.get(k * (values.len() - 1) / (QUANTILES - 1)).copied().unwrap_or(min);
            f64::from((value - min) / (max - min))
        };
        self.quantiles.push((0..QUANTILES).map(quantile).collect());
        let bytes: Vec<u8> = volume.data().iter().flat_map(|value| value.to_le_bytes()).collect();
        let digest: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = path.display().to_string();
        if let Some(other) = self.digests.insert(digest, shown.clone())
            && other != shown
        {
            self.find(Severity::Risk, path, format!("has the same voxels as {other}"));
        }
    }

    fn mask(&mut self, image: &Path, probed: &Probe, labels: &Path, frames: &[usize]) {
        let grid = match probe_labels(labels) {
            Ok(mask) => mask.grid,
            Err(error) => return self.find(Severity::Error, labels, error.to_string()),
        };
        if let Err(error) = probed.grid.check_same(image, &grid, labels) {
            return self.find(Severity::Error, labels, error.to_string());
        }
        match read_label_frames(labels, frames) {
            Ok(masks) => {
                for (mask, frame) in masks.iter().zip(frames) {
                    if mask.data().iter().all(|&label| label == 0) {
                        let which = if probed.frames > 1 {
                            format!("frame {frame} ")
                        } else {
                            String::new()
                        };
                        self.find(Severity::Risk, labels, which + "marks nothing");
                    }
                }
                let values: BTreeSet<u8> =
                    masks.iter().flat_map(|mask| mask.data()).copied().collect();
                let words: Vec<String> = values.iter().map(u8::to_string).collect();
                *self.labels.entry(words.join(" ")).or_default() += 1;
                for value in values {
                    self.classes.entry(value).or_default().push(labels.to_owned());
                }
            }
            Err(error) => self.find(Severity::Error, labels, error.to_string()),
        }
    }

    fn look_at_the_set(&mut self) {
        let gap = (0..=u8::MAX).find(|class| !self.classes.contains_key(class));
        let beyond = self.classes.keys().find(|&&class| gap.is_some_and(|gap| class > gap));
        if let (Some(gap), Some(beyond)) = (gap, beyond) {
            let problem = format!(
                "label {beyond} and no label {gap}: classes count from 0 without gaps; number them anew"
            );
            let file = "all masks".into();
            self.findings.push(Finding { severity: Severity::Risk, file, problem });
        }
        if let Some(first) = self.coloured.first().cloned() {
            let problem = format!("{} ({} such files)", Warning::Colour, self.coloured.len());
            self.find(Severity::Risk, &first, problem);
        }
        let masks: usize = self.labels.values().sum();
        for (class, files) in std::mem::take(&mut self.classes) {
            if let [file] = files.as_slice()
                && masks > 2
            {
                self.find(Severity::Risk, file, format!("label {class} is in this mask alone"));
            }
        }
        for (without, with) in std::mem::take(&mut self.domains).into_values() {
            for file in without.iter().filter(|_| with > 0) {
                let problem =
                    "has no mask, while others of its domain have: `udas train` refuses it";
                self.find(Severity::Risk, file, problem);
            }
        }
        for (what, seen) in
            [("orientations", &self.orientations), ("voxel sizes", &self.spacings_mm)]
        {
            if seen.len() > 3 {
                let problem = format!("{} different {what} among {} files", seen.len(), self.files);
                let file = "all files".into();
                self.findings.push(Finding { severity: Severity::Remark, file, problem });
            }
        }
    }

    fn mean_quantiles(&self) -> Option<Vec<f64>> {
        let count = self.quantiles.len();
        (count > 0).then(|| {
            let mean =
                |k| self.quantiles.iter().filter_map(|q| q.get(k)).sum::<f64>() / count as f64;
            (0..QUANTILES).map(mean).collect()
        })
    }

    fn compare(&mut self, source: &Self) {
        let others =
            self.orientations.keys().filter(|codes| !source.orientations.contains_key(*codes));
        let others: Vec<_> = others.cloned().collect();
        if !others.is_empty() {
            let theirs: Vec<_> = source.orientations.keys().map(String::as_str).collect();
            let problem = format!(
                "axes {}, the source's {}: models that take slices as they are stored will see them mirrored or turned",
                others.join(", "),
                theirs.join(", ")
            );
            let file = "some files".into();
            self.findings.push(Finding { severity: Severity::Remark, file, problem });
        }
        let (Some(ours), Some(theirs)) = (self.mean_quantiles(), source.mean_quantiles()) else {
            return;
        };
        let total: f64 = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).sum();
        let distance = total / QUANTILES as f64;
        self.intensity_distance = Some(distance);
        if distance > SHIFTED {
            let problem = format!(
                "intensities lie {distance:.3} of the range from the source's: expect a loss of accuracy; \
                 try --intensity percentile and training with --augment intensity first"
            );
            self.findings.push(Finding {
                severity: Severity::Risk,
                file: "all files".into(),
                problem,
            });
        }
    }

    fn text(&self) -> String {
        let list = |seen: &BTreeMap<String, usize>| {
            let items: Vec<_> =
                seen.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            items.join(", ")
        };
        let mut text = format!(
            "{} files\norientations: {}\nvoxels in mm: {}\n",
            self.files,
            list(&self.orientations),
            list(&self.spacings_mm)
        );
        if !self.labels.is_empty() {
            text += &format!("labels: {}\n", list(&self.labels));
        }
        if let Some(distance) = self.intensity_distance {
            text +=
                &format!("distance of intensities from the source's: {distance:.3} of the range\n");
        }
        for severity in [Severity::Error, Severity::Risk, Severity::Remark] {
            for finding in self.findings.iter().filter(|finding| finding.severity == severity) {
                let word = match severity {
                    Severity::Error => "error",
                    Severity::Risk => "risk",
                    Severity::Remark => "remark",
                };
                let Finding { file, problem, .. } = finding;
                // Errors of the readers begin with the file's name already.
                let problem = problem.strip_prefix(&format!("{file}: ")).unwrap_or(problem);
                text += &format!("{word:<7} {file}: {problem}\n");
            }
        }
        if self.findings.is_empty() {
            text += "nothing is wrong\n";
        }
        text
    }
}
