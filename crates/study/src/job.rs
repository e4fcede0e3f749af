//! One job, run once: by the local executor, or by Slurm on whatever node.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::{At, Error, Result};
use crate::plan::{Job, Plan, Resume, Step};
use crate::progress::{Progress, Tell};
use crate::state::State;

/// What a run of the program writes first.
const SETTINGS: &str = "config.toml";

/// Runs the job of a plan's file that a line of a list names, both counted from 0: what a job of a Slurm array does.
///
/// # Errors
/// [`Error::Read`] and [`Error::Format`] of the two files, [`Error::Job`] of the job.
pub fn run_line(plan: &Path, list: &Path, line: usize, tell: Tell) -> Result<()> {
    let plan = Plan::read(plan)?;
    let text = fs::read_to_string(list).reading(list)?;
    let place = text.lines().nth(line).and_then(|text| text.parse::<usize>().ok());
    let job = place.and_then(|place| plan.jobs.get(place));
    let job = job.ok_or_else(|| Error::format(list, format!("line {line} names no job")))?;
    run(&plan, job, tell)
}

/// Runs a job unless it is finished; waits while a process of an earlier call is still at it.
pub fn run(plan: &Plan, job: &Job, tell: Tell) -> Result<()> {
    let state = State::of(&plan.out);
    let lock = state.lock_file(job)?;
    if lock.try_lock().is_err() {
        tell(&Progress::Waiting { id: &job.id });
        lock.lock().map_err(|error| Error::job(&job.id, format!("cannot be locked: {error}")))?;
    }
    if state.finished(job).is_some() {
        return Ok(());
    }
    check_needs(plan, job, &state)?;
    let start = Instant::now();
    let attempt = Attempt { plan, job, lock: &lock, log: state.log(job) };
    attempt.run(&state)?;
    state.finish(job, start.elapsed().as_secs_f64())
}

fn check_needs(plan: &Plan, job: &Job, state: &State) -> Result<()> {
    for &need in &job.needs {
        let need = &plan.jobs[need];
        if state.finished(need).is_none() {
            return Err(Error::job(&job.id, format!("it needs {}, which failed", need.id)));
        }
    }
    for input in &job.inputs {
        let path = plan.fill_in(input);
        if !Path::new(&path).exists() {
            return Err(Error::job(&job.id, format!("its input {path} is not there")));
        }
    }
    Ok(())
}

struct Attempt<'a> {
    plan: &'a Plan,
    job: &'a Job,
    lock: &'a File,
    log: PathBuf,
}

impl Attempt<'_> {
    fn run(&self, state: &State) -> Result<()> {
        let folder = self.plan.out.join(&self.job.id);
        let resumes = self.job.steps.iter().any(|step| step.resume == Resume::Continue);
        // Without the settings that a run begins with, there is nothing to go on with.
        let goes_on = resumes && state.was_begun(self.job) && folder.join(SETTINGS).exists();
        if folder.exists() && !goes_on {
            fs::remove_dir_all(&folder).writing(&folder)?;
        }
        for path in [&folder, &self.log].iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(path).writing(path)?;
        }
        state.begin(self.job)?;
        // An attempt that goes on adds to the log of the one before.
        let log = OpenOptions::new()
            .create(true)
            .write(true)
            .append(goes_on)
            .truncate(!goes_on)
            .open(&self.log)
            .writing(&self.log)?;
        for step in &self.job.steps {
            self.step(step, goes_on, &log)?;
        }
        for output in &self.job.outputs {
            let path = self.plan.fill_in(output);
            if !Path::new(&path).exists() {
                return Err(self.failed(format!("{path} was not written")));
            }
        }
        Ok(())
    }

    fn step(&self, step: &Step, goes_on: bool, log: &File) -> Result<()> {
        let mut command = Command::new(&self.plan.program);
        command.args(step.arguments.iter().map(|argument| self.plan.fill_in(argument)));
        if goes_on && step.resume == Resume::Continue {
            command.arg("--resume");
        }
        // The open lock as standard input: the lock lasts until this process has ended, even if we are killed.
        let file = |file: &File| file.try_clone().writing(&self.log).map(Stdio::from);
        command.stdin(file(self.lock)?).stdout(file(log)?).stderr(file(log)?);
        command.args(["--threads", &self.job.demand.threads.to_string()]);
        let program = self.plan.program.display();
        let status = command
            .status()
            .map_err(|source| Error::Start { program: program.to_string(), source })?;
        let tolerated = status.code().is_some_and(|code| step.tolerated.contains(&code));
        if !status.success() && !tolerated {
            return Err(self.failed(format!("{status}: {}{}", shown(&command), tail(&self.log))));
        }
        Ok(())
    }

    fn failed(&self, problem: String) -> Error {
        let log = self.log.display();
        Error::job(&self.job.id, format!("failed; its output is in {log}: {problem}"))
    }
}

/// A command line for readers.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last lines of a log, indented below a message.
fn tail(log: &Path) -> String {
    const LINES: usize = 8;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("\n    {line}")).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::plan::Builder;
    use crate::plan::tests::job;

    /// A plan of one shell command that writes `{out}/a/f`.
    fn plan(out: &Path, script: &str, resume: Resume) -> Plan {
        let mut builder = Builder::new(String::new());
        let mut only = job("a", &[], &["-c", script, "sh"], &["f"]);
        only.steps[0].resume = resume;
        builder.add(only, "");
        builder.finish(out.into(), "sh".into())
    }

    fn text(out: &Path) -> String {
        fs::read_to_string(out.join("a/f")).unwrap()
    }

    #[test]
    fn a_finished_job_is_not_run_again_and_a_changed_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let script = "mkdir -p {out}/a; echo x >> {out}/a/f; echo x >> {out}/count";
        let count = || fs::read_to_string(out.join("count")).unwrap().lines().count();
        let first = plan(out, script, Resume::StartOver);
        run(&first, &first.jobs[0], &|_| {}).unwrap();
        run(&first, &first.jobs[0], &|_| {}).unwrap();
        assert_eq!(count(), 1);
        let changed = plan(out, &format!("{script}; true"), Resume::StartOver);
        run(&changed, &changed.jobs[0], &|_| {}).unwrap();
        // Run again, in an empty folder.
        assert_eq!((count(), text(out).as_str()), (2, "x\n"));
    }

    #[test]
    fn a_failure_is_told_with_its_output_and_repeated_from_scratch() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let script = "mkdir -p {out}/a; echo half >> {out}/a/f; echo the reason; \
                      test -e {out}/ready || exit 3";
        let plan = plan(out, script, Resume::StartOver);
        let error = format!("{:#}", run(&plan, &plan.jobs[0], &|_| {}).unwrap_err());
        assert!(error.contains("the reason") && error.contains("a.log"), "{error}");
        fs::write(out.join("ready"), "").unwrap();
        run(&plan, &plan.jobs[0], &|_| {}).unwrap();
        assert_eq!(text(out), "half\n");
    }

    #[test]
    fn an_interrupted_training_goes_on_with_resume() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let script = "mkdir -p {out}/a; test -e {out}/ready && touch {out}/a/config.toml; \
                      echo \"$1\" >> {out}/a/f; test -e {out}/done";
        let plan = plan(out, script, Resume::Continue);
        // The first attempt ends before its settings are written: the second starts over, the third goes on.
        run(&plan, &plan.jobs[0], &|_| {}).unwrap_err();
        fs::write(out.join("ready"), "").unwrap();
        run(&plan, &plan.jobs[0], &|_| {}).unwrap_err();
        fs::write(out.join("done"), "").unwrap();
        run(&plan, &plan.jobs[0], &|_| {}).unwrap();
        assert_eq!(text(out), "--threads\n--resume\n");
    }

    #[test]
    fn outputs_are_asked_for_and_exit_codes_may_be_tolerated() {
        let folder = tempfile::tempdir().unwrap();
        let empty = plan(folder.path(), "mkdir -p {out}/a", Resume::StartOver);
        let error = format!("{:#}", run(&empty, &empty.jobs[0], &|_| {}).unwrap_err());
        assert!(error.contains("was not written"), "{error}");
        let script = "mkdir -p {out}/a; echo x > {out}/a/f; exit 4";
        let mut four = plan(folder.path(), script, Resume::StartOver);
        run(&four, &four.jobs[0], &|_| {}).unwrap_err();
        four.jobs[0].steps[0].tolerated = vec![4];
        run(&four, &four.jobs[0], &|_| {}).unwrap();
    }

    #[test]
    fn an_orphan_of_a_killed_call_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let script = "mkdir -p {out}/a; echo x > {out}/a/f";
        let plan = plan(out, script, Resume::StartOver);
        // What a killed runner leaves behind: a child that holds the lock through its standard input.
        let lock = State::of(out).lock_file(&plan.jobs[0]).unwrap();
        lock.lock().unwrap();
        let mut orphan =
            Command::new("sh").args(["-c", "sleep 0.5"]).stdin(Stdio::from(lock)).spawn().unwrap();
        let start = Instant::now();
        run(&plan, &plan.jobs[0], &|_| {}).unwrap();
        assert!(start.elapsed().as_millis() >= 300, "it did not wait");
        orphan.wait().unwrap();
    }

    #[test]
    fn what_a_job_needs_must_be_finished() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = Builder::new(String::new());
        let first = builder.add(job("a", &[], &["-c", "exit 1"], &[]), "");
        builder.add(job("b", &[first], &["-c", "true"], &[]), "");
        let plan = builder.finish(folder.path().into(), "sh".into());
        let error = format!("{:#}", run(&plan, &plan.jobs[1], &|_| {}).unwrap_err());
        assert!(error.contains("it needs a"), "{error}");
    }
}
