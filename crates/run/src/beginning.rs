//! The beginning of a run: its folder opened, its inputs hashed, what it was before found.
use crate::error::Result;
use crate::host::Host;
use crate::run_folder::{RunFolder, Start};
use crate::settings::Settings;
use crate::training::{self, Purpose, Use};
use std::path::Path;
use udas_data::Subject;
use udas_record::{Phase, StopRecord};
use udas_train::Snapshot;

/// What is known of a run before its first step.
pub struct Beginning<'a, S> {
    /// Its settings without gaps.
    pub settings: &'a S,
    /// Its folder.
    pub out: &'a Path,
    /// Whether it begins or goes on.
    pub start: Start,
    /// What is trained.
    pub phase: Phase,
    /// What it is, for its record.
    pub purpose: Purpose<'a>,
    /// Seed of everything random.
    pub seed: u64,
    /// Files that it reads beside subjects, with their roles in the record.
    pub files: &'a [(&'a str, &'a Path)],
    /// The subjects that it reads.
    pub subjects: &'a [(Use, &'a [Subject])],
    /// What is odd about them; recorded once.
    pub warnings: &'a [String],
}

/// A run that has begun.
pub enum Begun {
    /// It is to be done.
    Now {
        /// Its folder, this process's alone.
        folder: RunFolder,
        /// The state to go on from, where it was cut off.
        resume: Option<Snapshot>,
    },
    /// It was done before, and had ended so.
    Before(StopRecord),
}

impl<S: Settings> Beginning<'_, S> {
    /// Opens the folder, and records the start.
    ///
    /// # Errors
    /// Those of [`RunFolder::open`], [`RunFolder::finished`] and [`RunFolder::begin`], and of files that cannot be read.
    pub fn begin(self, host: &dyn Host) -> Result<Begun> {
        let mut folder = RunFolder::open(self.out, self.start, host)?;
        let record =
            training::start_record(self.purpose, self.seed, self.files, self.subjects, host)?;
        if let Some(stop) = folder.finished(self.settings, &record)? {
            return Ok(Begun::Before(stop));
        }
        let resume = folder.begin(self.settings, record, self.phase)?;
        folder.record_warnings(self.warnings)?;
        Ok(Begun::Now { folder, resume })
    }
}
