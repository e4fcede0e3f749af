//! `cargo xtask bench`: how fast the network and its kernels are, alone or beside PyTorch.
mod tables;
mod worker;

use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;
use worker::Place;

/// What to measure and beside whom.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure.
    #[arg(value_enum, default_value = "steps")]
    what: What,
    /// Only say what has become slower than benches/ratios.csv says.
    #[arg(long)]
    check: bool,
    /// Measure this peer in the same rounds and print ratios.
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// The Python that has the peer installed.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Rounds that are counted; ours and the peer's alternate.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Threads; all cores when absent.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// PyTorch on the CPU, float32, channels_last.
    Torch,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Whole steps of the paper's network, 4 x 1 x 256 x 256.
    Steps,
    /// Single kernels at each stage's shape, against the measured arithmetic peak.
    Kernels,
    /// Peak memory of a training step at batch 20, 256 x 256.
    Memory,
    /// Steps at growing sizes, batches and threads.
    Scaling,
}

/// Where a table is measured, and how often.
struct Bench {
    ours: Place,
    peer: Option<Place>,
    rounds: usize,
    only: String,
    threads: usize,
}

/// Measures and prints one table, in Markdown.
pub fn run(args: Args) -> Result<()> {
    if args.check {
        return worker::check();
    }
    let peer = args.peer.map(|Peer::Torch| Place::torch(args.python)).transpose()?;
    let cores = || Ok::<_, std::io::Error>(std::thread::available_parallelism()?.get());
    let threads = args.threads.map_or_else(cores, Ok)?;
    let bench =
        Bench { ours: Place::ours()?, peer, rounds: args.rounds.max(1), only: args.only, threads };
    match args.what {
        What::Steps => tables::steps(&bench),
        What::Kernels => tables::kernels(&bench),
        What::Memory => tables::memory(&bench),
        What::Scaling => tables::scaling(&bench),
    }
}
