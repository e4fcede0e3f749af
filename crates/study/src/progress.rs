//! What is told while jobs run: the program prints it, another caller may show it in its own way.

use std::fmt;

use crate::error::Error;

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A job begins.
    Started {
        /// Its name.
        id: &'a str,
    },
    /// A process that an earlier call started is still at a job.
    Waiting {
        /// Its name.
        id: &'a str,
    },
    /// A job has ended well.
    Done {
        /// Its name.
        id: &'a str,
        /// Wall time of its last attempt.
        seconds: f64,
        /// Jobs done in this call.
        done: usize,
        /// Jobs that were to be done.
        of: usize,
    },
    /// A job has not come to its outputs.
    Failed {
        /// Its name.
        id: &'a str,
        /// Why; not part of the text.
        error: &'a Error,
    },
    /// An array of jobs waits in Slurm's queue.
    Submitted {
        /// Slurm's number.
        array: u64,
        /// How many, of which stage and experiment.
        what: &'a str,
    },
    /// The queue moves on.
    Queue {
        /// Jobs of the plan that are finished.
        finished: usize,
        /// All of them.
        of: usize,
    },
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { id } => write!(f, "start  {id}"),
            Self::Waiting { id } => {
                write!(f, "{id}: waiting for a process of an earlier call to end")
            }
            Self::Done { id, seconds, done, of } => {
                write!(f, "done   {id} in {seconds:.1} s ({done} of {of})")
            }
            Self::Failed { id, .. } => write!(f, "FAILED {id}"),
            Self::Submitted { array, what } => write!(f, "submitted {array}: {what}"),
            Self::Queue { finished, of } => write!(f, "{finished} of {of} jobs are finished"),
        }
    }
}

/// Is told what happens, from several threads.
pub type Tell<'a> = &'a (dyn Fn(&Progress) + Sync);
