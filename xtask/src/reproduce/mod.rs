//! `cargo xtask reproduce`: the paper's experiments from nothing, or from real data where they are.

mod commands;
mod definition;
mod estimate;
mod files;
mod grid;
mod local;
mod plan;
mod results;
pub mod runner;
mod slurm;
mod state;
mod table;
mod verdicts;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use definition::Definition;
use grid::{Cell, Data, Grid, Pairs, Shot};
use local::Capacity;
use plan::{Builder, Plan, Stage};
use state::State;

/// The paper's experiments, each job run once.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An experiment of xtask/experiments, or `all` that have the preset.
    #[arg(long, default_value = "all", value_name = "NAME")]
    experiment: String,
    /// How large: `quick` ends within minutes, `paper` is the published size.
    #[arg(long, default_value = "quick", value_name = "NAME")]
    preset: String,
    /// A CC-359 or M&Ms tree, or a folder with a `cc359` or `mnms` tree for each experiment [default: a
    /// phantom is made].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// From each domain of the experiment to every other one, not from its own source alone.
    #[arg(long)]
    all_pairs: bool,
    /// Adapt with a single unlabelled subject of each target.
    #[arg(long)]
    one_shot: bool,
    /// Only these methods of the experiment, beside the source model as it is, whether the preset has them or not:
    /// names from `xtask/methods.toml` and the experiment's file, with commas between them.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    methods: Vec<String>,
    /// Folder of jobs, results and reports [default: runs/PRESET of the workspace].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show the plan and its estimated time; run nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where jobs run.
    #[arg(long, default_value = "local")]
    executor: Executor,
    /// At most so many jobs at once [default: as cores and memory allow].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// The program `udas` to run [default: the release build, made first].
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// The folder of experiment files [default: xtask/experiments of the workspace].
    #[arg(long, value_name = "DIR")]
    experiments: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Executor {
    /// This machine, bounded by its cores and memory.
    Local,
    /// A Slurm cluster that shares this folder.
    Slurm,
}

/// Plans, runs what is not finished, and shows what came out.
pub fn run(args: &Args) -> Result<()> {
    let definitions = definitions(args)?;
    let out = out_folder(args)?;
    let program = program(args)?;
    let grids = grids(args, &definitions)?;
    let (plan, cells) = plan(&grids, &out, &program)?;
    let state = State::of(&out);
    let jobs = args.jobs.map(|jobs| jobs as usize);
    let capacity = Capacity::of_this_machine(jobs);
    show_plan(&plan, &state, capacity, args);
    if args.dry_run {
        return Ok(());
    }
    let _alone = lock(&out)?;
    let plan_file = plan.write()?;
    let executed = match args.executor {
        Executor::Local => local::execute(&plan, &plan_file, capacity),
        Executor::Slurm => slurm::execute(&plan, &plan_file, jobs),
    };
    // A job that failed takes nothing from the others: what is finished is shown.
    let is_finished = |cell: &&Cell| state.finished(&plan.jobs[cell.score]).is_some();
    for (grid, cells) in grids.iter().zip(&cells) {
        let finished: Vec<Cell> = cells.iter().filter(is_finished).cloned().collect();
        if !finished.is_empty() {
            show_results(grid, &finished, &plan)?;
        }
    }
    executed
}

/// The experiments asked for, with the methods asked for.
fn definitions(args: &Args) -> Result<Vec<Definition>> {
    let mut definitions = experiments(args)?;
    if !args.methods.is_empty() {
        for definition in &mut definitions {
            definition.restrict(&args.preset, &args.methods)?;
        }
    }
    Ok(definitions)
}

fn experiments(args: &Args) -> Result<Vec<Definition>> {
    let folder = args.experiments.clone().unwrap_or_else(definition::folder);
    if args.experiment != "all" {
        return Ok(vec![definition::load(&folder, &args.experiment)?]);
    }
    let names = definition::names(&folder)?;
    ensure!(!names.is_empty(), "{} holds no experiment files", folder.display());
    let all: Vec<Definition> =
        names.iter().map(|name| definition::load(&folder, name)).collect::<Result<_>>()?;
    let (with, without): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|definition| definition.presets.contains_key(&args.preset));
    ensure!(
        !with.is_empty(),
        "no experiment has a preset `{}`; {} has {}",
        args.preset,
        without[0].name,
        without[0].preset_names()
    );
    Ok(with)
}

fn out_folder(args: &Args) -> Result<PathBuf> {
    let variant = if args.one_shot { "-one-shot" } else { "" };
    let name = format!("{}{variant}", args.preset);
    let out = args.out.clone().unwrap_or_else(|| crate::workspace::root().join("runs").join(name));
    Ok(absolute(out)?)
}

/// The program: given, or built in release mode. A dry run builds nothing.
fn program(args: &Args) -> Result<PathBuf> {
    if let Some(program) = &args.program {
        ensure!(program.is_file(), "{} is no program", program.display());
        return Ok(absolute(program)?);
    }
    let target = crate::workspace::metadata()?.target_directory;
    if !args.dry_run {
        eprintln!("building udas (release)");
        let mut build = crate::workspace::cargo();
        build.args(["build", "--release", "--quiet", "--package", "udas", "--bin", "udas"]);
        let status = build.status().context("cargo build does not start")?;
        ensure!(status.success(), "udas does not build");
    }
    Ok(target.join("release").join(format!("udas{}", std::env::consts::EXE_SUFFIX)))
}

/// An experiment with its size and its data.
struct Prepared<'a> {
    definition: &'a Definition,
    preset: &'a definition::Preset,
    data: Data,
    shot: Shot,
    pairs: Pairs,
}

impl Prepared<'_> {
    fn grid(&self) -> Grid<'_> {
        let Self { definition, preset, data, shot, pairs } = self;
        Grid { definition, preset, data, shot: *shot, pairs: *pairs }
    }
}

fn grids<'a>(args: &Args, definitions: &'a [Definition]) -> Result<Vec<Prepared<'a>>> {
    let shot = if args.one_shot { Shot::One } else { Shot::All };
    let pairs = if args.all_pairs { Pairs::All } else { Pairs::Own };
    let prepare = |definition: &'a Definition| {
        let preset = definition.preset(&args.preset)?;
        let data = match &args.data {
            None => Data::Phantom(preset.phantom.with_context(|| {
                let Definition { name, .. } = definition;
                let preset = &args.preset;
                format!("{name} with preset {preset} runs on real data only: name their folder with --data")
            })?),
            Some(root) => folder(definition, root, definitions.len())?,
        };
        Ok(Prepared { definition, preset, data, shot, pairs })
    };
    definitions.iter().map(prepare).collect()
}

/// The data of one experiment: a folder of its name, or of its data set's, below `root`, or `root` itself.
fn folder(definition: &Definition, root: &Path, experiments: usize) -> Result<Data> {
    let names = [&definition.name, &definition.data_set];
    let below = names.map(|name| root.join(name)).into_iter().find(|below| below.is_dir());
    let path = below.unwrap_or_else(|| root.to_path_buf());
    ensure!(
        experiments == 1 || path != root,
        "{} has no folder `{}`: name one experiment with --experiment, or place each below its own name",
        root.display(),
        definition.name
    );
    let path = absolute(path)?;
    let tree = files::tree(&path)?;
    // An image and its mask each; domains of about the same size.
    let subjects = tree.files / 2 / (definition.targets.len() + 1);
    Ok(Data::Folder { path, fingerprint: tree.fingerprint, subjects })
}

fn plan(grids: &[Prepared], out: &Path, program: &Path) -> Result<(Plan, Vec<Vec<Cell>>)> {
    let hash = if program.exists() { files::sha256(program)? } else { "not built".into() };
    let mut builder = Builder::new(hash);
    let cells = grids.iter().map(|prepared| prepared.grid().add_to(&mut builder)).collect();
    Ok((builder.finish(out.to_path_buf(), program.to_path_buf()), cells))
}

fn show_plan(plan: &Plan, state: &State, capacity: Capacity, args: &Args) {
    let finished = state.all_finished(plan);
    let count = finished.iter().filter(|finished| **finished).count();
    let mut text = String::new();
    if args.dry_run {
        for (job, finished) in plan.jobs.iter().zip(&finished) {
            let mark = if *finished { "finished" } else { "to run  " };
            let _ = writeln!(text, "{mark}  {}", job.id);
            for step in &job.steps {
                let _ =
                    writeln!(text, "          udas {}", plan.fill_in(&step.arguments.join(" ")));
            }
        }
    }
    let by_stage = Stage::ALL.map(|stage| {
        let number = plan.jobs.iter().filter(|job| job.stage == stage).count();
        format!("{number} {}", stage.name())
    });
    let estimate = estimate::estimate(plan, state, capacity);
    let _ = writeln!(
        text,
        "plan: {} jobs ({}), {count} finished; about {} to go, {} of work, on {} cores",
        plan.jobs.len(),
        by_stage.join(", "),
        estimate::duration(estimate.clock),
        estimate::duration(estimate.work),
        capacity.threads,
    );
    // A reader that has seen enough (`| head`) is no failure.
    let _ = match args.dry_run {
        true => io::stdout().write_all(text.as_bytes()),
        false => io::stderr().write_all(text.as_bytes()),
    };
}

/// One call at a time in a folder; the lock ends with this process, however it ends.
fn lock(out: &Path) -> Result<File> {
    let path = out.join("state/lock");
    let context = || format!("cannot write {}", path.display());
    fs::create_dir_all(out.join("state")).with_context(context)?;
    let file = File::create(&path).with_context(context)?;
    ensure!(
        file.try_lock().is_ok(),
        "another call works in {}: wait for it, or give another folder with --out",
        out.display()
    );
    Ok(file)
}

/// Results, table and report of one experiment.
fn show_results(prepared: &Prepared, cells: &[Cell], plan: &Plan) -> Result<()> {
    let name = &prepared.definition.name;
    let folder = plan.out.join(name);
    let command = format!("cargo xtask {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    let mut experiment = results::gather(&prepared.grid(), cells, plan, &command)?;
    let study = verdicts::gather(cells, plan, &experiment)?;
    study.iter().for_each(|study| study.show(&mut experiment));
    results::write(&experiment, &folder)?;
    let text = table::text(&experiment);
    files::write_atomically(&folder.join("table.txt"), text.as_bytes())?;
    println!("\n{text}");
    if let Some(study) = study {
        let text = study.text();
        files::write_atomically(&folder.join("verdicts.txt"), text.as_bytes())?;
        let json = serde_json::to_vec_pretty(&study)?;
        files::write_atomically(&folder.join("verdicts.json"), &json)?;
        println!("{text}");
    }
    let report = folder.join("report");
    let mut udas = Command::new(&plan.program);
    udas.arg("report").arg(folder.join(udas_record::RESULTS_FILE)).arg("--out").arg(&report);
    let output = udas.output().with_context(|| format!("{udas:?} does not start"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the report was not written: {}", complaint.trim());
    println!("results: {}", folder.join(udas_record::RESULTS_FILE).display());
    println!("report:  {}", report.display());
    Ok(())
}
