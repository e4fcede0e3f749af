//! `cargo xtask tidy`: the rules of the workspace that neither the compiler nor clippy knows.

mod dependencies;
mod layers;
mod seam;
mod sources;

use std::fs;

use anyhow::{Result, bail};

/// What a rule found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Broken rules; any of them fails the task.
    pub errors: Vec<String>,
    /// Worth a look.
    pub warnings: Vec<String>,
}

impl Findings {
    fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }
}

/// Runs every rule on the workspace.
pub fn run() -> Result<()> {
    let root = crate::workspace::root();
    let packages = crate::workspace::metadata()?.packages;
    let mut findings = layers::check(&packages);
    findings.extend(sources::check(&root)?);
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    findings.extend(dependencies::check(&architecture, &packages));
    findings.warnings.iter().for_each(|warning| eprintln!("tidy: warning: {warning}"));
    findings.errors.iter().for_each(|error| eprintln!("tidy: error: {error}"));
    if !findings.errors.is_empty() {
        bail!("{} rules broken, named above", findings.errors.len());
    }
    println!("tidy: {} members, no rule broken", packages.len());
    Ok(())
}
