//! `udas adapt`: a network to unlabelled volumes of a new scanner.
use crate::console::{Console, in_shell};
use crate::{failure, nnunet, settings};
use anyhow::Result;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use udas_adapt::{Method, NormChoice};
use udas_record::Decision;
use udas_run::{AdaptSettings, Job, MethodSettings, Outcome, Ran, RunFolder, Start};

/// Adapts a network to unlabelled volumes of a new scanner
///
/// Example: udas adapt --model runs/source --images new_scanner/*.nii.gz --out runs/adapted
///
/// `udas methods` lists the methods; the paper's is --method early-features, which needs an early head. The source
/// model is never edited.
#[derive(Args)]
#[command(mut_arg("model", |model| model.required_unless_present_any(["config", "resume"])))]
pub struct AdaptArgs {
    #[command(flatten)]
    settings: AdaptSettings,
    /// Go on with a run that was cut off
    #[arg(long)]
    resume: bool,
    /// Show what would be done, and with which settings
    #[arg(long)]
    dry_run: bool,
    /// Settings from a file; flags override them
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

pub fn run(args: AdaptArgs, flags: &ArgMatches, console: &Console) -> Result<()> {
    let AdaptArgs { settings: given, resume, dry_run, config } = args;
    let (start, out) = (Start::of(resume), given.out.clone());
    let epochs_flag = given.options.epochs.is_some();
    let file = config.clone();
    let asked =
        settings::of_run::<AdaptArgs, _>(given, flags, file, (start, &out), |given, file| {
            give_way(given, config.as_deref(), file, console)
        })?;
    if !dry_run {
        RunFolder::expect_free(&asked.out, start)?;
    }
    if asked.model.as_deref().is_some_and(nnunet::is_folder) {
        return nnunet::adapt::run(asked, start, flags, console);
    }
    nnunet::batches::refuse(asked.steps)?;
    let job = Job::prepare(asked, console)?;
    let job = if epochs_flag { job.with_epochs_asked_for() } else { job };
    refuse_idle(flags, (job.method(), job.options().norm), console)?;
    job.describe(console);
    if dry_run {
        job.judging_aids(console)?;
        return settings::show(job.settings(), console);
    }
    let source = job.settings().model.clone();
    match job.run(start, console)? {
        Ran::Before(stop) => {
            console.say(format!("{} is done already", out.display()));
            accept(stop.rejected)
        }
        Ran::Now(outcome) => {
            console.result(outcome.model.display().to_string(), &outcome)?;
            if outcome.rejected.is_none() {
                what_next(&outcome, (source.as_deref(), &out), console);
            }
            accept(outcome.rejected)
        }
    }
}

/// What to do with an adapted model, by its verdict.
pub fn what_next(outcome: &Outcome, (source, run): (Option<&Path>, &Path), console: &Console) {
    let predict = |model: &Path, out: &str| {
        console
            .next(format!("udas predict --model {} --images FILES --out {out}", in_shell(model)));
    };
    let decision = outcome.verdict.as_ref().map(|verdict| verdict.decision);
    match (decision, source) {
        (Some(Decision::Abstain), Some(source)) => {
            console.say("the verdict is open: look at the masks of both models before you use one");
            predict(source, "BEFORE");
            predict(run, "AFTER");
        }
        (Some(Decision::RollBack), Some(source)) => {
            console.say(
                "the run keeps the adapted model in spite of its verdict: the source model is the safer one, and `--on-harm rollback` \
                 makes it the run's",
            );
            predict(source, "DIR");
        }
        _ => predict(run, "DIR"),
    }
}

/// A result that should not be used is an error.
pub fn accept(rejected: Option<String>) -> Result<()> {
    rejected.map_or(Ok(()), |text| Err(failure::rejected(text).into()))
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
fn give_way(
    given: &AdaptSettings,
    config: Option<&Path>,
    file: &mut Table,
    console: &Console,
) -> Result<()> {
    given.target.give_way(file);
    let of_file = file.get("method").and_then(Value::as_str);
    let other_method =
        given.method.as_deref().is_some_and(|name| of_file.is_some_and(|of| of != name));
    // A run that goes on by its own file has its preset in there, and what was given beside it.
    let preset = given.options.preset.is_some() && config.is_some();
    if other_method || preset {
        let mut names = MethodSettings::take_out(file)?;
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
