//! `cargo xtask reproduce`: the paper's experiments by `udas compare` of a release build, which is made first.

use std::path::{PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// The paper's experiments, each job run once. `udas compare --help` says more of the options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An experiment that is built in, a .toml file, or `all` that are built in and have the preset.
    #[arg(long, default_value = "all")]
    experiment: String,
    /// How large: `quick` ends within minutes, `paper` is the published size.
    #[arg(long, default_value = "quick")]
    preset: String,
    /// A data set, or a folder with a `cc359` or `mnms` tree for each experiment [default: a phantom is made].
    #[arg(long)]
    data: Option<String>,
    /// From each domain of the experiment to every other one, not from its own source alone.
    #[arg(long)]
    all_pairs: bool,
    /// Adapt with a single unlabelled subject of each target.
    #[arg(long)]
    one_shot: bool,
    /// Only these methods, with commas between them, beside the source model as it is.
    #[arg(long)]
    methods: Option<String>,
    /// Folder of jobs, results and pages [default: runs/PRESET of the workspace].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Show the plan and its estimated time; run nothing.
    #[arg(long)]
    dry_run: bool,
    /// Where jobs run: local or slurm.
    #[arg(long, default_value = "local")]
    executor: String,
    /// At most so many jobs at once [default: as cores and memory allow].
    #[arg(long)]
    jobs: Option<String>,
    /// The program `udas` to run [default: the release build, made first].
    #[arg(long)]
    program: Option<PathBuf>,
    /// The folder of experiment files [default: those built in].
    #[arg(long)]
    experiments: Option<String>,
}

/// Builds the program, and hands over to it.
pub fn run(args: &Args) -> Result<()> {
    let program = args.program.as_ref().map_or_else(build, |program| Ok(absolute(program)?))?;
    let folder = args.preset.clone() + if args.one_shot { "-one-shot" } else { "" };
    let out = args.out.clone().unwrap_or_else(|| workspace::root().join("runs").join(folder));
    let mut compare = Command::new(&program);
    compare.args(["compare", &args.experiment, "--preset", &args.preset]);
    compare.arg("--out").arg(out).args(["--executor", &args.executor]);
    let Args { all_pairs, one_shot, dry_run, data, methods, jobs, experiments, .. } = args;
    for (flag, is_set) in
        [("--all-pairs", all_pairs), ("--one-shot", one_shot), ("--dry-run", dry_run)]
    {
        compare.args(is_set.then_some(flag));
    }
    let values = [("--data", data), ("--methods", methods), ("--jobs", jobs)];
    for (flag, value) in values.into_iter().chain([("--experiments", experiments)]) {
        compare.args(value.iter().flat_map(|value| [flag, value]));
    }
    let status = compare.status().with_context(|| format!("{compare:?} does not start"))?;
    std::process::exit(status.code().unwrap_or(1))
}

fn build() -> Result<PathBuf> {
    eprintln!("building udas (release)");
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--quiet", "--package", "udas", "--bin", "udas"]);
    ensure!(build.status()?.success(), "udas does not build");
    let release = workspace::metadata()?.target_directory.join("release");
    Ok(release.join("udas").with_extension(std::env::consts::EXE_EXTENSION))
}
