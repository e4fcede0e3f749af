//! `udas train`: the network on labelled source volumes.
use crate::console::Console;
use crate::observer::Watch;
use crate::options::word;
use crate::run_folder::{RunFolder, Start};
use crate::training::{self, LabelledSet, OrderName, What};
use crate::{failure, intensity, interrupt, selection, settings};
use anyhow::Result;
use clap::{ArgMatches, Args};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use udas_data::{
    Augment, AugmentationRanges, DataSet, LastBatch, Layout, Plane, Preprocessing, Subject,
};
use udas_model::{ModelFile, ModelInfo, Provenance};
use udas_nn::AdamConfig;
use udas_record::Phase;
use udas_train::{Fit, FitConfig, FitSummary, Keep, Snapshot, SourceTraining, StopRule, Task, fit};
use udas_unet::{Architecture, UNet};

/// Trains a segmentation network on labelled volumes of the source scanner
///
/// Example: udas train --data brains --domain scanner_a --out runs/source
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainArgs {
    /// A data set: domain folders, a CC-359 or an M&Ms tree
    #[arg(long, value_name = "DIR", required_unless_present_any = ["config", "resume"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Its domains to learn from, such as scanners
    #[arg(long, num_args = 1.., value_name = "NAME", required_unless_present_any = ["config", "resume"])]
    domain: Vec<String>,
    /// Which subjects: names, or places in name order from 1, as 1-16,20 [default: all]
    #[arg(long, value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<String>,
    /// Leave out fold K of N, counted from 0: contiguous blocks in name order, as published [default: none]
    #[arg(long, value_name = "K/N", conflicts_with = "subjects")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fold: Option<String>,
    /// Subjects to watch the score on, chosen as by --subjects [default: none]
    #[arg(long, value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_subjects: Option<String>,
    /// Folder of the run
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Channels of the first stage
    #[arg(long, default_value_t = 16)]
    filters: usize,
    /// Classes, background included [default: 4 for M&Ms, else 2]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<u8>,
    /// Epochs
    #[arg(long, default_value_t = 50)]
    epochs: usize,
    /// Slices a step
    #[arg(long, default_value_t = 20)]
    batch_size: usize,
    /// Step size of Adam
    #[arg(long, default_value_t = 1e-3)]
    lr: f64,
    /// Order of slices: shuffled or sequential
    #[arg(long, default_value = "shuffled", value_parser = word::<OrderName>)]
    order: OrderName,
    /// Plane of slices: sagittal, coronal, axial or stored [default: stored for M&Ms, else sagittal]
    #[arg(long, value_parser = word::<Plane>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    plane: Option<Plane>,
    /// Intensities: min-max, percentile, percentile:LOW,HIGH, z-score or nyul
    #[arg(long, default_value = "min-max")]
    intensity: String,
    /// Alter the intensities of training slices: intensity (gamma, gain, bias field, noise, blur), or none (the
    /// paper's)
    #[arg(long, default_value = "intensity", value_parser = word::<AugmentName>)]
    augment: AugmentName,
    /// Weights to end with: last, or best-score on the validation subjects
    #[arg(long, default_value = "last", value_parser = word::<Keep>)]
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
    None,
    Intensity,
}

/// More channels than any machine has memory for in the deepest stage.
const MAX_FILTERS: usize = 1024;

/// What the settings come to on the data at hand.
struct Plan {
    task: Task,
    preprocessing: Preprocessing,
    train: Vec<Subject>,
    validation: Vec<Subject>,
}

pub fn run(given: TrainArgs, flags: &ArgMatches, console: &Console) -> Result<()> {
    let start = Start::of(given.resume);
    let (config, out) = (given.config.clone(), given.out.clone());
    let dry_run = given.dry_run;
    let args = settings::of_run(given, flags, config, (start, &out), |given, file| {
        selection::give_way(file, given.subjects.as_deref(), given.fold.as_deref());
        Ok(())
    })?;
    check(&args)?;
    let plan = plan(&args, console)?;
    let cache = training::cache_bytes(args.cache_gib)?;
    let set = LabelledSet::open(plan.train.clone(), &plan.preprocessing, plan.task, cache)?;
    describe(&args, &plan, &set, console);
    let mut warnings = selection::warn_of_headers(&plan.train, console);
    let orientations = stored_orientations(&plan);
    warnings.extend(warn_of_mixture(&orientations, console));
    if dry_run {
        return settings::show(&args, console);
    }
    let mut folder = RunFolder::open(&args.out, start, console)?;
    let subjects = [plan.train.as_slice(), plan.validation.as_slice()];
    let domains = args.domain.join("+");
    let what = What { command: "train", source: Some(&domains), ..What::default() };
    let record = training::start_record(what, args.seed, &[], &subjects, console)?;
    let text = settings::to_text(&args)?;
    if folder.finished(&text, &record)?.is_some() {
        console.say(format!("{} is done already", args.out.display()));
        return Ok(());
    }
    let resume = folder.begin(&text, record, Phase::Source)?;
    folder.record_warnings(&warnings)?;
    let architecture = Architecture { filters: args.filters, outputs: plan.task.outputs() };
    let unet = UNet::random(architecture, args.seed, console.device())?;
    let mut objective = SourceTraining::new(unet);
    let summary = train(&args, &plan, &set, &mut objective, (&mut folder, resume), console)?;
    training::report_stop(&summary, &folder, console)?;
    let provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        command: "train".into(),
        domains: args.domain.clone(),
        subjects: plan.train.len(),
        seed: args.seed,
        epochs: summary.epochs.len(),
        ..Provenance::default()
    };
    let mut info = ModelInfo::new(architecture, plan.preprocessing.clone(), provenance);
    info.orientations = orientations;
    info.class_ratio = set.class_ratio()?;
    info.source_histogram = Some(intensity::histogram(&plan.train, &plan.preprocessing)?);
    let state = objective.unet().parameters().state()?;
    ModelFile { state, info }.save(&folder.model())?;
    folder.finish(training::stop_record(Phase::Source, &summary))?;
    let path = folder.model();
    console.result(
        path.display().to_string(),
        &serde_json::json!({ "model": path.display().to_string() }),
    )
}

/// Axis codes of the volumes trained on, where slices are taken as they are stored.
fn stored_orientations(plan: &Plan) -> Vec<String> {
    match plan.preprocessing.plane {
        Plane::Stored => selection::orientations(&plan.train).into_keys().collect(),
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

/// Refuses values out of range.
fn check(args: &TrainArgs) -> Result<()> {
    training::check(args.epochs, args.batch_size, args.lr)?;
    if !(1..=MAX_FILTERS).contains(&args.filters) {
        let text = format!("--filters {}: give 1 to {MAX_FILTERS}", args.filters);
        return Err(failure::usage(&text).into());
    }
    if args.keep == Keep::BestScore && args.validation_subjects.is_none() {
        let text = "--keep best-score: there is no score without --validation-subjects; give them";
        return Err(failure::usage(text).into());
    }
    Ok(())
}

fn plan(args: &TrainArgs, console: &Console) -> Result<Plan> {
    let data = settings::needed(args.data.as_ref(), "--data")?;
    settings::needed(args.domain.first(), "--domain")?;
    let layout = DataSet::open(data)?.layout();
    let all = selection::domains(data, &args.domain, console)?;
    let train = selection::choose(all.clone(), args.subjects.as_deref(), console)?;
    let train = selection::without_fold(train, args.fold.as_deref())?;
    let validation = match &args.validation_subjects {
        Some(list) => selection::choose(all, Some(list), console)?,
        None => Vec::new(),
    };
    if let Some(both) = validation.iter().find(|subject| train.contains(subject)) {
        let text = format!("{} is in --subjects and in --validation-subjects", both.id);
        return Err(failure::usage(&text).into());
    }
    let suggestion = selection::preprocessing_of(layout);
    let mut preprocessing = selection::in_plane(suggestion, args.plane);
    preprocessing.intensity = intensity::for_training(&args.intensity, &train, &preprocessing)?;
    let classes = args.classes.unwrap_or(if layout == Layout::Mnms { 4 } else { 2 });
    let task = match classes {
        0 | 1 => return Err(failure::usage("--classes: at least 2, background included").into()),
        2 => Task::Binary,
        classes => Task::MultiClass { classes: classes.into() },
    };
    Ok(Plan { task, preprocessing, train, validation })
}

fn describe(args: &TrainArgs, plan: &Plan, set: &LabelledSet, console: &Console) {
    use udas_data::SliceSource;
    let [height, width] = set.slices.size();
    console.say(format!(
        "training on {} subjects of {} ({} slices of {height}x{width}), {} to validate; \
         {} filters, {} output channels, seed {}",
        plan.train.len(),
        args.domain.join(", "),
        set.slices.len(),
        plan.validation.len(),
        args.filters,
        plan.task.outputs(),
        args.seed,
    ));
}

fn train(
    args: &TrainArgs,
    plan: &Plan,
    set: &LabelledSet,
    objective: &mut SourceTraining,
    (folder, resume): (&mut RunFolder, Option<Snapshot>),
    console: &Console,
) -> Result<FitSummary> {
    let order = args.order.plan(args.seed, args.batch_size);
    let augment = match args.augment {
        AugmentName::None => Augment::Off,
        AugmentName::Intensity => {
            Augment::Intensity { ranges: AugmentationRanges::SCANNERS, seed: args.seed }
        }
    };
    let batches = set.batches(order, augment, console)?;
    let validation = if plan.validation.is_empty() {
        None
    } else {
        let cache = training::cache_bytes(args.cache_gib)?;
        let validation = plan.validation.clone();
        let set = LabelledSet::open(validation, &plan.preprocessing, plan.task, cache)?;
        let order = OrderName::Sequential.plan(args.seed, args.batch_size);
        Some(set.batches(
            udas_data::BatchPlan { last: LastBatch::Keep, ..order },
            Augment::Off,
            console,
        )?)
    };
    let config = FitConfig {
        phase: Phase::Source,
        adam: AdamConfig::new(args.lr),
        epochs: args.epochs,
        stop: StopRule::Never,
        keep: args.keep,
    };
    let mut watch = Watch::new(folder, console, Phase::Source, "validation Dice", args.epochs);
    let surroundings = Fit {
        train: &batches,
        check: validation.as_ref().map(|batches| batches as _),
        config: &config,
        observer: &mut watch,
        interrupt: interrupt::flag(),
        resume,
    };
    Ok(fit(objective, surroundings)?)
}
