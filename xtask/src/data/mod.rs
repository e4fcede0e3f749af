//! `cargo xtask data`: the data sets of `datasets/`, from their publishers to the loaders' folders.

mod agent;
mod archive;
mod cc359;
mod fetch;
mod manifest;
mod mnms;
mod progress;
mod transfer;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::Subcommand;

use manifest::{Access, Layout, Manifest, RemoteFile, Splits};
use verify::Depth;

/// The data sets of `datasets/`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The folder with a manifest per data set [default: datasets/ of the workspace].
    #[arg(long, global = true, value_name = "DIR")]
    manifests: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the data sets, or one of them in full.
    List {
        /// A data set.
        name: Option<String>,
    },
    /// Download what is missing; goes on where an earlier call stopped.
    Fetch {
        #[command(flatten)]
        place: Place,
        /// Only this file; may be repeated [default: all that the experiments need].
        #[arg(long, value_name = "NAME")]
        file: Vec<String>,
        #[command(flatten)]
        connection: fetch::Connection,
    },
    /// Compare what is there with the manifest.
    Verify {
        #[command(flatten)]
        place: Place,
        /// How much of each file to look at.
        #[arg(long, default_value = "full")]
        depth: Depth,
    },
    /// Lay the downloaded archives out as the loaders read them; safe to repeat.
    Prepare {
        #[command(flatten)]
        place: Place,
    },
}

/// A data set and its folder.
#[derive(Debug, clap::Args)]
struct Place {
    /// The data set.
    name: String,
    /// Its folder [default: data/NAME of the workspace].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    fn folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| crate::workspace::root().join("data").join(&self.name))
    }
}

/// The name with another ending added to it: a file on its way to that name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The downloaded files, beside the prepared tree.
fn archives(data: &Path) -> PathBuf {
    data.join("archives")
}

/// Runs one action.
pub fn run(args: &Args) -> Result<()> {
    let folder =
        args.manifests.clone().unwrap_or_else(|| crate::workspace::root().join("datasets"));
    let load = |name: &str| manifest::load(&folder, name);
    match &args.action {
        Action::List { name: None } => manifest::load_all(&folder)?.iter().for_each(summarise),
        Action::List { name: Some(name) } => describe(&load(name)?),
        Action::Fetch { place, file, connection } => {
            fetch(&load(&place.name)?, &place.folder(), file, connection)?;
        }
        Action::Verify { place, depth } => verify(&load(&place.name)?, &place.folder(), *depth)?,
        Action::Prepare { place } => prepare(&load(&place.name)?, &place.folder())?,
    }
    Ok(())
}

fn summarise(manifest: &Manifest) {
    let size = match manifest.access {
        Access::Open { .. } => {
            let needed = manifest::select(manifest, &[]).unwrap_or_default();
            let bytes: u64 = needed.iter().map(|file| file.bytes).sum();
            format!("{:.1} GB", bytes as f64 / 1e9)
        }
        Access::Registration { .. } => "registration".to_string(),
    };
    println!("{:<8} {size:<14} {:<12} {}", manifest.name, manifest.licence, manifest.title);
}

fn describe(manifest: &Manifest) {
    println!("{}: {}", manifest.name, manifest.title);
    println!("licence: {}", manifest.licence);
    println!("domains: {}", manifest.domains.join(", "));
    match &manifest.splits {
        Splits::Folds { folds, rule } => println!("splits:  {folds} folds; {rule}"),
        Splits::Published { rule } => println!("splits:  {rule}"),
    }
    match &manifest.access {
        Access::Open { base_url } => println!("source:  {base_url}"),
        Access::Registration { url, .. } => println!("source:  {url} (registration)"),
    }
    for RemoteFile { name, holds, bytes, md5 } in &manifest.files {
        println!("file:    {name} ({holds:?}, {bytes} bytes, md5 {md5})");
    }
}

fn fetch(
    manifest: &Manifest,
    data: &Path,
    names: &[String],
    connection: &fetch::Connection,
) -> Result<()> {
    match &manifest.access {
        Access::Open { base_url } => {
            println!("licence: {} (see datasets/{}/card.md)", manifest.licence, manifest.name);
            let files = manifest::select(manifest, names)?;
            fetch::run(base_url, &files, &archives(data), connection)?;
            println!("next: cargo xtask data prepare {}", manifest.name);
            Ok(())
        }
        Access::Registration { steps, .. } => {
            ensure!(names.is_empty(), "{} has no files to download one by one", manifest.name);
            println!("{} is not downloaded unattended. What to do:", manifest.name);
            for (number, step) in (1..).zip(steps) {
                println!("  {number}. {step}");
            }
            println!("  The folder is {}; give another with --data.", data.display());
            verify(manifest, data, Depth::Quick)
        }
    }
}

fn verify(manifest: &Manifest, data: &Path, depth: Depth) -> Result<()> {
    ensure!(
        data.is_dir(),
        "{} does not exist: run `cargo xtask data fetch {}`, or give the folder with --data",
        data.display(),
        manifest.name
    );
    let verify::Archives { good, mut wrong } =
        verify::archives(&archives(data), &manifest.files, depth)?;
    match manifest.layout {
        Layout::Cc359 if cc359::is_prepared(data) => {
            wrong.extend(cc359::problems(manifest, data, depth)?);
        }
        Layout::Cc359 if good == 0 && wrong.is_empty() => {
            bail!("{} has nothing of {} in it", data.display(), manifest.name);
        }
        Layout::Cc359 => {
            println!("tree: not prepared yet (`cargo xtask data prepare {}`)", manifest.name)
        }
        Layout::Mnms => wrong.extend(mnms::problems(data, &manifest.domains, depth)?),
    }
    for problem in &wrong {
        eprintln!("{problem}");
    }
    if !wrong.is_empty() {
        bail!("{}: {} problems, named above", data.display(), wrong.len());
    }
    println!("{}: verified ({})", data.display(), verify::checked(depth));
    Ok(())
}

fn prepare(manifest: &Manifest, data: &Path) -> Result<()> {
    if manifest.layout == Layout::Cc359 {
        cc359::prepare(manifest, &archives(data), data)?;
    }
    // A layout that a person places needs no preparing, only the check.
    verify(manifest, data, Depth::Quick)
}
