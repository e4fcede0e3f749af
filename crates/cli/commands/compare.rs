//! `udas compare`: methods from scanner to scanner as a plan of resumable jobs, with a table and a page.
use crate::args::Cli;
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use clap::{Args, CommandFactory, ValueEnum};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use udas_study::{
    Capacity, Catalogue, Definition, Executor, METHODS, Maker, Pairs, Plan, Progress, Results,
    Shot, Study, StudyConfig, common_methods,
};

/// Compares methods of adaptation on labelled data: from a source scanner to others, with a table and a page
///
/// Example: udas compare two-scanners --data brains --source scanner_a --target scanner_b --out results --dry-run
///
/// An experiment is a plan of jobs (train, adapt, predict, evaluate, judge), each run once; without --dry-run it is
/// worked off. Whatever is cut off or fails goes on with the same command. Experiments are TOML files; those that are
/// built in are a start: `udas compare --show two-scanners > mine.toml`, edit it, `udas compare mine.toml`.
#[derive(Args)]
pub struct CompareArgs {
    /// A .toml file, the name of an experiment that is built in, or `all` of these that have the preset
    #[arg(value_name = "EXPERIMENT", required_unless_present_any = ["list", "show"])]
    experiment: Option<String>,
    /// Name the experiments and methods that are built in
    #[arg(long, conflicts_with_all = ["experiment", "show"])]
    list: bool,
    /// Print the file of an experiment that is built in, or `methods`: a start for one's own
    #[arg(long, value_name = "NAME", conflicts_with = "experiment")]
    show: Option<String>,
    /// How large, by a name in the experiment's file [default: its only preset, or `quick`]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// A data set, or a folder with one of each experiment's name [default: a phantom is made]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of jobs, results and pages [default: runs/PRESET]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The domain with labels, in place of the experiment's
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The domains to adapt to, in place of the experiment's
    #[arg(long, num_args = 1.., value_name = "NAME")]
    target: Vec<String>,
    /// Only these methods, beside the source model as it is, whether the preset has them or not: names with commas
    /// between them
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    methods: Vec<String>,
    /// From each domain of the experiment to every other one, not from its source alone
    #[arg(long)]
    all_pairs: bool,
    /// Adapt with a single unlabelled subject of each target
    #[arg(long)]
    one_shot: bool,
    /// Where jobs run
    #[arg(long, default_value = "local")]
    executor: ExecutorName,
    /// At most so many jobs at once [default: as cores and memory allow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Show the plan and its estimated time; run nothing
    #[arg(long)]
    dry_run: bool,
    /// The program that jobs run [default: this one]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// A folder of experiments in place of those that are built in
    #[arg(long, value_name = "DIR", hide = true)]
    experiments: Option<PathBuf>,
}

/// Where jobs run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExecutorName {
    /// This machine, bounded by its cores and memory
    Local,
    /// A Slurm cluster that shares this folder
    Slurm,
}

/// One job of a plan, as a Slurm array runs it; nobody types this.
#[derive(Args)]
pub struct RunJobArgs {
    /// The plan's file
    #[arg(long)]
    plan: PathBuf,
    /// A file with a job's place in the plan a line
    #[arg(long)]
    list: PathBuf,
    /// Which line of it, counted from 0
    #[arg(long)]
    line: usize,
}

/// Runs a job of a plan.
pub fn run_job(args: &RunJobArgs, console: &Console) -> Result<()> {
    let tell = |progress: &Progress| tell(progress, console);
    Ok(udas_study::run_line(&args.plan, &args.list, args.line, &tell)?)
}

/// Says what happens; why a job failed is said even to those who want to hear little.
fn tell(progress: &Progress, console: &Console) {
    if let Progress::Failed { error, .. } = progress {
        console.error(&anyhow::anyhow!(error.to_string()));
    }
    console.say(progress.to_string());
}

pub fn run(args: &CompareArgs, threads: Option<usize>, console: &Console) -> Result<()> {
    let catalogue = args.experiments.clone().map_or_else(Catalogue::default, Catalogue::Folder);
    if args.list {
        return list(&catalogue, console);
    }
    if let Some(name) = &args.show {
        return show(&catalogue, name, console);
    }
    let study = study(args, &catalogue)?;
    study.notes().into_iter().for_each(|note| console.warn(note));
    if args.program.is_none() {
        check_options(study.plan())?;
    }
    let jobs = args.jobs.map(|jobs| jobs as usize);
    let capacity = Capacity::of_this_machine(threads, jobs);
    if args.dry_run {
        let text = format!("{}{}", study.jobs_text(), study.summary(capacity));
        return console.result(text, study.plan());
    }
    console.say(study.summary(capacity));
    let executor = match args.executor {
        ExecutorName::Local => Executor::Local(capacity),
        ExecutorName::Slurm => Executor::Slurm { jobs },
    };
    let ended = study.run(executor, &|progress| tell(progress, console))?;
    show_results(&ended.results, console)?;
    ended.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

fn study(args: &CompareArgs, catalogue: &Catalogue) -> Result<Study> {
    let which = args.experiment.as_deref().unwrap_or_default();
    let (preset, definitions) = definitions(args, catalogue, which)?;
    let variant = if args.one_shot { "-one-shot" } else { "" };
    let out =
        args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{preset}{variant}")));
    let program = match &args.program {
        Some(program) if program.is_file() => program.clone(),
        Some(program) => {
            return Err(failure::usage(&format!("{} is no program", program.display())).into());
        }
        None => std::env::current_exe()?,
    };
    let maker = Maker {
        command: command_line(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: commit(&program),
    };
    let shot = if args.one_shot { Shot::One } else { Shot::All };
    let pairs = if args.all_pairs { Pairs::All } else { Pairs::Own };
    let data = args.data.clone();
    Ok(Study::new(definitions, StudyConfig { preset, data, shot, pairs, out, program, maker })?)
}

/// As it was typed; words with spaces in quotes.
fn command_line() -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let quoted = words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word });
    std::iter::once("udas".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

/// The commit of a program among the build products of a checkout; elsewhere its version says enough.
fn commit(program: &Path) -> Option<String> {
    let program = program.canonicalize().ok()?;
    let products = program.parent()?;
    // Cargo marks its folders so; whoever installs a program does not.
    if !products.parent()?.join("CACHEDIR.TAG").is_file() {
        return None;
    }
    let mut git = Command::new("git");
    git.args(["rev-parse", "--short=12", "HEAD"]).current_dir(products);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The experiments asked for, with the domains and methods asked for, and their preset.
fn definitions(
    args: &CompareArgs,
    catalogue: &Catalogue,
    which: &str,
) -> Result<(String, Vec<Definition>)> {
    let preset = match &args.preset {
        Some(preset) => preset.clone(),
        None if which == udas_study::ALL => QUICK.into(),
        None => default_preset(&catalogue.load(which)?)?,
    };
    let mut definitions = catalogue.choose(which, &preset)?;
    for definition in &mut definitions {
        definition.go_between(args.source.as_deref(), &args.target)?;
        definition.restrict(&preset, &args.methods)?;
    }
    Ok((preset, definitions))
}

/// The preset that ends within minutes, where there are several.
const QUICK: &str = "quick";

fn default_preset(definition: &Definition) -> Result<String> {
    let mut names = definition.presets.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ if definition.presets.contains_key(QUICK) => Ok(QUICK.into()),
        _ => {
            let known = definition.preset_names();
            let text = format!("--preset is missing: {} has {known}", definition.name);
            Err(failure::usage(&text).into())
        }
    }
}

/// Refuses options that the program's commands do not have before anything runs, with the job that has them.
fn check_options(plan: &Plan) -> Result<()> {
    let mut command = Cli::command();
    for job in &plan.jobs {
        for step in &job.steps {
            let words = std::iter::once("udas").chain(step.arguments.iter().map(String::as_str));
            if let Err(error) = command.try_get_matches_from_mut(words) {
                let text = error.render().to_string();
                let said = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                let text = format!("{}: the experiment's options are wrong: {said}", job.id);
                return Err(failure::usage(&text).into());
            }
        }
    }
    Ok(())
}

/// What is built in.
#[derive(Serialize)]
struct Listed {
    name: String,
    title: String,
    presets: Vec<String>,
}

fn list(catalogue: &Catalogue, console: &Console) -> Result<()> {
    let mut experiments = Vec::new();
    let mut text = "experiments (`udas compare --show NAME` prints the file):\n".to_owned();
    for name in catalogue.names()? {
        let definition = catalogue.load(&name)?;
        let presets: Vec<String> = definition.presets.keys().cloned().collect();
        let _ = writeln!(text, "  {name}: {}", definition.title);
        let _ = writeln!(text, "      presets {}", presets.join(", "));
        experiments.push(Listed { name, title: definition.title, presets });
    }
    text.push_str("\nmethods (`udas compare --show methods` prints their settings):\n");
    let methods = common_methods()?;
    let width = methods.iter().map(|method| method.name.len()).max().unwrap_or(0);
    for method in &methods {
        let _ = writeln!(text, "  {:width$}  {}", method.name, method.idea);
    }
    let methods: Vec<_> = methods.iter().map(|method| method.description()).collect();
    console.result(text, &serde_json::json!({ "experiments": experiments, "methods": methods }))
}

fn show(catalogue: &Catalogue, name: &str, console: &Console) -> Result<()> {
    let text = if name == "methods" { METHODS.to_owned() } else { catalogue.text(name)? };
    console.result(&text, &serde_json::json!({ "name": name, "toml": text }))
}

/// Tables and verdicts, and where everything is.
fn show_results(results: &[Results], console: &Console) -> Result<()> {
    let mut text = String::new();
    let mut files = Vec::new();
    for Results { name, table, verdicts, table_file, page, json, csv } in results {
        let _ = write!(text, "\n{table}");
        if let Some(verdicts) = verdicts {
            let _ = write!(text, "\n{verdicts}");
        }
        let named = [("table", table_file), ("page", page), ("JSON", json), ("CSV", csv)];
        text.push('\n');
        for (what, path) in named {
            let _ = writeln!(text, "{:7}{}", format!("{what}:"), path.display());
        }
        files.push(serde_json::json!({
            "name": name, "table": table_file, "page": page, "json": json, "csv": csv
        }));
    }
    if results.is_empty() { Ok(()) } else { console.result(text, &files) }
}
