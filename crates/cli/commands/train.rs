//! `udas train`: the network on labelled source volumes.
use crate::console::{Console, in_shell};
use crate::held_out::{self, HoldOut, HoldOutFlags, Split, SplitSlices};
use crate::options::word;
use crate::schedule::{self, Preset, ScheduleFlags, Training, unless_done};
use crate::{failure, settings};
use anyhow::Result;
use clap::{ArgMatches, Args};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use udas_data::{
    Augment, AugmentationRanges, Contrast, DataSet, DeformationRanges, Geometry, Layout, Plane,
    Preprocessing, RandomisationRanges, Subject,
};
use udas_model::{ModelFile, ModelInfo, Provenance, families, family};
use udas_network::{Family, Shape, Spec, Task};
use udas_record::Phase;
use udas_run::training::{self, Purpose};
use udas_run::{Beginning, RunFolder, Settings, Start};
use udas_run::{intensity, plane, selection, spacing};
use udas_train::{Keep, Snapshot, SourceTraining};

/// Trains a segmentation network on labelled volumes of the source scanner
///
/// Example: udas train --data brains --domain scanner_a --out runs/source
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainArgs {
    /// A data set: domain folders, CC-359, M&Ms, BIDS or nnU-Net raw data
    #[arg(long, value_name = "DIR", required_unless_present_any = ["config", "resume"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Its domains to learn from, such as scanners
    #[arg(long, num_args = 1.., value_name = "NAME")]
    domain: Vec<String>,
    /// Which subjects: names, or places in name order from 1, as 1-16,20 [default: all]
    #[arg(long, value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<String>,
    /// Leave out fold K of N, counted from 0: contiguous blocks in name order, as published [default: none]
    #[arg(long, value_name = "K/N", conflicts_with = "subjects")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fold: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    holding_out: HoldOutFlags,
    /// Folder of the run
    #[arg(short, long, value_name = "RUN")]
    out: PathBuf,
    /// Kind of network, by name
    #[arg(long, default_value = families()[0].name(), value_parser = family_name)]
    network: String,
    /// Channels of the first stage
    #[arg(long, default_value_t = 16)]
    filters: usize,
    /// Classes, background included [default: 4 for M&Ms, else 2]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<u8>,
    /// The published schedule, for options that are not given: paper (50 epochs, batches of 20, intensities unaltered,
    /// nothing held out but a fold)
    #[arg(long, value_parser = word::<Preset>())]
    #[serde(skip)]
    preset: Option<Preset>,
    #[command(flatten)]
    #[serde(flatten)]
    schedule: ScheduleFlags,
    /// Plane of slices: sagittal, coronal, axial or stored [default: stored for M&Ms, else across the thick axis of the voxels
    /// if they have one, else sagittal]
    #[arg(long, value_parser = word::<Plane>())]
    #[serde(skip_serializing_if = "Option::is_none")]
    plane: Option<Plane>,
    /// Voxels: native, as the files have them; median, the pixels of the median subject; MM, pixels of so many millimetres;
    /// or MM,MM, pixels and slices so far apart. Volumes of other scanners are brought to it too, and masks come back on
    /// their own grid
    #[arg(long, value_name = "SIZE", default_value = NATIVE)]
    #[serde(default = "native")]
    spacing: String,
    /// Intensities: min-max, percentile, percentile:LOW,HIGH, z-score or nyul
    #[arg(long, default_value = "min-max")]
    intensity: String,
    /// Alter training slices: intensity (gamma, gain, bias field, noise, blur), randomised (random convolutions for each
    /// labelled region, inverted contrasts among them, coarser pixels), spatial (turned, scaled and bent with their labels),
    /// either with spatial, or none (the paper's)
    #[arg(long, default_value = "intensity", value_parser = word::<AugmentName>())]
    augment: AugmentName,
    /// Weights to end with: last, or best-score on what is held out
    #[arg(long, default_value = "last", value_parser = word::<Keep>())]
    keep: Keep,
    /// Memory for decoded volumes in GiB
    #[arg(long, default_value_t = 4.0)]
    cache_gib: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on with a run that was cut off
    #[arg(long)]
    #[serde(skip)]
    resume: bool,
    /// Show what would be done, and with which settings
    #[arg(long)]
    #[serde(skip)]
    dry_run: bool,
    /// Settings from a file; flags override them
    #[arg(long, value_name = "FILE.toml")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AugmentName {
    /// As they are (the paper's)
    None,
    /// Gamma, gain, bias field, noise, blur
    Intensity,
    /// Random convolutions for each labelled region, coarser pixels, bias field, noise, blur
    Randomised,
    /// Turned, scaled, bent
    Spatial,
    #[serde(rename = "intensity+spatial")]
    IntensityAndSpatial,
    #[serde(rename = "randomised+spatial")]
    RandomisedAndSpatial,
}

/// Voxels as they are.
const NATIVE: &str = "native";

fn native() -> String {
    NATIVE.into()
}

/// More channels than any machine has memory for in the deepest stage.
const MAX_FILTERS: usize = 1024;

/// What the settings come to on the data at hand.
struct Plan {
    family: &'static dyn Family,
    shape: Shape,
    preprocessing: Preprocessing,
    split: Split,
    slices: SplitSlices,
    /// Axis codes of the volumes, where slices are taken as they are stored.
    orientations: Vec<String>,
    /// What is odd about the volumes.
    warnings: Vec<String>,
}

pub fn run(given: TrainArgs, flags: &ArgMatches, console: &Console) -> Result<()> {
    let start = Start::of(given.resume);
    let (config, out) = (given.config.clone(), given.out.clone());
    let dry_run = given.dry_run;
    let mut args =
        settings::of_run::<TrainArgs, _>(given, flags, config, (start, &out), |given, file| {
            held_out::give_way(file, given.subjects.as_deref(), given.fold.as_deref());
            Ok(())
        })?;
    args.apply_preset(flags);
    if !dry_run {
        RunFolder::expect_free(&args.out, start)?;
    }
    check(&args)?;
    args.schedule.settle(&args.domain, start);
    let plan = plan(&mut args, start, console)?;
    if dry_run {
        return settings::show(&args, console);
    }
    let domains = args.domain.join("+");
    let beginning = Beginning {
        settings: &args,
        out: &args.out,
        start,
        phase: Phase::Source,
        purpose: Purpose { command: "train", source: Some(&domains), ..Purpose::default() },
        seed: args.seed,
        files: &[],
        subjects: &plan.split.uses(),
        warnings: &plan.warnings,
    };
    let begun = beginning.begin(console)?;
    unless_done(begun, &args.out, console, |run| train(&args, &plan, run, console))
}

/// Trains the network, and writes it with all that is known of its source.
fn train(
    args: &TrainArgs,
    plan: &Plan,
    (mut folder, resume): (RunFolder, Option<Snapshot>),
    console: &Console,
) -> Result<()> {
    let network = plan.family.random(plan.shape, args.seed, console.device())?;
    let spec = network.spec().clone();
    let mut objective = SourceTraining::new(network);
    let training = Training {
        phase: Phase::Source,
        slices: &plan.slices,
        augment: args.augment(),
        keep: args.keep,
        seed: args.seed,
        score: if plan.slices.is_held_out() { "held-out Dice" } else { "Dice" },
    };
    let (summary, convergence) =
        args.schedule.run(&mut objective, &training, (&mut folder, resume), console)?;
    let provenance = provenance(args, plan, summary.epochs.len());
    let mut info = plan.model_info(spec, provenance)?;
    info.convergence = Some(convergence);
    let state = objective.network().parameters().state()?;
    ModelFile { state, info }.save(&folder.model())?;
    folder.finish(training::stop_record(Phase::Source, &summary))?;
    let shown = folder.model().display().to_string();
    let value = serde_json::json!({ "model": shown, "convergence": convergence });
    console.result(&shown, &value)?;
    let run = in_shell(&args.out);
    console.next(format!("udas adapt --model {run} --images FILES_OF_THE_NEW_SCANNER --out RUN"));
    Ok(())
}

impl Settings for TrainArgs {
    fn each_path(&mut self, visit: &mut dyn FnMut(&'static str, &mut PathBuf)) {
        self.data.iter_mut().for_each(|path| visit("data", path));
    }

    fn take_places(&mut self, begun: &Self) {
        let Self { data, out, cache_gib, .. } = begun.clone();
        *self = Self { data, out, cache_gib, ..self.clone() };
    }

    fn take_ends(&mut self, begun: &Self) {
        self.schedule.epochs = begun.schedule.epochs;
    }

    fn epochs(&self) -> Option<usize> {
        self.schedule.epochs.number()
    }
}

impl Plan {
    /// What is known of the source, and of the network's shape.
    fn model_info(&self, spec: Spec, provenance: Provenance) -> Result<ModelInfo> {
        let learned = self.split.train.as_slice();
        let mut info = ModelInfo::new(spec, self.preprocessing.clone(), provenance);
        info.orientations = self.orientations.clone();
        info.geometry = Geometry::of(learned)?;
        info.class_ratio = self.slices.train.class_ratio()?;
        info.source_histogram = Some(intensity::histogram(learned, &self.preprocessing)?);
        Ok(info)
    }
}

impl TrainArgs {
    /// Lets a preset stand for what the command line does not say.
    fn apply_preset(&mut self, flags: &ArgMatches) {
        let Some(preset) = self.preset else { return };
        preset.apply(flags, &mut self.schedule, &mut self.holding_out);
        if schedule::is_free(flags, "augment") {
            self.augment = AugmentName::None;
        }
    }

    fn augment(&self) -> Augment {
        use AugmentName as Name;
        let contrast = match self.augment {
            Name::None | Name::Spatial => Contrast::Kept,
            Name::Intensity | Name::IntensityAndSpatial => {
                Contrast::Altered(AugmentationRanges::SCANNERS)
            }
            Name::Randomised | Name::RandomisedAndSpatial => {
                Contrast::Randomised(RandomisationRanges::PUBLISHED)
            }
        };
        let deformation = match self.augment {
            Name::Spatial | Name::IntensityAndSpatial | Name::RandomisedAndSpatial => {
                Some(DeformationRanges::PUBLISHED)
            }
            Name::None | Name::Intensity | Name::Randomised => None,
        };
        Augment { contrast, deformation, seed: self.seed }
    }
}

fn provenance(args: &TrainArgs, plan: &Plan, epochs: usize) -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        command: "train".into(),
        domains: args.domain.clone(),
        subjects: plan.split.train.len(),
        seed: args.seed,
        epochs,
        ..Provenance::default()
    }
}

/// Axis codes of the volumes trained on, where slices are taken as they are stored.
fn stored_orientations(preprocessing: &Preprocessing, subjects: &[Subject]) -> Vec<String> {
    match preprocessing.plane {
        Plane::Stored => selection::orientations(subjects).into_keys().collect(),
        _ => Vec::new(),
    }
}

fn warn_of_mixture(orientations: &[String], console: &Console) -> Option<String> {
    let text = format!(
        "slices are taken as they are stored, of volumes with axes {}: the same anatomy lies in several ways; give \
         --plane axial, sagittal or coronal, unless that is meant",
        orientations.join(", ")
    );
    (orientations.len() > 1).then(|| {
        console.warn(&text);
        text
    })
}

/// The name of a family.
fn family_name(name: &str) -> Result<String, String> {
    family(name).map(|family| family.name().to_owned()).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> String {
    let known: Vec<_> = families().into_iter().map(Family::name).collect();
    format!("--network {name}: there are {}", known.join(", "))
}

/// Refuses values out of range.
fn check(args: &TrainArgs) -> Result<()> {
    args.schedule.check()?;
    if !(1..=MAX_FILTERS).contains(&args.filters) {
        let text = format!("--filters {}: give 1 to {MAX_FILTERS}", args.filters);
        return Err(failure::usage(&text).into());
    }
    let HoldOutFlags { validation_subjects, hold_out } = &args.holding_out;
    let nothing =
        *hold_out == HoldOut::None && validation_subjects.is_none() && args.fold.is_none();
    if args.keep == Keep::BestScore && nothing {
        let text =
            "--keep best-score: there is no score with --hold-out none; give --validation-subjects";
        return Err(failure::usage(text).into());
    }
    Ok(())
}

/// Opens everything, and writes into `args` the plane that was chosen.
fn plan(args: &mut TrainArgs, start: Start, console: &Console) -> Result<Plan> {
    let data = settings::needed(args.data.as_ref(), "--data")?;
    let layout = DataSet::open(data)?.layout();
    let all = selection::domains(data, &args.domain, console)?;
    let split =
        args.holding_out.split(all, (args.subjects.as_deref(), args.fold.as_deref()), console)?;
    let suggestion = selection::preprocessing_of(layout);
    if args.plane.is_none() && start == Start::Fresh {
        args.plane = Some(plane_of(&suggestion, &split.train, console)?);
    }
    let mut preprocessing = selection::in_plane(suggestion, args.plane);
    preprocessing.spacing = spacing::for_training(&args.spacing, &split.train, &preprocessing)?;
    preprocessing.intensity =
        intensity::for_training(&args.intensity, &split.train, &preprocessing)?;
    let classes = args.classes.unwrap_or(if layout == Layout::Mnms { 4 } else { 2 });
    let family = family(&args.network).ok_or_else(|| failure::usage(&unknown(&args.network)))?;
    let task = match classes {
        0 | 1 => return Err(failure::usage("--classes: at least 2, background included").into()),
        2 => Task::Binary,
        classes => Task::MultiClass { classes: classes.into() },
    };
    let shape = Shape { filters: args.filters, outputs: task.outputs() };
    preprocessing.padding = preprocessing.padding.in_multiples_of(family.spec(shape).multiple());
    let slices = split.open(&preprocessing, task, training::cache_bytes(args.cache_gib)?)?;
    describe(args, task, (&split, &slices), console);
    if let Some(voxels) = spacing::words(preprocessing.spacing) {
        console.say(format!("resampled: {voxels}"));
    }
    let mut warnings = selection::warn_of_headers(&split.train, console);
    let orientations = stored_orientations(&preprocessing, &split.train);
    warnings.extend(warn_of_mixture(&orientations, console));
    Ok(Plan { family, shape, preprocessing, split, slices, orientations, warnings })
}

/// The plane that nobody has named.
fn plane_of(suggestion: &Preprocessing, subjects: &[Subject], console: &Console) -> Result<Plane> {
    let Some((plane, text)) = plane::across_thick_voxels(suggestion, subjects)? else {
        return Ok(suggestion.plane);
    };
    console.say(text);
    Ok(plane)
}

fn describe(
    args: &TrainArgs,
    task: Task,
    (split, slices): (&Split, &SplitSlices),
    console: &Console,
) {
    let [height, width] = slices.train.slices.size();
    console.say(format!(
        "training on {} subjects of {} ({} slices of {height}x{width}), {} filters, {} output channels, seed {}",
        split.train.len(),
        args.domain.join(", "),
        slices.train.slices.len(),
        args.filters,
        task.outputs(),
        args.seed,
    ));
    if height.min(width) * THIN < height.max(width) {
        console.warn(format!(
            "slices of {height}x{width} pixels are thin strips: structures are cut across few pixels; name another --plane, or \
             put the voxel sizes into the files if they are not 1 mm"
        ));
    }
    console.say(slices.words(split));
}

/// Sides of a slice that differ by more than this factor are worth a word.
const THIN: usize = 3;
