//! The two matrix products that convolutions come down to, register-blocked.
use crate::simd::Lanes;

/// Rows of a block of [`multiply`]; its left matrix has a multiple of these, as padding.
pub(crate) const ROWS: usize = 6;

/// Rows of a block of [`add_outer`].
const OUTER_ROWS: usize = 4;

/// `out[r][j] = sum_k left[r][k] * right[k][j]` for `rows` (a multiple of [`ROWS`]) by `columns` (a multiple
/// of 16).
///
/// # Safety
/// `left` holds `rows` rows of `left_stride >= depth`, `right` `depth` rows of `columns`, `out` `rows` rows
/// of `columns` values.
#[inline(always)]
pub(crate) unsafe fn multiply<L: Lanes>(
    left: *const f32,
    left_stride: usize,
    right: *const f32,
    out: *mut f32,
    (rows, depth, columns): (usize, usize, usize),
) {
    let mut column = 0;
    while column + 2 * L::N <= columns {
        // SAFETY: blocks lie within `rows` by `columns`, which the caller answers for.
        unsafe {
            multiply_columns::<L, 2>(left, left_stride, right, out, column, (rows, depth, columns))
        };
        column += 2 * L::N;
    }
    while column < columns {
        // SAFETY: as above; `columns` is a multiple of 16 and so of the vector's length.
        unsafe {
            multiply_columns::<L, 1>(left, left_stride, right, out, column, (rows, depth, columns))
        };
        column += L::N;
    }
}

/// # Safety
/// As [`multiply`], with `WIDTH` vectors from `column` on within `columns`.
#[inline(always)]
unsafe fn multiply_columns<L: Lanes, const WIDTH: usize>(
    left: *const f32,
    left_stride: usize,
    right: *const f32,
    out: *mut f32,
    column: usize,
    (rows, depth, columns): (usize, usize, usize),
) {
    for row in (0..rows).step_by(ROWS) {
        // SAFETY: row + ROWS <= rows and column + WIDTH vectors <= columns.
        unsafe {
            let left = left.add(row * left_stride);
            let right = right.add(column);
            let mut sums = [[L::splat(0.0); WIDTH]; ROWS];
            for k in 0..depth {
                let mut vectors = [L::splat(0.0); WIDTH];
                for (j, vector) in vectors.iter_mut().enumerate() {
                    *vector = L::load(right.add(k * columns + j * L::N));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = L::splat(*left.add(r * left_stride + k));
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = L::fma(value, vector, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    L::store(out.add((row + r) * columns + column + j * L::N), *sum);
                }
            }
        }
    }
}

/// `sums[i][j] += sum_t left[t][i] * right[t][j]` for `rows` (a multiple of 16) by `columns` (a multiple of
/// 16).
///
/// # Safety
/// `left` holds `depth` rows of `rows`, `right` `depth` rows of `columns`, `sums` `rows` rows of `columns`
/// values.
#[inline(always)]
pub(crate) unsafe fn add_outer<L: Lanes>(
    left: *const f32,
    right: *const f32,
    sums: *mut f32,
    (rows, depth, columns): (usize, usize, usize),
) {
    let mut column = 0;
    while column + 2 * L::N <= columns {
        // SAFETY: blocks lie within `rows` by `columns`, which the caller answers for.
        unsafe { add_outer_columns::<L, 2>(left, right, sums, column, (rows, depth, columns)) };
        column += 2 * L::N;
    }
    while column < columns {
        // SAFETY: as above.
        unsafe { add_outer_columns::<L, 1>(left, right, sums, column, (rows, depth, columns)) };
        column += L::N;
    }
}

/// # Safety
/// As [`add_outer`], with `WIDTH` vectors from `column` on within `columns`.
#[inline(always)]
unsafe fn add_outer_columns<L: Lanes, const WIDTH: usize>(
    left: *const f32,
    right: *const f32,
    sums: *mut f32,
    column: usize,
    (rows, depth, columns): (usize, usize, usize),
) {
    for row in (0..rows).step_by(OUTER_ROWS) {
        // SAFETY: row + OUTER_ROWS <= rows and column + WIDTH vectors <= columns.
        unsafe {
            let place = |r: usize, j: usize| sums.add((row + r) * columns + column + j * L::N);
            let mut block = [[L::splat(0.0); WIDTH]; OUTER_ROWS];
            for (r, block) in block.iter_mut().enumerate() {
                for (j, sum) in block.iter_mut().enumerate() {
                    *sum = L::load(place(r, j));
                }
            }
            for t in 0..depth {
                let mut vectors = [L::splat(0.0); WIDTH];
                for (j, vector) in vectors.iter_mut().enumerate() {
                    *vector = L::load(right.add(t * columns + column + j * L::N));
                }
                for (r, block) in block.iter_mut().enumerate() {
                    let value = L::splat(*left.add(t * rows + row + r));
                    for (sum, vector) in block.iter_mut().zip(vectors) {
                        *sum = L::fma(value, vector, *sum);
                    }
                }
            }
            for (r, block) in block.iter().enumerate() {
                for (j, sum) in block.iter().enumerate() {
                    L::store(place(r, j), *sum);
                }
            }
        }
    }
}
