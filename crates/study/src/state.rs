//! What is known of each job's past: finished with which hash, begun with which, locked by whom.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{At, Result};
use crate::files;
use crate::plan::{Job, Plan};

/// Written when a job has ended well, and only then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Hash of the job that was run.
    pub hash: String,
    /// Wall time of its last attempt.
    pub seconds: f64,
    /// Seconds since 1970, UTC.
    pub finished_unix: u64,
}

/// The state files of one plan's folder.
#[derive(Debug, Clone)]
pub struct State {
    out: PathBuf,
    folder: PathBuf,
    logs: PathBuf,
}

impl State {
    /// The state below a plan's folder.
    pub fn of(out: &Path) -> Self {
        Self { out: out.to_owned(), folder: out.join("state"), logs: out.join("logs") }
    }

    fn file(&self, job: &Job, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", flat(&job.id)))
    }

    /// Where a job's output on the terminal goes.
    pub fn log(&self, job: &Job) -> PathBuf {
        self.logs.join(format!("{}.log", flat(&job.id)))
    }

    /// The marker of a job that ended well as it is planned now, and whose outputs are still there.
    pub fn finished(&self, job: &Job) -> Option<Finished> {
        let text = fs::read_to_string(self.file(job, "done")).ok()?;
        let finished: Finished = serde_json::from_str(&text).ok()?;
        let is_there = |output: &String| {
            Path::new(&output.replace("{out}", &self.out.to_string_lossy())).exists()
        };
        (finished.hash == job.hash && job.outputs.iter().all(is_there)).then_some(finished)
    }

    /// Whether each job of the plan has ended well.
    pub fn all_finished(&self, plan: &Plan) -> Vec<bool> {
        plan.jobs.iter().map(|job| self.finished(job).is_some()).collect()
    }

    /// Seconds that a job took whenever it last ended well, with whatever settings.
    pub fn seconds(&self, job: &Job) -> Option<f64> {
        let text = fs::read_to_string(self.file(job, "done")).ok()?;
        serde_json::from_str::<Finished>(&text).ok().map(|finished| finished.seconds)
    }

    /// Whether an earlier attempt at the job as it is planned now was cut short.
    pub fn was_begun(&self, job: &Job) -> bool {
        fs::read_to_string(self.file(job, "begun")).is_ok_and(|hash| hash == job.hash)
    }

    /// Whether there is work on a job of this name that does not count for it as it is planned now.
    pub fn is_outdated(&self, job: &Job) -> bool {
        let is_there = |ending| self.file(job, ending).exists();
        let counts = self.finished(job).is_some() || self.was_begun(job);
        (is_there("done") || is_there("begun")) && !counts
    }

    /// Notes that the job is being run as planned now; an older result counts no more.
    pub fn begin(&self, job: &Job) -> Result<()> {
        let done = self.file(job, "done");
        match fs::remove_file(&done) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).writing(&done);
            }
            _ => {}
        }
        files::write_atomically(&self.file(job, "begun"), job.hash.as_bytes())
    }

    /// Notes that the job has ended well.
    pub fn finish(&self, job: &Job, seconds: f64) -> Result<()> {
        let finished_unix =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let finished = Finished { hash: job.hash.clone(), seconds, finished_unix };
        // Text and numbers: infallible.
        let text = serde_json::to_vec(&finished).unwrap_or_default();
        files::write_atomically(&self.file(job, "done"), &text)
    }

    /// The job's lock file, open. Whoever holds its lock runs the job; the lock goes with the last process
    /// that has the file open, so that it outlives a killed parent for as long as its child goes on.
    pub fn lock_file(&self, job: &Job) -> Result<File> {
        let path = self.file(job, "lock");
        fs::create_dir_all(&self.folder).writing(&self.folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).open(&path).writing(&path)
    }
}

/// A job's name as a file name; names of experiments, methods and domains hold no `+`.
fn flat(id: &str) -> String {
    id.replace('/', "+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::job;

    #[test]
    fn work_of_another_plan_is_outdated() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        let mut job = job("a/b", &[], &[], &[]);
        assert!(!state.is_outdated(&job));
        state.begin(&job).unwrap();
        assert!(!state.is_outdated(&job));
        job.hash = "other".into();
        assert!(state.is_outdated(&job));
        state.begin(&job).unwrap();
        state.finish(&job, 1.0).unwrap();
        assert!(!state.is_outdated(&job));
    }

    #[test]
    fn a_marker_counts_for_its_hash_only() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        let mut job = job("a/b", &[], &[], &[]);
        job.hash = "1".into();
        assert_eq!((state.finished(&job), state.was_begun(&job)), (None, false));
        state.begin(&job).unwrap();
        assert_eq!((state.finished(&job), state.was_begun(&job)), (None, true));
        state.finish(&job, 2.0).unwrap();
        assert_eq!(state.finished(&job).map(|finished| finished.seconds), Some(2.0));
        job.outputs = vec!["{out}/model".into()];
        assert_eq!(state.finished(&job), None, "its output is not there");
        fs::write(folder.path().join("model"), "").unwrap();
        assert!(state.finished(&job).is_some());
        job.hash = "2".into();
        assert_eq!((state.finished(&job), state.was_begun(&job)), (None, false));
        assert_eq!(state.seconds(&job), Some(2.0));
        state.begin(&job).unwrap();
        assert_eq!(state.seconds(&job), None);
    }

    #[test]
    fn a_damaged_marker_is_no_marker() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        let job = job("a", &[], &[], &[]);
        files::write_atomically(&state.file(&job, "done"), b"{\"hash\":").unwrap();
        assert_eq!(state.finished(&job), None);
    }
}
