//! The standard normal distribution, to double precision.
use std::f64::consts::{PI, SQRT_2};

/// A standard normal number from two draws of 32 random bits, of which 24 count (Box and Muller 1958).
pub fn standard_normal(mut bits: impl FnMut() -> u32) -> f32 {
    let mut uniform = || (bits() >> 8) as f32 / (1 << 24) as f32;
    let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
    radius * (std::f32::consts::TAU * uniform()).cos()
}

/// Probability of a value above `z`.
pub(super) fn upper_tail(z: f64) -> f64 {
    0.5 * erfc(z / SQRT_2)
}

/// Probability of a value up to `z`.
pub(super) fn cumulative(z: f64) -> f64 {
    upper_tail(-z)
}

/// The value that is not exceeded with a probability inside (0, 1).
///
/// Newton's method on the logarithm of the tail. That is concave, so the steps approach the value
/// from below without passing it; the start is below because the tail is at most exp(-z²/2) / 2.
pub(super) fn quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        return -lower_quantile(1.0 - probability);
    }
    lower_quantile(probability)
}

fn lower_quantile(probability: f64) -> f64 {
    let mut z = -(-2.0 * (2.0 * probability).ln()).max(0.0).sqrt();
    for _ in 0..100 {
        let tail = cumulative(z);
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        let step = (tail / probability).ln() * tail / density;
        z -= step;
        if step.abs() < 1e-14 * (1.0 + z.abs()) {
            break;
        }
    }
    z
}

/// Complementary error function: a power series near zero, a continued fraction far from it
/// (M. Abramowitz and I. Stegun, 7.1.6 and 7.1.14).
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 / PI.sqrt() * (-x * x).exp() * sum;
    }
    let fraction = (1..=60).rev().fold(x, |tail, k| x + 0.5 * f64::from(k) / tail);
    (-x * x).exp() / (PI.sqrt() * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (z, scipy.stats.norm.sf(z)), SciPy 1.17.1.
    const TAILS: [(f64, f64); 11] = [
        (-2.2, 0.9860965524865014),
        (-0.7, 0.758036347776927),
        (0.0, 0.5),
        (0.3, 0.3820885778110474),
        (1.0, 0.15865525393145707),
        (1.96, 0.024997895148220435),
        (3.5, 0.00023262907903552502),
        (3.6, 0.00015910859015753364),
        (5.0, 2.866515718791933e-07),
        (8.0, 6.22096057427174e-16),
        (20.0, 2.7536241186061556e-89),
    ];

    #[test]
    fn tails_and_quantiles_agree_with_scipy() {
        for (z, tail) in TAILS {
            assert!((upper_tail(z) / tail - 1.0).abs() < 1e-12, "upper tail of {z}");
            assert!((quantile(tail) + z).abs() < 1e-9 * (1.0 + z.abs()), "quantile of {tail}");
        }
    }
}
