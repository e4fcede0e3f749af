//! What a run needs of the program around it: where to compute, whom to tell, and whether it is to end.
use candle_core::Device;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

/// The program around a run. All that is told may be left unheard.
pub trait Host {
    /// Where to compute.
    fn device(&self) -> &Device;

    /// Is set by who wants work to end in order: trainings end after the step at hand, and can go on later.
    fn interrupt(&self) -> &AtomicBool;

    /// Something that a user should see.
    fn say(&self, _text: &str) {}

    /// Something for those who asked for more.
    fn detail(&self, _text: &str) {}

    /// Something that may be wrong.
    fn warn(&self, _text: &str) {}

    /// A longer work begins.
    fn progress<'a>(&'a self, _work: &Work) -> Box<dyn Progress + 'a> {
        Box::new(Unseen)
    }

    /// The open log of a run, for what is said from now on, and has been said before.
    fn keep_log(&self, _log: File) {}
}

/// A longer work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work<'a> {
    /// So many items, such as subjects.
    Items {
        /// What is done to them, such as `hashing`.
        what: &'a str,
        /// How many there are.
        count: usize,
    },
    /// The steps of an epoch.
    Steps {
        /// The epoch, from 1.
        epoch: usize,
        /// Epochs at most.
        epochs: usize,
        /// Steps of the epoch.
        count: usize,
    },
}

/// Hears how far a work has come.
pub trait Progress {
    /// One more item or step is done; `note` says what about it, or nothing.
    fn advance(&mut self, note: &str);

    /// The work has ended.
    fn finish(self: Box<Self>);
}

struct Unseen;

impl Progress for Unseen {
    fn advance(&mut self, _note: &str) {}

    fn finish(self: Box<Self>) {}
}

/// A host that computes on the CPU and shows nothing. What is worth a warning is in a run's events all the same.
#[derive(Debug)]
pub struct Silent {
    device: Device,
    interrupt: AtomicBool,
}

impl Silent {
    /// On the CPU.
    pub fn new() -> Self {
        Self { device: Device::Cpu, interrupt: AtomicBool::new(false) }
    }
}

impl Default for Silent {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for Silent {
    fn device(&self) -> &Device {
        &self.device
    }

    fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }
}

/// Whether the work is to end.
pub(crate) fn is_interrupted(host: &dyn Host) -> bool {
    host.interrupt().load(Ordering::Relaxed)
}
