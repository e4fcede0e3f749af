//! 3x3x3 convolutions as 3x3 ones summed over the kernel's depth: the sum is taken in the transformed domain, so that each
//! slice is transformed once.
//!
//! A work item is a block of tiles, through a run of slices. The tiles of all its slices are rows of the same 36 matrices,
//! slice after slice; the product with a depth of the kernel reads the rows that lie so many slices on.
use super::transform::PRODUCTS;
use super::weight::add_up;
use super::{Block, Filter, SPREAD, Tiles, blocks, strip_len};
use crate::MapShape;
use crate::emit::{Partial, Sink};
use crate::gemm::{PANEL, Panels, Sizes, add_outer, multiply, padded_rows};
use crate::load::Source;
use crate::memory::Scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;

/// Slices of a run, where the kernel has a depth: each run transforms two slices more.
const SLICES: usize = 8;

/// Tiles of all slices of a run, so that an item's matrices stay in a core's second-level cache.
fn run_target(inputs: usize, outputs: usize) -> usize {
    const CACHE_VALUES: usize = 96 * 1024;
    (CACHE_VALUES / (PRODUCTS * (inputs + outputs))).clamp(24, 96)
}

/// Tiles of all slices of a run for weight gradients: enough that a product's sums are loaded and stored rarely.
fn gradient_target(rows: usize, columns: usize) -> usize {
    const CACHE_VALUES: usize = 96 * 1024;
    (CACHE_VALUES / (PRODUCTS * (rows + columns))).clamp(64, 96)
}

/// A block of tiles through `slices` slices of an image.
#[derive(Clone, Copy)]
struct Run {
    /// Of the first slice, whose plane it states.
    block: Block,
    /// The first slice's depth in its image.
    depth: usize,
    slices: usize,
}

/// Cuts planes, `depth` for each image, into runs of about `target` tiles, image after image.
fn runs(planes: MapShape, depth: usize, taps: usize, target: usize) -> Vec<Run> {
    let longest = if taps == 1 { 1 } else { SLICES.min(depth) };
    let slices = depth.div_ceil(depth.div_ceil(longest));
    let of_plane = blocks(MapShape { n: 1, ..planes }, (target / slices).max(2));
    let mut runs = Vec::new();
    for image in 0..planes.n / depth.max(1) {
        for first in (0..depth).step_by(slices) {
            for block in &of_plane {
                let block = Block { image: image * depth + first, ..*block };
                runs.push(Run { block, depth: first, slices: slices.min(depth - first) });
            }
        }
    }
    runs
}

/// Where a run's matrices lie, and what it reads.
#[derive(Clone, Copy)]
struct Matrices {
    planes: MapShape,
    /// Slices of an image.
    depth: usize,
    run: Run,
    /// Rows of a matrix.
    rows: usize,
    /// Values from one matrix to the next.
    stride: usize,
}

impl Matrices {
    /// The tiles of one of the run's slices, counted from its first.
    fn tiles(&self, slice: usize) -> Tiles {
        let block = self.run.block;
        let block = Block { image: block.image + slice, ..block };
        Tiles { shape: self.planes, block, rows: self.rows, stride: self.stride }
    }

    /// Reads the slices that the results of a kernel of `taps` depths see, and writes Bᵀ d B; outside the image, zeros.
    ///
    /// # Safety
    /// `strip` has [`strip_len`] values, `to` 36 matrices of the source's padded channels with room for all slices.
    #[inline(always)]
    unsafe fn transform_input<L: Lanes>(
        &self,
        source: &Source,
        taps: usize,
        strip: *mut f32,
        to: *mut f32,
    ) {
        let tiles = self.run.block.tiles();
        let pad = taps / 2;
        for slice in 0..self.run.slices + taps - 1 {
            // SAFETY: passed on from the caller; a slice of the image has a plane.
            unsafe {
                let to = to.add(slice * tiles * PANEL);
                let place = self.run.depth + slice;
                if place < pad || place - pad >= self.depth {
                    for panel in 0..PRODUCTS * (padded(source.channels) / PANEL) {
                        let panels = padded(source.channels) / PANEL;
                        let at = panel / panels * self.stride + panel % panels * self.rows * PANEL;
                        std::ptr::write_bytes(to.add(at), 0, tiles * PANEL);
                    }
                    continue;
                }
                let block = self.run.block;
                let block = Block { image: block.image + slice - pad, ..block };
                let slice = Tiles { block, ..self.tiles(0) };
                slice.transform_input::<L>(source, strip, to);
            }
        }
    }
}

/// Convolves planes, `depth` for each image, with a filter that may have a depth. Gives the items' sums, in order: as many
/// for each image.
pub(crate) fn convolve_volume(
    source: &Source,
    planes: MapShape,
    depth: usize,
    filter: &Filter,
    sink: &Sink,
) -> Vec<Partial> {
    let set = InstructionSet::current();
    let target = run_target(padded(source.channels), filter.columns);
    runs(planes, depth, filter.taps, target)
        .into_par_iter()
        // Small pieces, so that threads end together.
        .with_max_len(2)
        .map(|run| set.run(ConvolveRun { source, planes, depth, filter, sink, run }))
        .collect()
}

struct ConvolveRun<'a> {
    source: &'a Source<'a>,
    planes: MapShape,
    depth: usize,
    filter: &'a Filter,
    sink: &'a Sink<'a>,
    run: Run,
}

impl Job for ConvolveRun<'_> {
    type Output = Partial;

    #[inline(always)]
    fn run<L: Lanes>(self) -> Partial {
        let Self { source, planes, depth, filter, sink, run } = self;
        let inputs = padded(source.channels);
        let tiles = run.block.tiles();
        let sizes = Sizes {
            rows: padded_rows(run.slices * tiles),
            depth: filter.depth,
            columns: filter.columns,
            taps: filter.taps,
            shift: tiles,
        };
        let (rows, left_rows) = (sizes.rows, sizes.left_rows());
        let in_stride = left_rows * inputs + SPREAD;
        let out_stride = rows * filter.columns + SPREAD;
        let mut partial = Partial::new(sink.channels, sink.sums);
        let mut scratch =
            Scratch::take(PRODUCTS * (in_stride + out_stride) + strip_len(&run.block, inputs));
        let (matrices, rest) = scratch.values().split_at_mut(PRODUCTS * in_stride);
        let (products, strip) = rest.split_at_mut(PRODUCTS * out_stride);
        let input = Matrices { planes, depth, run, rows: left_rows, stride: in_stride };
        let output = Matrices { planes, depth, run, rows, stride: out_stride };
        // SAFETY: the three parts of the scratch have the sizes that the three steps state; a run's tiles lie
        // within its slices and no other run has them.
        unsafe {
            let (strip, matrices) = (strip.as_mut_ptr(), matrices.as_mut_ptr());
            input.transform_input::<L>(source, filter.taps, strip, matrices);
            for product in 0..PRODUCTS {
                let left = matrices.add(product * in_stride);
                let out = products.as_mut_ptr().add(product * out_stride);
                multiply::<L>(left, filter.product(product), out, sizes);
            }
            for slice in 0..run.slices {
                let from = products.as_ptr().add(slice * tiles * PANEL);
                output.tiles(slice).transform_output::<L>(from, sink, &mut partial);
            }
        }
        partial
    }
}

/// Parts of the map whose sums are gathered apart. It depends on the shape alone, so that the bits do not depend on
/// threads; sums of all parts take no more than so much memory.
fn parts(tiles: usize, sums: usize) -> usize {
    const VALUES: usize = 24 << 20;
    (tiles / 256).min(VALUES / sums).clamp(2, 8)
}

/// Gradient `[cout, cin, taps, 3, 3]` of the weights of a convolution of `input` whose output has the gradient `gradient`,
/// both with `planes`' sizes, `depth` planes for each image.
pub(crate) fn volume_weight_gradient(
    input: &Source,
    gradient: &Source,
    planes: MapShape,
    depth: usize,
    taps: usize,
) -> Vec<f32> {
    let set = InstructionSet::current();
    let (rows, columns) = (padded(input.channels), padded(gradient.channels));
    let len = taps * PRODUCTS * rows * columns;
    let runs = runs(planes, depth, taps, gradient_target(rows, columns));
    let tiles = runs.iter().map(|run| run.slices * run.block.tiles()).sum();
    let part_len = runs.len().div_ceil(parts(tiles, len)).max(1);
    let parts: Vec<Vec<f32>> = runs
        .par_chunks(part_len)
        .map(|runs| {
            let mut sums = vec![0.0; len];
            for &run in runs {
                let sums = &mut sums;
                set.run(GatherRun { input, gradient, planes, depth, taps, run, sums });
            }
            sums
        })
        .collect();
    add_up(&parts, taps, input.channels, gradient.channels)
}

struct GatherRun<'a> {
    input: &'a Source<'a>,
    gradient: &'a Source<'a>,
    planes: MapShape,
    depth: usize,
    taps: usize,
    run: Run,
    sums: &'a mut [f32],
}

impl Job for GatherRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { input, gradient, planes, depth, taps, run, sums } = self;
        let (rows, columns) = (padded(input.channels), padded(gradient.channels));
        let tiles = run.block.tiles();
        let (right_rows, left_rows) = (run.slices * tiles, (run.slices + taps - 1) * tiles);
        let (left_stride, right_stride) =
            (left_rows * rows + SPREAD, right_rows * columns + SPREAD);
        let strip = strip_len(&run.block, rows.max(columns));
        let mut scratch = Scratch::take(PRODUCTS * (left_stride + right_stride) + strip);
        let (left, rest) = scratch.values().split_at_mut(PRODUCTS * left_stride);
        let (right, strip) = rest.split_at_mut(PRODUCTS * right_stride);
        let lefts = Matrices { planes, depth, run, rows: left_rows, stride: left_stride };
        let rights = Matrices { planes, depth, run, rows: right_rows, stride: right_stride };
        // SAFETY: the parts of the scratch have the sizes that the steps state; the run's tiles lie within both
        // maps; `sums` has 36 matrices of `rows` by `columns` for each tap.
        unsafe {
            let strip = strip.as_mut_ptr();
            lefts.transform_input::<L>(input, taps, strip, left.as_mut_ptr());
            for slice in 0..run.slices {
                let to = right.as_mut_ptr().add(slice * tiles * PANEL);
                rights.tiles(slice).transform_gradient::<L>(gradient, strip, to);
            }
            for (product, tap) in (0..PRODUCTS).flat_map(|p| (0..taps).map(move |tap| (p, tap))) {
                let left = left.as_ptr().add(product * left_stride + tap * tiles * PANEL);
                let right = right.as_ptr().add(product * right_stride);
                add_outer::<L>(
                    Panels { first: left, stride: left_rows * PANEL },
                    Panels { first: right, stride: right_rows * PANEL },
                    sums.as_mut_ptr().add((tap * PRODUCTS + product) * rows * columns),
                    (rows, right_rows, columns),
                );
            }
        }
    }
}
