//! `udas adapt`: a network to unlabelled volumes of a new scanner.
use crate::adaptation::{AdaptArgs, Job};
use crate::commands::head::model_path;
use crate::console::Console;
use crate::judging::{self, Judged, JudgingAids, Settlement};
use crate::method_flags::MethodFlags;
use crate::run_folder::{RunFolder, Start};
use crate::training::{self, Purpose, Use};
use crate::{failure, interrupt, nnunet, settings};
use anyhow::Result;
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;
use std::path::PathBuf;
use toml::{Table, Value};
use udas_adapt::{Adapted, Method, Moves, NormChoice, Patch, Requirement};
use udas_record::{Phase, StopReason, StopRecord, Verdict};
use udas_train::StopRule;

pub fn run(given: AdaptArgs, flags: &ArgMatches, console: &Console) -> Result<()> {
    let start = Start::of(given.resume);
    let (config, out) = (given.config.clone(), given.out.clone());
    let (dry_run, epochs_flag) = (given.dry_run, given.options.epochs.is_some());
    let mut args = settings::of_run(given, flags, config, (start, &out), |given, file| {
        give_way(given, file, console)
    })?;
    if !dry_run {
        RunFolder::expect_free(&args.out, start)?;
    }
    if args.model.as_deref().is_some_and(nnunet::is_folder) {
        return nnunet::adapt::run(args, start, flags, console);
    }
    args.nnunet.refuse()?;
    let job = Job::prepare(&mut args, console)?;
    refuse_idle(flags, (job.method, job.options.norm), console)?;
    // A run's own file has the method's epochs written out: in a file, only others were asked for.
    let asked_epochs = epochs_flag || job.options.epochs != job.method.options().epochs;
    job.describe(&args, console);
    let named = (args.judging.calibration.as_deref(), args.judging.peers.as_slice());
    let teachers = job.teacher_hashes()?;
    let taught = Judged::TaughtBy(&teachers);
    let aids = JudgingAids::find(named, (args.model()?, &job.source), taught, console)?;
    if dry_run {
        return settings::show(&args, console);
    }
    let mut folder = RunFolder::open(&args.out, start, console)?;
    let mut files = vec![("model", model_path(args.model()?))];
    files.extend(args.head.as_deref().map(|head| ("head", model_path(head))));
    files.extend(args.teachers.iter().map(|teacher| ("teacher", model_path(teacher))));
    let files: Vec<_> = files.iter().map(|(role, path)| (*role, path.as_path())).collect();
    let (source, target) = (job.source_name(), args.target.name());
    let what = Purpose {
        command: "adapt",
        method: Some(job.method.name()),
        source: Some(&source),
        target: Some(&target),
    };
    let read = [job.seen(), job.source_subjects.clone()];
    let read = read.each_ref().map(|subjects| (Use::Learned, subjects.as_slice()));
    let record = training::start_record(what, args.seed, &files, &read, console)?;
    let text = settings::to_text(&args)?;
    if let Some(stop) = folder.finished(&text, &record)? {
        console.say(format!("{} is done already", args.out.display()));
        return stop.rejected.map_or(Ok(()), |text| Err(failure::rejected(text).into()));
    }
    let resume = folder.begin(&text, record, Phase::Adapt)?;
    folder.record_warnings(&job.warnings)?;
    let adapted = match job.adapt(&args, &mut folder, resume, console) {
        Ok(adapted) => adapted,
        Err(error) => {
            keep_last_good(&job, &args, &folder, console);
            return Err(error);
        }
    };
    finish(&job, &args, adapted, (asked_epochs, &aids), &mut folder, console)
}

/// Refuses flags that the method does not look at; where no weight moves, those of the schedule get a word.
pub fn refuse_idle(
    flags: &ArgMatches,
    (method, norm): (&dyn Method, NormChoice),
    console: &Console,
) -> Result<()> {
    let given = |name: &str| flags.value_source(name) == Some(ValueSource::CommandLine);
    let recipe = method.recipe();
    for id in flags.ids().map(clap::Id::as_str).filter(|id| given(id)) {
        let option = id.replace('_', "-");
        if recipe.uses(&option, norm) {
            continue;
        }
        let text = format!("--method {} does not use --{option}; leave it out", method.name());
        match option.as_str() {
            "lr" | "epochs" | "stop-change" | "keep" => console.warn(text),
            _ => return Err(failure::usage(&text).into()),
        }
    }
    Ok(())
}

/// Where flags say what to adapt to, and how, a file has no say in it.
fn give_way(given: &AdaptArgs, file: &mut Table, console: &Console) -> Result<()> {
    given.target.give_way(file);
    let of_file = file.get("method").and_then(Value::as_str);
    let other_method =
        given.method.as_deref().is_some_and(|name| of_file.is_some_and(|of| of != name));
    // A run that goes on by its own file has its preset in there, and what was given beside it.
    let preset = given.options.preset.is_some() && given.config.is_some();
    if other_method || preset {
        let mut names = MethodFlags::take_out(file)?;
        if other_method && given.teachers.is_empty() && file.remove("teachers").is_some() {
            names.push("teachers".into());
        }
        if !names.is_empty() {
            let flag = if other_method { "--method" } else { "--preset" };
            let names = names.join(", ");
            console.say(format!("because of {flag}, options of the file do not count: {names}"));
        }
    }
    Ok(())
}

/// What changed against the source model, in a run folder.
pub const PATCH_FILE: &str = "patch.safetensors";
/// The same of an adaptation that was rolled back.
pub const REJECTED_PATCH: &str = "rejected-patch.safetensors";

/// A training that diverged leaves the weights of its last good epoch behind.
fn keep_last_good(job: &Job, args: &AdaptArgs, folder: &RunFolder, console: &Console) {
    let Some(state) = folder.last_state() else { return };
    let path = folder.path().join("last-good.safetensors");
    let saved = job
        .result_of(&state, console)
        .and_then(|network| job.model_file(network, state.history.epochs.len(), args))
        .and_then(|model| Ok(model.save(&path)?));
    match saved {
        Ok(()) => console.say(format!("the last good epoch is kept in {}", path.display())),
        Err(error) => console.warn(format!("the last good epoch could not be kept: {error:#}")),
    }
}

/// Judges what has come of the method, and writes it.
fn finish(
    job: &Job,
    args: &AdaptArgs,
    adapted: Adapted,
    (asked_epochs, aids): (bool, &JudgingAids),
    folder: &mut RunFolder,
    console: &Console,
) -> Result<()> {
    match &adapted.summary {
        Some(summary) => training::report_stop(summary, folder, console)?,
        None if interrupt::asked() => anyhow::bail!(
            "interrupted; begin again with the same command and --resume ({})",
            folder.path().display()
        ),
        None => {}
    }
    let places = [folder.model(), folder.path().join(PATCH_FILE)];
    let mut result = Finished::of(job.method, &adapted, places);
    result.say_moved((job.method, job.options.norm), console);
    let epochs = adapted.summary.as_ref().map_or(0, |summary| summary.epochs.len());
    let model = job.model_file(adapted.state.clone(), epochs, args)?;
    let case = aids.case(&job.source, &model);
    let (settlement, judgement) =
        judging::settle(args.judging.on_harm, &case, &job.subjects, folder, console)?;
    if settlement == Settlement::RolledBack {
        result.patch = folder.path().join(REJECTED_PATCH);
        result.rejected_model = Some(folder.path().join(judging::REJECTED_FILE));
    }
    let mut patch = Patch::between(&job.model.state, &model.state)?;
    patch.notes = Some(serde_json::to_string(&model.info)?);
    patch.save(&result.patch)?;
    let mut stop = stop_record(&adapted);
    stop.rejected = if settlement == Settlement::RolledBack && adapted.collapse().is_none() {
        Some(judging::rolled_back(folder))
    } else {
        unaccepted(job.options.stop, &adapted, &stop, asked_epochs, console)
    };
    let rejected = stop.rejected.clone();
    folder.finish(stop)?;
    result.verdict = Some(judgement.verdict());
    console.result(folder.model().display().to_string(), &result)?;
    if rejected.is_none() {
        let run = folder.path().display();
        console.next(format!("udas predict --model {run} --images FILES --out DIR"));
    }
    rejected.map_or(Ok(()), |text| Err(failure::rejected(text).into()))
}

/// What an adaptation came to, as `--json` tells it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finished {
    model: PathBuf,
    method: &'static str,
    moved_weights: usize,
    moved_tensors: Vec<String>,
    epochs: usize,
    stopped: Option<StopReason>,
    score_before: Option<f64>,
    score_after: Option<f64>,
    pub verdict: Option<Verdict>,
    pub rejected_model: Option<PathBuf>,
    patch: PathBuf,
}

impl Finished {
    pub fn of(method: &dyn Method, adapted: &Adapted, [model, patch]: [PathBuf; 2]) -> Self {
        let summary = adapted.summary.as_ref();
        let moved = adapted.moved.iter().filter_map(|name| adapted.state.get(name));
        Self {
            model,
            method: method.name(),
            moved_weights: moved.map(|tensor| tensor.elem_count()).sum(),
            moved_tensors: adapted.moved.clone(),
            epochs: summary.map_or(0, |summary| summary.epochs.len()),
            stopped: summary.map(|summary| summary.reason),
            score_before: summary.and_then(|summary| summary.before),
            score_after: summary.and_then(|s| s.epochs.last()).and_then(|epoch| epoch.score),
            verdict: None,
            rejected_model: None,
            patch,
        }
    }

    pub fn say_moved(&self, (method, norm): (&dyn Method, NormChoice), console: &Console) {
        let moves = method.recipe().moves;
        let mut moved = Vec::new();
        if method.about().needs.contains(&Requirement::SourceHistogram) {
            moved.push("the intensities of volumes".to_owned());
        }
        if norm == NormChoice::ReEstimated {
            moved.push("the statistics of batch norm".to_owned());
        }
        if moves != Moves::Nothing || moved.is_empty() {
            let (weights, tensors) = (self.moved_weights, self.moved_tensors.len());
            moved.push(format!("{} ({weights} weights in {tensors} tensors)", moves.words()));
        }
        console.say(format!("moved: {}", moved.join(", ")));
    }
}

pub fn stop_record(adapted: &Adapted) -> StopRecord {
    match &adapted.summary {
        Some(summary) => training::stop_record(Phase::Adapt, summary),
        None => StopRecord {
            phase: Phase::Adapt,
            reason: StopReason::NothingToTrain,
            epochs: 0,
            seconds: 0.0,
            rejected: None,
        },
    }
}

/// Why the training itself speaks against the result, if it does.
pub fn unaccepted(
    rule: StopRule,
    adapted: &Adapted,
    stop: &StopRecord,
    asked_epochs: bool,
    console: &Console,
) -> Option<String> {
    if let Some(collapse) = adapted.collapse() {
        return Some(format!("{collapse}; the adapted model should not be used"));
    }
    if stop.reason != StopReason::EpochsDone || rule == StopRule::Never {
        return None;
    }
    let epochs = stop.epochs;
    let text = format!("not converged after {epochs} epochs: the score still changed");
    if asked_epochs {
        console.warn(text);
        return None;
    }
    Some(text + "; give more --epochs, or --epochs N to accept N")
}
