//! `udas phantom`: synthetic data sets.
use crate::console::Console;
use crate::options::word;
use anyhow::Result;
use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Mutex;
use udas_phantom::{Format, PhantomConfig, Task, generate};

/// Writes a synthetic data set: heads as six scanners would show them, or hearts as four would
///
/// Example: udas phantom --task head --out phantom --subjects 4 --matrix 96
#[derive(Args)]
pub struct PhantomArgs {
    /// head (brain extraction, as CC-359) or heart (ventricles and myocardium, as M&Ms)
    #[arg(long, value_parser = word::<TaskName>())]
    task: TaskName,
    /// Folder of the data set
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Domains, such as GE_3 [default: all]
    #[arg(long, num_args = 1.., value_name = "NAME")]
    domain: Vec<String>,
    /// Subjects of each domain
    #[arg(long, default_value_t = 6)]
    subjects: usize,
    /// In-plane size: 256 is a full scan, 96 a quick one
    #[arg(long, default_value_t = 96)]
    matrix: usize,
    /// Seed of subjects and noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write images as DICOM series, a folder each; heads alone
    #[arg(long)]
    dicom: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TaskName {
    Head,
    Heart,
}

pub fn run(args: &PhantomArgs, console: &Console) -> Result<()> {
    let task = match args.task {
        TaskName::Head => Task::Head,
        TaskName::Heart => Task::Heart,
    };
    let config = PhantomConfig {
        task,
        out: args.out.clone(),
        domains: args.domain.clone(),
        subjects_per_domain: args.subjects,
        matrix: args.matrix,
        seed: args.seed,
        format: if args.dicom { Format::Dicom } else { Format::Nifti },
    };
    let domains = if args.domain.is_empty() { task.domains().len() } else { args.domain.len() };
    let progress = Mutex::new(console.progress(domains * args.subjects, "subjects"));
    let summary = generate(&config, &|step| {
        if let Ok(mut progress) = progress.lock() {
            progress.advance(step.name);
        }
    })?;
    if let Ok(progress) = progress.into_inner() {
        progress.finish();
    }
    let text =
        format!("{} (synthetic, {} subjects)", summary.root.display(), summary.subjects.len());
    let value = serde_json::json!({ "root": summary.root.display().to_string(), "subjects": summary.subjects.len() });
    console.result(text, &value)
}
