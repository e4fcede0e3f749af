//! The transforms of Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016, arXiv 1509.09308),
//! at the points 0, 1, -1, 2, -2, infinity.
use crate::gemm::PANEL;
use crate::simd::Lanes;

/// Products for each tile: 6 by 6.
pub(super) const PRODUCTS: usize = 36;

/// Bᵀ d, one column.
///
/// # Safety
/// As for the methods of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn input_column<L: Lanes>(d: [L::V; 6]) -> [L::V; 6] {
    // SAFETY: passed on from the caller.
    unsafe {
        let (minus4, minus5) = (L::splat(-4.0), L::splat(-5.0));
        let (two, minus2, four) = (L::splat(2.0), L::splat(-2.0), L::splat(4.0));
        let a = L::fma(minus4, d[2], d[4]);
        let b = L::fma(minus4, d[1], d[3]);
        let e = L::sub(d[4], d[2]);
        let f = L::sub(d[3], d[1]);
        [
            L::fma(four, d[0], L::fma(minus5, d[2], d[4])),
            L::add(a, b),
            L::sub(a, b),
            L::fma(two, f, e),
            L::fma(minus2, f, e),
            L::fma(four, d[1], L::fma(minus5, d[3], d[5])),
        ]
    }
}

/// Aᵀ m, one column.
///
/// # Safety
/// As for the methods of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn output_column<L: Lanes>(m: [L::V; 6]) -> [L::V; 4] {
    // SAFETY: passed on from the caller.
    unsafe {
        let (s1, d1) = (L::add(m[1], m[2]), L::sub(m[1], m[2]));
        let (s2, d2) = (L::add(m[3], m[4]), L::sub(m[3], m[4]));
        [
            L::add(L::add(m[0], s1), s2),
            L::fma(L::splat(2.0), d2, d1),
            L::fma(L::splat(4.0), s2, s1),
            L::add(L::fma(L::splat(8.0), d2, d1), m[5]),
        ]
    }
}

/// A y, one column: the transpose of [`output_column`], for the gradient of the weights.
///
/// # Safety
/// As for the methods of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn gradient_column<L: Lanes>(y: [L::V; 4]) -> [L::V; 6] {
    // SAFETY: passed on from the caller.
    unsafe {
        let (two, four, minus) = (L::splat(2.0), L::splat(4.0), L::splat(-1.0));
        let even = L::add(y[0], y[2]);
        let odd = L::add(y[1], y[3]);
        let even4 = L::fma(four, y[2], y[0]);
        let odd4 = L::mul(two, L::fma(four, y[3], y[1]));
        [
            y[0],
            L::add(even, odd),
            L::fma(minus, odd, even),
            L::add(even4, odd4),
            L::fma(minus, odd4, even4),
            y[3],
        ]
    }
}

const G: [[f32; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// G g Gᵀ of [`PANEL`] kernels at once: the products, each for all kernels.
pub(super) fn weights(g: &[[f32; 9]; PANEL]) -> [[f32; PANEL]; PRODUCTS] {
    let mut half = [[[0.0f32; PANEL]; 3]; 6];
    for (i, left) in G.iter().enumerate() {
        for k in 0..3 {
            half[i][k] = std::array::from_fn(|j| {
                left[0] * g[j][k] + left[1] * g[j][3 + k] + left[2] * g[j][6 + k]
            });
        }
    }
    let mut out = [[0.0; PANEL]; PRODUCTS];
    for (i, half) in half.iter().enumerate() {
        for (l, right) in G.iter().enumerate() {
            out[i * 6 + l] = std::array::from_fn(|j| {
                right[0] * half[0][j] + right[1] * half[1][j] + right[2] * half[2][j]
            });
        }
    }
    out
}

/// Gᵀ u G of [`PANEL`] kernels at once, the transpose of [`weights`].
pub(super) fn weight_gradients(u: &[[f32; PANEL]; PRODUCTS]) -> [[f32; PANEL]; 9] {
    let mut half = [[[0.0f32; PANEL]; 6]; 3];
    for (k, half) in half.iter_mut().enumerate() {
        for (l, half) in half.iter_mut().enumerate() {
            for (i, left) in G.iter().enumerate() {
                for (half, u) in half.iter_mut().zip(&u[i * 6 + l]) {
                    *half += left[k] * u;
                }
            }
        }
    }
    let mut out = [[0.0; PANEL]; 9];
    for (tap, out) in out.iter_mut().enumerate() {
        for (half, right) in half[tap / 3].iter().zip(&G) {
            for (out, half) in out.iter_mut().zip(half) {
                *out += half * right[tap % 3];
            }
        }
    }
    out
}
