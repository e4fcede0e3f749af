//! `udas predict`: masks on the grids of the input files.
use crate::console::Console;
use crate::options::word;
use crate::predictions::{self, Existing, MadeBy, Origin, Predictions};
use crate::{failure, interrupt, nnunet, segmentations};
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use udas_data::{Frames, LabelUse, Plane, Subject, VolumeSlices};
use udas_model::{ModelFile, Predictor, Views, probability_volumes};
use udas_report::{Choice, Colour, Contour, Crop, Overlay, Panel, Stroke};
use udas_run::selection::{self, Images};
use udas_run::{intensity, other_trainings, readiness, spacing};
use udas_volume::{FileKind, Labels, Volume, write_labels, write_rgb_png, write_volume};

/// Segments volumes; each mask comes on its volume's own grid
///
/// Example: udas predict --model runs/adapted --images new_scanner/*.nii.gz --out masks
///
/// One bad file does not stop the others: it is named at the end (exit code 3). Running the command again
/// goes on with what is missing.
#[derive(Args)]
pub struct PredictArgs {
    /// The network: a run folder, .safetensors or .pth; or a model folder of nnU-Net v2 (TRAINER__PLANS__CONFIGURATION),
    /// whose images are named CASE_0000.nii.gz, CASE_0001.nii.gz, ...
    #[arg(short, long)]
    pub model: PathBuf,
    #[command(flatten)]
    pub images: Images,
    /// Folder for the masks
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write the foreground's probabilities too, as float32 NAME_prob.nii.gz (a file each class)
    #[arg(long)]
    pub probabilities: bool,
    /// Write a picture of each mask's contour on its largest slice, NAME_overlay.png
    #[arg(long)]
    overlays: bool,
    /// Replace predictions that are there already
    #[arg(long)]
    pub overwrite: bool,
    /// Plane of slices, for models that do not say: sagittal, coronal, axial or stored
    #[arg(long, value_parser = word::<Plane>())]
    plane: Option<Plane>,
    /// What an adaptation changed (RUN/patch.safetensors), applied to the model it was made from
    #[arg(long, value_name = "FILE")]
    patch: Option<PathBuf>,
    /// Other trainings of the model (other seeds): probabilities are the mean of all, which is often better and takes as
    /// many times as long
    #[arg(long, num_args = 1.., value_name = "MODEL")]
    ensemble: Vec<PathBuf>,
    /// Views of each slice whose probabilities are averaged, 1 to 15: the slice as it is, then moved by a few pixels and
    /// of another contrast; takes as many times as long
    #[arg(long, value_name = "N", default_value_t = 1)]
    views: usize,
    /// Mirror every second view from left to right of the body, for structures that look alike in the mirror (a brain, and
    /// no heart)
    #[arg(long)]
    mirrored: bool,
    /// Intensities in place of the model's: match-source (the source's histogram), min-max, percentile,
    /// percentile:LOW,HIGH or z-score; nyul is learned at training (`udas train --intensity nyul`)
    #[arg(long)]
    intensity: Option<String>,
    #[command(flatten)]
    pub segmentations: segmentations::DicomSeg,
    #[command(flatten)]
    pub nnunet: nnunet::Flags,
}

pub fn run(args: &PredictArgs, console: &Console) -> Result<()> {
    args.images.check()?;
    if nnunet::is_folder(&args.model) {
        refuse_others_flags(args)?;
        return nnunet::run(args, console);
    }
    args.nnunet.refuse()?;
    let (model, ensemble) = models(args, console)?;
    let subjects = args.images.subjects(console)?;
    selection::named_once(&subjects)?;
    selection::warn_of_headers(&subjects, console);
    selection::warn_of_orientations(&model.info, &subjects, console);
    spacing::warn(&model.info, &subjects, console);
    selection::warn_of_masks(&subjects, console);
    let views = views(args, &model)?;
    let network = model.network(console.device())?;
    let mut predictor = Predictor::new(network, console.device()).with_views(views);
    for other in &ensemble {
        predictor.add(other.network(console.device())?)?;
    }
    let images = subjects.iter().map(|subject| subject.image.as_path());
    args.segmentations.check(images, classes(&predictor))?;
    spare_the_images(args, &predictor, &subjects)?;
    check_names(args, &predictor, &subjects)?;
    let mut folder = open_folder(args, (&model, &ensemble), views, &subjects)?;
    interrupt::flag();
    let mut progress = console.progress(subjects.len(), "volumes");
    let mut done = Done::default();
    for subject in &subjects {
        if interrupt::asked() {
            break;
        }
        let made = match work(args, &mut folder, &predictor, subject, console) {
            Ok(Work::Skip) => {
                done.skipped += output_names(subject).len();
                Ok(Vec::new())
            }
            Ok(Work::Make) => {
                predict(args, &model, &predictor, subject, (&mut folder, &mut done.empty))
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(paths) => done.written.extend(paths.iter().map(|path| path.display().to_string())),
            Err(error) => {
                console.warn(failure::describe(&error));
                done.failed.push(subject.image.display().to_string());
            }
        }
        progress.advance(&subject.id);
    }
    progress.finish();
    predictions::warn_of_empty(&done.empty, done.written.len(), console);
    done.report(&args.out, subjects.len(), console)
}

/// The model, patched and with the intensities asked for, and those that predict with it.
fn models(args: &PredictArgs, console: &Console) -> Result<(ModelFile, Vec<ModelFile>)> {
    let suggestion = selection::in_plane(args.images.preprocessing()?, args.plane);
    let told = [args.plane.map(|_| "--plane"), args.intensity.as_ref().map(|_| "--intensity")];
    let mut model = selection::load_model(&args.model, suggestion, &told, console)?;
    readiness::of_knowledge(&model).iter().for_each(|text| console.warn(text));
    if let Some(patch) = &args.patch {
        patched(&mut model, patch)?;
    }
    let ensemble =
        other_trainings::with_the_same_preprocessing("--ensemble", &args.ensemble, &model)?;
    intensity::replace(&mut model, args.intensity.as_deref(), &args.model)?;
    if let Some(plane) = args.plane
        && plane != model.info.preprocessing.plane
    {
        let text = "--plane differs from the plane that the model was trained on; leave it out";
        return Err(failure::usage(text).into());
    }
    Ok((model, ensemble))
}

/// The views that are asked for, which the model's slices must have.
fn views(args: &PredictArgs, model: &ModelFile) -> Result<Views> {
    let refuse = |flag: &str, problem: String| failure::usage(&format!("{flag}: {problem}"));
    let views = Views::new(args.views).map_err(|error| refuse("--views", error.to_string()))?;
    match (args.mirrored, views.is_one()) {
        (false, _) => Ok(views),
        (true, true) => {
            let problem = "there is one view, the slice as it is; give --views 2 or more";
            Err(refuse("--mirrored", problem.into()).into())
        }
        (true, false) => {
            let mirrored = views.mirrored(&model.info.preprocessing);
            let leave_out = |error| refuse("--mirrored", format!("{error}; leave it out"));
            Ok(mirrored.map_err(leave_out)?)
        }
    }
}

/// What has become of the masks.
#[derive(Default, Serialize)]
struct Done {
    /// Masks that show nothing.
    empty: Vec<String>,
    /// Images that could not be segmented.
    failed: Vec<String>,
    /// How many masks were there already.
    skipped: usize,
    written: Vec<String>,
}

impl Done {
    fn report(&self, out: &Path, volumes: usize, console: &Console) -> Result<()> {
        let Self { written, skipped, failed, .. } = self;
        let text = format!(
            "{}: {} masks written, {skipped} were there, {} volumes failed",
            out.display(),
            written.len(),
            failed.len()
        );
        console.result(text, self)?;
        if interrupt::asked() {
            anyhow::bail!("interrupted; the same command goes on with what is missing");
        }
        if !failed.is_empty() {
            let text =
                format!("{} of {volumes} volumes failed: {}", failed.len(), failed.join(", "));
            return Err(failure::input(text).into());
        }
        Ok(())
    }
}

/// Refuses flags that mean nothing to a model of nnU-Net, which says itself how it sees images.
fn refuse_others_flags(args: &PredictArgs) -> Result<()> {
    let given = [
        (args.overlays, "--overlays"),
        (args.plane.is_some(), "--plane"),
        (args.patch.is_some(), "--patch"),
        (!args.ensemble.is_empty(), "--ensemble"),
        (args.intensity.is_some(), "--intensity"),
        (args.views != 1, "--views"),
        (args.mirrored, "--mirrored"),
    ];
    match given.into_iter().find(|(given, _)| *given) {
        Some((_, flag)) => {
            let text = format!("{flag}: is not for nnU-Net folders; leave it out");
            Err(failure::usage(&text).into())
        }
        None => Ok(()),
    }
}

/// Whether a subject's files are there already.
enum Work {
    Skip,
    Make,
}

/// What is to be done for a subject, by what its masks were made of. Masks of another file of the same name are refused.
fn work(
    args: &PredictArgs,
    folder: &mut Predictions,
    predictor: &Predictor,
    subject: &Subject,
    console: &Console,
) -> Result<Work> {
    let (masks, image) = (output_names(subject), &subject.image);
    if args.overwrite {
        return Ok(Work::Make);
    }
    match folder.origin(&masks, image)? {
        Origin::Same => {}
        Origin::Unfinished => return Ok(Work::Make),
        Origin::Unknown => warn_of_age(args, subject, console),
        Origin::Changed => {
            console.warn(format!(
                "{}: has other content than its mask was made of; the mask is made anew",
                image.display()
            ));
            for mask in &masks {
                predictions::remove_beside(&args.out, mask, console)?;
            }
            return Ok(Work::Make);
        }
        Origin::Other(other) => {
            let text = format!(
                "{}: {} holds the mask of another image of this name, {other}; choose another --out, or --overwrite",
                image.display(),
                args.out.display()
            );
            return Err(failure::input(text).into());
        }
    }
    let there = |name: String| args.out.join(name).exists();
    Ok(if products(args, predictor, subject).into_iter().all(there) {
        Work::Skip
    } else {
        Work::Make
    })
}

/// Says where an image is newer than its mask, of which nothing else is known.
fn warn_of_age(args: &PredictArgs, subject: &Subject, console: &Console) {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let Some(image) = changed(&subject.image) else { return };
    for path in output_names(subject).into_iter().map(|name| args.out.join(name)) {
        if changed(&path).is_some_and(|mask| mask < image) {
            console.warn(format!(
                "{}: is older than its image, and left as it is; --overwrite makes it anew",
                path.display()
            ));
        }
    }
}

/// Refuses to write where the images are that are read: a mask beside its image is an image to the next call.
fn spare_the_images(args: &PredictArgs, predictor: &Predictor, subjects: &[Subject]) -> Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    let images: BTreeSet<PathBuf> = subjects.iter().filter_map(|s| place(&s.image)).collect();
    for name in subjects.iter().flat_map(|subject| products(args, predictor, subject)) {
        let path = args.out.join(name);
        if place(&path).is_some_and(|path| images.contains(&path)) {
            let text =
                format!("{}: is an image that is read; choose another --out", path.display());
            return Err(failure::usage(&text).into());
        }
    }
    let out = place(&args.out);
    if out.as_ref().is_some_and(|out| images.contains(out)) {
        let text =
            format!("{}: is a series that is read; choose another --out", args.out.display());
        return Err(failure::usage(&text).into());
    }
    let folder = |subject: &Subject| {
        let folder = subject.image.parent().filter(|folder| !folder.as_os_str().is_empty());
        place(folder.unwrap_or(Path::new(".")))
    };
    if let Some(subject) = subjects.iter().find(|s| out.is_some() && folder(s) == out) {
        let text = format!(
            "{}: is where the image {} is, whose mask would be taken for an image there; choose another --out",
            args.out.display(),
            subject.image.display()
        );
        return Err(failure::usage(&text).into());
    }
    Ok(())
}

/// Bytes of a file name that systems allow.
const NAME_BYTES: usize = 255;

/// Refuses images whose masks would have longer names than systems allow.
fn check_names(args: &PredictArgs, predictor: &Predictor, subjects: &[Subject]) -> Result<()> {
    for subject in subjects {
        let products = products(args, predictor, subject);
        if let Some(name) = products.iter().find(|name| name.len() > NAME_BYTES) {
            let text = format!(
                "{}: its name is too long for {name} ({} bytes; systems allow {NAME_BYTES}); rename it",
                subject.image.display(),
                name.len()
            );
            return Err(failure::input(text).into());
        }
    }
    Ok(())
}

/// The folder for the masks, marked as the model's.
fn open_folder(
    args: &PredictArgs,
    (model, ensemble): (&ModelFile, &[ModelFile]),
    views: Views,
    subjects: &[Subject],
) -> Result<Predictions> {
    let mut hashes: Vec<String> = ensemble.iter().map(ModelFile::hash).collect::<Result<_, _>>()?;
    // The mean does not depend on the order, beyond rounding.
    hashes.sort();
    hashes.insert(0, model.hash()?);
    let made_by = MadeBy {
        model: args.model.display().to_string(),
        hash: hashes.join("+"),
        preprocessing: model.info.preprocessing.clone(),
        views,
        version: env!("CARGO_PKG_VERSION").into(),
        listed: true,
    };
    let masks: Vec<String> = subjects.iter().flat_map(output_names).collect();
    let existing = if args.overwrite { Existing::Replace } else { Existing::Keep };
    Predictions::open(&args.out, made_by, &masks, existing)
}

/// Applies a patch to the model that it was made from; what is done to volumes is the adapted model's.
pub fn patched(model: &mut ModelFile, path: &Path) -> Result<()> {
    let patch = udas_adapt::Patch::load(path)?;
    model.state = patch.apply(&model.state).with_context(|| path.display().to_string())?;
    if let Some(notes) = &patch.notes {
        model.info = serde_json::from_str(notes)
            .map_err(|error| failure::input(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// File names of a subject's masks; one a frame.
pub fn output_names(subject: &Subject) -> Vec<String> {
    let picture = udas_volume::is_supported(&subject.image) && !is_nifti(&subject.image);
    let ending = if picture { "png" } else { "nii.gz" };
    match &subject.frames {
        Frames::Single => vec![format!("{}.{ending}", subject.id)],
        Frames::Chosen(frames) => {
            frames.iter().map(|frame| format!("{}_frame{frame:02}.{ending}", subject.id)).collect()
        }
    }
}

/// Classes beyond background.
fn classes(predictor: &Predictor) -> usize {
    predictor.task().outputs().max(2) - 1
}

/// File names of all that is asked for of a subject.
fn products(args: &PredictArgs, predictor: &Predictor, subject: &Subject) -> Vec<String> {
    let masks = output_names(subject);
    let stems: Vec<String> = masks.iter().map(|name| stem(name)).collect();
    let mut names = masks;
    if args.overlays {
        names.extend(stems.iter().map(|stem| overlay_name(stem)));
    }
    if args.segmentations.dicom_seg {
        names.extend(stems.iter().map(|stem| segmentations::name(stem)));
    }
    if args.probabilities {
        let count = classes(predictor);
        let of = |stem: &String| {
            (1..=count).map(|class| probability_name(stem, class, count)).collect::<Vec<_>>()
        };
        names.extend(stems.iter().flat_map(of));
    }
    names
}

fn overlay_name(stem: &str) -> String {
    format!("{stem}_overlay.png")
}

/// The file of a class's probabilities, one of `count` beyond background.
fn probability_name(stem: &str, class: usize, count: usize) -> String {
    let class = if count > 1 { class.to_string() } else { String::new() };
    format!("{stem}_prob{class}.nii.gz")
}

fn is_nifti(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    [".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz"].iter().any(|end| name.ends_with(end))
}

fn predict(
    args: &PredictArgs,
    model: &ModelFile,
    predictor: &Predictor,
    subject: &Subject,
    (folder, empty): (&mut Predictions, &mut Vec<String>),
) -> Result<Vec<PathBuf>> {
    // Before it is read: what is exchanged meanwhile is noticed by the next call.
    let sha256 = predictions::hash(&subject.image)?;
    // A cache of this one volume; nothing is kept from one subject to the next.
    let slices = VolumeSlices::new(
        vec![subject.without_labels()],
        model.info.preprocessing.clone(),
        LabelUse::Ignore,
        usize::MAX,
    )?;
    let (labels, classes) = if args.probabilities {
        predictor.labels_and_probabilities(&slices, 0)?
    } else {
        (predictor.labels(&slices, 0)?, Vec::new())
    };
    let names = output_names(subject);
    let count = classes.len();
    for (class, stack) in classes.iter().enumerate() {
        for (name, volume) in names.iter().zip(probability_volumes(&slices, 0, stack)?) {
            write_volume(&args.out.join(probability_name(&stem(name), class + 1, count)), &volume)?;
        }
    }
    let mut written = Vec::new();
    for (index, (name, labels)) in names.iter().zip(&labels).enumerate() {
        if args.overlays {
            let image = read_frame(subject, index)?;
            let path = args.out.join(overlay_name(&stem(name)));
            draw(&path, &image, labels, model.info.preprocessing.plane)?;
        }
        let source = segmentations::Source {
            image: &subject.image,
            classes: self::classes(predictor),
            made_by: &folder.hash,
        };
        args.segmentations.write(
            &args.out.join(segmentations::name(&stem(name))),
            labels,
            &source,
        )?;
        // Last, since this file says that the subject is done.
        let path = args.out.join(name);
        write_labels(&path, &for_viewers(labels, predictor))?;
        if predictions::is_empty(labels) {
            empty.push(name.clone());
        }
        written.push(path);
    }
    folder.add(&names, &subject.image, &sha256)?;
    Ok(written)
}

/// A binary mask as a picture is 0 and 255, so that people see it; it is read back as 0 and 1.
fn for_viewers(labels: &Labels, predictor: &Predictor) -> Labels {
    let binary = predictor.task().outputs() == 1;
    match labels.header().kind() {
        FileKind::Picture if binary => labels.map(|label| label * 255),
        _ => labels.clone(),
    }
}

fn stem(name: &str) -> String {
    udas_volume::stem(Path::new(name))
}

fn read_frame(subject: &Subject, index: usize) -> Result<Volume> {
    Ok(match &subject.frames {
        Frames::Single => udas_volume::read(&subject.image)?,
        Frames::Chosen(frames) => {
            let frame = frames.get(index).copied().unwrap_or(0);
            let mut volumes = udas_volume::read_frames(&subject.image, &[frame])?;
            volumes.pop().ok_or_else(|| failure::input("a frame is missing"))?
        }
    })
}

/// The plane of pictures that shows a model's slices.
pub fn plane_of(plane: Plane) -> udas_report::Plane {
    match plane {
        Plane::Sagittal => udas_report::Plane::Sagittal,
        Plane::Coronal => udas_report::Plane::Coronal,
        Plane::Axial | Plane::Stored => udas_report::Plane::Axial,
    }
}

fn draw(path: &Path, image: &Volume, labels: &Labels, plane: Plane) -> Result<()> {
    let nothing = labels.map(|_| 0);
    let contour =
        Contour { name: "prediction", labels, colour: Colour::AFTER, stroke: Stroke::Thin };
    let overlay = Overlay {
        image,
        plane: plane_of(plane),
        slice: Choice::MostDifferent(&nothing, labels),
        crop: Crop::Whole,
        panel_pixels: 400,
        panels: vec![
            Panel { title: "slice", contours: Vec::new() },
            Panel { title: "prediction", contours: vec![contour] },
        ],
    };
    let picture = overlay.draw()?;
    write_rgb_png(path, picture.rgb(), picture.width(), picture.height())?;
    Ok(())
}
