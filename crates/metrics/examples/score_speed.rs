//! Time to score one pair of head-sized masks, 256 x 256 x 180 voxels of 1 mm.
//!
//! `cargo run --release -p udas-metrics --example score_speed`; the same pair is scored with the
//! surface-distance package by `benches/peers/surface_distance_speed.py`.
use std::time::Instant;
use udas_metrics::{Config, Connectivity, Grid, score_labels};

const SHAPE: [usize; 3] = [256, 256, 180];

/// An ellipsoid with waves on its surface: `phase` moves them, `shift` moves the whole along x.
fn head(shift: f64, phase: f64) -> Vec<u8> {
    let [nx, ny, nz] = SHAPE;
    let voxel = |i: usize| {
        let x = ((i % nx) as f64 - 127.5 - shift) / 72.0;
        let y = ((i / nx % ny) as f64 - 127.5) / 90.0;
        let z = ((i / (nx * ny)) as f64 - 89.5) / 70.0;
        let waves = (9.0 * x + phase).sin() * (8.0 * y).sin() * (7.0 * z + phase).sin();
        u8::from(x * x + y * y + z * z < 1.0 + 0.08 * waves)
    };
    (0..nx * ny * nz).map(voxel).collect()
}

fn main() -> Result<(), udas_metrics::Error> {
    let (truth, prediction) = (head(0.0, 0.0), head(1.5, 0.6));
    let grid = Grid::new(SHAPE, [1.0; 3])?;
    let config = Config::new(vec![1.0, 2.0], vec![95.0, 100.0], Connectivity::Corners)?;
    let mut seconds = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        let scores = score_labels(&prediction, &truth, &grid, &[1], &config)?;
        seconds.push(start.elapsed().as_secs_f64());
        if seconds.len() == 1 {
            let columns = scores.classes.iter().flat_map(|class| class.columns());
            columns.for_each(|(metric, score)| println!("{metric:38} {score:.6}"));
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!("median {:.3} s, min {:.3} s of {}", seconds[4], seconds[0], seconds.len());
    Ok(())
}
