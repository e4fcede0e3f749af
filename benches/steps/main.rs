//! The worker behind `cargo xtask bench`: `steps WORK BATCH SIZE CHANNELS THREADS` prepares one piece of work,
//! then does it once for every line on its input and answers with the seconds; at the end, its peak memory.
//! `steps check` says what has become slower.
mod check;
mod kernel_work;
mod network_work;
mod nnunet_work;

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

/// As in the program: large blocks are reused from step to step.
#[global_allocator]
static ALLOCATOR: udas_kernels::BlockCache = udas_kernels::BlockCache::new(1 << 30);

/// What is done once a line.
type Work = Box<dyn FnMut() -> Result<(), Box<dyn Error>>>;

/// The sizes of a piece of work.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    size: usize,
    channels: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    // As in the program.
    udas_kernels::set_variable("CANDLE_NUM_THREADS", "1");
    // `cargo bench` adds `--bench`; `cargo test --benches` runs a bench without a worker's arguments.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [name, numbers @ ..] = arguments.as_slice() else {
        println!("nothing to do: this worker is started by `cargo xtask bench`");
        return Ok(());
    };
    if name == "check" {
        rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
        return check::run(numbers.iter().any(|option| option == "--record"));
    }
    let numbers = numbers.iter().map(|text| text.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [batch, size, channels, threads] = numbers[..] else {
        return Err("usage: steps WORK BATCH SIZE CHANNELS THREADS".into());
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    if name == "peak" {
        println!("{}", udas_kernels::peak_flops(threads));
        return Ok(());
    }
    let sizes = Sizes { batch, size, channels };
    let mut work = find(name, sizes)?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        work()?;
        println!("{}", start.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    println!("{}", udas_record::peak_memory_bytes().unwrap_or(0));
    Ok(())
}

/// The work called `name`.
fn find(name: &str, sizes: Sizes) -> Result<Work, Box<dyn Error>> {
    if let Some(work) = kernel_work::find(name, sizes) {
        return Ok(work);
    }
    match nnunet_work::find(name, sizes)? {
        Some(work) => Ok(work),
        None => network_work::find(name, sizes),
    }
}

/// Values in [-1, 1), the same on every run.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}
