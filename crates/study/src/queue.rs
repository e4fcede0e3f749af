//! Which jobs may start, given what runs: shared by the local executor and the estimate, so that both agree.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::{fs, thread};

use crate::plan::{Demand, Plan};

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
    /// This machine's cores, or so many of them as `threads` says, and its free memory; `jobs`: at most so many at once.
    pub fn of_this_machine(threads: Option<usize>, jobs: Option<usize>) -> Self {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(cores);
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

/// The jobs that wait, and the room that those that run leave.
pub(crate) struct Queue {
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
pub(crate) enum Success {
    /// Its outputs are there.
    Yes,
    /// Its outputs are not.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Builder;
    use crate::plan::tests::job;

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
