//! The gradient of 3x3 weights, gathered in the transformed domain and transformed once.
use super::transform::{self, PRODUCTS, gradient_column};
use super::{Block, PATCH, SPREAD, TILE, blocks, strip_len, transform_input};
use crate::MapShape;
use crate::gemm::add_outer;
use crate::load::Source;
use crate::memory::with_scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;

/// Tiles in a block: enough that a product's sums are loaded and stored rarely.
const BLOCK_TILES: usize = 64;

/// Parts of the map whose sums are gathered apart; fixed, so that the bits do not depend on threads.
const PARTS: usize = 8;

/// Gradient `[cout, cin, 3, 3]` of the weights of a convolution of `input` whose output has the gradient
/// `gradient`, both with `shape`'s `n, h, w`.
pub(crate) fn weight_gradient(input: &Source, gradient: &Source, shape: MapShape) -> Vec<f32> {
    let set = InstructionSet::current();
    let (cin, cout) = (input.channels, gradient.channels);
    let blocks = blocks(shape, BLOCK_TILES);
    let part_len = blocks.len().div_ceil(PARTS).max(1);
    let parts: Vec<Vec<f32>> = blocks
        .par_chunks(part_len)
        .map(|blocks| {
            let mut sums = vec![0.0; PRODUCTS * padded(cin) * padded(cout)];
            for &block in blocks {
                set.run(GatherBlock { input, gradient, shape, block, sums: &mut sums });
            }
            sums
        })
        .collect();
    let (rows, columns) = (padded(cin), padded(cout));
    let mut weight = vec![0.0; cout * cin * 9];
    weight.par_chunks_mut(cin * 9).enumerate().for_each(|(o, weight)| {
        for (i, weight) in weight.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let total = |product: usize| -> f32 {
                parts.iter().map(|sums| sums[(product * rows + i) * columns + o]).sum()
            };
            *weight = transform::weight_gradient(&std::array::from_fn(total));
        }
    });
    weight
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
        with_scratch(PRODUCTS * (left_stride + right_stride) + strip, |scratch| {
            let (left, rest) = scratch.split_at_mut(PRODUCTS * left_stride);
            let (right, strip) = rest.split_at_mut(PRODUCTS * right_stride);
            // SAFETY: the parts of the scratch have the sizes that the steps state; the block's tiles lie
            // within both maps; `sums` has 36 matrices of `rows` by `columns`.
            unsafe {
                transform_input::<L>(
                    input,
                    shape,
                    block,
                    strip.as_mut_ptr(),
                    left.as_mut_ptr(),
                    left_stride,
                );
                transform_gradient::<L>(
                    gradient,
                    shape,
                    block,
                    strip.as_mut_ptr(),
                    right.as_mut_ptr(),
                    right_stride,
                );
                for product in 0..PRODUCTS {
                    add_outer::<L>(
                        left.as_ptr().add(product * left_stride),
                        right.as_ptr().add(product * right_stride),
                        sums.as_mut_ptr().add(product * rows * columns),
                        (rows, tiles, columns),
                    );
                }
            }
        });
    }
}

/// Reads the block's tiles of the gradient and writes A y Aᵀ, in the layout of [`transform_input`].
///
/// # Safety
/// As [`transform_input`].
#[inline(always)]
unsafe fn transform_gradient<L: Lanes>(
    source: &Source,
    shape: MapShape,
    block: Block,
    strip: *mut f32,
    to: *mut f32,
    stride: usize,
) {
    let channels = padded(source.channels);
    let (first, wide) = (TILE * block.columns.0, block.columns.1 - block.columns.0);
    let pixels = TILE * wide;
    let count = pixels.min(shape.w - first);
    let mut tile = 0;
    for tile_row in block.rows.0..block.rows.1 {
        for y in 0..TILE {
            let row = TILE * tile_row + y;
            // SAFETY: the strip holds more than four rows of `pixels`; what is read lies in the map.
            unsafe {
                let to = strip.add(y * pixels * channels);
                let count = if row < shape.h { count } else { 0 };
                if count > 0 {
                    let pixel = (block.image * shape.h + row) * shape.w + first;
                    source.read::<L>(pixel, count, to, channels);
                }
                std::ptr::write_bytes(to.add(count * channels), 0, (pixels - count) * channels);
            }
        }
        for column in 0..wide {
            for c in (0..channels).step_by(L::N) {
                // SAFETY: the tile's four columns lie within the strip, its row within the matrices.
                unsafe {
                    let from = strip.add(TILE * column * channels + c);
                    let mut half = [[L::splat(0.0); TILE]; PATCH];
                    for x in 0..TILE {
                        let mut d = [L::splat(0.0); TILE];
                        for (y, d) in d.iter_mut().enumerate() {
                            *d = L::load(from.add((y * pixels + x) * channels));
                        }
                        let d = gradient_column::<L>(d);
                        for y in 0..PATCH {
                            half[y][x] = d[y];
                        }
                    }
                    let to = to.add(tile * channels + c);
                    for (y, half) in half.into_iter().enumerate() {
                        for (x, value) in gradient_column::<L>(half).into_iter().enumerate() {
                            L::store(to.add((y * PATCH + x) * stride), value);
                        }
                    }
                }
            }
            tile += 1;
        }
    }
}
