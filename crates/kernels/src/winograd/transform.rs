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

/// G g, one column of a kernel.
///
/// # Safety
/// As for the methods of [`Lanes`].
#[inline(always)]
unsafe fn weight_column<L: Lanes>(g: [L::V; 3]) -> [L::V; 6] {
    // SAFETY: passed on from the caller.
    unsafe {
        let ends = L::add(g[0], g[2]);
        let sixth = L::splat(-1.0 / 6.0);
        let even = L::fma(L::splat(1.0 / 6.0), g[2], L::mul(L::splat(1.0 / 24.0), g[0]));
        let odd = L::mul(L::splat(1.0 / 12.0), g[1]);
        [
            L::mul(L::splat(0.25), g[0]),
            L::mul(sixth, L::add(ends, g[1])),
            L::mul(sixth, L::sub(ends, g[1])),
            L::add(even, odd),
            L::sub(even, odd),
            g[2],
        ]
    }
}

/// Gᵀ u, one column: the transpose of [`weight_column`], for the gradient of the weights.
///
/// # Safety
/// As for the methods of [`Lanes`].
#[inline(always)]
unsafe fn weight_gradient_column<L: Lanes>(u: [L::V; 6]) -> [L::V; 3] {
    // SAFETY: passed on from the caller.
    unsafe {
        let sixth = L::splat(1.0 / 6.0);
        let (s1, d1) = (L::add(u[1], u[2]), L::sub(u[2], u[1]));
        let (s2, d2) = (L::add(u[3], u[4]), L::sub(u[3], u[4]));
        let minus = L::mul(L::splat(-1.0 / 6.0), s1);
        [
            L::fma(L::splat(0.25), u[0], L::fma(L::splat(1.0 / 24.0), s2, minus)),
            L::fma(sixth, d1, L::mul(L::splat(1.0 / 12.0), d2)),
            L::add(L::fma(sixth, s2, minus), u[5]),
        ]
    }
}

/// G g Gᵀ of [`PANEL`] kernels at once.
///
/// # Safety
/// `to` has [`PANEL`] values at each of 36 places, `stride` apart; as for the methods of [`Lanes`].
#[allow(clippy::needless_range_loop, reason = "a column of the kernel is a column of `half`")]
#[inline(always)]
pub(super) unsafe fn weights<L: Lanes>(g: &[[f32; PANEL]; 9], to: *mut f32, stride: usize) {
    for lane in (0..PANEL).step_by(L::N) {
        // SAFETY: the vector lies within the panel; the rest is passed on from the caller.
        unsafe {
            let mut half = [[L::splat(0.0); 3]; 6];
            for x in 0..3 {
                let tap = |y: usize| L::load(g[y * 3 + x].as_ptr().add(lane));
                let column = weight_column::<L>([tap(0), tap(1), tap(2)]);
                for y in 0..6 {
                    half[y][x] = column[y];
                }
            }
            for (y, half) in half.into_iter().enumerate() {
                for (x, value) in weight_column::<L>(half).into_iter().enumerate() {
                    L::store(to.add((y * 6 + x) * stride + lane), value);
                }
            }
        }
    }
}

/// Gᵀ u G of [`PANEL`] kernels at once, the transpose of [`weights`]; `u` is the sum of `parts`, each with
/// [`PANEL`] values at 36 places, `stride` apart.
///
/// # Safety
/// The parts are valid there; as for the methods of [`Lanes`].
#[allow(clippy::needless_range_loop, reason = "a column of the products is a column of `half`")]
#[inline(always)]
pub(super) unsafe fn weight_gradients<L: Lanes>(
    parts: impl Iterator<Item = *const f32> + Clone,
    stride: usize,
) -> [[f32; PANEL]; 9] {
    let mut taps = [[0.0; PANEL]; 9];
    for lane in (0..PANEL).step_by(L::N) {
        // SAFETY: the vector lies within the panel; the rest is passed on from the caller.
        unsafe {
            let mut half = [[L::splat(0.0); 6]; 3];
            for x in 0..6 {
                let mut u = [L::splat(0.0); 6];
                for part in parts.clone() {
                    for (y, u) in u.iter_mut().enumerate() {
                        *u = L::add(*u, L::load(part.add((y * 6 + x) * stride + lane)));
                    }
                }
                let column = weight_gradient_column::<L>(u);
                for y in 0..3 {
                    half[y][x] = column[y];
                }
            }
            for (y, half) in half.into_iter().enumerate() {
                for (x, value) in weight_gradient_column::<L>(half).into_iter().enumerate() {
                    L::store(taps[y * 3 + x].as_mut_ptr().add(lane), value);
                }
            }
        }
    }
    taps
}
