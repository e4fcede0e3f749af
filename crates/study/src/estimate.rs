//! How long a plan will take: its jobs on this machine's clock, without running them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::plan::{Plan, Stage};
use crate::queue::{Capacity, Queue, Success};
use crate::state::State;

/// What is still to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Seconds of all jobs, one after the other.
    pub work: f64,
    /// Seconds on the clock, with as many at once as there is room for.
    pub clock: f64,
}

/// Plays the schedule through, with the very rules of the local executor.
pub fn estimate(plan: &Plan, state: &State, capacity: Capacity) -> Estimate {
    let finished = state.all_finished(plan);
    let correction = correction(plan, state);
    let seconds = |place: usize| {
        let job = &plan.jobs[place];
        job.demand.seconds * correction.get(&(experiment(&job.id), job.stage)).unwrap_or(&1.0)
    };
    let mut queue = Queue::new(plan, &finished, capacity);
    // Ends of what runs, as whole microseconds: time is then totally ordered.
    let mut running = BinaryHeap::new();
    let (mut now, mut work) = (0_u64, 0.0);
    loop {
        while let Some(place) = queue.start(plan) {
            work += seconds(place);
            running.push(Reverse((now + (seconds(place) * 1e6) as u64, place)));
        }
        let Some(Reverse((end, place))) = running.pop() else { break };
        now = end;
        queue.end(plan, place, Success::Yes);
    }
    Estimate { work, clock: now as f64 / 1e6 }
}

/// The experiment a job belongs to: the first part of its name.
fn experiment(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

/// Measured over estimated time of the jobs done here before, by experiment and stage.
fn correction<'a>(plan: &'a Plan, state: &State) -> HashMap<(&'a str, Stage), f64> {
    let mut sums: HashMap<(&str, Stage), (f64, f64)> = HashMap::new();
    for job in &plan.jobs {
        if let Some(seconds) = state.seconds(job) {
            let sum = sums.entry((experiment(&job.id), job.stage)).or_default();
            sum.0 += seconds;
            sum.1 += job.demand.seconds;
        }
    }
    sums.into_iter().map(|(key, (measured, planned))| (key, measured / planned.max(1e-9))).collect()
}

/// `2 h 5 min`, `12 min`, `40 s`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=99 => format!("{whole} s"),
        100..=7199 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::job;
    use crate::plan::{Builder, Demand};

    fn plan() -> Plan {
        let mut builder = Builder::new(String::new());
        for (id, needs) in [("x/a", &[][..]), ("x/b", &[0]), ("x/c", &[0]), ("x/d", &[1, 2])] {
            let mut job = job(id, needs, &[], &[]);
            job.demand = Demand { seconds: 10.0, threads: 1, memory_mb: 1 };
            builder.add(job, "");
        }
        builder.finish("out".into(), "udas".into())
    }

    fn capacity(threads: usize) -> Capacity {
        Capacity { threads, memory_mb: 100, jobs: 9 }
    }

    #[test]
    fn jobs_side_by_side_take_the_time_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        let of = |threads| estimate(&plan(), &state, capacity(threads));
        assert_eq!(of(1), Estimate { work: 40.0, clock: 40.0 });
        assert_eq!(of(2), Estimate { work: 40.0, clock: 30.0 });
    }

    #[test]
    fn what_was_measured_here_corrects_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        state.finish(&plan().jobs[0], 5.0).unwrap();
        assert_eq!(estimate(&plan(), &state, capacity(1)), Estimate { work: 15.0, clock: 15.0 });
    }

    #[test]
    fn durations_are_read_easily() {
        assert_eq!(duration(40.2), "40 s");
        assert_eq!(duration(125.0), "2 min");
        assert_eq!(duration(7500.0), "2 h 5 min");
    }
}
