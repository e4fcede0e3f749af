//! `cargo xtask reproduce`: the paper's experiments by `udas compare` of a release build, which is made first.

use std::path::{PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// The paper's experiments, each job run once.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of `udas compare`, with --experiment for its experiment, all of the preset by default; --preset is quick
    /// and --out runs/PRESET of the workspace where they are not given. --program names the program to run in place of
    /// the release build.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Builds the program, and hands over to it.
pub fn run(args: &Args) -> Result<()> {
    let mut options = args.options.clone();
    let program =
        take(&mut options, "--program")?.map_or_else(build, |path| Ok(absolute(path)?))?;
    let experiment = take(&mut options, "--experiment")?.unwrap_or("all".into());
    let preset = take(&mut options, "--preset")?.unwrap_or("quick".into());
    let one_shot = options.iter().any(|option| option == "--one-shot");
    let folder = preset.clone() + if one_shot { "-one-shot" } else { "" };
    let out = take(&mut options, "--out")?.map(PathBuf::from);
    let out = out.unwrap_or_else(|| workspace::root().join("runs").join(folder));
    let mut compare = Command::new(&program);
    compare.args(["compare", &experiment, "--preset", &preset, "--out"]).arg(out).args(options);
    let status = compare.status().with_context(|| format!("{compare:?} does not start"))?;
    std::process::exit(status.code().unwrap_or(1))
}

/// Takes an option and its value out of the others.
fn take(options: &mut Vec<String>, name: &str) -> Result<Option<String>> {
    let is_it = |option: &String| option.split('=').next() == Some(name);
    let Some(place) = options.iter().position(is_it) else { return Ok(None) };
    if let Some((_, value)) = options.remove(place).split_once('=') {
        return Ok(Some(value.to_owned()));
    }
    ensure!(place < options.len(), "{name}: give a value");
    Ok(Some(options.remove(place)))
}

fn build() -> Result<PathBuf> {
    eprintln!("building udas (release)");
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--quiet", "--package", "udas", "--bin", "udas"]);
    ensure!(build.status()?.success(), "udas does not build");
    let release = workspace::metadata()?.target_directory.join("release");
    Ok(release.join("udas").with_extension(std::env::consts::EXE_EXTENSION))
}
