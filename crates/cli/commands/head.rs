//! `udas head`: an early head on the features of a trained network.
use crate::console::Console;
use crate::observer::Watch;
use crate::options::word;
use crate::run_folder::{RunFolder, Start};
use crate::training::{self, LabelledSet, OrderName, What};
use crate::{failure, interrupt, selection, settings};
use anyhow::Result;
use clap::{ArgMatches, Args};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use udas_data::Augment;
use udas_model::{HeadFile, HeadInfo, Provenance};
use udas_nn::AdamConfig;
use udas_record::{Event, Phase};
use udas_train::{Fit, FitConfig, HeadTraining, Keep, Snapshot, StopRule, Task, fit, mean_score};
use udas_unet::{EarlyHead, MAX_LEVEL, UNet};

/// Trains a small segmentation head on the early features of a trained network
///
/// Example: udas head --model runs/source --data brains --domain scanner_a --level 0 --out runs/source/head0
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeadArgs {
    /// The trained network: a run folder, .safetensors or .pth
    #[arg(long, required_unless_present_any = ["config", "resume"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// The data set that it was trained on
    #[arg(long, value_name = "DIR", required_unless_present_any = ["config", "resume"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// The source domains
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
    /// Encoder stage whose output the head reads, 0 to 3
    #[arg(long, default_value_t = 0)]
    level: usize,
    /// Folder of the run; `adapt` finds heads in folders within the model's own
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
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

pub fn run(given: HeadArgs, flags: &ArgMatches, console: &Console) -> Result<()> {
    let start = Start::of(given.resume);
    let (config, out) = (given.config.clone(), given.out.clone());
    let dry_run = given.dry_run;
    let args = settings::of_run(given, flags, config, (start, &out), |given, file| {
        selection::give_way(file, given.subjects.as_deref(), given.fold.as_deref());
        Ok(())
    })?;
    training::check(args.epochs, args.batch_size, args.lr)?;
    if args.level > MAX_LEVEL {
        let text = format!("--level {}: stages are 0 to {MAX_LEVEL}", args.level);
        return Err(failure::usage(&text).into());
    }
    let model_file = settings::needed(args.model.as_ref(), "--model")?;
    let data = settings::needed(args.data.as_ref(), "--data")?;
    settings::needed(args.domain.first(), "--domain")?;
    let suggestion = selection::preprocessing_of(udas_data::DataSet::open(data)?.layout());
    let model = selection::load_model(model_file, suggestion, &[], console)?;
    let subjects = selection::domains(data, &args.domain, console)?;
    let subjects = selection::choose(subjects, args.subjects.as_deref(), console)?;
    let subjects = selection::without_fold(subjects, args.fold.as_deref())?;
    let architecture = model.info.architecture;
    let task = Task::of(architecture.outputs);
    let cache = training::cache_bytes(args.cache_gib)?;
    let set = LabelledSet::open(subjects.clone(), &model.info.preprocessing, task, cache)?;
    console.say(format!(
        "head at level {} on {} subjects of {}",
        args.level,
        subjects.len(),
        args.domain.join(", ")
    ));
    let warnings = selection::warn_of_headers(&subjects, console);
    if dry_run {
        return settings::show(&args, console);
    }
    let mut folder = RunFolder::open(&args.out, start, console)?;
    let files = [("model", model_path(model_file))];
    let files = files.each_ref().map(|(role, path)| (*role, path.as_path()));
    let domains = args.domain.join("+");
    let what = What { command: "head", source: Some(&domains), ..What::default() };
    let record = training::start_record(what, args.seed, &files, &[&subjects], console)?;
    let text = settings::to_text(&args)?;
    if folder.finished(&text, &record)?.is_some() {
        console.say(format!("{} is done already", args.out.display()));
        return Ok(());
    }
    let resume = folder.begin(&text, record, Phase::Head)?;
    folder.record_warnings(&warnings)?;
    let unet = UNet::from_state(&model.state, console.device())?;
    let head = EarlyHead::random(architecture, args.level, args.seed, console.device())?;
    let mut objective = HeadTraining::new(unet, head);
    let summary = train(&args, &set, &mut objective, (&mut folder, resume), console)?;
    training::report_stop(&summary, &folder, console)?;
    let in_order = OrderName::Sequential.plan(args.seed, args.batch_size);
    let dice = mean_score(&objective, &set.batches(in_order, Augment::Off, console)?)?.value;
    console.say(format!("Dice of the head and the labels it learned from: {dice:.4}"));
    if dice < USELESS {
        let text =
            "the head hardly finds anything, and is no guide for an adaptation: give more --epochs";
        console.warn(text);
        folder.record(Event::Warning { message: text.into() })?;
    }
    let provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        command: "head".into(),
        domains: args.domain.clone(),
        subjects: subjects.len(),
        seed: args.seed,
        epochs: summary.epochs.len(),
        ..Provenance::default()
    };
    let info = HeadInfo::new(architecture, args.level, model.hash()?, provenance);
    let state = objective.head().parameters().state()?;
    HeadFile { state, info }.save(&folder.model())?;
    folder.finish(training::stop_record(Phase::Head, &summary))?;
    let path = folder.model();
    let shown = path.display().to_string();
    console.result(&shown, &serde_json::json!({ "head": shown, "dice": dice }))
}

/// Dice below which a head is worth a warning.
const USELESS: f64 = 0.05;

/// The file behind a model's path, which may be a run folder.
pub fn model_path(path: &std::path::Path) -> PathBuf {
    if path.is_dir() { path.join(udas_model::MODEL_FILE) } else { path.to_owned() }
}

fn train(
    args: &HeadArgs,
    set: &LabelledSet,
    objective: &mut HeadTraining,
    (folder, resume): (&mut RunFolder, Option<Snapshot>),
    console: &Console,
) -> Result<udas_train::FitSummary> {
    let plan = args.order.plan(args.seed, args.batch_size);
    let batches = set.batches(plan, Augment::Off, console)?;
    let config = FitConfig {
        phase: Phase::Head,
        adam: AdamConfig::new(args.lr),
        epochs: args.epochs,
        stop: StopRule::Never,
        keep: Keep::Last,
    };
    let mut watch = Watch::new(folder, console, Phase::Head, "Dice", args.epochs);
    let surroundings = Fit {
        train: &batches,
        check: None,
        config: &config,
        observer: &mut watch,
        interrupt: interrupt::flag(),
        resume,
    };
    Ok(fit(objective, surroundings)?)
}
