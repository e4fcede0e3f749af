//! Norms and up-sampling without a convolution, against their definitions.
mod common;

use common::{assert_close, noise};
use proptest::prelude::*;
use udas_kernels::{
    MapShape, Needs, Norm, Statistics, moments, norm_backward, norm_forward, upsample_bilinear,
    upsample_bilinear_backward,
};

fn shapes() -> impl Strategy<Value = MapShape> {
    let channels = prop::sample::select(vec![1usize, 2, 7, 8, 9, 16, 17]);
    (1usize..=3, 1usize..=40, 1usize..=70, channels).prop_map(|(n, h, w, c)| MapShape {
        n,
        h,
        w,
        c,
    })
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// With the map's own moments, the result has mean beta and deviation gamma.
    #[test]
    fn a_normalised_map_has_the_asked_moments(shape in shapes(), seed in 0u64..1000) {
        prop_assume!(shape.pixels() > 1);
        let x = noise(shape.len(), seed);
        let own = moments(&x, shape);
        let norm = Norm {
            mean: own.mean.clone(),
            inv_std: own.variance.iter().map(|variance| 1.0 / (variance + 1e-12).sqrt()).collect(),
            gamma: noise(shape.c, seed + 1),
            beta: noise(shape.c, seed + 2),
            statistics: Statistics::Batch,
        };
        let after = moments(&norm_forward(&x, shape, &norm), shape);
        assert_close("mean", &after.mean, &norm.beta, 1.0, 1e-5);
        let variance: Vec<f32> = norm.gamma.iter().map(|gamma| gamma * gamma).collect();
        assert_close("variance", &after.variance, &variance, 1.0, 1e-4);
    }

    /// The gradient through batch statistics is orthogonal to what those take away: constants and the
    /// normalised map itself.
    #[test]
    fn batch_statistics_take_their_share_of_the_gradient(shape in shapes(), seed in 0u64..1000) {
        prop_assume!(shape.pixels() > 1);
        let (x, dy) = (noise(shape.len(), seed), noise(shape.len(), seed + 1));
        let own = moments(&x, shape);
        let norm = Norm {
            mean: own.mean,
            inv_std: own.variance.iter().map(|variance| 1.0 / (variance + 1e-12).sqrt()).collect(),
            gamma: vec![1.0; shape.c],
            beta: vec![0.0; shape.c],
            statistics: Statistics::Batch,
        };
        let needs = Needs { input: true, norm: true, weight: false, bias: false };
        let grads = norm_backward(&x, shape, &norm, &dy, &needs);
        let dx = grads.input.unwrap();
        let scale = f64::from(norm.inv_std.iter().fold(0f32, |a, b| a.max(*b)));
        let bound = 1e-5 * scale * (shape.pixels() as f64).max(10.0);
        for c in 0..shape.c {
            let of = |map: &[f32]| map.iter().skip(c).step_by(shape.c).copied().collect::<Vec<_>>();
            let (dx, x) = (of(&dx), of(&x));
            let sum: f64 = dx.iter().map(|v| f64::from(*v)).sum();
            prop_assert!(sum.abs() < bound, "sum {sum}");
            let centred: Vec<f32> = x.iter().map(|x| x - norm.mean[c]).collect();
            prop_assert!(dot(&dx, &centred).abs() < bound);
        }
    }

    /// Backward is the transpose of forward: <up(x), dy> = <x, backward(dy)>.
    #[test]
    fn up_sampling_and_its_backward_are_transposed(
        shape in shapes(),
        factor in prop::sample::select(vec![1usize, 2, 3, 4, 8]),
        seed in 0u64..1000,
    ) {
        prop_assume!(shape.len() * factor * factor < 200_000);
        let (x, dy) =
            (noise(shape.len(), seed), noise(shape.len() * factor * factor, seed + 1));
        let left = dot(&upsample_bilinear(&x, shape, factor), &dy);
        let right = dot(&x, &upsample_bilinear_backward(&dy, shape, factor));
        let scale = (dy.len() as f64).sqrt();
        prop_assert!((left - right).abs() < 1e-4 * scale, "{left} {right}");
    }

    /// A constant stays one, and a map stays within its own range.
    #[test]
    fn up_sampling_interpolates(shape in shapes(), seed in 0u64..1000) {
        let x = noise(shape.len(), seed);
        let y = upsample_bilinear(&x, shape, 2);
        let (low, high) = x.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        prop_assert!(y.iter().all(|v| (low - 1e-6..=high + 1e-6).contains(v)));
        let constant = upsample_bilinear(&vec![0.7; shape.len()], shape, 4);
        prop_assert!(constant.iter().all(|v| (v - 0.7).abs() < 1e-6));
    }
}

/// Positions by hand: half-pixel centres, as align_corners = false has them.
#[test]
fn up_sampling_by_two_weighs_one_to_three() {
    let shape = MapShape { n: 1, h: 1, w: 3, c: 1 };
    let y = upsample_bilinear(&[0.0, 4.0, 8.0], shape, 2);
    assert_eq!(y[..6], [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]);
    assert_eq!(y[6..], y[..6]);
}

/// The first pixel lies fifty deviations away: sums about it would lose what the others vary by.
#[test]
fn an_odd_first_pixel_costs_no_digits() {
    let shape = MapShape { n: 1, h: 64, w: 64, c: 3 };
    let mut x = noise(shape.len(), 9);
    x[..3].fill(30.0);
    let found = moments(&x, shape);
    for c in 0..3 {
        let values: Vec<f64> = x.iter().skip(c).step_by(3).map(|&value| f64::from(value)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let variance = square / values.len() as f64;
        assert!((f64::from(found.variance[c]) - variance).abs() < 2e-6 * variance);
    }
}
