//! Ctrl-C, and the SIGTERM of a batch system: the first one asks for an orderly end, the second one ends at once.
use crate::console;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// A flag that the first Ctrl-C or SIGTERM sets.
pub fn flag() -> &'static AtomicBool {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Without a handler a signal ends the program at once, and files are whole all the same.
        let _ = ctrlc::set_handler(|| ask("press Ctrl-C again to end at once", 130));
        #[cfg(unix)]
        heed_termination();
    });
    &ASKED
}

pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// The first call asks; the next one ends the program.
fn ask(how_to_end_at_once: &str, code: i32) {
    if ASKED.swap(true, Ordering::Relaxed) {
        std::process::exit(code);
    }
    console::tell(&format!("\nending after the work at hand; {how_to_end_at_once}"));
}

/// SIGTERM alone: SIGHUP is left to the shell, so that `nohup` keeps its meaning.
#[cfg(unix)]
fn heed_termination() {
    use signal_hook::consts::SIGTERM;
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGTERM]) else { return };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            ask("another SIGTERM ends at once", 128 + SIGTERM);
        }
    });
}
