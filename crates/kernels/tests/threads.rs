//! The same bits for any number of threads, and from run to run.
mod common;

use common::{Around, Case, FinishKind, noise};
use rayon::ThreadPoolBuilder;
use udas_kernels::loss::{
    ClassMaps, binary_cross_entropy, binary_cross_entropy_backward, cross_entropy,
    cross_entropy_backward, sigmoid,
};
use udas_kernels::{
    Activation, ConvKind, MapShape, Needs, Norm, Statistics, moments, norm_backward, norm_forward,
    upsample_bilinear, upsample_bilinear_backward,
};

/// Bits of what `work` computes must not depend on threads or on time.
fn check(what: &str, work: impl Fn() -> Vec<f32> + Sync) {
    let on = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| work().into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let expected = on(1);
    for threads in [1, 2, 4, 8, 8] {
        assert!(on(threads) == expected, "{what}: other bits with {threads} threads");
    }
}

#[test]
fn units_have_the_same_bits() {
    let around = Around {
        norm: Some(Statistics::Batch),
        activation: Activation::Relu,
        bias: true,
        finish: FinishKind::Add,
    };
    for kind in [ConvKind::K3, ConvKind::K1, ConvKind::Down2, ConvKind::Up2] {
        let input = MapShape { n: 3, h: 90, w: 70, c: 18 };
        let case = Case::new(kind, input, 20, around, 1.0, 2);
        check(&format!("{kind:?}"), || case.results());
    }
}

#[test]
fn maps_without_convolution_have_the_same_bits() {
    let shape = MapShape { n: 3, h: 61, w: 67, c: 5 };
    let x = noise(shape.len(), 1);
    let dy = noise(4 * shape.len(), 2);
    let norm = Norm {
        mean: noise(5, 3),
        inv_std: vec![1.1; 5],
        gamma: noise(5, 4),
        beta: noise(5, 5),
        statistics: Statistics::Batch,
    };
    let needs = Needs { input: true, norm: true, weight: false, bias: false };
    check("norm", || {
        let grads = norm_backward(&x, shape, &norm, &dy[..x.len()], &needs);
        let mut all = norm_forward(&x, shape, &norm);
        all.extend([grads.input, grads.gamma, grads.beta].into_iter().flatten().flatten());
        all.extend(moments(&x, shape).mean);
        all
    });
    let targets = noise(x.len(), 6);
    check("losses", || {
        let (dz, dt) = binary_cross_entropy_backward(&x, &targets, 0.5, true);
        let shape = ClassMaps { n: 3, classes: 5, pixels: 61 * 67 };
        let sums = [binary_cross_entropy(&x, &targets), cross_entropy(&x, &targets, shape)]
            .map(|x| x as f32);
        let (classes, _) = cross_entropy_backward(&x, &targets, shape, 0.5, false);
        [dz, dt.unwrap_or_default(), classes, sigmoid(&x), sums.to_vec()].concat()
    });
    check("upsample", || {
        let mut all = upsample_bilinear(&x, shape, 2);
        all.extend(upsample_bilinear_backward(&dy, shape, 2));
        all
    });
}
