//! The two matrix products that convolutions come down to, register-blocked, over matrices in panels.
//!
//! A matrix in panels has its columns in groups of [`PANEL`]. A panel holds its rows one after the other,
//! so that every loop below walks memory in order, whatever the number of columns; value (row, column)
//! stands at `column / PANEL * stride + row * PANEL + column % PANEL`.
use crate::simd::Lanes;

/// Columns of a panel; a multiple of every vector's length.
pub(crate) const PANEL: usize = 16;

/// Rows of a full block of [`multiply`].
const ROWS: usize = 6;

/// Rows of the smaller block that ends a matrix whose rows are no multiple of [`ROWS`].
const REST: usize = 4;

/// Rows of a block of [`add_outer`].
const OUTER_ROWS: usize = 4;

/// Rows that a left matrix of [`multiply`] is padded to: an even number, at least 4, is a sum of sixes
/// and fours.
pub(crate) fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(2).max(REST)
}

/// Where a value of a matrix in panels stands.
pub(crate) fn place(row: usize, column: usize, stride: usize) -> usize {
    column / PANEL * stride + row * PANEL + column % PANEL
}

/// Sizes of `out = left * right`.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Rows of `left` and `out`, as [`padded_rows`] gives them.
    pub rows: usize,
    /// Columns of `left`, rows of `right`.
    pub depth: usize,
    /// Columns of `right` and `out`: a multiple of [`PANEL`].
    pub columns: usize,
}

/// `out[r][j] = sum_k left[r][k] * right[k][j]`
///
/// # Safety
/// All three are in panels: `left` with `rows * PANEL` values a panel, `right` with `depth * PANEL`, `out`
/// with `rows * PANEL`.
#[inline(always)]
pub(crate) unsafe fn multiply<L: Lanes>(
    left: *const f32,
    right: *const f32,
    out: *mut f32,
    sizes: Sizes,
) {
    for column in (0..sizes.columns).step_by(PANEL) {
        // SAFETY: panels lie within the matrices, which the caller answers for.
        unsafe {
            let right = right.add(column * sizes.depth);
            let out = out.add(column * sizes.rows);
            if L::N == PANEL {
                multiply_panel::<L, 1>(left, right, out, sizes);
            } else {
                multiply_panel::<L, 2>(left, right, out, sizes);
            }
        }
    }
}

/// One panel of the result, which is `WIDTH` vectors wide.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
unsafe fn multiply_panel<L: Lanes, const WIDTH: usize>(
    left: *const f32,
    right: *const f32,
    out: *mut f32,
    sizes: Sizes,
) {
    let mut row = 0;
    while row < sizes.rows {
        let rest = sizes.rows - row;
        // SAFETY: the block lies within `rows`, which is a sum of sixes and fours.
        unsafe {
            if rest >= ROWS && rest != 2 * REST {
                multiply_block::<L, WIDTH, ROWS>(left, right, out, row, sizes);
                row += ROWS;
            } else {
                multiply_block::<L, WIDTH, REST>(left, right, out, row, sizes);
                row += REST;
            }
        }
    }
}

/// # Safety
/// As [`multiply`], with `row + HEIGHT <= rows`.
#[inline(always)]
unsafe fn multiply_block<L: Lanes, const WIDTH: usize, const HEIGHT: usize>(
    left: *const f32,
    right: *const f32,
    out: *mut f32,
    row: usize,
    Sizes { rows, depth, .. }: Sizes,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut sums = [[L::splat(0.0); WIDTH]; HEIGHT];
        for first in (0..depth).step_by(PANEL) {
            let left = left.add(first * rows + row * PANEL);
            let right = right.add(first * PANEL);
            for k in 0..PANEL.min(depth - first) {
                let mut vectors = [L::splat(0.0); WIDTH];
                for (j, vector) in vectors.iter_mut().enumerate() {
                    *vector = L::load(right.add(k * PANEL + j * L::N));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = L::splat(*left.add(r * PANEL + k));
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = L::fma(value, vector, *sum);
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                L::store(out.add((row + r) * PANEL + j * L::N), *sum);
            }
        }
    }
}

/// `sums[i][j] += sum_t left[t][i] * right[t][j]` for `depth` rows of `rows` and `columns` columns.
///
/// # Safety
/// All three are in panels: `left` and `right` with `stride` values a panel, `sums` with `rows * PANEL`;
/// `rows` and `columns` are multiples of [`PANEL`].
#[inline(always)]
pub(crate) unsafe fn add_outer<L: Lanes>(
    left: *const f32,
    right: *const f32,
    stride: usize,
    sums: *mut f32,
    (rows, depth, columns): (usize, usize, usize),
) {
    for panel in 0..columns / PANEL {
        for row in (0..rows).step_by(OUTER_ROWS) {
            // SAFETY: blocks lie within `rows` by `columns`, which the caller answers for; a block of rows
            // lies within one panel of `left`.
            unsafe {
                let left = left.add(place(0, row, stride));
                let right = right.add(panel * stride);
                let sums = sums.add((panel * rows + row) * PANEL);
                if L::N == PANEL {
                    add_outer_block::<L, 1>(left, right, sums, depth);
                } else {
                    add_outer_block::<L, 2>(left, right, sums, depth);
                }
            }
        }
    }
}

/// # Safety
/// As [`add_outer`], for `OUTER_ROWS` rows and one panel.
#[inline(always)]
unsafe fn add_outer_block<L: Lanes, const WIDTH: usize>(
    left: *const f32,
    right: *const f32,
    sums: *mut f32,
    depth: usize,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut block = [[L::splat(0.0); WIDTH]; OUTER_ROWS];
        for (r, block) in block.iter_mut().enumerate() {
            for (j, sum) in block.iter_mut().enumerate() {
                *sum = L::load(sums.add(r * PANEL + j * L::N));
            }
        }
        for t in 0..depth {
            let mut vectors = [L::splat(0.0); WIDTH];
            for (j, vector) in vectors.iter_mut().enumerate() {
                *vector = L::load(right.add(t * PANEL + j * L::N));
            }
            for (r, block) in block.iter_mut().enumerate() {
                let value = L::splat(*left.add(t * PANEL + r));
                for (sum, vector) in block.iter_mut().zip(vectors) {
                    *sum = L::fma(value, vector, *sum);
                }
            }
        }
        for (r, block) in block.iter().enumerate() {
            for (j, sum) in block.iter().enumerate() {
                L::store(sums.add(r * PANEL + j * L::N), *sum);
            }
        }
    }
}
