//! `cargo xtask ci`: every check of continuous integration in order, the tests last.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Runs the steps; the first that fails ends the run.
pub fn run() -> Result<()> {
    step("format", workspace::cargo().args(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step("clippy", workspace::cargo().args(clippy))?;
    let documentation = ["doc", "--workspace", "--no-deps"];
    step(
        "documentation",
        workspace::cargo().args(documentation).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    announce("tidy");
    crate::tidy::run()?;
    announce("package");
    crate::package::run()?;
    licences_and_advisories()?;
    // Built once, with the features of the tests: another set of packages would build the dependencies anew.
    step("build", workspace::cargo().args(["test", "--workspace", "--no-run", "--quiet"]))?;
    slurm()?;
    step("tests", workspace::cargo().args(["test", "--workspace"]))
}

/// The Slurm executor on a real cluster of one node, with the program that the tests run; the script says so
/// where Slurm is not installed.
fn slurm() -> Result<()> {
    let udas = workspace::metadata()?.target_directory.join("debug/udas");
    let mut script = Command::new("bash");
    step("slurm", script.current_dir(workspace::root()).arg("tests/slurm.sh").arg(udas))
}

/// cargo-deny is not part of a Rust installation: without it, this is a visible skip.
fn licences_and_advisories() -> Result<()> {
    let deny = |arguments: &[&str]| {
        let mut command = workspace::cargo();
        command.arg("deny").args(arguments);
        command
    };
    let installed = deny(&["--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        announce(
            "licences and advisories: SKIPPED (cargo-deny is not installed: `cargo install cargo-deny`)",
        );
        return Ok(());
    }
    step("licences", &mut deny(&["check", "bans", "licenses", "sources"]))?;
    // The advisory database comes over the network, which not every machine has.
    if deny(&["fetch", "db"]).output().is_ok_and(|output| output.status.success()) {
        step("advisories", &mut deny(&["check", "--disable-fetch", "advisories"]))
    } else {
        announce("advisories: SKIPPED (the advisory database cannot be reached)");
        Ok(())
    }
}

fn announce(name: &str) {
    println!("==> {name}");
}

fn step(name: &str, command: &mut Command) -> Result<()> {
    announce(name);
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{name}: {command:?} does not start"))?;
    ensure!(status.success(), "{name} failed: {command:?}");
    println!("==> {name}: passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
