//! `udas head`: an early head on the features of a trained network.
use crate::console::Console;
use crate::held_out::{HoldOutFlags, Split, SplitSlices};
use crate::options::word;
use crate::run_folder::{RunFolder, Start};
use crate::schedule::{Preset, ScheduleFlags, Training};
use crate::training::{self, Purpose, Use};
use crate::{failure, nnunet, readiness, selection, settings};
use anyhow::Result;
use clap::{ArgMatches, Args};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use udas_data::Augment;
use udas_model::{HeadFile, HeadInfo, ModelFile, Provenance};
use udas_network::{EarlyHead, Task};
use udas_record::Phase;
use udas_train::{HeadTraining, Keep};

/// Trains a small segmentation head on the early features of a trained network
///
/// Example: udas head --model runs/source --data brains --domain scanner_a --level 0 --out runs/source/head0
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeadArgs {
    /// The trained network: a run folder, .safetensors, .pth, or a model folder of nnU-Net
    #[arg(short, long, required_unless_present_any = ["config", "resume"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// The data set that it was trained on
    #[arg(long, value_name = "DIR", required_unless_present_any = ["config", "resume"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The source domains
    #[arg(long, num_args = 1.., value_name = "NAME", required_unless_present_any = ["config", "resume"])]
    pub domain: Vec<String>,
    /// Which subjects: names, or places in name order from 1, as 1-16,20 [default: all]
    #[arg(long, value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<String>,
    /// Leave out fold K of N, counted from 0: contiguous blocks in name order, as published [default: none]
    #[arg(long, value_name = "K/N", conflicts_with = "subjects")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<String>,
    /// Encoder stage whose output the head reads; 0 is at full size
    #[arg(long, default_value_t = 0)]
    pub level: usize,
    /// Folder of the run; `adapt` finds heads in folders within the model's own
    #[arg(short, long, value_name = "RUN")]
    pub out: PathBuf,
    #[command(flatten)]
    #[serde(flatten)]
    pub holding_out: HoldOutFlags,
    /// The published schedule, for options that are not given: paper (50 epochs, batches of 20, nothing held out but a
    /// fold)
    #[arg(long, value_parser = word::<Preset>())]
    #[serde(skip)]
    pub preset: Option<Preset>,
    #[command(flatten)]
    #[serde(flatten)]
    pub schedule: ScheduleFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub nnunet: nnunet::batches::PatchFlags,
    /// Memory for decoded volumes in GiB
    #[arg(long, default_value_t = 4.0)]
    pub cache_gib: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Go on with a run that was cut off
    #[arg(long)]
    #[serde(skip)]
    pub resume: bool,
    /// Show what would be done, and with which settings
    #[arg(long)]
    #[serde(skip)]
    pub dry_run: bool,
    /// Settings from a file; flags override them
    #[arg(long, value_name = "FILE.toml")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// What the settings come to on the data at hand.
struct Plan {
    model: ModelFile,
    split: Split,
    slices: SplitSlices,
}

pub fn run(given: HeadArgs, flags: &ArgMatches, console: &Console) -> Result<()> {
    let start = Start::of(given.resume);
    let (config, out) = (given.config.clone(), given.out.clone());
    let dry_run = given.dry_run;
    let mut args = settings::of_run(given, flags, config, (start, &out), |given, file| {
        selection::give_way(file, given.subjects.as_deref(), given.fold.as_deref());
        Ok(())
    })?;
    args.apply_preset(flags);
    if !dry_run {
        RunFolder::expect_free(&args.out, start)?;
    }
    if args.model.as_deref().is_some_and(nnunet::is_folder) {
        return nnunet::head::run(args, start, dry_run, console);
    }
    args.nnunet.refuse()?;
    let plan = plan(&args, console)?;
    let learned = plan.split.train.as_slice();
    let warnings = selection::warn_of_headers(learned, console);
    if dry_run {
        return settings::show(&args, console);
    }
    let mut folder = RunFolder::open(&args.out, start, console)?;
    let files = [("model", model_path(args.model()?))];
    let files = files.each_ref().map(|(role, path)| (*role, path.as_path()));
    let domains = args.domain.join("+");
    let what = Purpose { command: "head", source: Some(&domains), ..Purpose::default() };
    let subjects = [(Use::Learned, learned), (Use::HeldOut, plan.split.held_out())];
    let record = training::start_record(what, args.seed, &files, &subjects, console)?;
    let text = settings::to_text(&args)?;
    if folder.finished(&text, &record)?.is_some() {
        console.say(format!("{} is done already", args.out.display()));
        return Ok(());
    }
    let resume = folder.begin(&text, record, Phase::Head)?;
    folder.record_warnings(&[warnings, readiness::of_source(&plan.model)].concat())?;
    let network = plan.model.network(console.device())?;
    let spec = network.spec().clone();
    let head = EarlyHead::random(&spec, args.level, args.seed, console.device())?;
    let mut objective = HeadTraining::new(network, head);
    let training = Training {
        phase: Phase::Head,
        slices: &plan.slices,
        augment: Augment::Off,
        keep: Keep::Last,
        seed: args.seed,
        score: if plan.slices.is_held_out() { "held-out Dice" } else { "Dice" },
    };
    let (summary, convergence) =
        args.schedule.run(&mut objective, &training, (&mut folder, resume), console)?;
    if let Some(text) = readiness::of_head(&convergence) {
        folder.warn(&text, console)?;
    }
    let provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        command: "head".into(),
        domains: args.domain.clone(),
        subjects: learned.len(),
        seed: args.seed,
        epochs: summary.epochs.len(),
        ..Provenance::default()
    };
    let mut info = HeadInfo::new(spec, args.level, plan.model.hash()?, provenance);
    info.convergence = Some(convergence);
    let state = objective.head().parameters().state()?;
    HeadFile { state, info }.save(&folder.model())?;
    folder.finish(training::stop_record(Phase::Head, &summary))?;
    let shown = folder.model().display().to_string();
    let value = serde_json::json!({
        "head": shown,
        "dice": convergence.dice,
        "convergence": convergence,
    });
    console.result(&shown, &value)?;
    console.next(format!(
        "udas adapt --model {} --head {} --method early-features --images FILES_OF_THE_NEW_SCANNER --out RUN",
        args.model()?.display(),
        args.out.display()
    ));
    Ok(())
}

impl HeadArgs {
    /// Lets a preset stand for what the command line does not say.
    fn apply_preset(&mut self, flags: &ArgMatches) {
        if let Some(preset) = self.preset {
            preset.apply(flags, &mut self.schedule, &mut self.holding_out);
        }
    }

    /// The trained network, which a flag or a file must name.
    pub fn model(&self) -> Result<&PathBuf> {
        settings::needed(self.model.as_ref(), "--model")
    }
}

fn plan(args: &HeadArgs, console: &Console) -> Result<Plan> {
    args.schedule.check()?;
    let model_file = args.model()?;
    let data = settings::needed(args.data.as_ref(), "--data")?;
    settings::needed(args.domain.first(), "--domain")?;
    let suggestion = selection::preprocessing_of(udas_data::DataSet::open(data)?.layout());
    let model = selection::load_model(model_file, suggestion, &[], console)?;
    let deepest = model.info.network.deepest();
    if args.level > deepest {
        let text = format!("--level {}: stages are 0 to {deepest}", args.level);
        return Err(failure::usage(&text).into());
    }
    let all = selection::domains(data, &args.domain, console)?;
    let split =
        args.holding_out.split(all, (args.subjects.as_deref(), args.fold.as_deref()), console)?;
    let task = Task::of(model.info.network.outputs);
    let cache = training::cache_bytes(args.cache_gib)?;
    let slices = split.open(&model.info.preprocessing, task, cache)?;
    console.say(format!(
        "head at level {} on {} subjects of {}",
        args.level,
        split.train.len(),
        args.domain.join(", ")
    ));
    console.say(slices.words(&split));
    readiness::of_source(&model).iter().for_each(|text| console.warn(text));
    Ok(Plan { model, split, slices })
}

/// The file behind a model's path, which may be a run folder.
pub fn model_path(path: &std::path::Path) -> PathBuf {
    if path.is_dir() { path.join(udas_model::MODEL_FILE) } else { path.to_owned() }
}
