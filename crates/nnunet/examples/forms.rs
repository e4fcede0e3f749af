//! Times two forms of a 3x3x3 convolution: product by product, and the fast one that its shape is given.
use std::time::Instant;
use udas_kernels::{Gather, SpaceConvolution, convolve_space, space_forward};

fn main() {
    for (side, inputs, outputs) in [
        (64, 1, 32),
        (64, 32, 32),
        (64, 64, 32),
        (32, 64, 64),
        (16, 128, 128),
        (8, 256, 256),
        (4, 320, 320),
    ] {
        let shape = SpaceConvolution {
            n: 1,
            size: [side; 3],
            inputs,
            outputs,
            kernel: [3; 3],
            stride: [1; 3],
        };
        let x: Vec<f32> =
            (0..side * side * side * inputs).map(|i| (i % 97) as f32 / 97.0).collect();
        let weight: Vec<f32> =
            (0..27 * inputs * outputs).map(|i| (i % 89) as f32 / 890.0).collect();
        let bias = vec![0.0; outputs];
        let flops = 2.0 * 27.0 * (side * side * side * inputs * outputs) as f64;
        let mut best = [f64::MAX; 2];
        for _ in 0..3 {
            let start = Instant::now();
            std::hint::black_box(convolve_space(&shape, &x, &weight, &bias));
            best[0] = best[0].min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            std::hint::black_box(space_forward(&shape, &x, &weight, &bias, Gather::Nothing));
            best[1] = best[1].min(start.elapsed().as_secs_f64());
        }
        println!(
            "{side}^3 {inputs} -> {outputs}: exact {:.4} s ({:.0} Gflop/s), fast {:.4} s ({:.0})",
            best[0],
            flops / best[0] / 1e9,
            best[1],
            flops / best[1] / 1e9
        );
    }
}
