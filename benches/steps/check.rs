//! Whether something has become slower: each piece of work against an anchor, plain loops that no kernel touches, in turns
//! on one thread, compared with the ratios that are kept in `benches/ratios.csv`. On Linux the time is what the process
//! computed for, so that other work on the machine matters little.
use crate::{Sizes, find};
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};
use udas_kernels::{
    Activation, ConvKind, Finish, InstructionSet, MapShape, Unit, reference::unit_forward,
};

/// What is measured, with batch, size and channels.
const WORKS: [(&str, [usize; 3]); 12] = [
    ("conv3x3/forward", [2, 64, 32]),
    ("conv3x3/input-gradient", [2, 64, 32]),
    ("conv3x3/weight-gradient", [2, 64, 32]),
    ("conv1x1/forward", [2, 128, 16]),
    ("down2x2/forward", [2, 128, 16]),
    ("up2x2/unit-backward", [2, 64, 32]),
    ("norm/backward", [2, 128, 16]),
    ("forward", [1, 128, 16]),
    ("source", [1, 64, 16]),
    ("refine-detached", [1, 128, 16]),
    ("nnunet2d-step", [1, 64, 16]),
    ("nnunet3d-step", [1, 16, 16]),
];

/// Rounds that are counted.
const ROUNDS: usize = 15;

/// A ratio that is below this share of the kept one has fallen.
const FALLEN: f64 = 0.85;

/// Kept ratios: instruction set, work, batch, size, channels, ratio.
const KEPT: &str = include_str!("../ratios.csv");

/// Measures all; with `record` prints the lines to keep, else what has fallen.
///
/// # Errors
/// When a ratio fell by more than 15 %, or work fails.
pub fn run(record: bool) -> Result<(), Box<dyn Error>> {
    let set = InstructionSet::current().name();
    if !record {
        println!("| work | ratio | kept | change |\n|---|---|---|---|");
    }
    let mut fallen = Vec::new();
    for (name, [batch, size, channels]) in WORKS {
        let ratio = ratio(name, Sizes { batch, size, channels })?;
        let key = format!("{set},{name},{batch},{size},{channels},");
        if record {
            println!("{key}{ratio:.5}");
            continue;
        }
        let kept = KEPT.lines().find_map(|line| line.strip_prefix(&key)?.parse::<f64>().ok());
        let Some(kept) = kept else {
            println!(
                "| {name} {batch} x {size} x {channels} | {ratio:.5} | - | not kept for {set} |"
            );
            continue;
        };
        let change = 100.0 * (ratio / kept - 1.0);
        println!(
            "| {name} {batch} x {size} x {channels} | {ratio:.5} | {kept:.5} | {change:+.0} % |"
        );
        if ratio < FALLEN * kept {
            fallen.push(name);
        }
    }
    if fallen.is_empty() {
        return Ok(());
    }
    Err(format!("slower by more than 15 % than benches/ratios.csv says: {}", fallen.join(", "))
        .into())
}

/// The anchor's time over the work's: the median of the rounds' ratios.
fn ratio(name: &str, sizes: Sizes) -> Result<f64, Box<dyn Error>> {
    let mut work = find(name, sizes)?;
    let (x, weight) = (crate::noise(24 * 24 * 16, 1), crate::noise(16 * 16 * 9, 2));
    let unit = Unit {
        kind: ConvKind::K3,
        input: MapShape { n: 1, h: 24, w: 24, c: 16 },
        cout: 16,
        norm: None,
        activation: Activation::None,
        weight: &weight,
        bias: None,
        finish: Finish::Plain,
    };
    work()?;
    let mut ratios = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let anchor = time_of(|| {
            black_box(unit_forward(&unit, &x));
            Ok(())
        })?;
        let own = time_of(&mut work)?;
        ratios.push(anchor.as_secs_f64() / own.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios[ROUNDS / 2])
}

/// How long `work` computes; where the system does not say, how long it takes.
fn time_of(
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let (started, computed) = (Instant::now(), computed());
    work()?;
    let took = started.elapsed();
    let since = computed.zip(self::computed()).map(|(before, after)| after - before);
    Ok(since.filter(|since| !since.is_zero()).unwrap_or(took))
}

/// How long all threads of this process have computed, in all.
fn computed() -> Option<Duration> {
    let mut all = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        all += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(all))
}
