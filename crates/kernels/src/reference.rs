//! The specification: the same operations in plain loops, summed in f64. Slow.
use crate::loss::ClassMaps;
use crate::{
    Activation, AdamStep, ConvKind, Finish, LeakyGrads, MapShape, Norm, SpaceConvolution,
    SpaceEnlargement, Statistics, Unit, UnitGrads,
};

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

/// A kernel at equal steps over a fine map, with a value of a coarse one for each place.
struct Steps {
    n: usize,
    fine: [usize; 3],
    coarse: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    pad: [usize; 3],
    fine_channels: usize,
    coarse_channels: usize,
}

impl Steps {
    fn of_convolution(shape: &SpaceConvolution) -> Self {
        Self {
            n: shape.n,
            fine: shape.size,
            coarse: shape.out_size(),
            kernel: shape.kernel,
            stride: shape.stride,
            pad: shape.kernel.map(|size| size / 2),
            fine_channels: shape.inputs,
            coarse_channels: shape.outputs,
        }
    }

    fn of_enlargement(shape: &SpaceEnlargement) -> Self {
        Self {
            n: shape.n,
            fine: shape.out_size(),
            coarse: shape.size,
            kernel: shape.block,
            stride: shape.block,
            pad: [0; 3],
            fine_channels: shape.outputs,
            coarse_channels: shape.inputs,
        }
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Calls `visit(fine value, coarse value, weight)` with the indices of all three, for each product.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let [d, h, w] = self.coarse;
        let [_, kh, kw] = self.kernel;
        for pixel in 0..self.n * d * h * w {
            let at = [pixel / (h * w) % d, pixel / w % h, pixel % w];
            for tap in 0..self.taps() {
                let tap3 = [tap / (kh * kw), tap / kw % kh, tap % kw];
                let place =
                    [0, 1, 2].map(|a| (at[a] * self.stride[a] + tap3[a]).wrapping_sub(self.pad[a]));
                if (0..3).any(|a| place[a] >= self.fine[a]) {
                    continue;
                }
                let image = pixel / (d * h * w);
                let fine = (image * self.fine[0] + place[0]) * self.fine[1] + place[1];
                let fine = fine * self.fine[2] + place[2];
                for o in 0..self.coarse_channels {
                    for i in 0..self.fine_channels {
                        let weight = (o * self.fine_channels + i) * self.taps() + tap;
                        let (fine, coarse) =
                            (fine * self.fine_channels + i, pixel * self.coarse_channels + o);
                        visit(fine, coarse, weight);
                    }
                }
            }
        }
    }

    fn fine_len(&self) -> usize {
        self.n * self.fine.iter().product::<usize>() * self.fine_channels
    }

    fn coarse_len(&self) -> usize {
        self.n * self.coarse.iter().product::<usize>() * self.coarse_channels
    }

    /// From fine to coarse.
    fn down(&self, x: &[f32], weight: &[f32]) -> Vec<f64> {
        let mut y = vec![0.0; self.coarse_len()];
        self.each(|fine, coarse, at| y[coarse] += f64::from(x[fine]) * f64::from(weight[at]));
        y
    }

    /// From coarse to fine.
    fn up(&self, x: &[f32], weight: &[f32]) -> Vec<f64> {
        let mut y = vec![0.0; self.fine_len()];
        self.each(|fine, coarse, at| y[fine] += f64::from(x[coarse]) * f64::from(weight[at]));
        y
    }

    fn weight(&self, fine: &[f32], coarse: &[f32]) -> Vec<f64> {
        let mut weight = vec![0.0; self.coarse_channels * self.fine_channels * self.taps()];
        self.each(|f, c, at| weight[at] += f64::from(fine[f]) * f64::from(coarse[c]));
        weight
    }
}

fn rounded(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}

fn with_bias(mut y: Vec<f64>, bias: &[f32]) -> Vec<f32> {
    y.iter_mut().enumerate().for_each(|(at, y)| *y += f64::from(bias[at % bias.len()]));
    rounded(y)
}

fn sums_of(dy: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; channels];
    dy.iter().enumerate().for_each(|(at, dy)| sums[at % channels] += f64::from(*dy));
    rounded(sums)
}

/// As [`crate::space_forward`], without moments; and [`crate::convolve_space`].
pub fn space_forward(
    shape: &SpaceConvolution,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    with_bias(Steps::of_convolution(shape).down(x, weight), bias)
}

/// As [`crate::space_backward`], with all gradients.
pub fn space_backward(
    shape: &SpaceConvolution,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
) -> UnitGrads {
    let steps = Steps::of_convolution(shape);
    UnitGrads {
        input: Some(rounded(steps.up(dy, weight))),
        weight: Some(rounded(steps.weight(x, dy))),
        bias: Some(sums_of(dy, shape.outputs)),
        ..UnitGrads::default()
    }
}

/// As [`crate::enlarge_forward`].
pub fn enlarge_forward(
    shape: &SpaceEnlargement,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    with_bias(Steps::of_enlargement(shape).up(x, weight), bias)
}

/// As [`crate::enlarge_backward`], with all gradients.
pub fn enlarge_backward(
    shape: &SpaceEnlargement,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
) -> UnitGrads {
    let steps = Steps::of_enlargement(shape);
    UnitGrads {
        input: Some(rounded(steps.down(dy, weight))),
        weight: Some(rounded(steps.weight(dy, x))),
        bias: Some(sums_of(dy, shape.outputs)),
        ..UnitGrads::default()
    }
}

/// The normalised value, and the value that is rectified.
fn normalised(norm: &Norm, c: usize, x: f32) -> (f64, f64) {
    let normal = (f64::from(x) - f64::from(norm.mean[c])) * f64::from(norm.inv_std[c]);
    (normal, normal * f64::from(norm.gamma[c]) + f64::from(norm.beta[c]))
}

/// As [`crate::leaky_norm`].
pub fn leaky_norm(x: &[f32], norms: &[Norm], slope: f32) -> Vec<f32> {
    let (channels, image) = (norms[0].mean.len(), x.len() / norms.len());
    let value = |(at, &x): (usize, &f32)| {
        let (_, value) = normalised(&norms[at / image], at % channels, x);
        (if value < 0.0 { value * f64::from(slope) } else { value }) as f32
    };
    x.iter().enumerate().map(value).collect()
}

/// As [`crate::leaky_norm_backward`]; the input's gradient first.
pub fn leaky_norm_backward(
    x: &[f32],
    norms: &[Norm],
    slope: f32,
    dy: &[f32],
) -> (Vec<f32>, LeakyGrads) {
    let (channels, image) = (norms[0].mean.len(), x.len() / norms.len());
    let (mut gamma, mut beta) = (vec![0.0; channels], vec![0.0; channels]);
    let (mut dx, mut bias) = (Vec::new(), vec![0.0; channels]);
    for ((x, dy), norm) in x.chunks(image).zip(dy.chunks(image)).zip(norms) {
        let gradient = |at: usize| {
            let (normal, value) = normalised(norm, at % channels, x[at]);
            let dy = f64::from(dy[at]);
            (normal, if value > 0.0 { dy } else { dy * f64::from(slope) })
        };
        let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
        for at in 0..image {
            let (normal, gradient) = gradient(at);
            sums[at % channels] += gradient;
            products[at % channels] += gradient * normal;
        }
        let share = match norm.statistics {
            Statistics::Batch => channels as f64 / image as f64,
            Statistics::Running => 0.0,
        };
        for at in 0..image {
            let (c, (normal, gradient)) = (at % channels, gradient(at));
            let centred = gradient - share * sums[c] - normal * share * products[c];
            let value = centred * f64::from(norm.gamma[c]) * f64::from(norm.inv_std[c]);
            bias[c] += value;
            dx.push(value as f32);
        }
        for c in 0..channels {
            gamma[c] += products[c];
            beta[c] += sums[c];
        }
    }
    let grads = LeakyGrads { gamma: rounded(gamma), beta: rounded(beta), bias: rounded(bias) };
    (dx, grads)
}

/// As [`AdamStep::apply`].
pub fn adam_step(
    step: &AdamStep,
    value: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let AdamStep { step_size, beta1, beta2, root, epsilon } = *step;
    for i in 0..value.len() {
        first[i] += (gradient[i] - first[i]) * (1.0 - beta1);
        second[i] = beta2 * second[i] + (1.0 - beta2) * gradient[i] * gradient[i];
        value[i] -= step_size * first[i] / (second[i].sqrt() * root + epsilon);
    }
}
