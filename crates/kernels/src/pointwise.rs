//! 1x1, 2x2-stride-2 and transposed 2x2 convolutions: one matrix product over rows of pixels.
//!
//! Each coarse pixel is a row. On the side that has the finer grid (the input of a down-sampling, the output
//! of an up-sampling), a row is the four fine pixels under the coarse one, one after the other.
use crate::emit::{Partial, Sink};
use crate::gemm::{ROWS, add_outer, multiply};
use crate::load::Source;
use crate::memory::with_scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use crate::{ConvKind, MapShape};
use rayon::prelude::*;

/// Rows of a work item.
const BLOCK: usize = 16 * ROWS;

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

    /// The first fine pixel of each pair of a row.
    fn pairs(self, coarse: usize, grid: MapShape) -> [usize; 2] {
        let (line, x) = (coarse / grid.w, coarse % grid.w);
        let top = 2 * line * 2 * grid.w + 2 * x;
        [top, top + 2 * grid.w]
    }

    fn pixel(self, coarse: usize, tap: usize, grid: MapShape) -> usize {
        match self {
            Self::One => coarse,
            Self::Four => self.pairs(coarse, grid)[tap / 2] + tap % 2,
        }
    }
}

/// The coarse grid of a convolution of `input`.
fn coarse_grid(kind: ConvKind, input: MapShape) -> MapShape {
    match kind {
        ConvKind::Down2 => MapShape { h: input.h / 2, w: input.w / 2, ..input },
        _ => input,
    }
}

/// Where a weight stands: row of the input side, column of the output side.
fn place(
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
                let (row, column) = place(kind, tap, i, o, cin, cout);
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
    let columns = out.pixels() * padded(cout);
    let mut matrix = vec![0.0; left.pixels() * padded(cin) * columns];
    each_weight(kind, cin, cout, |index, row, column| {
        matrix[row * columns + column] = weight[index]
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
    let columns = out.pixels() * padded(cin);
    let mut matrix = vec![0.0; left.pixels() * padded(cout) * columns];
    each_weight(kind, cin, cout, |index, row, column| {
        matrix[column * columns + row] = weight[index]
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
        weight[index] = parts.iter().map(|sums| sums[row * columns + column]).sum();
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
        let rows = count.next_multiple_of(ROWS);
        let mut partial = Partial::new(sink.channels, sink.sums);
        with_scratch(rows * (depth + columns), |scratch| {
            let (inputs, products) = scratch.split_at_mut(rows * depth);
            // SAFETY: the scratch has `rows` rows on both sides; rows `start .. start + count` lie within
            // the grid and belong to this item.
            unsafe {
                gather::<L>(source, left, grid, start, count, inputs.as_mut_ptr());
                let sizes = (rows, depth, columns);
                multiply::<L>(
                    inputs.as_ptr(),
                    depth,
                    matrix.as_ptr(),
                    products.as_mut_ptr(),
                    sizes,
                );
                scatter::<L>(
                    products.as_ptr(),
                    columns,
                    sink,
                    out,
                    grid,
                    (start, count),
                    &mut partial,
                );
            }
        });
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
        with_scratch(count * (rows + columns), |scratch| {
            let (lefts, rights) = scratch.split_at_mut(count * rows);
            // SAFETY: the scratch has `count` rows on both sides; `sums` is `rows` by `columns`.
            unsafe {
                gather::<L>(input, left, grid, start, count, lefts.as_mut_ptr());
                gather::<L>(gradient, right, grid, start, count, rights.as_mut_ptr());
                let sizes = (rows, count, columns);
                add_outer::<L>(lefts.as_ptr(), rights.as_ptr(), sums.as_mut_ptr(), sizes);
            }
        });
    }
}

/// Reads rows `start .. start + count`.
///
/// # Safety
/// They lie within the grid, and `to` has room for them.
#[inline(always)]
unsafe fn gather<L: Lanes>(
    source: &Source,
    row: Row,
    grid: MapShape,
    start: usize,
    count: usize,
    to: *mut f32,
) {
    let channels = padded(source.channels);
    // SAFETY: passed on from the caller.
    unsafe {
        match row {
            Row::One => source.read::<L>(start, count, to, channels),
            Row::Four => {
                for r in 0..count {
                    let [top, bottom] = row.pairs(start + r, grid);
                    source.read::<L>(top, 2, to.add(4 * r * channels), channels);
                    source.read::<L>(bottom, 2, to.add((4 * r + 2) * channels), channels);
                }
            }
        }
    }
}

/// Stores rows `start .. start + count`.
///
/// # Safety
/// They lie within the grid and belong to this item alone; `from` has `count` rows of `columns`.
#[inline(always)]
unsafe fn scatter<L: Lanes>(
    from: *const f32,
    columns: usize,
    sink: &Sink,
    row: Row,
    grid: MapShape,
    (start, count): (usize, usize),
    partial: &mut Partial,
) {
    const GROUP: usize = 16;
    let channels = padded(sink.channels);
    for first in (0..count).step_by(GROUP) {
        let group = GROUP.min(count - first);
        for tap in 0..row.pixels() {
            let mut pixels = [0; GROUP];
            for (r, pixel) in pixels.iter_mut().enumerate().take(group) {
                *pixel = row.pixel(start + first + r, tap, grid);
            }
            for c in (0..channels).step_by(L::N) {
                // SAFETY: passed on from the caller; `tap * channels + c` lies within a row.
                unsafe {
                    let mut values = [L::splat(0.0); GROUP];
                    for (r, value) in values.iter_mut().enumerate().take(group) {
                        *value = L::load(from.add((first + r) * columns + tap * channels + c));
                    }
                    sink.store::<L>(&pixels[..group], &values[..group], c, partial);
                }
            }
            partial.count += group;
        }
    }
}
