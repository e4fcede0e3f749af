//! A process that does one piece of work a line, in our own program's code or in the peer's.
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Rounds that are not counted: caches, buffers and the processor's clock settle in them.
const WARM_UP: usize = 2;

/// A piece of work and its sizes.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    pub work: &'a str,
    pub batch: usize,
    pub size: usize,
    pub channels: usize,
    pub threads: usize,
}

impl Job<'_> {
    fn arguments(&self) -> Vec<String> {
        let numbers = [self.batch, self.size, self.channels, self.threads];
        [self.work.to_owned()].into_iter().chain(numbers.map(|n| n.to_string())).collect()
    }
}

/// Where work is done.
#[derive(Clone, Debug)]
pub enum Place {
    /// The worker `steps`, built for release.
    Ours(PathBuf),
    /// `benches/peers/steps.py` under this Python.
    Torch(PathBuf),
}

impl Place {
    /// Builds our worker.
    pub fn ours() -> Result<Self> {
        let arguments = ["build", "--release", "--bench", "steps", "--message-format", "json"];
        let output = workspace::cargo()
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .context("cargo does not start")?;
        ensure!(output.status.success(), "the worker does not build");
        let executable = output.stdout.split(|byte| *byte == b'\n').find_map(|line| {
            let message: serde_json::Value = serde_json::from_slice(line).ok()?;
            let is_worker = message["target"]["name"] == "steps";
            is_worker.then(|| message["executable"].as_str().map(PathBuf::from))?
        });
        Ok(Self::Ours(executable.context("cargo names no executable of the worker")?))
    }

    /// The peer, if that Python has PyTorch.
    pub fn torch(python: PathBuf) -> Result<Self> {
        let version = Command::new(&python)
            .args(["-c", "import torch; print(torch.__version__)"])
            .output()
            .with_context(|| {
                format!("{} does not start; name one with --python", python.display())
            })?;
        if !version.status.success() {
            bail!(
                "{0} has no PyTorch, so there is nothing to compare with. Install it beside the project:\n    \
                 python3 -m venv VENV\n    VENV/bin/pip install torch nibabel numpy\nand run\n    \
                 cargo xtask bench --peer torch --python VENV/bin/python",
                python.display()
            );
        }
        println!("PyTorch {}", String::from_utf8_lossy(&version.stdout).trim());
        Ok(Self::Torch(python))
    }

    fn command(&self) -> Command {
        match self {
            Self::Ours(executable) => Command::new(executable),
            Self::Torch(python) => {
                let mut command = Command::new(python);
                command.arg(workspace::root().join("benches/peers/steps.py"));
                command
            }
        }
    }
}

/// Lets our worker say what has become slower.
pub fn check() -> Result<()> {
    let status = Place::ours()?.command().arg("check").status()?;
    ensure!(status.success(), "see above; benches/ratios.csv says what is expected");
    Ok(())
}

/// Our arithmetic peak with these threads, in operations a second.
pub fn peak(ours: &Place, threads: usize) -> Result<f64> {
    let job = Job { work: "peak", batch: 0, size: 0, channels: 0, threads };
    let output = ours.command().args(job.arguments()).output()?;
    let text = String::from_utf8(output.stdout)?;
    text.trim().parse().with_context(|| format!("the worker's peak is `{text}`"))
}

/// Times of one worker.
#[derive(Clone, Debug)]
pub struct Times {
    /// Seconds of each round.
    pub rounds: Vec<f64>,
    /// The process's peak memory in bytes.
    pub memory: f64,
}

impl Times {
    /// The middle of the sorted rounds.
    pub fn median(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let rounds = sorted.len();
        (sorted[(rounds - 1) / 2] + sorted[rounds / 2]) / 2.0
    }

    /// The fastest round.
    pub fn min(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Runs the jobs in turn, one round of each after the other, so that whatever else the machine does
/// disturbs all alike.
pub fn alternate(jobs: &[(&Place, Job)], rounds: usize) -> Result<Vec<Times>> {
    let mut workers =
        jobs.iter().map(|(place, job)| Worker::start(place, *job)).collect::<Result<Vec<_>>>()?;
    let mut seconds = vec![Vec::with_capacity(rounds); workers.len()];
    for round in 0..WARM_UP + rounds {
        for (worker, seconds) in workers.iter_mut().zip(&mut seconds) {
            let time = worker.once()?;
            if round >= WARM_UP {
                seconds.push(time);
            }
        }
    }
    let ended = workers.into_iter().zip(seconds);
    ended.map(|(worker, rounds)| Ok(Times { rounds, memory: worker.end()? })).collect()
}

/// A running worker.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(place: &Place, job: Job) -> Result<Self> {
        let mut command = place.command();
        command.args(job.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = pipes else { bail!("a worker without pipes") };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn once(&mut self) -> Result<f64> {
        self.input.write_all(b"\n").context("a worker has ended early")?;
        number(&mut self.output)
    }

    /// Ends the worker by closing its input. Gives its peak memory in bytes.
    fn end(self) -> Result<f64> {
        let Self { mut child, input, mut output } = self;
        drop(input);
        let memory = number(&mut output)?;
        child.wait()?;
        Ok(memory)
    }
}

fn number(output: &mut impl BufRead) -> Result<f64> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    line.trim().parse().with_context(|| format!("a worker answers `{}`", line.trim()))
}
