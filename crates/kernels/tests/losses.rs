//! Losses and their gradients against the specification, at any logit and length, on every instruction set.
mod common;

use common::noise;
use proptest::prelude::*;
use udas_kernels::loss::{
    ClassMaps, binary_cross_entropy, binary_cross_entropy_backward, cross_entropy,
    cross_entropy_backward, sigmoid,
};
use udas_kernels::{InstructionSet, reference, with_instruction_set};

fn sets() -> impl Iterator<Item = InstructionSet> {
    InstructionSet::ALL.into_iter().filter(|set| set.is_available())
}

/// What `work` gives on the portable set, after a look at whether the others give the same bits.
fn on_all(work: impl Fn() -> Vec<f32>) -> Vec<f32> {
    let mut results = sets().map(|set| with_instruction_set(set, &work));
    let first = results.next().unwrap();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    results.for_each(|other| assert_eq!(bits(&other), bits(&first)));
    first
}

#[track_caller]
fn assert_near(what: &str, found: &[f32], expected: &[f32], scale: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        let allowed = 5e-7 * expected.abs().max(scale);
        assert!(error <= allowed, "{what}[{index}]: {found} instead of {expected}");
    }
}

/// Logits up to +-200, and targets from 0 to 1.
fn logits_and_targets(len: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let spread = |(i, x): (usize, f32)| x * [0.01, 1.0, 20.0, 200.0][i % 4];
    let logits = noise(len, seed).into_iter().enumerate().map(spread).collect();
    let targets = noise(len, seed + 1).into_iter().map(|x| x.abs().min(1.0)).collect();
    (logits, targets)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn binary(len in prop::sample::select(vec![1usize, 15, 17, 4095, 4096, 4097, 9001]), seed in 0u64..1000) {
        let (z, t) = logits_and_targets(len, seed);
        // Relative to the value itself, down to where f32 ends.
        assert_near("sigmoid", &on_all(|| sigmoid(&z)), &reference::sigmoid(&z), 1e-30);

        let found = on_all(|| vec![binary_cross_entropy(&z, &t) as f32]);
        let expected = reference::binary_cross_entropy(&z, &t) as f32;
        assert_near("loss", &found, &[expected], len as f32 * 0.1);

        let gradients = || {
            let (dz, dt) = binary_cross_entropy_backward(&z, &t, 0.5, true);
            [dz, dt.unwrap()].concat()
        };
        let (dz, dt) = reference::binary_cross_entropy_backward(&z, &t, 0.5);
        assert_near("gradients", &on_all(gradients), &[dz, dt].concat(), 1.0);
        prop_assert!(binary_cross_entropy_backward(&z, &t, 0.5, false).1.is_none());
    }

    #[test]
    fn classes(
        n in 1usize..3,
        classes in 1usize..5,
        pixels in prop::sample::select(vec![1usize, 17, 1023, 1024, 1025, 2500]),
        seed in 0u64..1000,
    ) {
        let shape = ClassMaps { n, classes, pixels };
        let (z, t) = logits_and_targets(n * classes * pixels, seed);
        let found = on_all(|| vec![cross_entropy(&z, &t, shape) as f32]);
        let expected = reference::cross_entropy(&z, &t, shape) as f32;
        assert_near("loss", &found, &[expected], z.len() as f32 * 0.1);

        let gradients = || {
            let (dz, dt) = cross_entropy_backward(&z, &t, shape, 0.5, true);
            [dz, dt.unwrap()].concat()
        };
        let (dz, dt) = reference::cross_entropy_backward(&z, &t, shape, 0.5);
        assert_near("gradients", &on_all(gradients), &[dz, dt].concat(), 1.0);
    }
}

#[test]
fn extreme_logits_are_finite_and_nan_stays() {
    let z = [f32::MAX, -f32::MAX, 1e30, -1e30, 0.0, -0.0, f32::MIN_POSITIVE];
    let t = [1.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.5];
    for set in sets() {
        with_instruction_set(set, || {
            let p = sigmoid(&z);
            assert_eq!(p[0], 1.0);
            assert!(p[1] < 1e-37 && p[4] == 0.5 && p[5] == 0.5);
            let ln_2 = std::f64::consts::LN_2;
            assert!((binary_cross_entropy(&z, &t) - 3.0 * ln_2).abs() < 1e-6);
            let (dz, _) = binary_cross_entropy_backward(&z, &t, 1.0, false);
            assert!(dz.iter().all(|gradient| gradient.abs() < 1e-37));

            let shape = ClassMaps { n: 1, classes: 2, pixels: 1 };
            let certain = [1e30, -1e30];
            assert_eq!(cross_entropy(&certain, &[1.0, 0.0], shape), 0.0);
            let (dz, dt) = cross_entropy_backward(&certain, &[1.0, 0.0], shape, 1.0, true);
            assert!(dz.iter().chain(&dt.unwrap()).all(|gradient| gradient.is_finite()));

            let nan = [f32::NAN, 1.0];
            assert!(sigmoid(&nan)[0].is_nan());
            assert!(binary_cross_entropy(&nan, &[1.0, 1.0]).is_nan());
            assert!(cross_entropy(&nan, &[1.0, 0.0], shape).is_nan());
            assert!(cross_entropy_backward(&nan, &[1.0, 0.0], shape, 1.0, false).0[1].is_nan());
        });
    }
}
