//! 3x3 convolution by Winograd's minimal filtering F(4x4, 3x3): a quarter of the multiplications.
//!
//! A work item is a block of tiles: its pixels are read once, row by row, into a strip; tiles of the strip
//! are transformed into 36 small matrices; 36 products follow; the results are transformed back and stored.
//! Blocks do not depend on the number of threads, so neither do the bits.
mod filter;
mod transform;
mod volume;
mod weight;

pub(crate) use filter::{Direction, Filter};
pub(crate) use volume::{convolve_volume, volume_weight_gradient};
pub(crate) use weight::weight_gradient;

use crate::MapShape;
use crate::emit::{Partial, Sink, Vectors};
use crate::gemm::{PANEL, Sizes, multiply, padded_rows};
use crate::load::{Run, Source};
use crate::memory::Scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;
use transform::{PRODUCTS, input_column, output_column};

/// Side of an output tile.
const TILE: usize = 4;
/// Side of an input tile.
const PATCH: usize = 6;
/// Values between the 36 matrices that keep them off the same cache sets.
const SPREAD: usize = 16;

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
    (CACHE_VALUES / (PRODUCTS * (inputs + outputs))).clamp(24, 96)
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
        // Small pieces, so that threads end together.
        .with_max_len(2)
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
        let rows = padded_rows(block.tiles());
        let sizes = Sizes::plain(rows, filter.depth, filter.columns);
        let in_stride = rows * inputs + SPREAD;
        let out_stride = rows * filter.columns + SPREAD;
        let mut partial = Partial::new(sink.channels, sink.sums);
        let mut scratch =
            Scratch::take(PRODUCTS * (in_stride + out_stride) + strip_len(&block, inputs));
        let (matrices, rest) = scratch.values().split_at_mut(PRODUCTS * in_stride);
        let (products, strip) = rest.split_at_mut(PRODUCTS * out_stride);
        let input = Tiles { shape, block, rows, stride: in_stride };
        let output = Tiles { shape, block, rows, stride: out_stride };
        // SAFETY: the three parts of the scratch have the sizes that the three steps state; a block's
        // tiles lie within the map and no other block has them.
        unsafe {
            input.transform_input::<L>(source, strip.as_mut_ptr(), matrices.as_mut_ptr());
            for product in 0..PRODUCTS {
                let left = matrices.as_ptr().add(product * in_stride);
                let out = products.as_mut_ptr().add(product * out_stride);
                multiply::<L>(left, filter.product(product), out, sizes);
            }
            output.transform_output::<L>(products.as_ptr(), sink, &mut partial);
        }
        partial
    }
}

/// Values of the strip that one tile row of a block is read into.
fn strip_len(block: &Block, channels: usize) -> usize {
    PATCH * (TILE * (block.columns.1 - block.columns.0) + 2) * channels
}

/// A block's 36 matrices in panels, a row for each tile.
#[derive(Clone, Copy)]
struct Tiles {
    shape: MapShape,
    block: Block,
    /// Rows of a matrix: at least the block's tiles.
    rows: usize,
    /// Values from one matrix to the next.
    stride: usize,
}

impl Tiles {
    /// Reads the block's tiles and writes Bᵀ d B.
    ///
    /// # Safety
    /// `strip` has [`strip_len`] values, `to` 36 matrices of the source's padded channels.
    #[inline(always)]
    unsafe fn transform_input<L: Lanes>(self, source: &Source, strip: *mut f32, to: *mut f32) {
        let Block { rows, columns, .. } = self.block;
        let wide = columns.1 - columns.0;
        let line = TILE * wide + 2;
        for tile_row in rows.0..rows.1 {
            let first_tile = (tile_row - rows.0) * wide;
            // SAFETY: a panel of the strip has six lines; columns TILE * column .. + 6 lie within them,
            // and the tile's row within the matrices.
            unsafe {
                self.read_strip::<L>(source, tile_row, strip);
                for c in (0..padded(source.channels)).step_by(L::N) {
                    let panel = c / PANEL;
                    let from = strip.add(panel * PATCH * line * PANEL + c % PANEL);
                    let to = to.add((panel * self.rows + first_tile) * PANEL + c % PANEL);
                    for column in 0..wide {
                        let from = from.add(TILE * column * PANEL);
                        let to = to.add(column * PANEL);
                        transform_patch::<L>(from, line * PANEL, to, self.stride);
                    }
                }
            }
        }
    }

    /// Reads the six pixel rows of a tile row, with zeros outside the map.
    ///
    /// # Safety
    /// `strip` has [`strip_len`] values.
    #[inline(always)]
    unsafe fn read_strip<L: Lanes>(self, source: &Source, tile_row: usize, strip: *mut f32) {
        let Self { shape, block, .. } = self;
        let line = TILE * (block.columns.1 - block.columns.0) + 2;
        let stride = PATCH * line * PANEL;
        let panels = padded(source.channels) / PANEL;
        // Column of the map at the strip's column 1; the strip begins one to its left.
        let left = TILE * block.columns.0;
        let (skip, first) = if left == 0 { (1, 0) } else { (0, left - 1) };
        let last = (left + line - 1).min(shape.w);
        let count = last.saturating_sub(first).min(line - skip);
        for y in 0..PATCH {
            let row = TILE * tile_row + y;
            // SAFETY: the line has `line` pixels in each panel; the pixels read lie in the map.
            unsafe {
                let to = strip.add(y * line * PANEL);
                let clear = |from: usize, end: usize| {
                    for panel in 0..panels {
                        let to = to.add(panel * stride + from * PANEL);
                        std::ptr::write_bytes(to, 0, (end - from) * PANEL);
                    }
                };
                if row == 0 || row > shape.h {
                    clear(0, line);
                    continue;
                }
                clear(0, skip);
                let pixel = (block.image * shape.h + row - 1) * shape.w + first;
                source.read::<L>(Run { pixel, count, step: 1 }, to.add(skip * PANEL), stride);
                clear(skip + count, line);
            }
        }
    }

    /// Reads the products and stores Aᵀ m A.
    ///
    /// # Safety
    /// `from` has 36 matrices of the sink's padded channels; the block's tiles lie within the map.
    #[inline(always)]
    unsafe fn transform_output<L: Lanes>(
        self,
        from: *const f32,
        sink: &Sink,
        partial: &mut Partial,
    ) {
        let Self { shape, block, rows, stride } = self;
        let mut tile = 0;
        for tile_row in block.rows.0..block.rows.1 {
            for tile_column in block.columns.0..block.columns.1 {
                let (top, left) = (TILE * tile_row, TILE * tile_column);
                let (high, wide) = (TILE.min(shape.h - top), TILE.min(shape.w - left));
                let first = (block.image * shape.h + top) * shape.w + left;
                let mut pixels = [0; TILE * TILE];
                let mut count = 0;
                for y in 0..high {
                    for x in 0..wide {
                        pixels[count] = first + y * shape.w + x;
                        count += 1;
                    }
                }
                for c in (0..padded(sink.channels)).step_by(L::N) {
                    // SAFETY: the tile has a row in every matrix; its pixels lie within the map.
                    unsafe {
                        let from = from.add((c / PANEL * rows + tile) * PANEL + c % PANEL);
                        let mut values = transform_products::<L>(from, stride);
                        if wide < TILE {
                            for i in wide..count {
                                values[i] = values[i / wide * TILE + i % wide];
                            }
                        }
                        let values = Vectors { first: values.as_ptr().cast(), stride: L::N };
                        sink.store::<L>(&pixels[..count], values, c, partial);
                    }
                }
                partial.count += count;
                tile += 1;
            }
        }
    }
}

/// Bᵀ d B of one vector's channels.
///
/// # Safety
/// `from` has six rows, `row_len` apart, of six vectors, [`PANEL`] apart; `to` 36 places, `stride` apart.
#[allow(clippy::needless_range_loop, reason = "a column of the patch is a column of `half`")]
#[inline(always)]
unsafe fn transform_patch<L: Lanes>(from: *const f32, row_len: usize, to: *mut f32, stride: usize) {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut half = [[L::splat(0.0); PATCH]; PATCH];
        for x in 0..PATCH {
            let mut d = [L::splat(0.0); PATCH];
            for (y, d) in d.iter_mut().enumerate() {
                *d = L::load(from.add(y * row_len + x * PANEL));
            }
            let d = input_column::<L>(d);
            for y in 0..PATCH {
                half[y][x] = d[y];
            }
        }
        for (y, half) in half.into_iter().enumerate() {
            for (x, value) in input_column::<L>(half).into_iter().enumerate() {
                L::store(to.add((y * PATCH + x) * stride), value);
            }
        }
    }
}

/// Aᵀ m A of one vector's channels, row by row.
///
/// # Safety
/// `from` has 36 vectors, `stride` apart.
#[allow(clippy::needless_range_loop, reason = "a column of the patch is a column of `half`")]
#[inline(always)]
unsafe fn transform_products<L: Lanes>(from: *const f32, stride: usize) -> [L::V; TILE * TILE] {
    // SAFETY: passed on from the caller.
    unsafe {
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
        for (y, half) in half.into_iter().enumerate() {
            for (x, value) in output_column::<L>(half).into_iter().enumerate() {
                values[y * TILE + x] = value;
            }
        }
        values
    }
}
