//! What can go wrong with an experiment, by who has to act on it.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that says what is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something is asked for that there is not: an experiment, a preset, a method, a domain.
    #[error("{0}")]
    Request(String),
    /// An experiment's file does not say what it must.
    #[error("{place}: {problem}")]
    Definition {
        /// The file, or the name of a stock experiment.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The data set cannot be opened.
    #[error(transparent)]
    Data(#[from] udas_data::Error),
    /// The data set does not have what the experiment names.
    #[error("{}: {problem}", root.display())]
    Unfit {
        /// The data set.
        root: PathBuf,
        /// What is missing, what there is, and the remedy.
        problem: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that this crate wrote is not as it wrote it.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The scores or the course of a job cannot be read.
    #[error(transparent)]
    Results(#[from] udas_record::ResultsError),
    /// Another call works in the folder.
    #[error(
        "another call works in {}: wait for it, or give another folder with --out", out.display()
    )]
    Busy {
        /// The folder.
        out: PathBuf,
    },
    /// A program cannot be started.
    #[error("{program} does not start: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A job did not come to its outputs.
    #[error("{id}: {problem}")]
    Job {
        /// The job.
        id: String,
        /// What happened, with the end of its output.
        problem: String,
    },
    /// Some jobs of a plan are not finished.
    #[error(
        "{failed} jobs failed, {waiting} wait for them; the same command runs them again once the cause above is \
         mended"
    )]
    Unfinished {
        /// How many failed.
        failed: usize,
        /// How many never started.
        waiting: usize,
    },
    /// Slurm refuses, or does not answer.
    #[error("{0}")]
    Slurm(String),
    /// The page of the results could not be made.
    #[error("the page was not written: {0}")]
    Page(String),
}

impl Error {
    pub(crate) fn definition(place: &str, problem: impl Into<String>) -> Self {
        Self::Definition { place: place.into(), problem: problem.into() }
    }

    pub(crate) fn unfit(root: &Path, problem: impl Into<String>) -> Self {
        Self::Unfit { root: root.into(), problem: problem.into() }
    }

    pub(crate) fn job(id: &str, problem: impl Into<String>) -> Self {
        Self::Job { id: id.into(), problem: problem.into() }
    }

    pub(crate) fn format(path: &Path, problem: impl ToString) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}

/// Names the path in an error of the system's.
pub(crate) trait At<T> {
    /// While reading.
    fn reading(self, path: &Path) -> Result<T>;
    /// While writing.
    fn writing(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn reading(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Read { path: path.into(), source })
    }

    fn writing(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Write { path: path.into(), source })
    }
}
