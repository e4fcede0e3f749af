//! The gradient of 3x3 weights, gathered in the transformed domain and transformed once.
use super::transform::{self, PRODUCTS, gradient_column};
use super::{Block, PATCH, SPREAD, TILE, Tiles, blocks, strip_len};
use crate::MapShape;
use crate::gemm::{PANEL, Panels, add_outer, place};
use crate::load::{Run, Source};
use crate::memory::Scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;

/// Parts of the map whose sums are gathered apart. It depends on the shape alone, so that the bits do not
/// depend on threads; a part has enough tiles to be worth its own sums, of which deep layers have many.
fn parts(shape: MapShape) -> usize {
    let tiles = shape.n * shape.h.div_ceil(TILE) * shape.w.div_ceil(TILE);
    (tiles / 128).clamp(2, 8)
}

/// Tiles in a block: enough that a product's sums are loaded and stored rarely.
fn block_target(rows: usize, columns: usize) -> usize {
    const CACHE_VALUES: usize = 96 * 1024;
    (CACHE_VALUES / (PRODUCTS * (rows + columns))).clamp(64, 96)
}

/// Gradient `[cout, cin, 3, 3]` of the weights of a convolution of `input` whose output has the gradient
/// `gradient`, both with `shape`'s `n, h, w`.
pub(crate) fn weight_gradient(input: &Source, gradient: &Source, shape: MapShape) -> Vec<f32> {
    let set = InstructionSet::current();
    let (rows, columns) = (padded(input.channels), padded(gradient.channels));
    let blocks = blocks(shape, block_target(rows, columns));
    let part_len = blocks.len().div_ceil(parts(shape)).max(1);
    let parts: Vec<Vec<f32>> = blocks
        .par_chunks(part_len)
        .map(|blocks| {
            let mut sums = vec![0.0; PRODUCTS * rows * columns];
            for &block in blocks {
                set.run(GatherBlock { input, gradient, shape, block, sums: &mut sums });
            }
            sums
        })
        .collect();
    add_up(&parts, 1, input.channels, gradient.channels)
}

/// Gᵀ u G of the sum of all parts, for each of the kernel's depths.
pub(super) fn add_up(parts: &[Vec<f32>], depths: usize, cin: usize, cout: usize) -> Vec<f32> {
    let set = InstructionSet::current();
    let mut weight = vec![0.0; cout * cin * depths * 9];
    weight.par_chunks_mut(PANEL * cin * depths * 9).enumerate().for_each(|(panel, weight)| {
        set.run(AddUp { parts, depths, cin, columns: padded(cout), panel, weight });
    });
    weight
}

/// The weights that lead to one panel's channels.
struct AddUp<'a> {
    parts: &'a [Vec<f32>],
    depths: usize,
    cin: usize,
    columns: usize,
    panel: usize,
    weight: &'a mut [f32],
}

impl Job for AddUp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { parts, depths, cin, columns, panel, weight } = self;
        let rows = padded(cin);
        for (i, depth) in (0..cin).flat_map(|i| (0..depths).map(move |depth| (i, depth))) {
            let at = depth * PRODUCTS * rows * columns + place(i, panel * PANEL, rows * PANEL);
            let parts = parts.iter().map(|part| part[at..].as_ptr());
            // SAFETY: a part has 36 matrices of `rows` by `columns` for each depth, and `at` lies in a depth's first.
            let taps = unsafe { transform::weight_gradients::<L>(parts, rows * columns) };
            for (j, weight) in weight.chunks_exact_mut(cin * depths * 9).enumerate() {
                let weight = &mut weight[(i * depths + depth) * 9..][..9];
                weight.iter_mut().zip(&taps).for_each(|(weight, tap)| *weight = tap[j]);
            }
        }
    }
}

struct GatherBlock<'a> {
    input: &'a Source<'a>,
    gradient: &'a Source<'a>,
    shape: MapShape,
    block: Block,
    sums: &'a mut [f32],
}

impl Job for GatherBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { input, gradient, shape, block, sums } = self;
        let (rows, columns) = (padded(input.channels), padded(gradient.channels));
        let tiles = block.tiles();
        let (left_stride, right_stride) = (tiles * rows + SPREAD, tiles * columns + SPREAD);
        let strip = strip_len(&block, rows.max(columns));
        let mut scratch = Scratch::take(PRODUCTS * (left_stride + right_stride) + strip);
        let (left, rest) = scratch.values().split_at_mut(PRODUCTS * left_stride);
        let (right, strip) = rest.split_at_mut(PRODUCTS * right_stride);
        let (lefts, rights) = (
            Tiles { shape, block, rows: tiles, stride: left_stride },
            Tiles { shape, block, rows: tiles, stride: right_stride },
        );
        // SAFETY: the parts of the scratch have the sizes that the steps state; the block's tiles lie
        // within both maps; `sums` has 36 matrices of `rows` by `columns`.
        unsafe {
            lefts.transform_input::<L>(input, strip.as_mut_ptr(), left.as_mut_ptr());
            rights.transform_gradient::<L>(gradient, strip.as_mut_ptr(), right.as_mut_ptr());
            for product in 0..PRODUCTS {
                let panels = |first: *const f32| Panels { first, stride: tiles * PANEL };
                add_outer::<L>(
                    panels(left.as_ptr().add(product * left_stride)),
                    panels(right.as_ptr().add(product * right_stride)),
                    sums.as_mut_ptr().add(product * rows * columns),
                    (rows, tiles, columns),
                );
            }
        }
    }
}

impl Tiles {
    /// Reads the block's tiles of the gradient and writes A y Aᵀ.
    ///
    /// # Safety
    /// As [`Tiles::transform_input`].
    #[inline(always)]
    pub(super) unsafe fn transform_gradient<L: Lanes>(
        self,
        source: &Source,
        strip: *mut f32,
        to: *mut f32,
    ) {
        let Block { rows, columns, .. } = self.block;
        let wide = columns.1 - columns.0;
        let line = TILE * wide;
        for tile_row in rows.0..rows.1 {
            let first_tile = (tile_row - rows.0) * wide;
            // SAFETY: a panel of the strip has four lines; the tile's four columns lie within them, and
            // its row within the matrices.
            unsafe {
                self.read_gradient_strip::<L>(source, tile_row, strip);
                for c in (0..padded(source.channels)).step_by(L::N) {
                    let panel = c / PANEL;
                    let from = strip.add(panel * TILE * line * PANEL + c % PANEL);
                    let to = to.add((panel * self.rows + first_tile) * PANEL + c % PANEL);
                    for column in 0..wide {
                        let from = from.add(TILE * column * PANEL);
                        let to = to.add(column * PANEL);
                        transform_tile::<L>(from, line * PANEL, to, self.stride);
                    }
                }
            }
        }
    }

    /// Reads the four pixel rows of a tile row, with zeros outside the map.
    ///
    /// # Safety
    /// As [`Tiles::transform_input`].
    #[inline(always)]
    unsafe fn read_gradient_strip<L: Lanes>(self, source: &Source, tile_row: usize, to: *mut f32) {
        let Self { shape, block, .. } = self;
        let first = TILE * block.columns.0;
        let line = TILE * (block.columns.1 - block.columns.0);
        let stride = TILE * line * PANEL;
        for y in 0..TILE {
            let row = TILE * tile_row + y;
            let count = if row < shape.h { line.min(shape.w - first) } else { 0 };
            // SAFETY: the line has `line` pixels in each panel; what is read lies in the map.
            unsafe {
                let to = to.add(y * line * PANEL);
                if count > 0 {
                    let pixel = (block.image * shape.h + row) * shape.w + first;
                    source.read::<L>(Run { pixel, count, step: 1 }, to, stride);
                }
                for panel in 0..padded(source.channels) / PANEL {
                    let to = to.add(panel * stride + count * PANEL);
                    std::ptr::write_bytes(to, 0, (line - count) * PANEL);
                }
            }
        }
    }
}

/// A y Aᵀ of one vector's channels.
///
/// # Safety
/// `from` has four rows, `row_len` apart, of four vectors, [`PANEL`] apart; `to` 36 places, `stride` apart.
#[allow(clippy::needless_range_loop, reason = "a column of the patch is a column of `half`")]
#[inline(always)]
unsafe fn transform_tile<L: Lanes>(from: *const f32, row_len: usize, to: *mut f32, stride: usize) {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut half = [[L::splat(0.0); TILE]; PATCH];
        for x in 0..TILE {
            let mut d = [L::splat(0.0); TILE];
            for (y, d) in d.iter_mut().enumerate() {
                *d = L::load(from.add(y * row_len + x * PANEL));
            }
            let d = gradient_column::<L>(d);
            for y in 0..PATCH {
                half[y][x] = d[y];
            }
        }
        for (y, half) in half.into_iter().enumerate() {
            for (x, value) in gradient_column::<L>(half).into_iter().enumerate() {
                L::store(to.add((y * PATCH + x) * stride), value);
            }
        }
    }
}
