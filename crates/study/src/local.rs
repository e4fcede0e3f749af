//! The executor on this machine: as many jobs at once as cores and memory allow, each a thread that waits for the
//! processes of the program.

use std::sync::mpsc;
use std::thread;

use crate::error::{Error, Result};
use crate::job;
use crate::plan::Plan;
use crate::progress::{Progress, Tell};
use crate::queue::{Capacity, Queue, Success};
use crate::state::State;

/// Runs everything that is not finished. Jobs that do not depend on a failed one are run all the same.
pub fn execute(plan: &Plan, capacity: Capacity, tell: Tell) -> Result<()> {
    let state = State::of(&plan.out);
    let finished = state.all_finished(plan);
    let of = finished.iter().filter(|finished| !**finished).count();
    let mut queue = Queue::new(plan, &finished, capacity);
    let (sender, receiver) = mpsc::channel();
    let (mut done, mut failed) = (0, 0);
    thread::scope(|scope| {
        loop {
            while let Some(place) = queue.start(plan) {
                tell(&Progress::Started { id: &plan.jobs[place].id });
                let sender = sender.clone();
                scope.spawn(move || {
                    // The receiver outlives this scope's threads.
                    let _ = sender.send((place, job::run(plan, &plan.jobs[place], tell)));
                });
            }
            if !queue.is_running() {
                return;
            }
            // A sender is kept here: this ends with a job's end, never for want of senders.
            let Ok((place, result)) = receiver.recv() else { return };
            let job = &plan.jobs[place];
            let id = &job.id;
            match &result {
                Ok(()) => {
                    done += 1;
                    let seconds = state.seconds(job).unwrap_or_default();
                    tell(&Progress::Done { id, seconds, done, of });
                }
                Err(error) => {
                    failed += 1;
                    tell(&Progress::Failed { id, error });
                }
            }
            queue.end(plan, place, if result.is_ok() { Success::Yes } else { Success::No });
        }
    });
    match failed {
        0 => Ok(()),
        _ => Err(Error::Unfinished { failed, waiting: of - done - failed }),
    }
}
