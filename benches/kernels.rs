//! Each kernel beside its scalar form and candle's own operation: `cargo bench --bench kernels`.
use candle_core::{Device, Tensor};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use udas_kernels::loss::ClassMaps;
use udas_kernels::{
    Activation, ConvKind, Finish, Gather, InstructionSet, MapShape, Needs, Norm, Statistics, Unit,
    loss, norm_backward, reference, unit_backward, unit_forward, upsample_bilinear,
    upsample_bilinear_backward, with_instruction_set,
};

#[global_allocator]
static ALLOCATOR: udas_kernels::BlockCache = udas_kernels::BlockCache::new(1 << 30);

/// Small enough for the scalar form, large enough to fill a few work items.
const INPUT: MapShape = MapShape { n: 2, h: 64, w: 64, c: 32 };

/// A map with values in [-1, 1).
fn map(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn channels_first(values: &[f32], shape: MapShape) -> candle_core::Result<Tensor> {
    let map = Tensor::from_slice(values, (shape.n, shape.h, shape.w, shape.c), &Device::Cpu)?;
    map.permute((0, 3, 1, 2))?.contiguous()
}

fn convolutions(criterion: &mut Criterion) {
    for (name, kind, cout) in [
        ("conv3x3", ConvKind::K3, 32),
        ("conv1x1", ConvKind::K1, 32),
        ("down2x2", ConvKind::Down2, 64),
        ("up2x2", ConvKind::Up2, 16),
    ] {
        let mut group = criterion.benchmark_group(name);
        let (x, weight) = (map(INPUT.len()), map(cout * INPUT.c * kind.taps()));
        let unit = Unit {
            kind,
            input: INPUT,
            cout,
            norm: None,
            activation: Activation::None,
            weight: &weight,
            bias: None,
            finish: Finish::Plain,
        };
        let dy = map(unit.output().len());
        let needs = Needs { input: true, norm: false, weight: true, bias: false };
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            group.bench_function(format!("forward/{}", set.name()), |b| {
                b.iter(|| with_instruction_set(set, || unit_forward(&unit, &x, Gather::Nothing)));
            });
            group.bench_function(format!("backward/{}", set.name()), |b| {
                b.iter(|| {
                    with_instruction_set(set, || unit_backward(&unit, &x, None, &dy, &needs, None))
                });
            });
        }
        group.bench_function("forward/scalar", |b| b.iter(|| reference::unit_forward(&unit, &x)));
        group.bench_function("backward/scalar", |b| {
            b.iter(|| reference::unit_backward(&unit, &x, &[], &dy, None));
        });
        candle_convolution(&mut group, &unit, &x);
        group.finish();
    }
}

/// candle's operation on its own layout, forward and both gradients.
fn candle_convolution(
    group: &mut criterion::BenchmarkGroup<criterion::measurement::WallTime>,
    unit: &Unit,
    x: &[f32],
) {
    let (cin, cout) = (unit.input.c, unit.cout);
    let dims = match unit.kind {
        ConvKind::K3 => (cout, cin, 3, 3),
        ConvKind::K1 => (cout, cin, 1, 1),
        ConvKind::Down2 => (cout, cin, 2, 2),
        ConvKind::Up2 => (cin, cout, 2, 2),
    };
    let prepared = channels_first(x, unit.input).and_then(|image| {
        let weight = Tensor::from_slice(unit.weight, dims, &Device::Cpu)?;
        Ok((candle_core::Var::from_tensor(&image)?, candle_core::Var::from_tensor(&weight)?))
    });
    let Ok((image, weight)) = prepared else { return };
    let convolve = || match unit.kind {
        ConvKind::K3 => image.conv2d(&weight, 1, 1, 1, 1),
        ConvKind::K1 => image.conv2d(&weight, 0, 1, 1, 1),
        ConvKind::Down2 => image.conv2d(&weight, 0, 2, 1, 1),
        ConvKind::Up2 => image.conv_transpose2d(&weight, 0, 0, 2, 1),
    };
    group.bench_function("forward/candle", |b| b.iter(|| black_box(convolve())));
    group.bench_function("backward/candle", |b| {
        b.iter_batched(convolve, |y| y.and_then(|y| y.backward()), BatchSize::PerIteration);
    });
}

fn norm(criterion: &mut Criterion) {
    let (x, dy) = (map(INPUT.len()), map(INPUT.len()));
    let of = |value: f32| vec![value; INPUT.c];
    let norm = Norm {
        mean: of(0.1),
        inv_std: of(1.2),
        gamma: of(0.9),
        beta: of(0.2),
        statistics: Statistics::Batch,
    };
    let needs = Needs { input: true, norm: true, weight: false, bias: false };
    criterion.bench_function("norm/backward", |b| {
        b.iter(|| norm_backward(&x, INPUT, &norm, &dy, &needs));
    });
}

/// Cross-entropy of two and of four classes, with its gradient.
fn losses(criterion: &mut Criterion) {
    let (z, t) = (map(INPUT.len()), map(INPUT.len()));
    let shape = ClassMaps { n: INPUT.n, classes: 4, pixels: INPUT.len() / INPUT.n / 4 };
    for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
        criterion.bench_function(&format!("loss/binary/{}", set.name()), |b| {
            b.iter(|| {
                with_instruction_set(set, || {
                    let sum = loss::binary_cross_entropy(&z, &t);
                    (sum, loss::binary_cross_entropy_backward(&z, &t, 1.0, false))
                })
            });
        });
        criterion.bench_function(&format!("loss/classes/{}", set.name()), |b| {
            b.iter(|| {
                with_instruction_set(set, || {
                    let sum = loss::cross_entropy(&z, &t, shape);
                    (sum, loss::cross_entropy_backward(&z, &t, shape, 1.0, false))
                })
            });
        });
    }
    criterion.bench_function("loss/binary/scalar", |b| {
        b.iter(|| {
            let sum = reference::binary_cross_entropy(&z, &t);
            (sum, reference::binary_cross_entropy_backward(&z, &t, 1.0))
        });
    });
    criterion.bench_function("loss/classes/scalar", |b| {
        b.iter(|| {
            let sum = reference::cross_entropy(&z, &t, shape);
            (sum, reference::cross_entropy_backward(&z, &t, shape, 1.0))
        });
    });
    let maps = |values: &[f32]| {
        let dims = (shape.n, shape.classes, shape.pixels, 1);
        Tensor::from_slice(values, dims, &Device::Cpu)
    };
    let (Ok(z), Ok(t)) = (maps(&z).and_then(|z| candle_core::Var::from_tensor(&z)), maps(&t))
    else {
        return;
    };
    criterion.bench_function("loss/classes/candle", |b| {
        b.iter(|| {
            let shifted = z.broadcast_sub(&z.max_keepdim(1)?)?;
            let logs = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)?;
            (logs * &t)?.sum_all()?.backward()
        });
    });
}

fn upsample(criterion: &mut Criterion) {
    let (x, dy) = (map(INPUT.len()), map(4 * INPUT.len()));
    criterion.bench_function("upsample/forward", |b| b.iter(|| upsample_bilinear(&x, INPUT, 2)));
    criterion.bench_function("upsample/backward", |b| {
        b.iter(|| upsample_bilinear_backward(&dy, INPUT, 2));
    });
    if let Ok(image) = channels_first(&x, INPUT) {
        criterion.bench_function("upsample/forward/candle", |b| {
            b.iter(|| image.upsample_bilinear2d(2 * INPUT.h, 2 * INPUT.w, false));
        });
    }
}

criterion_group! {
    name = kernels;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(1));
    targets = convolutions, norm, losses, upsample
}
criterion_main!(kernels);
