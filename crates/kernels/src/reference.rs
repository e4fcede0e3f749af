//! The specification: the same operations in plain loops, summed in f64. Slow.
use crate::loss::ClassMaps;
use crate::{Activation, ConvKind, Finish, MapShape, Statistics, Unit, UnitGrads};

/// The unit's input after normalisation and activation.
fn pre_activation(unit: &Unit, x: &[f32]) -> Vec<f32> {
    let scale_shift = unit.norm.map(|norm| norm.scale_shift());
    let value = |(index, &x): (usize, &f32)| {
        let c = index % unit.input.c;
        let z = match &scale_shift {
            Some((scale, shift)) => x.mul_add(scale[c], shift[c]),
            None => x,
        };
        if unit.activation == Activation::Relu && z < 0.0 { 0.0 } else { z }
    };
    x.iter().enumerate().map(value).collect()
}

/// Calls `visit(input pixel, output pixel, tap)` for every pair that a convolution connects.
fn each_pair(kind: ConvKind, input: MapShape, mut visit: impl FnMut(usize, usize, usize)) {
    let out = kind.output_shape(input, 1);
    for image in 0..input.n {
        let from = |y: usize, x: usize| (image * input.h + y) * input.w + x;
        let to = |y: usize, x: usize| (image * out.h + y) * out.w + x;
        for y in 0..input.h {
            for x in 0..input.w {
                match kind {
                    ConvKind::K1 => visit(from(y, x), to(y, x), 0),
                    ConvKind::Down2 if y / 2 < out.h && x / 2 < out.w => {
                        visit(from(y, x), to(y / 2, x / 2), (y % 2) * 2 + x % 2);
                    }
                    ConvKind::Down2 => {}
                    ConvKind::Up2 => (0..4).for_each(|tap| {
                        visit(from(y, x), to(2 * y + tap / 2, 2 * x + tap % 2), tap);
                    }),
                    ConvKind::K3 => (0..9).for_each(|tap| {
                        // Output pixel whose window has this one at `tap`.
                        let (oy, ox) =
                            ((y + 1).wrapping_sub(tap / 3), (x + 1).wrapping_sub(tap % 3));
                        if oy < out.h && ox < out.w {
                            visit(from(y, x), to(oy, ox), tap);
                        }
                    }),
                }
            }
        }
    }
}

/// Index of a weight in its layout.
fn weight_index(unit: &Unit, i: usize, o: usize, tap: usize) -> usize {
    let pair = match unit.kind {
        ConvKind::Up2 => i * unit.cout + o,
        _ => o * unit.input.c + i,
    };
    pair * unit.kind.taps() + tap
}

/// As [`crate::unit_forward`], without moments.
pub fn unit_forward(unit: &Unit, x: &[f32]) -> Vec<f32> {
    let z = pre_activation(unit, x);
    let (cin, cout) = (unit.input.c, unit.cout);
    let mut y = vec![0.0f64; unit.output().len()];
    for (index, y) in y.iter_mut().enumerate() {
        *y = unit.bias.map_or(0.0, |bias| f64::from(bias[index % cout]));
    }
    each_pair(unit.kind, unit.input, |from, to, tap| {
        for o in 0..cout {
            for i in 0..cin {
                let weight = unit.weight[weight_index(unit, i, o, tap)];
                y[to * cout + o] += f64::from(z[from * cin + i]) * f64::from(weight);
            }
        }
    });
    let finish = |(index, y): (usize, f64)| match unit.finish {
        Finish::Plain => y as f32,
        Finish::Relu if y < 0.0 => 0.0,
        Finish::Relu => y as f32,
        Finish::Add(skip) => (y + f64::from(skip[index])) as f32,
    };
    y.into_iter().enumerate().map(finish).collect()
}

/// As [`crate::unit_backward`], with all gradients.
pub fn unit_backward(
    unit: &Unit,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    skip_grad: Option<&[f32]>,
) -> UnitGrads {
    let z = pre_activation(unit, x);
    let (cin, cout) = (unit.input.c, unit.cout);
    let masked = |index: usize| match unit.finish {
        Finish::Relu if y[index] <= 0.0 => 0.0,
        _ => f64::from(dy[index]),
    };
    let mut bias = vec![0.0f64; cout];
    (0..dy.len()).for_each(|index| bias[index % cout] += masked(index));
    let mut weight = vec![0.0f64; unit.weight.len()];
    let mut dz = vec![0.0f64; x.len()];
    each_pair(unit.kind, unit.input, |from, to, tap| {
        for o in 0..cout {
            let dy = masked(to * cout + o);
            for i in 0..cin {
                let index = weight_index(unit, i, o, tap);
                weight[index] += f64::from(z[from * cin + i]) * dy;
                dz[from * cin + i] += f64::from(unit.weight[index]) * dy;
            }
        }
    });
    if unit.activation == Activation::Relu {
        dz.iter_mut().zip(&z).filter(|(_, z)| **z <= 0.0).for_each(|(dz, _)| *dz = 0.0);
    }
    let narrow =
        |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<_>>();
    let (mut dx, gamma, beta) = through_norm(unit, x, dz);
    if let Some(skip) = skip_grad {
        dx.iter_mut().zip(skip).for_each(|(dx, skip)| *dx += f64::from(*skip));
    }
    UnitGrads {
        input: Some(narrow(dx)),
        weight: Some(narrow(weight)),
        bias: Some(narrow(bias)),
        gamma: unit.norm.map(|_| narrow(gamma)),
        beta: unit.norm.map(|_| narrow(beta)),
    }
}

/// Gradients of input, gamma and beta from that of the normalised value.
fn through_norm(unit: &Unit, x: &[f32], dz: Vec<f64>) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let Some(norm) = unit.norm else { return (dz, Vec::new(), Vec::new()) };
    let channels = unit.input.c;
    let pixels = unit.input.pixels() as f64;
    let normal = |index: usize| {
        let c = index % channels;
        (f64::from(x[index]) - f64::from(norm.mean[c])) * f64::from(norm.inv_std[c])
    };
    let (mut gamma, mut beta) = (vec![0.0; channels], vec![0.0; channels]);
    for (index, dz) in dz.iter().enumerate() {
        gamma[index % channels] += dz * normal(index);
        beta[index % channels] += dz;
    }
    let gradient = |(index, dz): (usize, &f64)| {
        let c = index % channels;
        let inner = match norm.statistics {
            Statistics::Running => *dz,
            Statistics::Batch => dz - beta[c] / pixels - normal(index) * gamma[c] / pixels,
        };
        inner * f64::from(norm.gamma[c]) * f64::from(norm.inv_std[c])
    };
    let dx = dz.iter().enumerate().map(gradient).collect();
    (dx, gamma, beta)
}

fn logistic(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// [`sigmoid`](crate::loss::sigmoid).
pub fn sigmoid(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&x| logistic(x.into()) as f32).collect()
}

/// [`binary_cross_entropy`](crate::loss::binary_cross_entropy).
pub fn binary_cross_entropy(logits: &[f32], targets: &[f32]) -> f64 {
    let loss = |(&z, &t): (&f32, &f32)| {
        let (z, t) = (f64::from(z), f64::from(t));
        z.max(0.0) + (-z.abs()).exp().ln_1p() - z * t
    };
    logits.iter().zip(targets).map(loss).sum()
}

/// [`binary_cross_entropy_backward`](crate::loss::binary_cross_entropy_backward), both gradients.
pub fn binary_cross_entropy_backward(
    logits: &[f32],
    targets: &[f32],
    scale: f32,
) -> (Vec<f32>, Vec<f32>) {
    let scale = f64::from(scale);
    let dz = |(&z, &t): (&f32, &f32)| ((logistic(z.into()) - f64::from(t)) * scale) as f32;
    let dt = |&z: &f32| (-f64::from(z) * scale) as f32;
    (logits.iter().zip(targets).map(dz).collect(), logits.iter().map(dt).collect())
}

/// Calls `visit(indices of the pixel's classes)` for every pixel.
fn each_pixel(shape: ClassMaps, mut visit: impl FnMut(&[usize])) {
    for image in 0..shape.n {
        for pixel in 0..shape.pixels {
            let first = image * shape.classes * shape.pixels + pixel;
            let own: Vec<_> =
                (0..shape.classes).map(|class| first + class * shape.pixels).collect();
            visit(&own);
        }
    }
}

/// log softmax of the logits at `own`.
fn log_softmax(logits: &[f32], own: &[usize]) -> Vec<f64> {
    let z: Vec<_> = own.iter().map(|&index| f64::from(logits[index])).collect();
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let rest = z.iter().map(|z| (z - largest).exp()).sum::<f64>().ln();
    z.iter().map(|z| z - largest - rest).collect()
}

/// [`cross_entropy`](crate::loss::cross_entropy).
pub fn cross_entropy(logits: &[f32], targets: &[f32], shape: ClassMaps) -> f64 {
    let mut sum = 0.0;
    each_pixel(shape, |own| {
        let logs = log_softmax(logits, own);
        sum -=
            own.iter().zip(logs).map(|(&index, log)| f64::from(targets[index]) * log).sum::<f64>();
    });
    sum
}

/// [`cross_entropy_backward`](crate::loss::cross_entropy_backward), both gradients.
pub fn cross_entropy_backward(
    logits: &[f32],
    targets: &[f32],
    shape: ClassMaps,
    scale: f32,
) -> (Vec<f32>, Vec<f32>) {
    let (mut dz, mut dt) = (vec![0.0; logits.len()], vec![0.0; logits.len()]);
    let scale = f64::from(scale);
    each_pixel(shape, |own| {
        let total: f64 = own.iter().map(|&index| f64::from(targets[index])).sum();
        for (&index, log) in own.iter().zip(log_softmax(logits, own)) {
            dz[index] = ((total * log.exp() - f64::from(targets[index])) * scale) as f32;
            dt[index] = (-log * scale) as f32;
        }
    });
    (dz, dt)
}
