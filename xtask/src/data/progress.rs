//! How far a long transfer or check is: a bar on a terminal, a plain line per tenth elsewhere.

use std::cell::Cell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Progress of one file, written to standard error.
pub struct Progress {
    label: String,
    total: u64,
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    Lines { next_tenth: Cell<u64> },
}

impl Progress {
    /// Starts at zero of `total` bytes.
    pub fn new(label: &str, total: u64) -> Self {
        let display = if std::io::stderr().is_terminal() {
            let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style =
                ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
            let bar = ProgressBar::new(total).with_style(style).with_message(label.to_string());
            Display::Bar(bar)
        } else {
            Display::Lines { next_tenth: Cell::new(1) }
        };
        Self { label: label.to_string(), total, display }
    }

    /// Says that `done` bytes are done.
    pub fn set(&self, done: u64) {
        match &self.display {
            Display::Bar(bar) => bar.set_position(done),
            Display::Lines { next_tenth } => {
                let tenth = (done * 10).checked_div(self.total).unwrap_or(10);
                if tenth >= next_tenth.get() {
                    eprintln!("{}: {} %, {done} of {} bytes", self.label, tenth * 10, self.total);
                    next_tenth.set(tenth + 1);
                }
            }
        }
    }

    /// Writes a line without disturbing the bar.
    pub fn note(&self, text: &str) {
        match &self.display {
            Display::Bar(bar) => bar.println(format!("{}: {text}", self.label)),
            Display::Lines { .. } => eprintln!("{}: {text}", self.label),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}
