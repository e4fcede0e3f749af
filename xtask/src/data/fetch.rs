//! `data fetch`: every chosen file into the archives folder, complete and checked or not at all.
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ureq::Agent;

use super::agent;
use super::manifest::RemoteFile;
use super::progress::Progress;
use super::transfer::{Patience, Pieces, Transfer};
use super::verify::{self, Depth, FileState};

/// Disk that stays free beside a download.
const SPARE_BYTES: u64 = 16 << 20;

/// How to talk to servers that fail.
#[derive(Debug, clap::Args)]
pub struct Connection {
    /// Attempts in a row without one new byte before giving up.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Seconds before the second attempt, doubled for each further one.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    wait: f64,
    /// Seconds of silence after which a connection counts as cut.
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    silence: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    if (0.001..=3600.0).contains(&value) { Ok(value) } else { Err("not in 0.001..3600".into()) }
}

/// Downloads what is not there yet into `archives`.
pub fn run(
    base_url: &str,
    files: &[&RemoteFile],
    archives: &Path,
    connection: &Connection,
) -> Result<()> {
    fs::create_dir_all(archives).with_context(|| format!("cannot make {}", archives.display()))?;
    let agent = agent::new(base_url, Duration::from_secs_f64(connection.silence))?;
    let first_wait = Duration::from_secs_f64(connection.wait);
    let patience = Patience { attempts: connection.attempts, first_wait };
    for file in files {
        let path = archives.join(&file.name);
        match verify::state(&path, file, Depth::Quick)? {
            FileState::Good => println!("{}: already there", file.name),
            FileState::WrongSize { found } => bail!(
                "{} has {found} bytes, the manifest says {}: remove it and fetch again",
                path.display(),
                file.bytes
            ),
            _ => {
                fetch(&agent, &format!("{base_url}{}", file.name), file, &path, patience)?;
                println!("{}: fetched, md5 {}", file.name, file.md5);
            }
        }
    }
    Ok(())
}

/// Downloads one file beside its place, checks it, and only then gives it its name.
fn fetch(
    agent: &Agent,
    url: &str,
    remote: &RemoteFile,
    path: &Path,
    patience: Patience,
) -> Result<()> {
    let part = super::with_ending(path, ".part");
    let mut file = open_alone(&part)?;
    ensure_space(path, remote.bytes.saturating_sub(file.metadata()?.len()))?;
    let progress = Progress::new(&remote.name, remote.bytes);
    let transfer = Transfer { url, part: &part, bytes: remote.bytes, progress: &progress };
    let pieces = transfer.run(agent, &mut file, patience)?;
    let mut state = verify::state(&part, remote, Depth::Full)?;
    if pieces == Pieces::Several && state != FileState::Good {
        // The beginning may stem from another version of the file: once more, from nothing.
        progress.note("the resumed file's checksum is wrong; starting over");
        transfer.truncate(&mut file)?;
        transfer.run(agent, &mut file, patience)?;
        state = verify::state(&part, remote, Depth::Full)?;
    }
    if let FileState::WrongSum { found } = state {
        transfer.truncate(&mut file)?;
        bail!(
            "{url}: md5 {found}, the manifest says {}. Nothing was kept. Fetch again; if it happens twice, \
             the published file has changed: compare the data set's page with manifest.toml",
            remote.md5
        );
    }
    file.sync_all().with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, path).with_context(|| format!("cannot name {}", path.display()))?;
    // Only a hint for resuming; without its `.part` it means nothing.
    let _ = fs::remove_file(transfer.validator_path());
    Ok(())
}

/// Opens a `.part` for this process only.
fn open_alone(part: &Path) -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part);
    let file = opened.with_context(|| format!("cannot write {}", part.display()))?;
    if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
        bail!("{} is being written by another fetch: wait for it or stop it", part.display());
    }
    Ok(file)
}

/// Refuses before the disk is full rather than after.
pub fn ensure_space(path: &Path, bytes: u64) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let free = fs4::available_space(folder)
        .with_context(|| format!("cannot ask for the free space at {}", folder.display()))?;
    let needed = bytes.saturating_add(SPARE_BYTES);
    ensure!(
        free >= needed,
        "{}: needs {} MB, {} has {} MB free. Free space or choose another folder with --data",
        path.display(),
        needed.div_ceil(1_000_000),
        folder.display(),
        free / 1_000_000
    );
    Ok(())
}
