//! A unit's forward and backward pass: which kernel runs, with which prologue and epilogue.
use crate::emit::{Epilogue, Gradient, Partial, Sink, Sums};
use crate::load::{Prologue, Source};
use crate::memory::written;
use crate::norm::{InputPass, Moments, column_sums, combine, gradient_sums};
use crate::winograd::{self, Direction, Filter};
use crate::{Activation, ConvKind, Finish, Gather, MapShape, Needs, Unit, UnitGrads, pointwise};

/// Runs a unit on `x`. Gives `y` and, when asked for, its moments.
///
/// # Panics
/// When slices have not the lengths that the shapes say, or a [`ConvKind::Down2`] has an odd height or width.
pub fn unit_forward(unit: &Unit, x: &[f32], gather: Gather) -> (Vec<f32>, Option<Moments>) {
    check(unit, x);
    let source = Source { map: x, channels: unit.input.c, prologue: Prologue::of(unit) };
    let bias = unit.bias;
    let epilogue = || match unit.finish {
        Finish::Plain => Epilogue::Plain { bias },
        Finish::Relu => Epilogue::Relu { bias },
        Finish::Add(skip) => Epilogue::Add { bias, skip },
    };
    let sums = if gather == Gather::Moments { Sums::Moments } else { Sums::Nothing };
    // SAFETY: every kernel stores each pixel of its output once and reads only what it has stored.
    let (y, partials) = unsafe {
        written(unit.output().len(), |out| {
            let sink = Sink { out, channels: unit.cout, epilogue: epilogue(), sums };
            if unit.kind == ConvKind::K3 {
                let filter = Filter::new(unit.weight, unit.cout, unit.input.c, Direction::Forward);
                winograd::convolve(&source, unit.input, &filter, &sink)
            } else {
                pointwise::convolve(unit.kind, &source, unit.input, unit.weight, &sink)
            }
        })
    };
    let moments = (gather == Gather::Moments).then(|| combine(&partials, unit.cout));
    (y, moments)
}

/// Gradients of [`unit_forward`] for the output's gradient `dy`.
///
/// `y` is the unit's output, read where the unit ends in a ReLU. `skip_grad`, of the input's shape, is
/// added to the input's gradient: what comes through a residual connection around the unit.
///
/// # Panics
/// As [`unit_forward`]; and when `y` is missing where it is needed.
pub fn unit_backward(
    unit: &Unit,
    x: &[f32],
    y: Option<&[f32]>,
    dy: &[f32],
    needs: &Needs,
    skip_grad: Option<&[f32]>,
) -> UnitGrads {
    check(unit, x);
    assert_eq!(dy.len(), unit.output().len(), "a gradient of another shape");
    let mask = match (unit.finish, y) {
        (Finish::Relu, None) => panic!("the backward pass of a final ReLU needs the output"),
        (Finish::Relu, Some(y)) => {
            assert_eq!(y.len(), dy.len(), "an output of another shape");
            Some(y)
        }
        _ => None,
    };
    let gradient = || Source {
        map: dy,
        channels: unit.cout,
        prologue: mask.map_or(Prologue::Plain, |by| Prologue::Masked { by }),
    };
    let mut grads = UnitGrads::default();
    if needs.weight {
        let source = Source { map: x, channels: unit.input.c, prologue: Prologue::of(unit) };
        grads.weight = Some(match unit.kind {
            ConvKind::K3 => winograd::weight_gradient(&source, &gradient(), unit.input),
            kind => pointwise::weight_gradient(kind, &source, &gradient(), unit.input),
        });
    }
    if needs.bias {
        grads.bias = Some(column_sums(dy, mask, unit.cout));
    }
    if needs.input || (needs.norm && unit.norm.is_some()) {
        input_gradient(unit, x, &gradient(), needs, skip_grad, &mut grads);
    }
    grads
}

fn input_gradient(
    unit: &Unit,
    x: &[f32],
    gradient: &Source,
    needs: &Needs,
    skip_grad: Option<&[f32]>,
    grads: &mut UnitGrads,
) {
    if let Some(skip) = skip_grad {
        assert_eq!(skip.len(), x.len(), "a residual gradient of another shape");
    }
    let Some(norm) = unit.norm else {
        let (ones, zeros) = (vec![1.0; unit.input.c], vec![0.0; unit.input.c]);
        let epilogue = match (unit.activation, skip_grad) {
            (Activation::None, None) => Epilogue::Plain { bias: None },
            (Activation::None, Some(skip)) => Epilogue::Add { bias: None, skip },
            (Activation::Relu, _) => Epilogue::Gradient(Gradient {
                input: x,
                rectified: Some((&ones, &zeros)),
                normalised: None,
            }),
        };
        let (mut dx, _) = transposed(unit, gradient, epilogue, Sums::Nothing);
        if let (Activation::Relu, Some(skip)) = (unit.activation, skip_grad) {
            dx.iter_mut().zip(skip).for_each(|(dx, skip)| *dx += skip);
        }
        grads.input = Some(dx);
        return;
    };
    let (scale, shift) = norm.scale_shift();
    let epilogue = Epilogue::Gradient(Gradient {
        input: x,
        rectified: (unit.activation == Activation::Relu).then_some((&scale, &shift)),
        normalised: Some((&norm.mean, &norm.inv_std)),
    });
    let (mut dx, partials) = transposed(unit, gradient, epilogue, Sums::Gradient);
    let (sum, sum_normal) = gradient_sums(&partials, unit.input.c);
    if needs.input {
        let pass = InputPass::new(norm, &sum, &sum_normal, unit.input.pixels());
        pass.apply(&mut dx, x, skip_grad);
        grads.input = Some(dx);
    }
    if needs.norm {
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        grads.beta = Some(narrow(sum));
        grads.gamma = Some(narrow(sum_normal));
    }
}

/// The transposed convolution of the output's gradient.
fn transposed(
    unit: &Unit,
    gradient: &Source,
    epilogue: Epilogue,
    sums: Sums,
) -> (Vec<f32>, Vec<Partial>) {
    // SAFETY: every kernel stores each pixel of its output once and reads only what it has stored.
    unsafe {
        written(unit.input.len(), |out| {
            let sink = Sink { out, channels: unit.input.c, epilogue, sums };
            if unit.kind == ConvKind::K3 {
                let filter = Filter::new(unit.weight, unit.cout, unit.input.c, Direction::Backward);
                winograd::convolve(gradient, unit.output(), &filter, &sink)
            } else {
                pointwise::convolve_backward(unit.kind, gradient, unit.input, unit.weight, &sink)
            }
        })
    }
}

fn check(unit: &Unit, x: &[f32]) {
    unit.check(x);
    if unit.kind == ConvKind::Down2 {
        let MapShape { h, w, .. } = unit.input;
        assert!(h % 2 == 0 && w % 2 == 0, "a down-sampling of an odd size, {h} x {w}");
    }
}
