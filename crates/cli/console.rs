//! Talk on standard error, results on standard output, and progress that fits the terminal.
use crate::options::{Colour, Common};
use crate::{failure, interrupt};
use anstyle::{AnsiColor, Style};
use candle_core::Device;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use udas_run::{Host, Work};

/// Writes a line to standard error. Nobody may be there to read it (a closed terminal, `| head`, a full disk): work goes
/// on all the same, and the run's log has the line.
pub fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// How the words before a message look.
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// A duration as people say it.
pub fn time_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{:.1} s", time.as_secs_f64()),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// How much is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Talk {
    Quiet,
    Normal,
    Verbose,
}

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Results {
    Text,
    Json,
}

/// Where the program speaks.
pub struct Console {
    talk: Talk,
    results: Results,
    device: Device,
    log: Mutex<Log>,
}

/// What is said goes into the run's log, that before there is one too.
enum Log {
    Waiting(Vec<String>),
    Kept(File),
}

/// Lines that wait for a log; commands that have none say no more than that in ordinary cases.
const WAITING: usize = 10_000;

impl Console {
    pub fn new(common: &Common) -> Self {
        let colour = match common.color {
            Colour::Auto => anstream::ColorChoice::Auto,
            Colour::Always => anstream::ColorChoice::Always,
            Colour::Never => anstream::ColorChoice::Never,
        };
        colour.write_global();
        let talk = match (common.quiet, common.verbose) {
            (true, _) => Talk::Quiet,
            (_, true) => Talk::Verbose,
            _ => Talk::Normal,
        };
        let results = if common.json { Results::Json } else { Results::Text };
        let device = common.device().unwrap_or(Device::Cpu);
        Self { talk, results, device, log: Mutex::new(Log::Waiting(Vec::new())) }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Something the user should see.
    pub fn say(&self, text: impl AsRef<str>) {
        self.speak(Talk::Normal, text.as_ref());
    }

    /// Something for those who asked for more.
    pub fn detail(&self, text: impl AsRef<str>) {
        self.speak(Talk::Verbose, text.as_ref());
    }

    pub fn warn(&self, text: impl AsRef<str>) {
        self.speak_as(WARNING, "warning", Talk::Normal, text.as_ref());
    }

    /// The cause, and the remedy on a line of its own.
    pub fn error(&self, error: &anyhow::Error) {
        let text = failure::describe(error);
        let (cause, remedy) = failure::remedy_of(&text);
        self.speak_as(ERROR, "error", Talk::Quiet, cause);
        if let Some(remedy) = remedy {
            self.speak_as(HINT, "hint", Talk::Quiet, remedy);
        }
    }

    /// A command that a user may want to give next.
    pub fn next(&self, command: impl AsRef<str>) {
        self.speak_as(HINT, "next", Talk::Normal, command.as_ref());
    }

    fn speak_as(&self, style: Style, word: &str, from: Talk, text: &str) {
        if self.talk >= from {
            tell(&format!("{style}{word}:{style:#} {text}"));
        }
        self.keep(&format!("{word}: {text}"));
    }

    fn speak(&self, from: Talk, text: &str) {
        if self.talk >= from {
            tell(text);
        }
        self.keep(text);
    }

    /// Writes a line into the run's log.
    fn keep(&self, text: &str) {
        match self.log.lock().as_deref_mut() {
            // The log is a convenience: a full disk is reported where it loses something.
            Ok(Log::Kept(log)) => drop(writeln!(log, "{text}")),
            Ok(Log::Waiting(lines)) if lines.len() < WAITING => lines.push(text.to_owned()),
            _ => {}
        }
    }

    /// A result: `text` for people, or `value` as JSON for scripts.
    pub fn result(&self, text: impl AsRef<str>, value: &impl Serialize) -> anyhow::Result<()> {
        let text = match self.results {
            Results::Text => text.as_ref().trim_end().to_owned(),
            Results::Json => serde_json::to_string_pretty(value)?,
        };
        match writeln!(std::io::stdout(), "{text}") {
            // A reader that has seen enough (`| head`) is no failure.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                anyhow::bail!("standard output cannot be written: {error}; is there space?")
            }
            _ => Ok(()),
        }
    }

    /// Progress over `total` items: a bar with the time left on a terminal, else a line now and then.
    pub fn progress(&self, total: usize, what: &str) -> Progress<'_> {
        let shown = self.talk > Talk::Quiet && std::io::stderr().is_terminal();
        let bar = bar(total, shown, "{prefix} [{bar:30}] {pos}/{len}, {eta} left {msg}");
        bar.set_prefix(what.to_owned());
        Progress {
            console: self,
            bar,
            what: what.to_owned(),
            shown,
            started: Instant::now(),
            said: None,
        }
    }
}

impl Host for Console {
    fn device(&self) -> &Device {
        &self.device
    }

    fn interrupt(&self) -> &AtomicBool {
        interrupt::flag()
    }

    fn say(&self, text: &str) {
        self.speak(Talk::Normal, text);
    }

    fn detail(&self, text: &str) {
        self.speak(Talk::Verbose, text);
    }

    fn warn(&self, text: &str) {
        self.speak_as(WARNING, "warning", Talk::Normal, text);
    }

    fn progress<'a>(&'a self, work: &Work) -> Box<dyn udas_run::Progress + 'a> {
        match *work {
            Work::Items { what, count } => Box::new(self.progress(count, what)),
            Work::Steps { epoch, epochs, count } => Box::new(Steps::new(epoch, epochs, count)),
        }
    }

    /// From now on, what is said is written to `log` too, and what was said before.
    fn keep_log(&self, mut log: File) {
        if let Ok(mut kept) = self.log.lock() {
            if let Log::Waiting(lines) = &*kept {
                lines.iter().for_each(|line| drop(writeln!(log, "{line}")));
            }
            *kept = Log::Kept(log);
        }
    }
}

/// A bar on a terminal.
fn bar(count: usize, shown: bool, style: &str) -> ProgressBar {
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// The steps of an epoch; whoever sees no bar is told when the epoch has ended.
struct Steps(ProgressBar);

impl Steps {
    fn new(epoch: usize, epochs: usize, count: usize) -> Self {
        let style = "epoch {prefix} [{bar:30}] {pos}/{len}, {eta} left, {msg}";
        let bar = bar(count, std::io::stderr().is_terminal(), style);
        bar.set_prefix(format!("{epoch}/{epochs}"));
        Self(bar)
    }
}

impl udas_run::Progress for Steps {
    fn advance(&mut self, note: &str) {
        self.0.set_message(note.to_owned());
        self.0.inc(1);
    }

    fn finish(self: Box<Self>) {
        self.0.finish_and_clear();
    }
}

/// Between two lines of progress where there is no terminal.
const QUIET_SPELL: Duration = Duration::from_secs(30);

/// Progress of one long work.
pub struct Progress<'a> {
    console: &'a Console,
    bar: ProgressBar,
    what: String,
    shown: bool,
    started: Instant,
    said: Option<Instant>,
}

impl Progress<'_> {
    /// One more item is done; `note` says what about it.
    pub fn advance(&mut self, note: &str) {
        self.bar.set_message(note.to_owned());
        self.bar.inc(1);
        let since = self.said.unwrap_or(self.started).elapsed();
        if !self.shown && since > QUIET_SPELL {
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let left = self.started.elapsed().as_secs_f64() / done.max(1) as f64
                * total.saturating_sub(done) as f64;
            self.console.say(format!("{} {done}/{total}, {left:.0} s left {note}", self.what));
            self.said = Some(Instant::now());
        }
    }

    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

impl udas_run::Progress for Progress<'_> {
    fn advance(&mut self, note: &str) {
        Progress::advance(self, note);
    }

    fn finish(self: Box<Self>) {
        Progress::finish(*self);
    }
}
/// A path as a shell takes it: in quotes where it has more than plain characters.
pub fn in_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell_where_they_must_be() {
        for (path, expected) in [
            ("runs/a_1.b", "runs/a_1.b"),
            ("y Über (1)", "'y Über (1)'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(in_shell(Path::new(path)), expected);
        }
    }
}
