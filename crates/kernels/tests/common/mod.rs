//! What the tests share: a case of a unit with values to run it on, and the sets to run it with.
#![allow(dead_code, reason = "each test uses a part")]
use std::io::Write;
use udas_kernels::{
    Activation, ConvKind, Finish, Gather, InstructionSet, MapShape, Needs, Norm, Statistics, Unit,
    unit_backward, unit_forward,
};

/// Runs `check` with every instruction set; says which this processor lacks.
pub fn each_set(mut check: impl FnMut(InstructionSet)) {
    for set in InstructionSet::ALL {
        if set.is_available() {
            check(set);
        } else {
            // Past the test harness, which hides what passing tests print.
            static SAID: std::sync::Once = std::sync::Once::new();
            SAID.call_once(|| {
                let text = format!("SKIPPED for {}: this processor lacks it\n", set.name());
                std::io::stderr().write_all(text.as_bytes()).unwrap();
            });
        }
    }
}

/// Values in [-1, 1), the same for the same seed.
pub fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// What stands around a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    pub norm: Option<Statistics>,
    pub activation: Activation,
    pub bias: bool,
    pub finish: FinishKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishKind {
    Plain,
    Relu,
    Add,
}

/// A unit with values.
pub struct Case {
    pub kind: ConvKind,
    pub input: MapShape,
    pub cout: usize,
    pub around: Around,
    pub x: Vec<f32>,
    pub dy: Vec<f32>,
    pub skip: Vec<f32>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub norm: Norm,
}

impl Case {
    /// `scale` multiplies the maps.
    pub fn new(
        kind: ConvKind,
        input: MapShape,
        cout: usize,
        around: Around,
        scale: f32,
        seed: u64,
    ) -> Self {
        let output = kind.output_shape(input, cout);
        let scaled = |len, seed| -> Vec<f32> {
            noise(len, seed).into_iter().map(|value| value * scale).collect()
        };
        let norm = Norm {
            mean: scaled(input.c, seed + 4),
            inv_std: noise(input.c, seed + 5).iter().map(|v| (1.5 + v) / scale).collect(),
            gamma: noise(input.c, seed + 6),
            beta: noise(input.c, seed + 7),
            statistics: around.norm.unwrap_or(Statistics::Running),
        };
        let mut case = Self {
            kind,
            input,
            cout,
            around,
            x: scaled(input.len(), seed),
            dy: noise(output.len(), seed + 1),
            skip: scaled(output.len(), seed + 2),
            weight: noise(input.c * cout * kind.taps(), seed + 3),
            bias: scaled(cout, seed + 8),
            norm,
        };
        case.leave_the_kink(scale);
        case
    }

    /// Moves values whose pre-activation lies within rounding of 0: there the gradient jumps, and two right
    /// answers differ.
    fn leave_the_kink(&mut self, unit: f32) {
        let (scale, shift) = self.norm.scale_shift();
        for (index, x) in self.x.iter_mut().enumerate() {
            let c = index % self.input.c;
            let z = if self.around.norm.is_some() { *x * scale[c] + shift[c] } else { *x / unit };
            if z.abs() < 1e-4 {
                *x += 0.1 * unit;
            }
        }
    }

    pub fn unit(&self) -> Unit<'_> {
        Unit {
            kind: self.kind,
            input: self.input,
            cout: self.cout,
            norm: self.around.norm.is_some().then_some(&self.norm),
            activation: self.around.activation,
            weight: &self.weight,
            bias: self.around.bias.then_some(&self.bias),
            finish: match self.around.finish {
                FinishKind::Plain => Finish::Plain,
                FinishKind::Relu => Finish::Relu,
                FinishKind::Add => Finish::Add(&self.skip),
            },
        }
    }

    /// All results of both passes, one after the other.
    pub fn results(&self) -> Vec<f32> {
        let needs = Needs { input: true, norm: true, weight: true, bias: true };
        let unit = self.unit();
        let (y, moments) = unit_forward(&unit, &self.x, Gather::Moments);
        let grads = unit_backward(&unit, &self.x, Some(&y), &self.dy, &needs, Some(&self.x));
        let grads = [grads.input, grads.weight, grads.bias, grads.gamma, grads.beta];
        let moments = moments.into_iter().flat_map(|m| [m.mean, m.variance]);
        [y].into_iter().chain(grads.into_iter().flatten()).chain(moments).flatten().collect()
    }
}

/// Asserts that the largest difference is at most `tolerance` of `scale`, and that nothing is no number.
#[track_caller]
pub fn assert_close(what: &str, found: &[f32], expected: &[f32], scale: f32, tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}: another length");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(
            difference <= tolerance * scale,
            "{what}[{index}]: {found}, expected {expected} (scale {scale})"
        );
    }
}

/// The largest magnitude, at least the smallest normal number.
pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(f32::MIN_POSITIVE, |max, value| max.max(value.abs()))
}
