//! 3x3 convolution by Winograd's minimal filtering F(4x4, 3x3): a quarter of the multiplications.
//!
//! A work item is a block of tiles: its pixels are read once, row by row, into a strip; tiles of the strip
//! are transformed into 36 small matrices; 36 products follow; the results are transformed back and stored.
//! Blocks do not depend on the number of threads, so neither do the bits.
mod transform;
mod weight;

pub(crate) use weight::weight_gradient;

use crate::MapShape;
use crate::emit::{Partial, Sink};
use crate::gemm::{ROWS, multiply};
use crate::load::Source;
use crate::memory::with_scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;
use transform::{PRODUCTS, input_column, output_column};

/// Side of an output tile.
const TILE: usize = 4;
/// Side of an input tile.
const PATCH: usize = 6;
/// Values between the 36 matrices that keep them off the same cache sets.
const SPREAD: usize = 16;

/// Weights in the transformed domain: 36 matrices of `cin` rows and padded output columns.
pub(crate) struct Filter {
    values: Vec<f32>,
    cin: usize,
    columns: usize,
}

/// Which convolution a filter is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From input to output.
    Forward,
    /// From the output's gradient to the input's: channels exchanged, kernel turned by 180 degrees.
    Backward,
}

impl Filter {
    /// Transforms weights `[cout, cin, 3, 3]`.
    pub fn new(weight: &[f32], cout: usize, cin: usize, direction: Direction) -> Self {
        let (rows, outputs) = match direction {
            Direction::Forward => (cin, cout),
            Direction::Backward => (cout, cin),
        };
        let columns = padded(outputs);
        let mut values = vec![0.0; PRODUCTS * rows * columns];
        for (pair, kernel) in weight.as_chunks::<9>().0.iter().enumerate() {
            let (o, i) = (pair / cin, pair % cin);
            let (kernel, row, column) = match direction {
                Direction::Forward => (*kernel, i, o),
                Direction::Backward => (std::array::from_fn(|tap| kernel[8 - tap]), o, i),
            };
            for (product, value) in transform::weight(&kernel).into_iter().enumerate() {
                values[(product * rows + row) * columns + column] = value;
            }
        }
        Self { values, cin: rows, columns }
    }
}

/// A block of tiles of one image: tile rows `rows`, tile columns `columns`.
#[derive(Clone, Copy)]
struct Block {
    image: usize,
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Block {
    fn tiles(&self) -> usize {
        (self.rows.1 - self.rows.0) * (self.columns.1 - self.columns.0)
    }
}

/// Cuts a map into blocks of about `target` tiles, whole tile rows where they fit.
fn blocks(shape: MapShape, target: usize) -> Vec<Block> {
    let (high, wide) = (shape.h.div_ceil(TILE), shape.w.div_ceil(TILE));
    let parts = wide.div_ceil(target);
    let width = wide.div_ceil(parts.max(1)).max(1);
    let height = (target / width).max(1);
    let mut blocks = Vec::new();
    for image in 0..shape.n {
        for top in (0..high).step_by(height) {
            for left in (0..wide).step_by(width) {
                let rows = (top, (top + height).min(high));
                blocks.push(Block { image, rows, columns: (left, (left + width).min(wide)) });
            }
        }
    }
    blocks
}

/// Tiles in a block, so that its matrices stay in a core's second-level cache.
fn block_target(inputs: usize, outputs: usize) -> usize {
    const CACHE_VALUES: usize = 80 * 1024;
    let fitting = CACHE_VALUES / (PRODUCTS * (inputs + outputs));
    (fitting / ROWS * ROWS).clamp(4 * ROWS, 16 * ROWS)
}

/// Convolves `source` `[n, h, w, c]` into `sink`, which has the same `n, h, w`. Gives the items' sums, in order.
pub(crate) fn convolve(
    source: &Source,
    shape: MapShape,
    filter: &Filter,
    sink: &Sink,
) -> Vec<Partial> {
    let set = InstructionSet::current();
    let target = block_target(padded(source.channels), filter.columns);
    blocks(shape, target)
        .into_par_iter()
        .map(|block| set.run(ConvolveBlock { source, shape, filter, sink, block }))
        .collect()
}

struct ConvolveBlock<'a> {
    source: &'a Source<'a>,
    shape: MapShape,
    filter: &'a Filter,
    sink: &'a Sink<'a>,
    block: Block,
}

impl Job for ConvolveBlock<'_> {
    type Output = Partial;

    #[inline(always)]
    fn run<L: Lanes>(self) -> Partial {
        let Self { source, shape, filter, sink, block } = self;
        let inputs = padded(source.channels);
        let tiles = block.tiles().next_multiple_of(ROWS);
        let in_stride = tiles * inputs + SPREAD;
        let out_stride = tiles * filter.columns + SPREAD;
        let strip = strip_len(&block, inputs);
        let mut partial = Partial::new(sink.channels, sink.sums);
        with_scratch(PRODUCTS * (in_stride + out_stride) + strip, |scratch| {
            let (matrices, rest) = scratch.split_at_mut(PRODUCTS * in_stride);
            let (products, strip) = rest.split_at_mut(PRODUCTS * out_stride);
            // SAFETY: the three parts of the scratch have the sizes that the three steps state; a block's
            // tiles lie within the map and no other block has them.
            unsafe {
                transform_input::<L>(
                    source,
                    shape,
                    block,
                    strip.as_mut_ptr(),
                    matrices.as_mut_ptr(),
                    in_stride,
                );
                for product in 0..PRODUCTS {
                    let weights = filter.values.as_ptr().add(product * filter.cin * filter.columns);
                    multiply::<L>(
                        matrices.as_ptr().add(product * in_stride),
                        inputs,
                        weights,
                        products.as_mut_ptr().add(product * out_stride),
                        (tiles, filter.cin, filter.columns),
                    );
                }
                transform_output::<L>(
                    products.as_ptr(),
                    out_stride,
                    filter.columns,
                    sink,
                    shape,
                    block,
                    &mut partial,
                );
            }
        });
        partial
    }
}

/// Values of the strip that one tile row of a block is read into.
fn strip_len(block: &Block, channels: usize) -> usize {
    PATCH * (TILE * (block.columns.1 - block.columns.0) + 2) * channels
}

/// Reads the block's tiles and writes Bᵀ d B: matrix `p` at `to + p * stride`, a row of padded channels
/// for each tile.
///
/// # Safety
/// `strip` has [`strip_len`] values; `to` 36 matrices of `stride`, each with a row for each tile.
#[inline(always)]
unsafe fn transform_input<L: Lanes>(
    source: &Source,
    shape: MapShape,
    block: Block,
    strip: *mut f32,
    to: *mut f32,
    stride: usize,
) {
    let channels = padded(source.channels);
    let wide = block.columns.1 - block.columns.0;
    let row_len = (TILE * wide + 2) * channels;
    let mut tile = 0;
    for tile_row in block.rows.0..block.rows.1 {
        // SAFETY: the strip has six rows of `row_len`.
        unsafe { read_strip::<L>(source, shape, block, tile_row, strip) };
        for column in 0..wide {
            for c in (0..channels).step_by(L::N) {
                // SAFETY: columns TILE * column .. + 6 lie within the strip's rows, and the tile's rows
                // within the matrices.
                unsafe {
                    let from = strip.add(TILE * column * channels + c);
                    let mut half = [[L::splat(0.0); PATCH]; PATCH];
                    for x in 0..PATCH {
                        let mut d = [L::splat(0.0); PATCH];
                        for (y, d) in d.iter_mut().enumerate() {
                            *d = L::load(from.add(y * row_len + x * channels));
                        }
                        let d = input_column::<L>(d);
                        for y in 0..PATCH {
                            half[y][x] = d[y];
                        }
                    }
                    let to = to.add(tile * channels + c);
                    for (y, half) in half.into_iter().enumerate() {
                        for (x, value) in input_column::<L>(half).into_iter().enumerate() {
                            L::store(to.add((y * PATCH + x) * stride), value);
                        }
                    }
                }
            }
            tile += 1;
        }
    }
}

/// Reads the six pixel rows of a tile row, with zeros outside the map.
///
/// # Safety
/// `strip` has [`strip_len`] values.
#[inline(always)]
unsafe fn read_strip<L: Lanes>(
    source: &Source,
    shape: MapShape,
    block: Block,
    tile_row: usize,
    strip: *mut f32,
) {
    let channels = padded(source.channels);
    let pixels = TILE * (block.columns.1 - block.columns.0) + 2;
    // Column of the map at strip column 1; the strip begins one to its left.
    let left = TILE * block.columns.0;
    let (skip, first) = if left == 0 { (1, 0) } else { (0, left - 1) };
    let last = (left + pixels - 1).min(shape.w);
    let count = last.saturating_sub(first).min(pixels - skip);
    for y in 0..PATCH {
        let row = TILE * tile_row + y;
        // SAFETY: the row has `pixels` pixels of `channels` values; the pixels read lie in the map.
        unsafe {
            let to = strip.add(y * pixels * channels);
            if row == 0 || row > shape.h {
                std::ptr::write_bytes(to, 0, pixels * channels);
                continue;
            }
            std::ptr::write_bytes(to, 0, skip * channels);
            let pixel = (block.image * shape.h + row - 1) * shape.w + first;
            source.read::<L>(pixel, count, to.add(skip * channels), channels);
            let end = skip + count;
            std::ptr::write_bytes(to.add(end * channels), 0, (pixels - end) * channels);
        }
    }
}

/// Reads the products and stores Aᵀ m A.
///
/// # Safety
/// `from` has 36 matrices of `stride` with a row of `columns` for each tile; the block's tiles lie within
/// the map.
#[inline(always)]
unsafe fn transform_output<L: Lanes>(
    from: *const f32,
    stride: usize,
    columns: usize,
    sink: &Sink,
    shape: MapShape,
    block: Block,
    partial: &mut Partial,
) {
    let mut tile = 0;
    for tile_row in block.rows.0..block.rows.1 {
        for tile_column in block.columns.0..block.columns.1 {
            let (top, left) = (TILE * tile_row, TILE * tile_column);
            let (high, wide) = (TILE.min(shape.h - top), TILE.min(shape.w - left));
            let mut pixels = [0; TILE * TILE];
            for y in 0..high {
                for x in 0..wide {
                    pixels[y * wide + x] = (block.image * shape.h + top + y) * shape.w + left + x;
                }
            }
            for c in (0..columns).step_by(L::N) {
                // SAFETY: the tile has a row in every matrix; its pixels lie within the map.
                unsafe {
                    let from = from.add(tile * columns + c);
                    let mut half = [[L::splat(0.0); PATCH]; TILE];
                    for x in 0..PATCH {
                        let mut m = [L::splat(0.0); PATCH];
                        for (y, m) in m.iter_mut().enumerate() {
                            *m = L::load(from.add((y * PATCH + x) * stride));
                        }
                        let m = output_column::<L>(m);
                        for y in 0..TILE {
                            half[y][x] = m[y];
                        }
                    }
                    let mut values = [L::splat(0.0); TILE * TILE];
                    for (y, half) in half.into_iter().enumerate().take(high) {
                        for (x, value) in
                            output_column::<L>(half).into_iter().enumerate().take(wide)
                        {
                            values[y * wide + x] = value;
                        }
                    }
                    let count = high * wide;
                    sink.store::<L>(&pixels[..count], &values[..count], c, partial);
                }
            }
            partial.count += high * wide;
            tile += 1;
        }
    }
}
