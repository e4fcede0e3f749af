//! Units against their specification: every kind of convolution, what surrounds it, shapes that straddle
//! every block's edge, maps of extreme magnitude, on every instruction set.
mod common;

use common::{Around, Case, FinishKind, assert_close, each_set, largest};
use proptest::prelude::*;
use udas_kernels::{
    Activation, ConvKind, Gather, InstructionSet, MapShape, Needs, Statistics, moments, reference,
    unit_backward, unit_forward, with_instruction_set,
};

/// Largest error of a 3x3 convolution, relative to the largest sum of magnitudes: the filtering's transforms
/// amplify rounding by about ten.
const WINOGRAD: f32 = 2e-5;
/// Of the others.
const DIRECT: f32 = 2e-6;

const ALL: Needs = Needs { input: true, norm: true, weight: true, bias: true };

/// A convolution's scale: the same with the magnitudes of all values, which no sum can exceed.
fn scale_of(case: &Case) -> f32 {
    let magnitudes = |values: &[f32]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
    let x = magnitudes(&case.x);
    let (weight, bias, skip) =
        (magnitudes(&case.weight), magnitudes(&case.bias), magnitudes(&case.skip));
    let mut unit = case.unit();
    let mut norm = case.norm.clone();
    if unit.norm.is_some() {
        norm.gamma = magnitudes(&norm.gamma);
        norm.mean = norm.mean.iter().map(|mean| -mean.abs()).collect();
        norm.beta = magnitudes(&norm.beta);
        unit.norm = Some(&norm);
    }
    unit.weight = &weight;
    unit.bias = unit.bias.map(|_| bias.as_slice());
    if case.around.finish == FinishKind::Add {
        unit.finish = udas_kernels::Finish::Add(&skip);
    }
    largest(&reference::unit_forward(&unit, &x))
}

/// Forward, moments and all gradients of a case, on every set.
fn check(case: &Case) {
    let unit = case.unit();
    let tolerance = if case.kind == ConvKind::K3 { WINOGRAD } else { DIRECT };
    let expected = reference::unit_forward(&unit, &case.x);
    let scale = scale_of(case);
    each_set(|set| {
        let (y, gathered) =
            with_instruction_set(set, || unit_forward(&unit, &case.x, Gather::Moments));
        assert_close("y", &y, &expected, scale, tolerance);
        let (gathered, own) = (gathered.unwrap(), moments(&y, unit.output()));
        assert_eq!(gathered.count, unit.output().pixels());
        let spread = largest(&y);
        assert_close("mean", &gathered.mean, &own.mean, spread, 1e-5);
        assert_close("variance", &gathered.variance, &own.variance, spread * spread, 1e-5);
        let skip = &case.x;
        let found = with_instruction_set(set, || {
            unit_backward(&unit, &case.x, Some(&y), &case.dy, &ALL, Some(skip))
        });
        let exact = reference::unit_backward(&unit, &case.x, &y, &case.dy, Some(skip));
        for (name, found, exact) in [
            ("dx", found.input, exact.input),
            ("dweight", found.weight, exact.weight),
            ("dbias", found.bias, exact.bias),
            ("dgamma", found.gamma, exact.gamma),
            ("dbeta", found.beta, exact.beta),
        ] {
            let (Some(found), Some(exact)) = (found, exact) else {
                assert!(matches!(name, "dgamma" | "dbeta") && unit.norm.is_none(), "{name} absent");
                continue;
            };
            // Sums over a map cancel: rounding is that of the terms, not of the result.
            let terms = (unit.output().pixels() as f32).sqrt();
            let scale = match name {
                "dx" => largest(&exact),
                "dbeta" | "dgamma" => largest(&exact).max(terms * unit.cout as f32),
                "dweight" => largest(&exact).max(terms * largest(&pre_activation_bound(case))),
                _ => largest(&exact).max(terms),
            };
            assert_close(name, &found, &exact, scale, 10.0 * tolerance);
        }
    });
}

/// Bounds of the magnitude that enters the convolution.
fn pre_activation_bound(case: &Case) -> Vec<f32> {
    if case.around.norm.is_none() {
        return vec![largest(&case.x)];
    }
    let (scale, shift) = case.norm.scale_shift();
    let x = largest(&case.x);
    scale.iter().zip(&shift).map(|(scale, shift)| x * scale.abs() + shift.abs()).collect()
}

fn arounds() -> impl Strategy<Value = Around> {
    let norm =
        prop_oneof![Just(None), Just(Some(Statistics::Batch)), Just(Some(Statistics::Running))];
    let activation = prop_oneof![Just(Activation::None), Just(Activation::Relu)];
    let finish =
        prop_oneof![Just(FinishKind::Plain), Just(FinishKind::Relu), Just(FinishKind::Add)];
    (norm, activation, any::<bool>(), finish).prop_map(|(norm, activation, bias, finish)| Around {
        norm,
        activation,
        bias,
        finish,
    })
}

/// Sizes around those of tiles (4), blocks of tiles and groups of pixels (16).
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![1usize..=9, prop::sample::select(vec![15, 16, 17, 31, 32, 33])]
}

/// Channels around a vector's and a panel's length.
fn channels() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 2, 3, 7, 8, 9, 12, 15, 16, 17, 24, 32, 33])
}

fn kinds() -> impl Strategy<Value = ConvKind> {
    prop::sample::select(vec![ConvKind::K3, ConvKind::K1, ConvKind::Down2, ConvKind::Up2])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn units_match_their_specification(
        kind in kinds(),
        (n, h, w) in (1usize..=3, sizes(), sizes()),
        (cin, cout) in (channels(), channels()),
        around in arounds(),
        seed in 0u64..1000,
    ) {
        let even = |size: usize| if kind == ConvKind::Down2 { size.next_multiple_of(2) } else { size };
        let input = MapShape { n, h: even(h), w: even(w), c: cin };
        check(&Case::new(kind, input, cout, around, 1.0, seed));
    }

    #[test]
    fn magnitude_does_not_matter(
        kind in kinds(),
        exponent in prop::sample::select(vec![-18i32, -9, -3, 3, 9, 15]),
        around in arounds(),
        seed in 0u64..1000,
    ) {
        let input = MapShape { n: 1, h: 10, w: 14, c: 17 };
        check(&Case::new(kind, input, 12, around, 10f32.powi(exponent), seed));
    }
}

const PLAIN: Around =
    Around { norm: None, activation: Activation::None, bias: false, finish: FinishKind::Plain };

/// The shapes of the network's own stages, at few pixels, and one map larger than several blocks.
#[test]
fn stages_match_their_specification() {
    let around = Around {
        norm: Some(Statistics::Batch),
        activation: Activation::Relu,
        bias: false,
        finish: FinishKind::Add,
    };
    for (kind, n, size, cin, cout) in [
        (ConvKind::K3, 1, 70, 1, 16),
        (ConvKind::K3, 2, 36, 16, 16),
        (ConvKind::K3, 1, 12, 64, 64),
        (ConvKind::K3, 1, 8, 128, 128),
        (ConvKind::K3, 1, 20, 16, 12),
        (ConvKind::Down2, 1, 16, 64, 128),
        (ConvKind::Up2, 1, 8, 128, 64),
        (ConvKind::K1, 1, 40, 64, 64),
    ] {
        let input = MapShape { n, h: size, w: size, c: cin };
        check(&Case::new(kind, input, cout, around, 1.0, 3));
    }
}

#[test]
fn the_gradient_of_a_rectifier_is_zero_at_zero() {
    let input = MapShape { n: 1, h: 5, w: 6, c: 3 };
    let around = Around { activation: Activation::Relu, ..PLAIN };
    let mut case = Case::new(ConvKind::K3, input, 4, around, 1.0, 1);
    case.x.fill(0.0);
    each_set(|set| {
        let needs = Needs { input: true, norm: false, weight: false, bias: false };
        let unit = case.unit();
        let grads = with_instruction_set(set, || {
            unit_backward(&unit, &case.x, None, &case.dy, &needs, None)
        });
        assert_eq!(grads.input, Some(vec![0.0; input.len()]));
        assert_eq!((grads.weight, grads.bias), (None, None), "what is not wanted is absent");
    });
}

/// A run goes on to the same bits on a processor with the other set.
#[test]
fn avx2_and_avx512_give_the_same_bits() {
    let arounds = [
        Around {
            norm: Some(Statistics::Batch),
            activation: Activation::Relu,
            bias: true,
            finish: FinishKind::Add,
        },
        Around {
            norm: Some(Statistics::Running),
            activation: Activation::None,
            bias: true,
            finish: FinishKind::Relu,
        },
        PLAIN,
    ];
    let channels = [(1, 16), (5, 8), (16, 16), (40, 36), (16, 1)];
    for kind in [ConvKind::K3, ConvKind::K1, ConvKind::Down2, ConvKind::Up2] {
        for ((cin, cout), around) in channels.into_iter().flat_map(|c| arounds.map(|a| (c, a))) {
            let input = MapShape { n: 2, h: 38, w: 54, c: cin };
            let case = Case::new(kind, input, cout, around, 1.0, 3);
            let mut found: Vec<Vec<u32>> = Vec::new();
            each_set(|set| {
                if set != InstructionSet::Portable {
                    let values = with_instruction_set(set, || case.results());
                    found.push(values.into_iter().map(f32::to_bits).collect());
                }
            });
            assert!(
                found.windows(2).all(|pair| pair[0] == pair[1]),
                "{kind:?}, {cin} to {cout} channels, {around:?}: other bits"
            );
        }
    }
}

/// A pixel that is no number must not vanish on the way.
#[test]
fn not_a_number_stays_visible() {
    let input = MapShape { n: 1, h: 9, w: 9, c: 5 };
    let mut case = Case::new(ConvKind::K3, input, 6, PLAIN, 1.0, 1);
    case.x[40 * 5] = f32::NAN;
    each_set(|set| {
        let (y, _) =
            with_instruction_set(set, || unit_forward(&case.unit(), &case.x, Gather::Nothing));
        for pixel in [30, 31, 32, 39, 40, 41, 48, 49, 50] {
            assert!(y[pixel * 6..][..6].iter().all(|value| value.is_nan()), "pixel {pixel}");
        }
    });
}

/// Nor behind a rectifier, on the way in or out.
#[test]
fn a_rectifier_keeps_what_is_no_number() {
    let input = MapShape { n: 1, h: 4, w: 4, c: 5 };
    for around in [
        Around { activation: Activation::Relu, ..PLAIN },
        Around { finish: FinishKind::Relu, ..PLAIN },
    ] {
        for kind in [ConvKind::K3, ConvKind::K1, ConvKind::Down2, ConvKind::Up2] {
            let mut case = Case::new(kind, input, 6, around, 1.0, 1);
            case.x.fill(f32::NAN);
            each_set(|set| {
                let (y, moments) = with_instruction_set(set, || {
                    unit_forward(&case.unit(), &case.x, Gather::Moments)
                });
                assert!(y.iter().all(|value| value.is_nan()), "{kind:?}, {around:?}");
                assert!(moments.unwrap().variance.iter().all(|value| value.is_nan()));
            });
        }
    }
}

#[test]
fn moments_keep_their_digits_about_a_large_mean() {
    let input = MapShape { n: 2, h: 33, w: 17, c: 16 };
    let mut case = Case::new(ConvKind::K1, input, 16, PLAIN, 1e-3, 5);
    // The identity, and a bias ten thousand times the deviation.
    case.weight = (0..256).map(|i| if i % 17 == 0 { 1.0 } else { 0.0 }).collect();
    case.bias = vec![10.0; 16];
    case.around.bias = true;
    each_set(|set| {
        let (y, found) =
            with_instruction_set(set, || unit_forward(&case.unit(), &case.x, Gather::Moments));
        let found = found.unwrap();
        for c in 0..16 {
            let values: Vec<f64> = y.iter().skip(c).step_by(16).map(|&v| f64::from(v)).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            let variance = square / values.len() as f64;
            assert!((f64::from(found.mean[c]) - mean).abs() < 1e-6 * mean.abs());
            assert!((f64::from(found.variance[c]) - variance).abs() < 1e-3 * variance);
        }
    });
}
