//! 1x1, 2x2-stride-2 and transposed 2x2 convolutions: one matrix product over rows of pixels.
//!
//! Each coarse pixel is a row. On the side that has the finer grid (the input of a down-sampling, the output
//! of an up-sampling), a row is the four fine pixels under the coarse one, one after the other.
use crate::emit::{Partial, Sink, Vectors};
use crate::gemm::{PANEL, Panels, Sizes, add_outer, multiply, padded_rows, place};
use crate::load::{Run, Source};
use crate::memory::Scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use crate::{ConvKind, MapShape};
use rayon::prelude::*;

/// Rows of a work item.
const BLOCK: usize = 96;

/// Parts of the map whose weight gradients are gathered apart; fixed, so that the bits do not depend on
/// threads.
const PARTS: usize = 8;

/// Pixels that a row is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Row {
    /// The coarse pixel itself.
    One,
    /// The four fine pixels under it.
    Four,
}

impl Row {
    fn of_input(kind: ConvKind) -> Self {
        if kind == ConvKind::Down2 { Self::Four } else { Self::One }
    }

    fn of_output(kind: ConvKind) -> Self {
        if kind == ConvKind::Up2 { Self::Four } else { Self::One }
    }

    fn pixels(self) -> usize {
        match self {
            Self::One => 1,
            Self::Four => 4,
        }
    }

    /// The row's first pixel.
    fn first_pixel(self, coarse: usize, grid: MapShape) -> usize {
        match self {
            Self::One => coarse,
            Self::Four => 4 * (coarse / grid.w) * grid.w + 2 * (coarse % grid.w),
        }
    }
}

/// From the first of four fine pixels to another one.
fn offset(tap: usize, grid: MapShape) -> usize {
    tap / 2 * 2 * grid.w + tap % 2
}

/// The coarse grid of a convolution of `input`.
fn coarse_grid(kind: ConvKind, input: MapShape) -> MapShape {
    match kind {
        ConvKind::Down2 => MapShape { h: input.h / 2, w: input.w / 2, ..input },
        _ => input,
    }
}

/// Where a weight stands: row of the input side, column of the output side.
fn row_and_column(
    kind: ConvKind,
    tap: usize,
    i: usize,
    o: usize,
    cin: usize,
    cout: usize,
) -> (usize, usize) {
    match kind {
        ConvKind::Down2 => (tap * padded(cin) + i, o),
        ConvKind::Up2 => (i, tap * padded(cout) + o),
        _ => (i, o),
    }
}

/// Calls `visit(index in the weights, input-side index, output-side index)` for every weight.
fn each_weight(
    kind: ConvKind,
    cin: usize,
    cout: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let taps = kind.taps();
    for o in 0..cout {
        for i in 0..cin {
            for tap in 0..taps {
                let pair = if kind == ConvKind::Up2 { i * cout + o } else { o * cin + i };
                let (row, column) = row_and_column(kind, tap, i, o, cin, cout);
                visit(pair * taps + tap, row, column);
            }
        }
    }
}

/// `y = conv(source)` into `sink`. Gives the items' sums, in order.
pub(crate) fn convolve(
    kind: ConvKind,
    source: &Source,
    input: MapShape,
    weight: &[f32],
    sink: &Sink,
) -> Vec<Partial> {
    let (cin, cout) = (source.channels, sink.channels);
    let (left, out) = (Row::of_input(kind), Row::of_output(kind));
    let (rows, columns) = (left.pixels() * padded(cin), out.pixels() * padded(cout));
    let mut matrix = vec![0.0; rows * columns];
    each_weight(kind, cin, cout, |index, row, column| {
        matrix[place(row, column, rows * PANEL)] = weight[index]
    });
    product(source, left, &matrix, sink, out, coarse_grid(kind, input))
}

/// The gradient of the input: the product with the transposed matrix.
pub(crate) fn convolve_backward(
    kind: ConvKind,
    gradient: &Source,
    input: MapShape,
    weight: &[f32],
    sink: &Sink,
) -> Vec<Partial> {
    let (cin, cout) = (sink.channels, gradient.channels);
    let (left, out) = (Row::of_output(kind), Row::of_input(kind));
    let (rows, columns) = (left.pixels() * padded(cout), out.pixels() * padded(cin));
    let mut matrix = vec![0.0; rows * columns];
    each_weight(kind, cin, cout, |index, row, column| {
        matrix[place(column, row, rows * PANEL)] = weight[index]
    });
    product(gradient, left, &matrix, sink, out, coarse_grid(kind, input))
}

/// The gradient of the weights, in their layout.
pub(crate) fn weight_gradient(
    kind: ConvKind,
    input: &Source,
    gradient: &Source,
    shape: MapShape,
) -> Vec<f32> {
    let set = InstructionSet::current();
    let (left, right) = (Row::of_input(kind), Row::of_output(kind));
    let (rows, columns) =
        (left.pixels() * padded(input.channels), right.pixels() * padded(gradient.channels));
    let grid = coarse_grid(kind, shape);
    let part_len = grid.pixels().div_ceil(PARTS).next_multiple_of(BLOCK).max(BLOCK);
    let parts: Vec<Vec<f32>> = (0..grid.pixels().div_ceil(part_len))
        .into_par_iter()
        .map(|part| {
            let mut sums = vec![0.0; rows * columns];
            let end = grid.pixels().min((part + 1) * part_len);
            for start in (part * part_len..end).step_by(BLOCK) {
                let count = BLOCK.min(end - start);
                set.run(Outer {
                    input,
                    left,
                    gradient,
                    right,
                    grid,
                    start,
                    count,
                    sums: &mut sums,
                });
            }
            sums
        })
        .collect();
    let (cin, cout) = (input.channels, gradient.channels);
    let mut weight = vec![0.0; cin * cout * kind.taps()];
    each_weight(kind, cin, cout, |index, row, column| {
        let at = place(row, column, rows * PANEL);
        weight[index] = parts.iter().map(|sums| sums[at]).sum();
    });
    weight
}

fn product(
    source: &Source,
    left: Row,
    matrix: &[f32],
    sink: &Sink,
    out: Row,
    grid: MapShape,
) -> Vec<Partial> {
    let set = InstructionSet::current();
    (0..grid.pixels().div_ceil(BLOCK))
        .into_par_iter()
        .with_max_len(8)
        .map(|item| {
            let start = item * BLOCK;
            let count = BLOCK.min(grid.pixels() - start);
            set.run(Product { source, left, matrix, sink, out, grid, start, count })
        })
        .collect()
}

struct Product<'a> {
    source: &'a Source<'a>,
    left: Row,
    matrix: &'a [f32],
    sink: &'a Sink<'a>,
    out: Row,
    grid: MapShape,
    start: usize,
    count: usize,
}

impl Job for Product<'_> {
    type Output = Partial;

    #[inline(always)]
    fn run<L: Lanes>(self) -> Partial {
        let Self { source, left, matrix, sink, out, grid, start, count } = self;
        let depth = left.pixels() * padded(source.channels);
        let columns = out.pixels() * padded(sink.channels);
        let rows = padded_rows(count);
        let mut partial = Partial::new(sink.channels, sink.sums);
        let mut scratch = Scratch::take(rows * (depth + columns));
        let (inputs, products) = scratch.values().split_at_mut(rows * depth);
        let (inputs, products) = (inputs.as_mut_ptr(), products.as_mut_ptr());
        let block = Rows { grid, start, count, stride: rows * PANEL };
        // SAFETY: the scratch has the rows on both sides, and `matrix` the sizes; rows
        // `start .. start + count` lie within the grid and belong to this item.
        unsafe {
            block.gather::<L>(source, left, inputs);
            multiply::<L>(inputs, matrix.as_ptr(), products, Sizes::plain(rows, depth, columns));
            block.scatter::<L>(products, sink, out, &mut partial);
        }
        partial
    }
}

struct Outer<'a> {
    input: &'a Source<'a>,
    left: Row,
    gradient: &'a Source<'a>,
    right: Row,
    grid: MapShape,
    start: usize,
    count: usize,
    sums: &'a mut [f32],
}

impl Job for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { input, left, gradient, right, grid, start, count, sums } = self;
        let rows = left.pixels() * padded(input.channels);
        let columns = right.pixels() * padded(gradient.channels);
        let mut scratch = Scratch::take(count * (rows + columns));
        let (lefts, rights) = scratch.values().split_at_mut(count * rows);
        let (lefts, rights) = (lefts.as_mut_ptr(), rights.as_mut_ptr());
        let stride = count * PANEL;
        let block = Rows { grid, start, count, stride };
        // SAFETY: the scratch has `count` rows on both sides; `sums` is `rows` by `columns`.
        unsafe {
            block.gather::<L>(input, left, lefts);
            block.gather::<L>(gradient, right, rights);
            let sizes = (rows, count, columns);
            let panels = |first: *mut f32| Panels { first, stride };
            add_outer::<L>(panels(lefts), panels(rights), sums.as_mut_ptr(), sizes);
        }
    }
}

/// Rows `start .. start + count` of the coarse grid, as a matrix in panels.
#[derive(Clone, Copy)]
struct Rows {
    grid: MapShape,
    start: usize,
    count: usize,
    /// Values of a panel.
    stride: usize,
}

impl Rows {
    /// Reads the rows.
    ///
    /// # Safety
    /// They lie within the grid, and `to` has room for them.
    #[inline(always)]
    unsafe fn gather<L: Lanes>(self, source: &Source, row: Row, to: *mut f32) {
        let Self { grid, start, count, stride } = self;
        let tap_len = padded(source.channels) / PANEL * stride;
        // SAFETY: passed on from the caller.
        unsafe {
            if row == Row::One {
                return source.read::<L>(Run { pixel: start, count, step: 1 }, to, stride);
            }
            let mut r = 0;
            while r < count {
                // What is left of a line of the coarse grid.
                let line = (grid.w - (start + r) % grid.w).min(count - r);
                for tap in 0..4 {
                    let pixel = row.first_pixel(start + r, grid) + offset(tap, grid);
                    let to = to.add(tap * tap_len + r * PANEL);
                    source.read::<L>(Run { pixel, count: line, step: 2 }, to, stride);
                }
                r += line;
            }
        }
    }

    /// Stores the rows.
    ///
    /// # Safety
    /// They lie within the grid and belong to this item alone; `from` holds them.
    #[inline(always)]
    unsafe fn scatter<L: Lanes>(
        self,
        from: *const f32,
        sink: &Sink,
        row: Row,
        partial: &mut Partial,
    ) {
        const GROUP: usize = 16;
        let Self { grid, start, count, stride } = self;
        let tap_len = padded(sink.channels) / PANEL * stride;
        for first in (0..count).step_by(GROUP) {
            let group = GROUP.min(count - first);
            let mut firsts = [0; GROUP];
            for (r, pixel) in firsts.iter_mut().enumerate().take(group) {
                *pixel = row.first_pixel(start + first + r, grid);
            }
            for tap in 0..row.pixels() {
                let pixels = firsts.map(|pixel| pixel + offset(tap, grid));
                for c in (0..padded(sink.channels)).step_by(L::N) {
                    // SAFETY: passed on from the caller; `c` lies within a row's tap.
                    unsafe {
                        let at = tap * tap_len + c / PANEL * stride + c % PANEL;
                        let values = Vectors { first: from.add(at + first * PANEL), stride: PANEL };
                        sink.store::<L>(&pixels[..group], values, c, partial);
                    }
                }
                partial.count += group;
            }
        }
    }
}
