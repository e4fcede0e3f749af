//! `udas predict` with a model folder of nnU-Net v2: cases of one file a channel, patch by patch.
use crate::commands::predict::PredictArgs;
use crate::console::{Console, Progress};
use crate::onnx::Exported;
use crate::options::word;
use crate::predictions::{self, Existing, MadeBy, Origin, Predictions};
use crate::{failure, interrupt, segmentations};
use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use udas_data::{Frames, Plane, Preprocessing, Subject};
use udas_model::Views;
use udas_nnunet::{
    Arithmetic, Case, LabelRule, Mirroring, Model, ModelFolder, Options, Prediction, Probabilities,
};
use udas_run::{RESULT_FOLDER, selection};
use udas_volume::{FileKind, write_labels, write_volume};

pub mod adapt;
pub mod batches;
pub mod calibrate;
pub mod doctor;
pub mod head;
mod job;
pub mod judge;
mod source;

/// Flags that only models of nnU-Net know.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// nnU-Net: folds that predict together, such as 0 1 or all [default: those that are there]
    #[arg(long, num_args = 1.., value_name = "FOLD")]
    folds: Vec<String>,
    /// nnU-Net: average over mirrored patches along the axes that the model allows: on or off; off is up to eight times
    /// as fast [default: on]
    #[arg(long, value_parser = word::<Switch>())]
    mirroring: Option<Switch>,
    /// nnU-Net: compute as the original does, sums in 16 bits too, so that masks are the same; off is faster, and a few
    /// voxels at the borders of structures may fall the other way: on or off [default: on]
    #[arg(long, value_parser = word::<Switch>())]
    exact: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Switch {
    On,
    Off,
}

impl Flags {
    fn arithmetic(&self) -> Arithmetic {
        match self.exact {
            Some(Switch::Off) => Arithmetic::Fast,
            _ => Arithmetic::Exact,
        }
    }

    /// Refuses them for other models.
    pub fn refuse(&self) -> Result<()> {
        let given = [
            (!self.folds.is_empty(), "--folds"),
            (self.mirroring.is_some(), "--mirroring"),
            (self.exact.is_some(), "--exact"),
        ];
        match given.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => {
                let text = format!("{flag}: is for nnU-Net folders alone; leave it out");
                Err(failure::usage(&text).into())
            }
            None => Ok(()),
        }
    }
}

/// Whether a path is a model folder of nnU-Net, a fold in one, or a run that has adapted one.
pub fn is_folder(path: &Path) -> bool {
    ModelFolder::is_one(&in_run_folder(path))
}

/// The model folder in the folder of a run; else the path as it is.
fn in_run_folder(path: &Path) -> PathBuf {
    let inner = path.join(RESULT_FOLDER);
    let is_run = ModelFolder::is_one(&inner) && !ModelFolder::is_one(path);
    if is_run { inner } else { path.to_owned() }
}

/// Opens a model folder, or that of a run.
fn open(path: &Path, folds: &[String]) -> Result<ModelFolder> {
    Ok(ModelFolder::open(&in_run_folder(path), folds)?)
}

/// Says that a GPU is not used.
fn warn_of_device(console: &Console) {
    if !console.device().is_cpu() {
        console.warn("--device: networks of nnU-Net compute on the CPU alone; it is used");
    }
}

/// Says where other weights are read than those of the training's end.
fn warn_of_checkpoint(folder: &ModelFolder, console: &Console) {
    folder.note().iter().for_each(|note| console.warn(note));
}

/// Writes the weights of a folder's only fold, under one name a parameter, as .safetensors or .pth.
pub fn write_weights(folder: &Path, output: &Path, console: &Console) -> Result<()> {
    let folder = open(folder, &[])?;
    warn_of_checkpoint(&folder, console);
    let state = udas_nnunet::Checkpoint::read(&folder.checkpoint(only_fold(&folder)?))?.state;
    let checkpoint = udas_nn::Checkpoint { tensors: state, metadata: None };
    checkpoint.save(output)?;
    let (count, hash) = (checkpoint.tensors.len(), checkpoint.hash()?);
    let text = format!("{}: {count} entries, hash {hash}", output.display());
    let file = output.display().to_string();
    console.result(text, &serde_json::json!({ "file": file, "entries": count, "hash": hash }))
}

/// A folder's only fold, as other programs are given it.
pub fn exported(folder: &Path) -> Result<Exported> {
    let folder = open(folder, &[])?;
    let state = udas_nnunet::Checkpoint::read(&folder.checkpoint(only_fold(&folder)?))?.state;
    let hash = udas_nn::Checkpoint { tensors: state, metadata: None }.hash()?;
    Exported::of_nnunet(folder.load(Arithmetic::Exact)?, hash)
}

/// Writes a model folder that the original reads: weights of a file, all else as in the folder `like`.
pub fn write_folder(weights: &Path, like: &Path, output: &Path, console: &Console) -> Result<()> {
    let folder = open(like, &[])?;
    let fold = only_fold(&folder)?.to_owned();
    let state = udas_nn::Checkpoint::load(weights)?.tensors;
    folder.write_with(&fold, &state, output)?;
    // What was written is what is read.
    ModelFolder::open(output, &[fold])?.load(Arithmetic::Exact)?;
    let text = format!("{}: {} entries, a model folder of nnU-Net", output.display(), state.len());
    let file = output.display().to_string();
    console.result(text, &serde_json::json!({ "file": file, "entries": state.len() }))
}

fn only_fold(folder: &ModelFolder) -> Result<&str> {
    match folder.folds() {
        [fold] => Ok(fold),
        folds => {
            let text = format!(
                "{}: has the folds {}; name one of them: {}/fold_{}",
                folder.path().display(),
                folds.join(", "),
                folder.path().display(),
                folds[0]
            );
            Err(failure::usage(&text).into())
        }
    }
}

/// What a case came to.
/// Whether a mask has a structure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    Something,
}

enum Outcome {
    Written(Vec<PathBuf>, Shows),
    Skipped,
    Interrupted,
}

struct Work<'a> {
    args: &'a PredictArgs,
    model: Model,
    options: Options,
    folder: Predictions,
    console: &'a Console,
}

pub fn run(args: &PredictArgs, console: &Console) -> Result<()> {
    warn_of_device(console);
    let folder = open(&args.model, &args.nnunet.folds)?;
    warn_of_checkpoint(&folder, console);
    let subjects = args.images.subjects(console)?;
    selection::warn_of_headers(&subjects, console);
    selection::warn_of_masks(&subjects, console);
    let cases = cases(&subjects, &folder, console)?;
    let masks: Vec<String> = cases.iter().map(|case| mask_name(case, &folder)).collect();
    spare_the_images(&args.out, &cases, &masks)?;
    let images = cases.iter().map(|case| case.images[0].as_path());
    args.segmentations.check(images, classes(&folder.data.labels))?;
    let options = options(args);
    let model = folder.load(args.nnunet.arithmetic())?;
    console.detail(format!(
        "{}: {} of {}, {} outputs",
        args.model.display(),
        model.configuration.name,
        folder.folds().join(", "),
        model.data.labels.outputs()
    ));
    let made_by = made_by(&folder, args)?;
    let existing = if args.overwrite { Existing::Replace } else { Existing::Keep };
    let folder = Predictions::open(&args.out, made_by, &masks, existing)?;
    interrupt::flag();
    Work { args, model, options, folder, console }.all(&cases, &masks)
}

fn options(args: &PredictArgs) -> Options {
    Options {
        mirroring: match args.nnunet.mirroring {
            Some(Switch::Off) => Mirroring::Off,
            _ => Mirroring::Allowed,
        },
        probabilities: if args.probabilities {
            Probabilities::Wanted
        } else {
            Probabilities::Unwanted
        },
    }
}

/// What the predictions are made by: the checkpoints' bytes and the options that change masks.
fn made_by(folder: &ModelFolder, args: &PredictArgs) -> Result<MadeBy> {
    let files: Vec<PathBuf> = folder.folds().iter().map(|fold| folder.checkpoint(fold)).collect();
    let mut hashes: Vec<String> =
        files.iter().map(|file| predictions::hash(file)).collect::<Result<_>>()?;
    let off =
        |switch: Option<Switch>, word: &str| (switch == Some(Switch::Off)).then(|| word.to_owned());
    hashes.extend(off(args.nnunet.mirroring, "mirroring-off"));
    hashes.extend(off(args.nnunet.exact, "exact-off"));
    Ok(MadeBy {
        model: folder.path().display().to_string(),
        hash: hashes.join("+"),
        // The plans say how images are seen; nothing of ours is done to them.
        preprocessing: Preprocessing::upright(Plane::Stored),
        views: Views::ONE,
        version: env!("CARGO_PKG_VERSION").into(),
        listed: true,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn mask_name(case: &Case, folder: &ModelFolder) -> String {
    format!("{}{}", case.name, folder.data.file_ending)
}

/// Groups images into cases by their names, `CASE_0000.nii.gz` and on. A model of one channel takes other names too.
fn cases(subjects: &[Subject], folder: &ModelFolder, console: &Console) -> Result<Vec<Case>> {
    let endings = folder.data.endings();
    let mut found: BTreeMap<String, Vec<Option<PathBuf>>> = BTreeMap::new();
    for Subject { image, frames, .. } in subjects {
        let name = file_name(image);
        let shown = image.display();
        if *frames != Frames::Single {
            let text = format!("{shown}: has frames; nnU-Net takes a file each, split it");
            return Err(failure::input(text).into());
        }
        // A folder is a DICOM series.
        if image.is_file()
            && udas_volume::probe(image).is_ok_and(|probe| probe.header.kind() == FileKind::Picture)
        {
            let text = format!(
                "{shown}: is a picture, and the model takes volumes; convert it to NIfTI with its voxel sizes"
            );
            return Err(failure::input(text).into());
        }
        let (channel, case) = match folder.data.channel(&name) {
            Some(place) => place,
            None if endings.len() == 1 => (0, udas_volume::stem(image)),
            None => {
                let text = format!(
                    "{shown}: its name does not say its channel; the model takes {} images a case, CASE{} and on",
                    endings.len(),
                    endings[0]
                );
                return Err(failure::input(text).into());
            }
        };
        let images = found.entry(case).or_insert_with(|| vec![None; endings.len()]);
        if let Some(other) = images[channel].replace(image.clone()) {
            let text =
                format!("{shown} and {} are the same channel of a case; give one", other.display());
            return Err(failure::input(text).into());
        }
    }
    let labels: BTreeMap<_, _> = subjects.iter().map(|s| (&s.image, &s.labels)).collect();
    let whole = |(name, images)| {
        let mut case = whole(name, images, &endings)?;
        case.labels = labels.get(&case.images[0]).copied().cloned().flatten();
        Ok(case)
    };
    let cases: Vec<Case> = found.into_iter().map(whole).collect::<Result<_>>()?;
    warn_of_grids(&cases, console);
    Ok(cases)
}

/// Says where channels of a case do not lie on one grid. They are taken voxel by voxel, as nnU-Net takes them.
fn warn_of_grids(cases: &[Case], console: &Console) {
    let grid = |image: &PathBuf| udas_volume::probe(image).ok().map(|probe| probe.grid);
    for Case { name, images, .. } in cases {
        let Some(first) = images.first().and_then(grid) else { continue };
        let others = images.iter().skip(1).filter_map(grid);
        if let Some(difference) = others.filter_map(|other| first.difference(&other)).next() {
            console.warn(format!(
                "{name}: its channels do not lie on one grid ({difference}); they are taken voxel by voxel, as nnU-Net \
                 does"
            ));
        }
    }
}

/// Labels beyond background that a model can give.
fn classes(labels: &LabelRule) -> usize {
    match labels {
        LabelRule::Classes { count } => count.saturating_sub(1),
        LabelRule::Regions { paint } => paint.iter().copied().max().unwrap_or(0).into(),
    }
}

/// A subject for each image file. A data set lists the first channel of a case: its others lie beside it.
fn channels(subjects: Vec<Subject>, folder: &ModelFolder, is_set: bool) -> Vec<Subject> {
    let endings = folder.data.endings();
    if !is_set || endings.len() == 1 {
        return subjects;
    }
    let all = |subject: Subject| {
        let name = file_name(&subject.image);
        let case = folder.data.channel(&name).map_or_else(|| name.clone(), |(_, case)| case);
        let ending = if name.ends_with(".nii") { ".nii" } else { ".nii.gz" };
        let image = |channel: usize| {
            let beside = subject.image.with_file_name(format!("{case}_{channel:04}{ending}"));
            let is_listed = channel == 0 || !beside.is_file();
            let image = if is_listed { subject.image.clone() } else { beside };
            let labels = subject.labels.clone().filter(|_| channel == 0);
            (channel == 0 || !is_listed).then(|| Subject { image, labels, ..subject.clone() })
        };
        (0..endings.len()).filter_map(image).collect::<Vec<_>>()
    };
    subjects.into_iter().flat_map(all).collect()
}

/// Refuses subjects of which labels are missing.
fn with_labels(subjects: Vec<Subject>) -> Result<Vec<Subject>> {
    match subjects.iter().find(|subject| subject.labels.is_none()) {
        Some(subject) => {
            let text = format!(
                "{}: has no labels; leave the case out by naming others",
                subject.image.display()
            );
            Err(failure::input(text).into())
        }
        None => Ok(subjects),
    }
}

/// A case with all its channels.
fn whole(name: String, images: Vec<Option<PathBuf>>, endings: &[String]) -> Result<Case> {
    let missing = images.iter().position(Option::is_none);
    if let Some(channel) = missing {
        let text = format!(
            "{name}{} is missing: the model takes {} images a case",
            endings[channel],
            endings.len()
        );
        return Err(failure::input(text).into());
    }
    Ok(Case { name, images: images.into_iter().flatten().collect(), labels: None })
}

/// Refuses to write over an image that is read, and among images: a mask beside its image is an image to the next call.
fn spare_the_images(out: &Path, cases: &[Case], masks: &[String]) -> Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    let images: Vec<_> =
        cases.iter().flat_map(|case| &case.images).filter_map(|image| place(image)).collect();
    for mask in masks.iter().map(|mask| out.join(mask)).chain([out.to_owned()]) {
        if place(&mask).is_some_and(|mask| images.contains(&mask)) {
            let text =
                format!("{}: is an image that is read; choose another --out", mask.display());
            return Err(failure::usage(&text).into());
        }
    }
    let folder = |image: &Path| image.parent().map(Path::to_owned);
    let out = place(out);
    if let Some(image) = images.iter().find(|image| out.is_some() && folder(image) == out) {
        let text = format!(
            "{}: is where images are, and a mask there would be taken for one; choose another --out",
            image.display()
        );
        return Err(failure::usage(&text).into());
    }
    Ok(())
}

/// The hash of all channels; of one channel that of its file.
fn hash(case: &Case) -> Result<String> {
    let hashes: Vec<String> =
        case.images.iter().map(|image| predictions::hash(image)).collect::<Result<_>>()?;
    Ok(hashes.join("+"))
}

impl Work<'_> {
    fn all(mut self, cases: &[Case], masks: &[String]) -> Result<()> {
        let (mut written, mut skipped, mut failed) = (Vec::new(), 0, Vec::new());
        let mut empty = Vec::new();
        for (case, mask) in cases.iter().zip(masks) {
            if interrupt::asked() {
                break;
            }
            match self.one(case, mask) {
                Ok(Outcome::Written(paths, shows)) => {
                    if shows == Shows::Nothing {
                        empty.push(mask.clone());
                    }
                    written.extend(paths.iter().map(|path| path.display().to_string()));
                }
                Ok(Outcome::Skipped) => skipped += 1,
                Ok(Outcome::Interrupted) => break,
                Err(error) => {
                    self.console.warn(failure::describe(&error));
                    failed.push(case.images[0].display().to_string());
                }
            }
        }
        let text = format!(
            "{}: {} masks written, {skipped} were there, {} cases failed",
            self.args.out.display(),
            written.len(),
            failed.len()
        );
        predictions::warn_of_empty(&empty, written.len(), self.console);
        let value = serde_json::json!({
            "empty": empty, "written": written, "skipped": skipped, "failed": failed,
        });
        self.console.result(text, &value)?;
        if interrupt::asked() {
            anyhow::bail!("interrupted; the same command goes on with what is missing");
        }
        if !failed.is_empty() {
            let text =
                format!("{} of {} cases failed: {}", failed.len(), cases.len(), failed.join(", "));
            return Err(failure::input(text).into());
        }
        Ok(())
    }

    fn one(&mut self, case: &Case, mask: &str) -> Result<Outcome> {
        if !self.args.overwrite && self.is_there(case, mask)? {
            return Ok(Outcome::Skipped);
        }
        // Before it is read: what is exchanged meanwhile is noticed by the next call.
        let sha256 = hash(case)?;
        let read = case.images.iter().map(|image| udas_volume::read(image));
        let images = read.collect::<Result<_, _>>()?;
        let mut progress: Option<Progress> = None;
        let console = self.console;
        let mut on_patch = |_: usize, total: usize| {
            progress.get_or_insert_with(|| console.progress(total, "patches")).advance(&case.name);
            if interrupt::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let made = self.model.predict(images, &case.name, self.options, &mut on_patch);
        if let Some(progress) = progress {
            progress.finish();
        }
        let Prediction { labels, probabilities } = match made {
            Err(udas_nnunet::Error::Stopped) => return Ok(Outcome::Interrupted),
            made => made.with_context(|| case.images[0].display().to_string())?,
        };
        for (name, volume) in self.probability_names(case).iter().zip(&probabilities) {
            if let Some(name) = name {
                write_volume(&self.args.out.join(name), volume)?;
            }
        }
        let source = segmentations::Source {
            image: &case.images[0],
            classes: classes(&self.model.data.labels),
            made_by: &self.folder.hash,
        };
        let path = self.args.out.join(segmentations::name(&case.name));
        self.args.segmentations.write(&path, &labels, &source)?;
        // Last, since this file says that the case is done.
        let path = self.args.out.join(mask);
        write_labels(&path, &labels)?;
        self.folder.add(&[mask.to_owned()], &case.images[0], &sha256)?;
        let is_empty = predictions::is_empty(&labels);
        let shows = if is_empty { Shows::Nothing } else { Shows::Something };
        Ok(Outcome::Written(vec![path], shows))
    }

    /// Whether all that is asked for of a case is there, made of these images.
    fn is_there(&mut self, case: &Case, mask: &str) -> Result<bool> {
        let (masks, image) = ([mask.to_owned()], &case.images[0]);
        match self.folder.origin_of(&masks, image, &|| hash(case))? {
            Origin::Same | Origin::Unknown => {}
            Origin::Unfinished => return Ok(false),
            Origin::Changed => {
                let text = "has other content than its mask was made of; the mask is made anew";
                self.console.warn(format!("{}: {text}", image.display()));
                predictions::remove_beside(&self.args.out, mask, self.console)?;
                return Ok(false);
            }
            Origin::Other(other) => {
                let text = format!(
                    "{}: {} holds the mask of another image of this name, {other}; choose another --out, or --overwrite",
                    image.display(),
                    self.args.out.display()
                );
                return Err(failure::input(text).into());
            }
        }
        let mut names = vec![mask.to_owned()];
        if self.args.probabilities {
            names.extend(self.probability_names(case).into_iter().flatten());
        }
        if self.args.segmentations.dicom_seg {
            names.push(segmentations::name(&case.name));
        }
        Ok(names.into_iter().all(|name| self.args.out.join(name).exists()))
    }

    /// Files of each output's probabilities; none for the background's.
    fn probability_names(&self, case: &Case) -> Vec<Option<String>> {
        let outputs = self.model.data.labels.outputs();
        let first = usize::from(matches!(self.model.data.labels, LabelRule::Classes { .. }));
        let name = |output: usize| match outputs - first {
            1 => format!("{}_prob.nii.gz", case.name),
            _ => format!("{}_prob{}.nii.gz", case.name, output + 1 - first),
        };
        (0..outputs).map(|output| (output >= first).then(|| name(output))).collect()
    }
}
