//! The two matrix products that convolutions come down to, register-blocked, over matrices in panels.
//!
//! A matrix in panels has its columns in groups of [`PANEL`]. A panel holds its rows one after the other,
//! so that every loop below walks memory in order, whatever the number of columns; value (row, column)
//! stands at `column / PANEL * stride + row * PANEL + column % PANEL`.
use crate::simd::Lanes;

/// Columns of a panel; a multiple of every vector's length.
pub(crate) const PANEL: usize = 16;

/// Rows of a block of [`multiply`] on vectors of [`PANEL`] values, of which there are registers for 24 sums.
const TALL: usize = 12;

/// Rows of a full block of [`multiply`] on shorter vectors, and of the blocks that end a tall matrix.
const ROWS: usize = 6;

/// Rows of the smaller block that ends a matrix whose rows are no multiple of [`ROWS`].
const REST: usize = 4;

/// Rows that a left matrix of [`multiply`] is padded to: an even number, at least 4, is a sum of sixes
/// and fours.
pub(crate) fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(2).max(REST)
}

/// Where a value of a matrix in panels stands.
pub(crate) fn place(row: usize, column: usize, stride: usize) -> usize {
    column / PANEL * stride + row * PANEL + column % PANEL
}

/// Sizes of `out = left * right`, where a row of the left matrix may stand for several: what is added up over
/// `taps` are products of rows `r`, `r + shift`, `r + 2 * shift`, ... of `left` with one part of `right` each.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Rows of `out`, as [`padded_rows`] gives them.
    pub rows: usize,
    /// Columns of `left`, rows of each tap's part of `right`.
    pub depth: usize,
    /// Columns of `right` and `out`: a multiple of [`PANEL`].
    pub columns: usize,
    /// Parts of `right`.
    pub taps: usize,
    /// Rows from one tap's left matrix to the next.
    pub shift: usize,
}

impl Sizes {
    /// Of a plain product.
    pub fn plain(rows: usize, depth: usize, columns: usize) -> Self {
        Self { rows, depth, columns, taps: 1, shift: 0 }
    }

    /// Rows of `left`.
    pub fn left_rows(&self) -> usize {
        self.rows + (self.taps - 1) * self.shift
    }
}

/// `out[r][j] = sum_t sum_k left[r + t * shift][k] * right[t * depth + k][j]`
///
/// # Safety
/// All three are in panels: `left` with `left_rows() * PANEL` values a panel, `right` with `taps * depth * PANEL`,
/// `out` with `rows * PANEL`.
#[inline(always)]
pub(crate) unsafe fn multiply<L: Lanes>(
    left: *const f32,
    right: *const f32,
    out: *mut f32,
    sizes: Sizes,
) {
    let mut column = 0;
    while column < sizes.columns {
        // SAFETY: panels lie within the matrices, which the caller answers for.
        unsafe {
            let right = right.add(column * sizes.taps * sizes.depth);
            let out = out.add(column * sizes.rows);
            column += if L::N < PANEL {
                multiply_panels::<L, 2>(left, right, out, sizes);
                PANEL
            } else if sizes.columns - column >= 2 * PANEL {
                multiply_panels::<L, 2>(left, right, out, sizes);
                2 * PANEL
            } else {
                multiply_panels::<L, 1>(left, right, out, sizes);
                PANEL
            };
        }
    }
}

/// Where the `j`th vector of a row stands, from the row's first on: further panels are `stride` apart.
#[inline(always)]
fn vector_place<L: Lanes>(j: usize, stride: usize) -> usize {
    let column = j * L::N;
    column / PANEL * stride + column % PANEL
}

/// `WIDTH` vectors of the result's columns.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
unsafe fn multiply_panels<L: Lanes, const WIDTH: usize>(
    left: *const f32,
    right: *const f32,
    out: *mut f32,
    sizes: Sizes,
) {
    let mut row = 0;
    while row < sizes.rows {
        let rest = sizes.rows - row;
        // SAFETY: the block lies within `rows`, which is a sum of twelves, sixes and fours.
        row += unsafe {
            if L::N == PANEL && rest >= TALL && rest != TALL + 2 {
                multiply_block::<L, WIDTH, TALL>(left, right, out, row, sizes);
                TALL
            } else if rest >= ROWS && rest != 2 * REST {
                multiply_block::<L, WIDTH, ROWS>(left, right, out, row, sizes);
                ROWS
            } else {
                multiply_block::<L, WIDTH, REST>(left, right, out, row, sizes);
                REST
            }
        };
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
    sizes: Sizes,
) {
    let Sizes { rows, depth, taps, shift, .. } = sizes;
    let panel = taps * depth * PANEL;
    // SAFETY: passed on from the caller.
    unsafe {
        let mut sums = [[L::splat(0.0); WIDTH]; HEIGHT];
        for tap in 0..taps {
            for first in (0..depth).step_by(PANEL) {
                let left = left.add(first * sizes.left_rows() + (row + tap * shift) * PANEL);
                let right = right.add((tap * depth + first) * PANEL);
                for k in 0..PANEL.min(depth - first) {
                    let mut vectors = [L::splat(0.0); WIDTH];
                    for (j, vector) in vectors.iter_mut().enumerate() {
                        *vector = L::load(right.add(k * PANEL + vector_place::<L>(j, panel)));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let value = L::splat(*left.add(r * PANEL + k));
                        for (sum, vector) in sums.iter_mut().zip(vectors) {
                            *sum = L::fma(value, vector, *sum);
                        }
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                L::store(out.add((row + r) * PANEL + vector_place::<L>(j, rows * PANEL)), *sum);
            }
        }
    }
}

/// A matrix in panels.
#[derive(Clone, Copy)]
pub(crate) struct Panels {
    /// Its first value.
    pub first: *const f32,
    /// Values of a panel.
    pub stride: usize,
}

/// `sums[i][j] += sum_t left[t][i] * right[t][j]` for `depth` rows of `rows` and `columns` columns.
///
/// # Safety
/// `left` and `right` have these rows and columns; `sums` is in panels of `rows * PANEL` values; `rows` and `columns` are
/// multiples of [`PANEL`].
#[inline(always)]
pub(crate) unsafe fn add_outer<L: Lanes>(
    left: Panels,
    right: Panels,
    sums: *mut f32,
    (rows, depth, columns): (usize, usize, usize),
) {
    let mut column = 0;
    while column < columns {
        // SAFETY: blocks lie within `rows` by `columns`, which the caller answers for.
        unsafe {
            let right = Panels { first: right.first.add(place(0, column, right.stride)), ..right };
            let sums = sums.add(column * rows);
            let sizes = (rows, depth);
            column += if L::N < PANEL {
                add_outer_panels::<L, 2, 4>(left, right, sums, sizes);
                PANEL
            } else if columns - column >= 2 * PANEL {
                add_outer_panels::<L, 2, 8>(left, right, sums, sizes);
                2 * PANEL
            } else {
                add_outer_panels::<L, 1, 16>(left, right, sums, sizes);
                PANEL
            };
        }
    }
}

/// `WIDTH` vectors of the sums' columns, `HEIGHT` rows (a divisor of [`PANEL`]) at a time.
///
/// # Safety
/// As [`add_outer`].
#[inline(always)]
unsafe fn add_outer_panels<L: Lanes, const WIDTH: usize, const HEIGHT: usize>(
    left: Panels,
    right: Panels,
    sums: *mut f32,
    (rows, depth): (usize, usize),
) {
    for row in (0..rows).step_by(HEIGHT) {
        // SAFETY: passed on from the caller; a block of rows lies within one panel of `left`.
        unsafe {
            let (left, right_stride) = (left.first.add(place(0, row, left.stride)), right.stride);
            let right = right.first;
            let sums = sums.add(row * PANEL);
            let mut block = [[L::splat(0.0); WIDTH]; HEIGHT];
            for (r, block) in block.iter_mut().enumerate() {
                for (j, sum) in block.iter_mut().enumerate() {
                    *sum = L::load(sums.add(r * PANEL + vector_place::<L>(j, rows * PANEL)));
                }
            }
            for t in 0..depth {
                let mut vectors = [L::splat(0.0); WIDTH];
                for (j, vector) in vectors.iter_mut().enumerate() {
                    let at = t * PANEL + vector_place::<L>(j, right_stride);
                    *vector = L::load(right.add(at));
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
                    L::store(sums.add(r * PANEL + vector_place::<L>(j, rows * PANEL)), *sum);
                }
            }
        }
    }
}
