//! The executor on this machine: as many jobs at once as cores and memory allow, each in its own process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail};

use super::plan::{Demand, Plan};
use super::state::State;

/// What this machine can give.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Cores.
    pub threads: usize,
    /// Memory.
    pub memory_mb: u64,
    /// Jobs at once, whatever they take.
    pub jobs: usize,
}

impl Capacity {
    /// This machine's cores and free memory; `jobs`: at most so many at once.
    pub fn of_this_machine(jobs: Option<usize>) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let memory_mb = free_memory_mb().unwrap_or(u64::MAX);
        Self { threads, memory_mb, jobs: jobs.unwrap_or(usize::MAX) }
    }
}

/// Memory that can be had without swapping; none where the system does not tell.
fn free_memory_mb() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024 / 1_000_000)
}

/// Which jobs may start, given what runs: shared by the executor and the estimate, so that both agree.
pub struct Queue {
    capacity: Capacity,
    used: Capacity,
    /// Jobs that wait for nothing but room, first in the plan first.
    ready: BinaryHeap<Reverse<usize>>,
    dependents: Vec<Vec<usize>>,
    waits_for: Vec<usize>,
}

impl Queue {
    /// All jobs of the plan, those finished already left out.
    pub fn new(plan: &Plan, finished: &[bool], capacity: Capacity) -> Self {
        let waits_for: Vec<usize> = plan
            .jobs
            .iter()
            .map(|job| job.needs.iter().filter(|&&need| !finished[need]).count())
            .collect();
        let is_ready = |&place: &usize| !finished[place] && waits_for[place] == 0;
        let ready = (0..plan.jobs.len()).filter(is_ready).map(Reverse).collect();
        let used = Capacity { threads: 0, memory_mb: 0, jobs: 0 };
        Self { capacity, used, ready, dependents: plan.dependents(), waits_for }
    }

    /// The next job, if there is one and room for it. A job larger than the machine runs alone.
    pub fn start(&mut self, plan: &Plan) -> Option<usize> {
        let &Reverse(place) = self.ready.peek()?;
        let Demand { threads, memory_mb, .. } = plan.jobs[place].demand;
        let fits = self.used.threads + threads <= self.capacity.threads
            && self.used.memory_mb.saturating_add(memory_mb) <= self.capacity.memory_mb
            && self.used.jobs < self.capacity.jobs;
        if !fits && self.used.jobs > 0 {
            return None;
        }
        self.ready.pop();
        self.used.threads += threads;
        self.used.memory_mb += memory_mb;
        self.used.jobs += 1;
        Some(place)
    }

    /// Gives a job's room back; what waited for it alone may start, if it ended well.
    pub fn end(&mut self, plan: &Plan, place: usize, success: Success) {
        let Demand { threads, memory_mb, .. } = plan.jobs[place].demand;
        self.used.threads -= threads;
        self.used.memory_mb -= memory_mb;
        self.used.jobs -= 1;
        if success == Success::No {
            return;
        }
        for &dependent in &self.dependents[place] {
            self.waits_for[dependent] -= 1;
            if self.waits_for[dependent] == 0 {
                self.ready.push(Reverse(dependent));
            }
        }
    }

    /// Whether anything runs.
    pub fn is_running(&self) -> bool {
        self.used.jobs > 0
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Success {
    /// Its outputs are there.
    Yes,
    /// Its outputs are not.
    No,
}

/// Runs everything that is not finished. Jobs that do not depend on a failed one are run all the same.
pub fn execute(plan: &Plan, plan_file: &Path, capacity: Capacity) -> Result<()> {
    let state = State::of(&plan.out);
    let finished = state.all_finished(plan);
    let total = finished.iter().filter(|finished| !**finished).count();
    let mut queue = Queue::new(plan, &finished, capacity);
    let (sender, receiver) = mpsc::channel();
    let (mut done, mut failed) = (0, 0);
    thread::scope(|scope| -> Result<()> {
        loop {
            while let Some(place) = queue.start(plan) {
                eprintln!("start  {}", plan.jobs[place].id);
                let mut runner = runner(plan_file, place)?;
                let sender = sender.clone();
                scope.spawn(move || {
                    // The receiver outlives this scope's threads.
                    let _ = sender.send((place, runner.wait()));
                });
            }
            if !queue.is_running() {
                return Ok(());
            }
            let (place, status) = receiver.recv()?;
            let success = if status?.success() { Success::Yes } else { Success::No };
            queue.end(plan, place, success);
            let job = &plan.jobs[place];
            match success {
                Success::Yes => {
                    done += 1;
                    let seconds = state.seconds(job).unwrap_or_default();
                    eprintln!("done   {} in {seconds:.1} s ({done} of {total})", job.id);
                }
                Success::No => {
                    failed += 1;
                    eprintln!("FAILED {}", job.id);
                }
            }
        }
    })?;
    if failed > 0 {
        let waiting = total - done - failed;
        bail!(
            "{failed} jobs failed, {waiting} wait for them; the same command runs them again once the cause \
             above is mended"
        );
    }
    Ok(())
}

fn runner(plan_file: &Path, place: usize) -> Result<std::process::Child> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(this);
    command.args(["run-job", "--plan"]).arg(plan_file).args(["--job", &place.to_string()]);
    command.spawn().with_context(|| format!("{command:?} does not start"))
}

#[cfg(test)]
mod tests {
    use super::super::plan::Builder;
    use super::super::plan::tests::job;
    use super::*;

    fn plan(jobs: &[(&str, &[usize], usize, u64)]) -> Plan {
        let mut builder = Builder::new(String::new());
        for &(id, needs, threads, memory_mb) in jobs {
            let mut job = job(id, needs, &[], &[]);
            job.demand = Demand { seconds: 1.0, threads, memory_mb };
            builder.add(job, "");
        }
        builder.finish("out".into(), "udas".into())
    }

    fn queue(plan: &Plan, threads: usize, memory_mb: u64, jobs: usize) -> Queue {
        Queue::new(plan, &vec![false; plan.jobs.len()], Capacity { threads, memory_mb, jobs })
    }

    fn started(queue: &mut Queue, plan: &Plan) -> Vec<usize> {
        std::iter::from_fn(|| queue.start(plan)).collect()
    }

    #[test]
    fn cores_memory_and_number_bound_what_runs() {
        let free = plan(&[("a", &[], 1, 10), ("b", &[], 1, 10), ("c", &[], 1, 10)]);
        assert_eq!(started(&mut queue(&free, 2, 100, 9), &free), [0, 1]);
        assert_eq!(started(&mut queue(&free, 9, 25, 9), &free), [0, 1]);
        assert_eq!(started(&mut queue(&free, 9, 100, 1), &free), [0]);
    }

    #[test]
    fn a_job_too_large_for_the_machine_runs_alone() {
        let large = plan(&[("a", &[], 64, 10), ("b", &[], 1, 10)]);
        let mut queue = queue(&large, 2, 100, 9);
        assert_eq!(started(&mut queue, &large), [0]);
        queue.end(&large, 0, Success::Yes);
        assert_eq!(started(&mut queue, &large), [1]);
    }

    #[test]
    fn what_waits_for_a_failed_job_never_starts() {
        let chain = plan(&[("a", &[], 1, 1), ("b", &[0], 1, 1), ("c", &[], 1, 1)]);
        let mut queue = queue(&chain, 9, 100, 9);
        assert_eq!(started(&mut queue, &chain), [0, 2]);
        queue.end(&chain, 0, Success::No);
        assert!(started(&mut queue, &chain).is_empty());
        queue.end(&chain, 2, Success::Yes);
        assert!(!queue.is_running());
    }

    #[test]
    fn finished_jobs_are_left_out_and_waited_for_no_more() {
        let chain = plan(&[("a", &[], 1, 1), ("b", &[0], 1, 1)]);
        let capacity = Capacity { threads: 9, memory_mb: 100, jobs: 9 };
        let mut queue = Queue::new(&chain, &[true, false], capacity);
        assert_eq!(started(&mut queue, &chain), [1]);
    }
}
