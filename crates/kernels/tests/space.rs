//! Convolutions in three axes, their transposed ones and norms with LeakyReLU against their specification, on every
//! instruction set and number of threads.
mod common;

use common::{assert_close, each_set, largest, noise};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use udas_kernels::{
    Gather, InstructionSet, Needs, Norm, SpaceConvolution, SpaceEnlargement, Statistics, UnitGrads,
    convolve_space, enlarge_backward, enlarge_forward, leaky_norm, leaky_norm_backward,
    leaky_norm_in_place, moments, on_pool, reference, space_backward, space_forward,
    with_instruction_set,
};

const ALL: Needs = Needs { input: true, norm: false, weight: true, bias: true };

/// Largest error relative to the largest sum of magnitudes; Winograd's transforms amplify rounding by about ten.
const TOLERANCE: f32 = 2e-5;

/// Whole numbers, so that sums have no rounding.
fn whole_numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) % 17) as f32 - 8.0).collect()
}

fn convolution(
    n: usize,
    size: [usize; 3],
    (inputs, outputs): (usize, usize),
    kernel: [usize; 3],
    stride: [usize; 3],
) -> SpaceConvolution {
    SpaceConvolution { n, size, inputs, outputs, kernel, stride }
}

#[test]
fn exact_results_are_those_of_plain_loops() {
    for shape in [
        convolution(1, [5, 6, 7], (3, 5), [3, 3, 3], [1, 1, 1]),
        convolution(2, [4, 9, 11], (17, 21), [3, 3, 3], [2, 2, 2]),
        convolution(2, [3, 7, 130], (1, 32), [1, 3, 3], [1, 2, 2]),
        convolution(1, [1, 1, 1], (4, 3), [3, 3, 3], [1, 1, 1]),
        convolution(1, [6, 5, 4], (33, 16), [3, 1, 1], [2, 1, 3]),
        convolution(3, [2, 3, 4], (30, 2), [1, 1, 1], [1, 1, 1]),
        convolution(1, [2, 2, 9], (2, 2), [1, 5, 7], [1, 1, 2]),
    ] {
        let x = whole_numbers(shape.input_len(), 1);
        let weight = whole_numbers(shape.weight_len(), 2);
        let bias = whole_numbers(shape.outputs, 3);
        let expected = reference::space_forward(&shape, &x, &weight, &bias);
        each_set(|set| {
            for threads in [1, 3] {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let run = || on_pool(|| convolve_space(&shape, &x, &weight, &bias));
                let made = pool.install(|| with_instruction_set(set, run));
                assert!(made == expected, "{shape:?} with {set:?} and {threads} threads");
            }
        });
    }
}

fn magnitudes(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| value.abs()).collect()
}

/// Input, weights, bias and the output's gradient.
fn data(lens: [usize; 4], seed: u64) -> [Vec<f32>; 4] {
    let mut seeds = seed..;
    lens.map(|len| noise(len, seeds.next().unwrap()))
}

fn compare(what: &str, found: UnitGrads, exact: UnitGrads, sizes: UnitGrads) {
    for (name, found, exact, sizes) in [
        ("dx", found.input, exact.input, sizes.input),
        ("dweight", found.weight, exact.weight, sizes.weight),
        ("dbias", found.bias, exact.bias, sizes.bias),
    ] {
        let (found, exact, sizes) = (found.unwrap(), exact.unwrap(), sizes.unwrap());
        assert_close(&format!("{what}: {name}"), &found, &exact, largest(&sizes), TOLERANCE);
    }
}

fn check_convolution(shape: &SpaceConvolution, seed: u64) {
    let lens = [shape.input_len(), shape.weight_len(), shape.outputs, shape.output_len()];
    let [x, weight, bias, dy] = data(lens, seed);
    let sizes = [&x, &weight, &bias, &dy].map(|values| magnitudes(values));
    let expected = reference::space_forward(shape, &x, &weight, &bias);
    let scale = largest(&reference::space_forward(shape, &sizes[0], &sizes[1], &sizes[2]));
    let exact = reference::space_backward(shape, &x, &weight, &dy);
    let bounds = reference::space_backward(shape, &sizes[0], &sizes[1], &sizes[3]);
    each_set(|set| {
        let what = format!("{shape:?} with {}", set.name());
        let (y, of_images) =
            with_instruction_set(set, || space_forward(shape, &x, &weight, &bias, Gather::Moments));
        assert_close(&what, &y, &expected, scale, TOLERANCE);
        assert_eq!(of_images.len(), shape.n, "{what}");
        let [d, h, w] = shape.out_size();
        let image = udas_kernels::MapShape { n: d, h, w, c: shape.outputs };
        for (y, found) in y.chunks(image.len()).zip(of_images) {
            let own = moments(y, image);
            assert_eq!(found.count, own.count, "{what}");
            let spread = largest(y);
            assert_close("mean", &found.mean, &own.mean, spread, 1e-5);
            assert_close("variance", &found.variance, &own.variance, spread * spread, 1e-5);
        }
        let found = with_instruction_set(set, || space_backward(shape, &x, &weight, &dy, &ALL));
        compare(&what, found, exact.clone(), bounds.clone());
    });
}

fn check_enlargement(shape: &SpaceEnlargement, seed: u64) {
    let pixels = shape.n * shape.size.iter().product::<usize>();
    let taps = shape.block.iter().product::<usize>();
    let weights = shape.inputs * shape.outputs * taps;
    let lens = [pixels * shape.inputs, weights, shape.outputs, pixels * taps * shape.outputs];
    let [x, weight, bias, dy] = data(lens, seed);
    let sizes = [&x, &weight, &bias, &dy].map(|values| magnitudes(values));
    let expected = reference::enlarge_forward(shape, &x, &weight, &bias);
    let scale = largest(&reference::enlarge_forward(shape, &sizes[0], &sizes[1], &sizes[2]));
    let exact = reference::enlarge_backward(shape, &x, &weight, &dy);
    let bounds = reference::enlarge_backward(shape, &sizes[0], &sizes[1], &sizes[3]);
    each_set(|set| {
        let what = format!("{shape:?} with {}", set.name());
        let y = with_instruction_set(set, || enlarge_forward(shape, &x, &weight, &bias));
        assert_close(&what, &y, &expected, scale, TOLERANCE);
        let found = with_instruction_set(set, || enlarge_backward(shape, &x, &weight, &dy, &ALL));
        compare(&what, found, exact.clone(), bounds.clone());
    });
}

/// Norms of `images`, whose rectified values do not come near 0 for `x`, where the gradient jumps.
fn norms_and_map(
    images: usize,
    pixels: usize,
    channels: usize,
    seed: u64,
) -> (Vec<Norm>, Vec<f32>) {
    let norm = |seed: u64| Norm {
        mean: noise(channels, seed),
        inv_std: noise(channels, seed + 1).iter().map(|v| 1.5 + v).collect(),
        gamma: noise(channels, seed + 2),
        beta: noise(channels, seed + 3),
        statistics: if seed.is_multiple_of(2) { Statistics::Batch } else { Statistics::Running },
    };
    let norms: Vec<Norm> = (0..images).map(|image| norm(seed + image as u64)).collect();
    let mut x = noise(images * pixels * channels, seed + 9);
    for (at, x) in x.iter_mut().enumerate() {
        let (norm, c) = (&norms[at / (pixels * channels)], at % channels);
        let value = (*x - norm.mean[c]) * norm.inv_std[c] * norm.gamma[c] + norm.beta[c];
        if value.abs() < 1e-4 {
            *x += 0.1;
        }
    }
    (norms, x)
}

fn check_norm(images: usize, pixels: usize, channels: usize, seed: u64) {
    let (norms, x) = norms_and_map(images, pixels, channels, seed);
    let dy = noise(x.len(), seed + 10);
    for slope in [0.01, 1.0] {
        let expected = reference::leaky_norm(&x, &norms, slope);
        let (exact, grads) = reference::leaky_norm_backward(&x, &norms, slope, &dy);
        each_set(|set| {
            let y = with_instruction_set(set, || leaky_norm(&x, &norms, slope));
            assert_close("y", &y, &expected, largest(&expected), 1e-6);
            let mut in_place = x.clone();
            with_instruction_set(set, || leaky_norm_in_place(&mut in_place, &norms, slope));
            assert!(in_place == y, "in place with {}", set.name());
            let mut dx = x.clone();
            let found =
                with_instruction_set(set, || leaky_norm_backward(&mut dx, &norms, slope, &dy));
            assert_close("dx", &dx, &exact, largest(&exact), 1e-5);
            // Sums cancel: rounding is that of the terms.
            let terms = (x.len() as f32).sqrt();
            for (name, found, exact) in [
                ("dgamma", &found.gamma, &grads.gamma),
                ("dbeta", &found.beta, &grads.beta),
                ("dbias", &found.bias, &grads.bias),
            ] {
                assert_close(name, found, exact, largest(exact).max(terms), 1e-5);
            }
        });
    }
}

/// Shapes on both sides of where Winograd's form begins to pay, and at the edges of runs of slices and blocks of tiles.
#[test]
fn large_maps_match_their_specification() {
    for (at, shape) in [
        convolution(1, [9, 13, 18], (17, 9), [3, 3, 3], [1, 1, 1]),
        convolution(2, [3, 25, 22], (8, 33), [3, 3, 3], [1, 1, 1]),
        convolution(1, [17, 12, 12], (32, 7), [3, 3, 3], [1, 1, 1]),
        convolution(2, [1, 33, 47], (16, 18), [1, 3, 3], [1, 1, 1]),
        convolution(1, [4, 25, 26], (12, 5), [1, 3, 3], [1, 1, 1]),
        convolution(1, [9, 11, 64], (1, 20), [3, 3, 3], [1, 1, 1]),
        convolution(2, [8, 18, 17], (16, 34), [3, 3, 3], [1, 2, 2]),
        convolution(1, [4, 4, 4], (48, 31), [3, 3, 3], [1, 1, 1]),
        convolution(2, [1, 7, 5], (32, 50), [1, 3, 3], [1, 2, 2]),
    ]
    .iter()
    .enumerate()
    {
        check_convolution(shape, at as u64);
    }
    check_norm(2, 5000, 33, 1);
    check_norm(1, 70_000, 2, 2);
}

#[test]
fn bits_do_not_depend_on_threads_or_vectors() {
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let all = |shape: &SpaceConvolution| {
        let lens = [shape.input_len(), shape.weight_len(), shape.outputs, shape.output_len()];
        let [x, weight, bias, dy] = data(lens, 3);
        let (y, of_images) = space_forward(shape, &x, &weight, &bias, Gather::Moments);
        let grads = space_backward(shape, &x, &weight, &dy, &ALL);
        let mut all = y;
        all.extend(of_images.into_iter().flat_map(|moments| moments.variance));
        all.extend([grads.input, grads.weight, grads.bias].into_iter().flatten().flatten());
        all
    };
    let enlarged = || {
        let (n, size, block) = (2, [5, 9, 11], [2, 2, 2]);
        let shape = SpaceEnlargement { n, size, inputs: 18, outputs: 7, block };
        let lens = [n * 495 * 18, 18 * 7 * 8, 7, n * 495 * 8 * 7];
        let [x, weight, bias, dy] = data(lens, 4);
        let grads = enlarge_backward(&shape, &x, &weight, &dy, &ALL);
        let mut all = enlarge_forward(&shape, &x, &weight, &bias);
        all.extend([grads.input, grads.weight, grads.bias].into_iter().flatten().flatten());
        all
    };
    let norm = || {
        let (norms, mut x) = norms_and_map(2, 7000, 19, 5);
        let dy = noise(x.len(), 6);
        let mut all = leaky_norm(&x, &norms, 0.01);
        let grads = leaky_norm_backward(&mut x, &norms, 0.01, &dy);
        all.extend([x, grads.gamma, grads.beta, grads.bias].into_iter().flatten());
        all
    };
    let tiled = convolution(2, [9, 30, 34], (18, 33), [3, 3, 3], [1, 1, 1]);
    let strided = convolution(1, [12, 31, 28], (17, 20), [3, 3, 3], [2, 2, 2]);
    let small = convolution(1, [3, 5, 6], (32, 29), [3, 3, 3], [1, 1, 1]);
    let works: [&(dyn Fn() -> Vec<f32> + Sync); 5] =
        [&|| all(&tiled), &|| all(&strided), &|| all(&small), &enlarged, &norm];
    for (at, work) in works.into_iter().enumerate() {
        let with = |set, threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            bits(pool.install(|| on_pool(|| with_instruction_set(set, work))))
        };
        let best = InstructionSet::current();
        let expected = with(best, 1);
        for threads in [2, 4, 7] {
            assert!(with(best, threads) == expected, "work {at} with {threads} threads");
        }
        let vectors = [InstructionSet::Avx2, InstructionSet::Avx512];
        if vectors.iter().all(|set| set.is_available()) {
            let [avx2, avx512] = vectors.map(|set| with(set, 2));
            assert!(avx2 == avx512, "work {at} differs with the length of vectors");
        }
    }
}

/// Sizes around those of tiles, and small ones.
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![1usize..=9, prop::sample::select(vec![12, 16, 17])]
}

fn channels() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 2, 5, 7, 8, 12, 16, 17])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_match_their_specification(
        n in 1usize..=2,
        (d, h, w) in (1usize..=6, sizes(), sizes()),
        channels in (channels(), channels()),
        (deep, flat) in (any::<bool>(), any::<bool>()),
        stride in prop::sample::select(vec![[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 1, 3]]),
        seed in 0u64..1000,
    ) {
        let kernel = [if deep { 3 } else { 1 }, 3, if flat { 1 } else { 3 }];
        check_convolution(&convolution(n, [d, h, w], channels, kernel, stride), seed);
    }

    #[test]
    fn enlargements_match_their_specification(
        n in 1usize..=2,
        (d, h, w) in (1usize..=4, sizes(), sizes()),
        (inputs, outputs) in (channels(), channels()),
        block in prop::sample::select(vec![[1, 2, 2], [2, 2, 2], [1, 1, 1], [2, 1, 3]]),
        seed in 0u64..1000,
    ) {
        let shape = SpaceEnlargement { n, size: [d, h, w], inputs, outputs, block };
        check_enlargement(&shape, seed);
    }

    #[test]
    fn norms_match_their_specification(
        (images, pixels) in (1usize..=3, 1usize..=300),
        channels in channels(),
        seed in 0u64..1000,
    ) {
        check_norm(images, pixels, channels, seed);
    }
}
