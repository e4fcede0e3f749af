//! The tables of `cargo xtask bench`: which work they hold, and how it is told.
use super::Bench;
use super::worker::{Job, Place, Times, alternate, peak};
use anyhow::Result;

/// Steps of the paper's network: ours, and what a user of PyTorch would run instead.
const STEPS: [(&str, &str, &str); 7] = [
    ("forward, evaluation", "forward", "forward"),
    ("source training step", "source", "source"),
    ("head training step", "head", "head"),
    ("refinement, attached, beside the published form", "refine-attached", "refine-published"),
    ("refinement, attached, beside a frozen network", "refine-attached", "refine-attached"),
    ("refinement, detached, beside the published form", "refine-detached", "refine-published"),
    ("refinement, detached, beside the same", "refine-detached", "refine-detached"),
];

/// Operations of a forward pass for each pixel of a slice, with 16 filters and one output: 42 3x3
/// convolutions of 16 times 16 channels' worth, stem, down- and up-sampling, shortcuts, the last 1x1 ones.
const FORWARD_OPERATIONS: f64 = 193_536.0 + 288.0 + 6144.0 + 1536.0 + 1056.0;

/// Channels and size of the network's stages at 256 x 256.
const STAGES: [(usize, usize); 4] = [(16, 256), (32, 128), (64, 64), (128, 32)];

/// Kernels, with operations for each pixel and pair of input channels and equal output channels.
const KERNELS: [(&str, f64); 9] = [
    ("conv3x3/forward", 18.0),
    ("conv3x3/unit-forward", 18.0),
    ("conv3x3/input-gradient", 18.0),
    ("conv3x3/weight-gradient", 18.0),
    ("conv3x3/unit-backward", 36.0),
    ("conv1x1/forward", 2.0),
    ("down2x2/forward", 4.0),
    ("up2x2/forward", 4.0),
    ("up2x2/unit-backward", 8.0),
];

const BATCH: usize = 4;

pub fn steps(bench: &Bench) -> Result<()> {
    let limit = limit(bench)?;
    let columns = "median | min | slices/s | GFLOP/s | of peak | peak memory";
    heading(bench.peer.as_ref(), &format!("step, {BATCH} x 1 x 256 x 256 | {columns}"));
    let mut last = "";
    for (name, work, peer) in STEPS {
        let repeated = work == last && bench.peer.is_none();
        if !name.contains(&bench.only) || repeated {
            continue;
        }
        last = work;
        let job = job(bench, work, BATCH, 256);
        let times = together(bench, job, peer)?;
        let median = times[0].median();
        let rate = operations(work).map(|one| one * (BATCH * 256 * 256) as f64 / median);
        let rate = rate.map_or("- | -".into(), |rate| {
            format!("{:.0} | {:.0} %", rate / 1e9, 100.0 * rate / limit)
        });
        let speed = BATCH as f64 / median;
        println!(
            "| {name} | {} | {speed:.1} | {rate} | {} |{}",
            seconds(&times[0]),
            mebibytes(&times[0]),
            peer_cells(&times)
        );
    }
    Ok(())
}

/// Operations for each pixel, where they can be counted: backward is twice forward.
fn operations(work: &str) -> Option<f64> {
    match work {
        "forward" => Some(FORWARD_OPERATIONS),
        "source" => Some(3.0 * FORWARD_OPERATIONS),
        _ => None,
    }
}

/// Operations are those of the plain convolution: Winograd's need fewer, so that more than 100 % is possible.
pub fn kernels(bench: &Bench) -> Result<()> {
    let limit = limit(bench)?;
    heading(None, "kernel | channels | size | median | min | GFLOP/s | of peak");
    for (work, operations) in KERNELS.iter().filter(|(work, _)| work.contains(&bench.only)) {
        for (channels, size) in STAGES {
            let job = Job { work, batch: BATCH, size, channels, threads: bench.threads };
            let times = &alternate(&[(&bench.ours, job)], bench.rounds)?[0];
            let work_done = operations * (channels * channels * BATCH * size * size) as f64;
            let rate = work_done / times.median();
            println!(
                "| {work} | {channels} | {size} | {} | {:.0} | {:.0} % |",
                seconds(times),
                rate / 1e9,
                100.0 * rate / limit
            );
        }
    }
    Ok(())
}

pub fn memory(bench: &Bench) -> Result<()> {
    heading(bench.peer.as_ref(), "step, 20 x 1 x 256 x 256 | median | min | peak memory");
    let is_told = |work: &str, peer: &str| work == peer || work == "refine-attached";
    let steps = STEPS.iter().filter(|(name, ..)| name.contains(&bench.only));
    for (name, work, peer) in steps.filter(|(_, work, peer)| is_told(work, peer)) {
        let times = together(bench, job(bench, work, 20, 256), peer)?;
        println!(
            "| {name} | {} | {} |{}",
            seconds(&times[0]),
            mebibytes(&times[0]),
            peer_cells(&times)
        );
    }
    Ok(())
}

pub fn scaling(bench: &Bench) -> Result<()> {
    heading(
        bench.peer.as_ref(),
        "step | batch | size | threads | median | min | ns/pixel | peak memory",
    );
    let sizes = [64, 128, 256, 512].map(|size| (4, size, bench.threads));
    let batches = [1, 2, 4, 8, 16, 32].map(|batch| (batch, 256, bench.threads));
    let threads = [1, 2].map(|threads| (4, 256, threads));
    for work in ["forward", "source"].into_iter().filter(|work| work.contains(&bench.only)) {
        for (batch, size, threads) in sizes.into_iter().chain(batches).chain(threads) {
            let job = Job { threads, ..job(bench, work, batch, size) };
            let times = together(bench, job, work)?;
            let pixel = 1e9 * times[0].median() / (batch * size * size) as f64;
            println!(
                "| {work} | {batch} | {size} | {threads} | {} | {pixel:.0} | {} |{}",
                seconds(&times[0]),
                mebibytes(&times[0]),
                peer_cells(&times)
            );
        }
    }
    Ok(())
}

/// The paper's network: 16 filters.
fn job<'a>(bench: &Bench, work: &'a str, batch: usize, size: usize) -> Job<'a> {
    Job { work, batch, size, channels: 16, threads: bench.threads }
}

/// Our work and, where there is one, the peer's, in the same rounds.
fn together(bench: &Bench, job: Job, peer: &str) -> Result<Vec<Times>> {
    let mut jobs: Vec<(&Place, Job)> = vec![(&bench.ours, job)];
    if let Some(place) = &bench.peer {
        jobs.push((place, Job { work: peer, ..job }));
    }
    alternate(&jobs, bench.rounds)
}

fn seconds(times: &Times) -> String {
    format!("{:.1} ms | {:.1} ms", times.median() * 1e3, times.min() * 1e3)
}

fn mebibytes(times: &Times) -> String {
    format!("{:.0} MiB", times.memory / f64::from(1 << 20))
}

/// Begins a table of these columns and, where there is one, the peer's.
fn heading(peer: Option<&Place>, columns: &str) {
    let more = peer.map_or("", |_| " | PyTorch: median | min | peak memory | ratio");
    let columns = format!("{columns}{more}");
    println!("| {columns} |\n|{}", "---|".repeat(columns.split(" | ").count()));
}

/// Our arithmetic peak in operations a second, which is said.
fn limit(bench: &Bench) -> Result<f64> {
    let limit = peak(&bench.ours, bench.threads)?;
    println!("arithmetic peak, {} threads: {:.0} GFLOP/s\n", bench.threads, limit / 1e9);
    Ok(limit)
}

/// The ratio is that of the medians: above 1, ours is faster.
fn peer_cells(times: &[Times]) -> String {
    match times {
        [ours, peer] => {
            let ratio = peer.median() / ours.median();
            format!(" {} | {} | {ratio:.2} |", seconds(peer), mebibytes(peer))
        }
        _ => String::new(),
    }
}
