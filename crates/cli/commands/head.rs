//! `udas head`: an early head on the features of a trained network.
use crate::console::{Console, in_shell};
use crate::held_out::{self, HoldOutFlags, Split, SplitSlices};
use crate::options::word;
use crate::schedule::{Preset, ScheduleFlags, Training, unless_done};
use crate::{failure, nnunet, settings};
use anyhow::Result;
use clap::{ArgMatches, Args};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use udas_data::Augment;
use udas_model::{HeadFile, HeadInfo, ModelFile, Provenance};
use udas_network::{EarlyHead, Task};
use udas_record::Phase;
use udas_run::training::{self, Purpose};
use udas_run::{Beginning, RunFolder, Settings, Start};
use udas_run::{readiness, selection};
use udas_train::{HeadTraining, Keep, Snapshot};

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
    #[arg(long, num_args = 1.., value_name = "NAME")]
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
    let mut args =
        settings::of_run::<HeadArgs, _>(given, flags, config, (start, &out), |given, file| {
            held_out::give_way(file, given.subjects.as_deref(), given.fold.as_deref());
            Ok(())
        })?;
    args.apply_preset(flags);
    if !dry_run {
        RunFolder::expect_free(&args.out, start)?;
    }
    if args.model.as_deref().is_some_and(nnunet::is_folder) {
        return nnunet::head::run(args, start, dry_run, console);
    }
    nnunet::batches::refuse(args.nnunet.steps)?;
    args.schedule.settle(&args.domain, start);
    let plan = plan(&args, console)?;
    let warnings = selection::warn_of_headers(&plan.split.train, console);
    if dry_run {
        return settings::show(&args, console);
    }
    let model = training::model_path(args.model()?);
    let domains = args.domain.join("+");
    let beginning = Beginning {
        settings: &args,
        out: &args.out,
        start,
        phase: Phase::Head,
        purpose: Purpose { command: "head", source: Some(&domains), ..Purpose::default() },
        seed: args.seed,
        files: &[("model", &model)],
        subjects: &plan.split.uses(),
        warnings: &[warnings, readiness::of_source(&plan.model)].concat(),
    };
    let begun = beginning.begin(console)?;
    unless_done(begun, &args.out, console, |run| train(&args, &plan, run, console))
}

/// Trains the head, and writes it.
fn train(
    args: &HeadArgs,
    plan: &Plan,
    (mut folder, resume): (RunFolder, Option<Snapshot>),
    console: &Console,
) -> Result<()> {
    let network = plan.model.network(console.device())?;
    let spec = network.spec().clone();
    let head = EarlyHead::random(&spec, args.level, args.seed, console.device())?;
    let mut objective = HeadTraining::new(network, head);
    let training = Training {
        phase: Phase::Head,
        slices: &plan.slices,
        augment: Augment::OFF,
        keep: Keep::Last,
        seed: args.seed,
        score: if plan.slices.is_held_out() { "held-out Dice" } else { "Dice" },
    };
    let (summary, convergence) =
        args.schedule.run(&mut objective, &training, (&mut folder, resume), console)?;
    if let Some(text) = readiness::of_head(&convergence) {
        folder.warn(&text, console)?;
    }
    let provenance = provenance(args, plan, summary.epochs.len());
    let mut info = HeadInfo::new(spec, args.level, plan.model.hash()?, provenance);
    info.convergence = Some(convergence);
    let state = objective.head().parameters().state()?;
    HeadFile { state, info }.save(&folder.model())?;
    folder.finish(training::stop_record(Phase::Head, &summary))?;
    let shown = folder.model().display().to_string();
    let dice = convergence.dice;
    let value = serde_json::json!({ "head": shown, "dice": dice, "convergence": convergence });
    console.result(&shown, &value)?;
    let (model, head) = (in_shell(args.model()?), in_shell(&args.out));
    let method = method_for(args.level, plan.model.info.network.deepest());
    console.next(format!(
        "udas adapt --model {model} --head {head} --method {method} --images FILES_OF_THE_NEW_SCANNER --out RUN"
    ));
    Ok(())
}

/// The method that a head of this stage is for: from the deepest one, the published step is too long.
pub fn method_for(level: usize, deepest: usize) -> &'static str {
    if level == deepest { "deep-features" } else { "early-features" }
}

fn provenance(args: &HeadArgs, plan: &Plan, epochs: usize) -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        command: "head".into(),
        domains: args.domain.clone(),
        subjects: plan.split.train.len(),
        seed: args.seed,
        epochs,
        ..Provenance::default()
    }
}

impl Settings for HeadArgs {
    fn each_path(&mut self, visit: &mut dyn FnMut(&'static str, &mut PathBuf)) {
        self.model.iter_mut().for_each(|path| visit("model", path));
        self.data.iter_mut().for_each(|path| visit("data", path));
    }

    fn take_places(&mut self, begun: &Self) {
        let Self { model, data, out, cache_gib, .. } = begun.clone();
        *self = Self { model, data, out, cache_gib, ..self.clone() };
    }

    fn take_ends(&mut self, begun: &Self) {
        self.schedule.epochs = begun.schedule.epochs;
    }

    fn epochs(&self) -> Option<usize> {
        self.schedule.epochs.number()
    }
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
        Ok(settings::needed(self.model.as_ref(), "--model")?)
    }
}

fn plan(args: &HeadArgs, console: &Console) -> Result<Plan> {
    args.schedule.check()?;
    let model_file = args.model()?;
    let data = settings::needed(args.data.as_ref(), "--data")?;
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
