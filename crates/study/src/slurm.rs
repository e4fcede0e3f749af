//! The executor on a Slurm cluster: an array of jobs a stage, each stage after those it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result};
use crate::files;
use crate::plan::{Plan, Stage};
use crate::progress::{Progress, Tell};
use crate::state::State;

/// The program's command that runs one job of a plan; it calls [`crate::run_line`].
pub const RUN_JOB: &str = "run-job";
/// Slurm's default for MaxArraySize is 1001.
const MAX_ARRAY: usize = 1000;
/// Between two looks at the queue.
const POLL: Duration = Duration::from_secs(2);
/// Looks that may fail in a row, as they do while the controller restarts.
const PATIENCE: u32 = 30;

/// Which jobs go into an array: same experiment, same stage.
type Key = (String, Stage);

/// Arrays that were submitted, so that the next call knows of them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Submitted {
    arrays: Vec<u64>,
}

impl Submitted {
    fn path(out: &Path) -> PathBuf {
        out.join("state/slurm.json")
    }

    fn read(out: &Path) -> Self {
        let text = fs::read_to_string(Self::path(out)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn write(&self, out: &Path) -> Result<()> {
        // Numbers: infallible.
        let text = serde_json::to_vec(self).unwrap_or_default();
        files::write_atomically(&Self::path(out), &text)
    }
}

/// Submits what is not finished, waits for it, and says what failed.
pub fn execute(plan: &Plan, plan_file: &Path, jobs: Option<usize>, tell: Tell) -> Result<()> {
    let state = State::of(&plan.out);
    let call = Call { plan, plan_file, state: &state, jobs, tell };
    // What an earlier call submitted may still be at work, also if that call was killed.
    call.wait(&Submitted::read(&plan.out).arrays)?;
    call.wait(&call.submit()?)?;
    let unfinished: Vec<_> = plan.jobs.iter().filter(|job| state.finished(job).is_none()).collect();
    for job in &unfinished {
        let log = state.log(job);
        let log = if log.exists() { log } else { plan.out.join("logs") };
        let error = Error::job(&job.id, format!("not finished; see {}", log.display()));
        tell(&Progress::Failed { id: &job.id, error: &error });
    }
    match unfinished.len() {
        0 => Ok(()),
        count => Err(Error::Slurm(format!(
            "{count} jobs did not finish; the same command submits them again"
        ))),
    }
}

/// One call, which submits and waits.
struct Call<'a> {
    plan: &'a Plan,
    plan_file: &'a Path,
    state: &'a State,
    jobs: Option<usize>,
    tell: Tell<'a>,
}

impl Call<'_> {
    /// Submits an array for every stage with something to do; returns the arrays' numbers.
    fn submit(&self) -> Result<Vec<u64>> {
        let &Self { plan, plan_file, jobs, .. } = self;
        let finished = self.state.all_finished(plan);
        let mut submitted = Submitted::default();
        let mut by_key: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
        for (key, places) in groups(plan, &finished) {
            let needed = needs(plan, &places);
            let needed = needed.iter().filter_map(|key| by_key.get(key)).flatten();
            let after: BTreeSet<u64> = needed.copied().collect();
            for (part, places) in places.chunks(MAX_ARRAY).enumerate() {
                let array = Array { plan, plan_file, key: &key, part, places, jobs, after: &after };
                let number = array.submit()?;
                let what = format!("{} {} jobs of {}", places.len(), key.1.name(), key.0);
                (self.tell)(&Progress::Submitted { array: number, what: &what });
                by_key.entry(key.clone()).or_default().push(number);
                submitted.arrays.push(number);
                submitted.write(&plan.out)?;
            }
        }
        Ok(submitted.arrays)
    }

    /// Returns when none of the arrays is in the queue any more.
    fn wait(&self, arrays: &[u64]) -> Result<()> {
        if arrays.is_empty() {
            return Ok(());
        }
        let (mut failures, mut told) = (0, usize::MAX);
        loop {
            match queued() {
                Ok(queued) if arrays.iter().any(|array| queued.contains(array)) => failures = 0,
                Ok(_) => return Ok(()),
                Err(error) => {
                    failures += 1;
                    if failures >= PATIENCE {
                        return Err(error);
                    }
                }
            }
            let finished = self.state.all_finished(self.plan);
            let finished = finished.iter().filter(|finished| **finished).count();
            if finished != told {
                (self.tell)(&Progress::Queue { finished, of: self.plan.jobs.len() });
                told = finished;
            }
            sleep(POLL);
        }
    }
}

fn key(plan: &Plan, place: usize) -> Key {
    let job = &plan.jobs[place];
    (job.id.split('/').next().unwrap_or_default().to_string(), job.stage)
}

/// What is not finished, by experiment and stage; stages come in their order within an experiment.
fn groups(plan: &Plan, finished: &[bool]) -> BTreeMap<Key, Vec<usize>> {
    let mut groups: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
    for place in (0..plan.jobs.len()).filter(|&place| !finished[place]) {
        groups.entry(key(plan, place)).or_default().push(place);
    }
    groups
}

/// The groups that make what these jobs need.
fn needs(plan: &Plan, places: &[usize]) -> BTreeSet<Key> {
    let needs = places.iter().flat_map(|&place| &plan.jobs[place].needs);
    needs.map(|&need| key(plan, need)).collect()
}

struct Array<'a> {
    plan: &'a Plan,
    plan_file: &'a Path,
    key: &'a Key,
    part: usize,
    places: &'a [usize],
    jobs: Option<usize>,
    after: &'a BTreeSet<u64>,
}

impl Array<'_> {
    fn submit(&self) -> Result<u64> {
        let (experiment, stage) = (&self.key.0, self.key.1.name());
        let name = format!("{experiment}-{stage}-{}", self.part);
        let list = self.plan.out.join("state").join(format!("{name}.list"));
        let lines: String = self.places.iter().map(|place| format!("{place}\n")).collect();
        files::write_atomically(&list, lines.as_bytes())?;
        let script = self.plan.out.join("state").join(format!("{name}.sh"));
        files::write_atomically(&script, self.script(&list).as_bytes())?;
        let logs = self.plan.out.join("logs");
        fs::create_dir_all(&logs).writing(&logs)?;
        let command = self.command(&name, &logs, &script);
        let answer =
            answer(command, "run this on a machine of the cluster, or use --executor local")?;
        // `--parsable` answers `number` or `number;cluster`.
        let number = answer.trim().split(';').next().unwrap_or_default();
        number.parse().map_err(|_| Error::Slurm(format!("sbatch's answer `{answer}` is no number")))
    }

    fn command(&self, name: &str, logs: &Path, script: &Path) -> Command {
        let demands = self.places.iter().map(|&place| self.plan.jobs[place].demand);
        let threads = demands.clone().map(|demand| demand.threads).max().unwrap_or(1);
        let memory = demands.map(|demand| demand.memory_mb).max().unwrap_or(1);
        let limit = self.jobs.map_or_else(String::new, |jobs| format!("%{jobs}"));
        let mut command = Command::new("sbatch");
        command
            .arg("--parsable")
            .arg(format!("--job-name=udas-{name}"))
            .arg(format!("--array=0-{}{limit}", self.places.len() - 1))
            .arg(format!("--cpus-per-task={threads}"))
            .arg(format!("--mem={memory}M"))
            .arg(format!("--output={}/slurm-{name}-%A_%a.log", logs.display()));
        if !self.after.is_empty() {
            // After any end, not only a good one: a job whose own inputs are there shall run whatever became of
            // the others, and one whose inputs are not there says so.
            let numbers: Vec<_> = self.after.iter().map(u64::to_string).collect();
            command.arg(format!("--dependency=afterany:{}", numbers.join(":")));
        }
        command.arg(script);
        command
    }

    fn script(&self, list: &Path) -> String {
        let [program, plan, list] = [&self.plan.program, self.plan_file, list].map(quoted);
        let task = "--line \"$SLURM_ARRAY_TASK_ID\"";
        format!("#!/bin/sh\nexec {program} {RUN_JOB} --plan {plan} --list {list} {task}\n")
    }
}

/// Standard output of one of Slurm's programs, if it ends well.
fn answer(mut command: Command, remedy: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| Error::Slurm(format!("{program} does not start ({error}): {remedy}")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Slurm(format!("{program} failed: {}", complaint.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A path as one word of a shell script.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// The user's arrays in the queue, waiting or running.
fn queued() -> Result<BTreeSet<u64>> {
    let mut command = Command::new("squeue");
    command.args(["--noheader", "--me", "--format=%F"]);
    let text = answer(command, "Slurm's programs are needed where its jobs are waited for")?;
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Builder;
    use crate::plan::tests::job;

    #[test]
    fn stages_follow_each_other_and_finished_jobs_are_left_out() {
        let mut builder = Builder::new(String::new());
        let jobs = [("x/source/0", Stage::Source), ("x/source/1", Stage::Source)];
        for (id, stage) in jobs {
            let mut job = job(id, &[], &[], &[]);
            job.stage = stage;
            builder.add(job, "");
        }
        builder.add(job("x/adapt/0", &[1], &[], &[]), "");
        let plan = builder.finish("out".into(), "udas".into());
        let found = groups(&plan, &[true, false, false]);
        let keys: Vec<Key> = found.keys().cloned().collect();
        assert_eq!(keys, [("x".to_string(), Stage::Source), ("x".to_string(), Stage::Adapt)]);
        assert_eq!(found[&keys[0]], [1]);
        assert_eq!(needs(&plan, &found[&keys[1]]), BTreeSet::from([keys[0].clone()]));
    }

    #[test]
    fn paths_survive_the_shell() {
        assert_eq!(quoted(Path::new("a b/it's")), r"'a b/it'\''s'");
    }
}
