//! Convolutions in three axes against plain loops, on every instruction set and number of threads.
use rayon::ThreadPoolBuilder;
use udas_kernels::{
    InstructionSet, SpaceConvolution, convolve_space, on_pool, with_instruction_set,
};

/// Whole numbers, so that sums have no rounding.
fn whole_numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) % 17) as f32 - 8.0).collect()
}

fn plain(shape: &SpaceConvolution, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let SpaceConvolution { n, size: [d, h, w], inputs, outputs, kernel, stride } = *shape;
    let [od, oh, ow] = shape.out_size();
    let [kd, kh, kw] = kernel;
    let mut out = Vec::new();
    for i in 0..n * od * oh * ow {
        let at = [i / (oh * ow) % od, i / ow % oh, i % ow];
        for o in 0..outputs {
            let mut sum = bias[o];
            for tap in 0..kd * kh * kw {
                let tap3 = [tap / (kh * kw), tap / kw % kh, tap % kw];
                let place =
                    [0, 1, 2].map(|a| (at[a] * stride[a] + tap3[a]).wrapping_sub(kernel[a] / 2));
                if place[0] >= d || place[1] >= h || place[2] >= w {
                    continue;
                }
                let pixel = ((i / (od * oh * ow) * d + place[0]) * h + place[1]) * w + place[2];
                for c in 0..inputs {
                    let weight = weight[(o * inputs + c) * kd * kh * kw + tap];
                    sum += weight * x[pixel * inputs + c];
                }
            }
            out.push(sum);
        }
    }
    out
}

#[test]
fn results_are_those_of_plain_loops() {
    let shape = |n, size, inputs, outputs, kernel, stride| SpaceConvolution {
        n,
        size,
        inputs,
        outputs,
        kernel,
        stride,
    };
    for shape in [
        shape(1, [5, 6, 7], 3, 5, [3, 3, 3], [1, 1, 1]),
        shape(2, [4, 9, 11], 17, 21, [3, 3, 3], [2, 2, 2]),
        shape(2, [3, 7, 130], 1, 32, [1, 3, 3], [1, 2, 2]),
        shape(1, [1, 1, 1], 4, 3, [3, 3, 3], [1, 1, 1]),
        shape(1, [6, 5, 4], 33, 16, [3, 1, 1], [2, 1, 3]),
        shape(3, [2, 3, 4], 30, 2, [1, 1, 1], [1, 1, 1]),
        shape(1, [2, 2, 9], 2, 2, [1, 5, 7], [1, 1, 2]),
    ] {
        let count = shape.n * shape.size.iter().product::<usize>() * shape.inputs;
        let taps: usize = shape.kernel.iter().product();
        let x = whole_numbers(count, 1);
        let weight = whole_numbers(shape.inputs * shape.outputs * taps, 2);
        let bias = whole_numbers(shape.outputs, 3);
        let expected = plain(&shape, &x, &weight, &bias);
        let sets = [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512];
        for set in sets.into_iter().filter(|set| set.is_available()) {
            for threads in [1, 3] {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let run = || on_pool(|| convolve_space(&shape, &x, &weight, &bias));
                let made = pool.install(|| with_instruction_set(set, run));
                assert!(made == expected, "{shape:?} with {set:?} and {threads} threads");
            }
        }
    }
}
