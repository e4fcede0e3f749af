//! `data verify`: archives against the manifest, and compressed images to their last byte.
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use super::manifest::RemoteFile;
use super::progress::Progress;

/// How much of each file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// Presence and size.
    Quick,
    /// Every byte.
    Full,
}

/// How a file compares with its manifest.
#[derive(Debug, PartialEq, Eq)]
pub enum FileState {
    /// As published, as far as was looked at.
    Good,
    /// Not there.
    Absent,
    /// Cut short, or something else.
    WrongSize { found: u64 },
    /// Right size, wrong content.
    WrongSum { found: String },
}

/// Compares the file at `path` with its entry in the manifest.
pub fn state(path: &Path, remote: &RemoteFile, depth: Depth) -> Result<FileState> {
    let context = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileState::Absent),
        opened => opened.with_context(context)?,
    };
    let found = file.metadata().with_context(context)?.len();
    if found != remote.bytes {
        return Ok(FileState::WrongSize { found });
    }
    if depth == Depth::Quick {
        return Ok(FileState::Good);
    }
    let progress = Progress::new(&format!("{} md5", remote.name), remote.bytes);
    let found = md5_of(file, &progress).with_context(context)?;
    Ok(if found == remote.md5 { FileState::Good } else { FileState::WrongSum { found } })
}

fn md5_of(mut file: File, progress: &Progress) -> io::Result<String> {
    let mut sum = Md5::new();
    let mut done = 0;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if count == 0 {
            return Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        sum.update(&buffer[..count]);
        done += count as u64;
        progress.set(done);
    }
}

/// What a look at the archives found.
#[derive(Debug, Default)]
pub struct Archives {
    /// How many are as published.
    pub good: usize,
    /// What is wrong with the others that are there.
    pub wrong: Vec<String>,
}

/// Checks the archives that are there; says what it found.
pub fn archives(folder: &Path, files: &[RemoteFile], depth: Depth) -> Result<Archives> {
    let mut found = Archives::default();
    for file in files {
        let path = folder.join(&file.name);
        let problem = match state(&path, file, depth)? {
            FileState::Good => {
                println!("{}: {}", file.name, checked(depth));
                found.good += 1;
                continue;
            }
            FileState::Absent => {
                println!("{}: not there", file.name);
                continue;
            }
            FileState::WrongSize { found } => format!("{found} bytes instead of {}", file.bytes),
            FileState::WrongSum { found } => format!("md5 {found} instead of {}", file.md5),
        };
        found.wrong.push(format!("{}: {problem}: remove it and fetch again", path.display()));
    }
    Ok(found)
}

/// What a passed check of this depth has shown.
pub fn checked(depth: Depth) -> &'static str {
    match depth {
        Depth::Quick => "size is right",
        Depth::Full => "checksum is right",
    }
}

/// What is wrong with a `.nii.gz`: absent, empty, or (full depth) not decodable to its end.
pub fn image_problem(path: &Path, depth: Depth) -> Option<String> {
    let checked = File::open(path).and_then(|file| {
        if file.metadata()?.len() == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty"));
        }
        if depth == Depth::Full {
            io::copy(&mut MultiGzDecoder::new(io::BufReader::new(file)), &mut io::sink())?;
        }
        Ok(())
    });
    checked.err().map(|error| format!("{}: {error}", path.display()))
}
