//! Ctrl-C: the first one asks for an orderly end, the second one ends at once.
use crate::console;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// A flag that the first Ctrl-C sets.
pub fn flag() -> &'static AtomicBool {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let handler = || {
            if ASKED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            console::tell("\nending after the work at hand; press Ctrl-C again to end at once");
        };
        // Without a handler Ctrl-C ends the program at once, and files are whole all the same.
        let _ = ctrlc::set_handler(handler);
    });
    &ASKED
}

pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
