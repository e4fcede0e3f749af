//! The executor on a Slurm cluster: an array of jobs a stage, each stage after those it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::files;
use super::plan::{Plan, Stage};
use super::state::State;

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
        files::write_atomically(&Self::path(out), &serde_json::to_vec(self)?)
    }
}

/// Submits what is not finished, waits for it, and says what failed.
pub fn execute(plan: &Plan, plan_file: &Path, jobs: Option<usize>) -> Result<()> {
    let state = State::of(&plan.out);
    // What an earlier call submitted may still be at work, also if that call was killed.
    let earlier = Submitted::read(&plan.out);
    wait(&earlier.arrays, plan, &state)?;
    let arrays = submit(plan, plan_file, &state, jobs)?;
    wait(&arrays, plan, &state)?;
    let unfinished: Vec<_> = plan.jobs.iter().filter(|job| state.finished(job).is_none()).collect();
    if !unfinished.is_empty() {
        for job in &unfinished {
            let log = state.log(job);
            let log = if log.exists() { log } else { plan.out.join("logs") };
            eprintln!("FAILED {}: see {}", job.id, log.display());
        }
        bail!("{} jobs did not finish; the same command submits them again", unfinished.len());
    }
    Ok(())
}

/// Submits an array for every stage with something to do; returns the arrays' numbers.
fn submit(plan: &Plan, plan_file: &Path, state: &State, jobs: Option<usize>) -> Result<Vec<u64>> {
    let finished = state.all_finished(plan);
    let mut submitted = Submitted::default();
    let mut by_key: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
    for (key, places) in groups(plan, &finished) {
        let needed: BTreeSet<u64> = needs(plan, &places)
            .iter()
            .filter_map(|key| by_key.get(key))
            .flatten()
            .copied()
            .collect();
        for (part, places) in places.chunks(MAX_ARRAY).enumerate() {
            let array = Array { plan, plan_file, key: &key, part, places, jobs, after: &needed };
            let number = array.submit()?;
            eprintln!("submitted {number}: {} {} jobs of {}", places.len(), key.1.name(), key.0);
            by_key.entry(key.clone()).or_default().push(number);
            submitted.arrays.push(number);
            submitted.write(&plan.out)?;
        }
    }
    Ok(submitted.arrays)
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
        files::write_atomically(&script, self.script(&list)?.as_bytes())?;
        let logs = self.plan.out.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let output = self.command(&name, &logs, &script).output().context(
            "sbatch does not start: run this on a machine of the cluster, or use --executor local",
        )?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "sbatch refused {name}: {}", complaint.trim());
        let answer = String::from_utf8_lossy(&output.stdout);
        // `--parsable` answers `number` or `number;cluster`.
        let number = answer.trim().split(';').next().unwrap_or_default();
        number.parse().with_context(|| format!("sbatch's answer `{answer}` is no number"))
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

    fn script(&self, list: &Path) -> Result<String> {
        let this = std::env::current_exe().context("cannot find this program")?;
        let [this, plan, list] = [&this, self.plan_file, list].map(quoted);
        let task = "--line \"$SLURM_ARRAY_TASK_ID\"";
        Ok(format!("#!/bin/sh\nexec {this} run-job --plan {plan} --list {list} {task}\n"))
    }
}

/// A path as one word of a shell script.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// Returns when none of the arrays is in the queue any more.
fn wait(arrays: &[u64], plan: &Plan, state: &State) -> Result<()> {
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
        let done = state.all_finished(plan).iter().filter(|finished| **finished).count();
        if done != told {
            eprintln!("{done} of {} jobs are finished", plan.jobs.len());
            told = done;
        }
        sleep(POLL);
    }
}

/// The user's arrays in the queue, waiting or running.
fn queued() -> Result<BTreeSet<u64>> {
    let output = Command::new("squeue")
        .args(["--noheader", "--me", "--format=%F"])
        .output()
        .context("squeue does not start")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "squeue failed: {}", complaint.trim());
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::plan::Builder;
    use super::super::plan::tests::job;
    use super::*;

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
