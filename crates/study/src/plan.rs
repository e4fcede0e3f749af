//! A plan: jobs with declared inputs and outputs, what they wait for, and a hash of all that decides
//! what they produce.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{At, Error, Result};
use crate::files;

/// Jobs in an order in which they could run one after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The folder of everything that jobs write; `{out}` in their command lines.
    pub out: PathBuf,
    /// The program `udas`.
    pub program: PathBuf,
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// What a job does; the order in which stages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Makes synthetic data.
    Phantom,
    /// Trains a source model.
    Source,
    /// Trains an early head.
    Head,
    /// Learns what signals without labels say of a source model's score.
    Calibrate,
    /// Adapts a model.
    Adapt,
    /// Predicts and evaluates.
    Score,
    /// Judges an adaptation without labels.
    Judge,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Phantom,
        Self::Source,
        Self::Head,
        Self::Calibrate,
        Self::Adapt,
        Self::Score,
        Self::Judge,
    ];

    /// For folders and for readers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phantom => "phantom",
            Self::Source => "source",
            Self::Head => "head",
            Self::Calibrate => "calibrate",
            Self::Adapt => "adapt",
            Self::Score => "score",
            Self::Judge => "judge",
        }
    }
}

/// One unit of work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// `cc359/adapt/tent/GE_15/seed-0`: its folder below `out`, and its name in messages.
    pub id: String,
    /// What it does.
    pub stage: Stage,
    /// Command lines of the program, run in order.
    pub steps: Vec<Step>,
    /// Files and folders that must be there before, `{out}` standing for the plan's folder.
    pub inputs: Vec<String>,
    /// Files that must be there afterwards, likewise; all lie in the job's folder.
    pub outputs: Vec<String>,
    /// Places in the plan of the jobs that make its inputs; all before its own.
    pub needs: Vec<usize>,
    /// Changes whenever the command lines, the program or the inputs do.
    pub hash: String,
    /// What it takes.
    pub demand: Demand,
}

/// One command line of the program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// The arguments, `{out}` standing for the plan's folder.
    pub arguments: Vec<String>,
    /// Whether an interrupted call can go on.
    pub resume: Resume,
    /// Exit codes other than 0 after which the outputs are as wanted.
    #[serde(default)]
    pub tolerated: Vec<i32>,
}

/// Whether an interrupted command can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resume {
    /// With `--resume` on the same command line.
    Continue,
    /// It starts over, in an empty folder.
    StartOver,
}

/// What a job takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Estimated seconds.
    pub seconds: f64,
    /// Threads it is given.
    pub threads: usize,
    /// Memory it may need.
    pub memory_mb: u64,
}

/// Puts a plan together; a job's hash follows from its own description and from those it needs.
pub(crate) struct Builder {
    program_hash: String,
    jobs: Vec<Job>,
    by_id: HashMap<String, usize>,
}

impl Builder {
    /// An empty plan for a program whose content has this hash.
    pub fn new(program_hash: String) -> Self {
        Self { program_hash, jobs: Vec::new(), by_id: HashMap::new() }
    }

    /// Adds a job whose other inputs are summed up in `fingerprint`, unless a job of that name is there;
    /// returns its place.
    pub fn add(&mut self, mut job: Job, fingerprint: &str) -> usize {
        if let Some(&place) = self.by_id.get(&job.id) {
            return place;
        }
        let mut hash = Sha256::new();
        // Each part with its length, so that no two lists of parts read the same.
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        part(&self.program_hash);
        part(fingerprint);
        part(&job.id);
        for step in &job.steps {
            part("step");
            step.arguments.iter().for_each(|argument| part(argument));
        }
        for &need in &job.needs {
            part(&self.jobs[need].hash);
        }
        job.hash = files::hex(&hash.finalize());
        let place = self.jobs.len();
        self.by_id.insert(job.id.clone(), place);
        self.jobs.push(job);
        place
    }

    /// The finished plan.
    pub fn finish(self, out: PathBuf, program: PathBuf) -> Plan {
        Plan { out, program, jobs: self.jobs }
    }
}

impl Plan {
    /// Reads a plan written by [`write`](Self::write).
    ///
    /// # Errors
    /// [`Error::Read`], or [`Error::Format`] where it is no plan of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).reading(path)?;
        serde_json::from_reader(BufReader::new(file))
            .map_err(|error| Error::format(path, format!("no plan of this version ({error})")))
    }

    /// Writes it below its folder, under a name that follows from its content; returns the path.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self) -> Result<PathBuf> {
        // No maps with keys other than text: infallible.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let hash = files::hex(&Sha256::digest(&text));
        let path = self.out.join("state").join(format!("plan-{}.json", &hash[..16]));
        files::write_atomically(&path, text.as_bytes())?;
        Ok(path)
    }

    /// An argument or path with the plan's folder filled in.
    pub fn fill_in(&self, text: &str) -> String {
        text.replace("{out}", &self.out.to_string_lossy())
    }

    /// For every job, the jobs that wait for it.
    pub fn dependents(&self) -> Vec<Vec<usize>> {
        let mut dependents = vec![Vec::new(); self.jobs.len()];
        for (place, job) in self.jobs.iter().enumerate() {
            job.needs.iter().for_each(|&need| dependents[need].push(place));
        }
        dependents
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A job of one command line.
    pub fn job(id: &str, needs: &[usize], arguments: &[&str], outputs: &[&str]) -> Job {
        let arguments = arguments.iter().map(|text| text.to_string()).collect();
        Job {
            id: id.into(),
            stage: Stage::Adapt,
            steps: vec![Step { arguments, resume: Resume::StartOver, tolerated: Vec::new() }],
            inputs: Vec::new(),
            outputs: outputs.iter().map(|name| format!("{{out}}/{id}/{name}")).collect(),
            needs: needs.to_vec(),
            hash: String::new(),
            demand: Demand { seconds: 1.0, threads: 1, memory_mb: 1 },
        }
    }

    fn hashes(program: &str, argument: &str, fingerprint: &str) -> Vec<String> {
        let mut builder = Builder::new(program.into());
        let first = builder.add(job("a", &[], &[argument], &[]), fingerprint);
        builder.add(job("b", &[first], &["x"], &[]), "");
        builder.add(job("c", &[], &["x"], &[]), "");
        builder.finish("o".into(), "p".into()).jobs.into_iter().map(|job| job.hash).collect()
    }

    #[test]
    fn a_change_reaches_what_depends_on_it_and_nothing_else() {
        let before = hashes("p", "x", "f");
        assert_eq!(before, hashes("p", "x", "f"));
        for changed in [hashes("p", "y", "f"), hashes("p", "x", "g")] {
            assert_ne!(before[0], changed[0]);
            assert_ne!(before[1], changed[1]);
            assert_eq!(before[2], changed[2]);
        }
        assert!(before.iter().zip(hashes("q", "x", "f")).all(|(old, new)| *old != new));
    }

    #[test]
    fn a_job_is_added_once() {
        let mut builder = Builder::new(String::new());
        let first = builder.add(job("a", &[], &[], &[]), "");
        assert_eq!(builder.add(job("a", &[], &[], &[]), ""), first);
    }

    #[test]
    fn a_plan_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = Builder::new(String::new());
        builder.add(job("a", &[], &["--out", "{out}/a"], &["f"]), "");
        let plan = builder.finish(folder.path().into(), "p".into());
        let read = Plan::read(&plan.write().unwrap()).unwrap();
        assert_eq!(format!("{plan:?}"), format!("{read:?}"));
        assert_eq!(read.fill_in("{out}/a"), folder.path().join("a").to_string_lossy());
    }
}
