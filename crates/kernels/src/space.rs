//! Convolutions in three axes as one matrix product: exact to a few roundings where Winograd's form is to more, of any
//! odd kernel and any stride.
//!
//! A row of the left matrix is what a result's kernel sees, tap after tap; rows are gathered a block at a time.
use crate::emit::{Epilogue, Partial, Sink, Sums, Vectors};
use crate::gemm::{PANEL, Sizes, multiply, padded_rows, place};
use crate::load::{Prologue, Run, Source};
use crate::memory::{Scratch, written};
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;

/// Results of a work item.
const BLOCK: usize = 96;

/// Channels that are so few that a vector for each tap would be mostly padding.
const NARROW: usize = 6;

/// A convolution of channels-last maps `[n, d, h, w, c]`; zeros around the map let strides alone make it smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceConvolution {
    /// Images.
    pub n: usize,
    /// Depth, height, width of the input.
    pub size: [usize; 3],
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Depth, height, width of the kernel; odd.
    pub kernel: [usize; 3],
    /// Along each axis.
    pub stride: [usize; 3],
}

impl SpaceConvolution {
    /// Depth, height, width of the result.
    pub fn out_size(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.size[axis].div_ceil(self.stride[axis]))
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Columns of the left matrix from one tap to the next: whole panels, but for few channels, whose taps stand side by
    /// side.
    fn tap_columns(&self) -> usize {
        if self.inputs <= NARROW { self.inputs } else { padded(self.inputs) }
    }

    /// Columns of the left matrix.
    fn depth(&self) -> usize {
        padded(self.taps() * self.tap_columns())
    }

    fn pixels(&self) -> usize {
        self.n * self.out_size().iter().product::<usize>()
    }

    fn check(&self, x: &[f32], weight: &[f32], bias: &[f32]) {
        let voxels: usize = self.size.iter().product();
        assert!(self.kernel.iter().all(|size| size % 2 == 1), "a kernel of {:?}", self.kernel);
        assert!(!self.stride.contains(&0), "a stride of {:?}", self.stride);
        assert_eq!(x.len(), self.n * voxels * self.inputs, "a map of another shape");
        assert_eq!(
            weight.len(),
            self.outputs * self.inputs * self.taps(),
            "weights for another shape"
        );
        assert_eq!(bias.len(), self.outputs, "a bias for other channels");
    }

    /// For few channels, what each column of the left matrix reads: its tap's place against the kernel's corner, and how
    /// far from the corner's first channel it stands in memory.
    fn columns(&self) -> Vec<([usize; 3], usize)> {
        let [_, h, w] = self.size;
        let [kd, kh, kw] = self.kernel;
        let mut columns = Vec::new();
        for (z, y) in (0..kd).flat_map(|z| (0..kh).map(move |y| (z, y))) {
            for (x, c) in (0..kw).flat_map(|x| (0..self.inputs).map(move |c| (x, c))) {
                columns.push(([z, y, x], ((z * h + y) * w + x) * self.inputs + c));
            }
        }
        columns
    }

    /// The weights as the right matrix, in panels.
    fn matrix(&self, weight: &[f32]) -> Vec<f32> {
        let (taps, inputs, rows) = (self.taps(), self.tap_columns(), self.depth());
        let mut matrix = vec![0.0; rows * padded(self.outputs)];
        for (pair, weights) in weight.chunks_exact(taps).enumerate() {
            let (o, i) = (pair / self.inputs, pair % self.inputs);
            for (tap, weight) in weights.iter().enumerate() {
                matrix[place(tap * inputs + i, o, rows * PANEL)] = *weight;
            }
        }
        matrix
    }
}

/// `x * weight + bias`; weight `[outputs, inputs, kd, kh, kw]`.
///
/// # Panics
/// When slices have not the lengths that the shape says, or a kernel's size is even.
pub fn convolve_space(
    shape: &SpaceConvolution,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    shape.check(x, weight, bias);
    let matrix = shape.matrix(weight);
    let source = Source { map: x, channels: shape.inputs, prologue: Prologue::Plain };
    let columns = if shape.inputs <= NARROW { shape.columns() } else { Vec::new() };
    let set = InstructionSet::current();
    let pixels = shape.pixels();
    // SAFETY: the items store each pixel of the output once and read none of it.
    let (out, ()) = unsafe {
        written(pixels * shape.outputs, |out| {
            let epilogue = Epilogue::Plain { bias: Some(bias) };
            let sink = Sink { out, channels: shape.outputs, epilogue, sums: Sums::Nothing };
            (0..pixels.div_ceil(BLOCK)).into_par_iter().with_max_len(8).for_each(|item| {
                let start = item * BLOCK;
                let count = BLOCK.min(pixels - start);
                let (source, matrix, sink, columns) = (&source, &matrix, &sink, &columns);
                set.run(Item { shape, source, matrix, sink, columns, start, count });
            });
        })
    };
    out
}

/// Results `start .. start + count`, in their order in memory.
struct Item<'a> {
    shape: &'a SpaceConvolution,
    source: &'a Source<'a>,
    matrix: &'a [f32],
    sink: &'a Sink<'a>,
    columns: &'a [([usize; 3], usize)],
    start: usize,
    count: usize,
}

impl Job for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let depth = self.shape.depth();
        let columns = padded(self.shape.outputs);
        let rows = padded_rows(self.count);
        let mut scratch = Scratch::take(rows * (depth + columns));
        let (inputs, products) = scratch.values().split_at_mut(rows * depth);
        let (inputs, products) = (inputs.as_mut_ptr(), products.as_mut_ptr());
        // SAFETY: the scratch has the rows on both sides, and `matrix` the sizes; the results lie within the output and
        // belong to this item.
        unsafe {
            if self.shape.inputs <= NARROW {
                self.gather_narrow(inputs, rows);
            } else {
                self.gather::<L>(inputs, rows * PANEL);
            }
            multiply::<L>(inputs, self.matrix.as_ptr(), products, Sizes { rows, depth, columns });
            self.scatter::<L>(products, rows * PANEL);
        }
    }
}

/// Results of one line.
#[derive(Clone, Copy)]
struct Line {
    image: usize,
    /// Of the result's pixel that comes first.
    at: [usize; 3],
    count: usize,
}

impl Item<'_> {
    /// Reads what each result's kernel sees.
    ///
    /// # Safety
    /// `to` has a row of all taps' padded channels for each result, `stride` values a panel.
    #[inline(always)]
    unsafe fn gather<L: Lanes>(&self, to: *mut f32, stride: usize) {
        let [od, oh, ow] = self.shape.out_size();
        let [kd, kh, kw] = self.shape.kernel;
        let tap_len = padded(self.shape.inputs) / PANEL * stride;
        let mut row = 0;
        while row < self.count {
            let pixel = self.start + row;
            let at = [pixel / (oh * ow) % od, pixel / ow % oh, pixel % ow];
            let count = (ow - at[2]).min(self.count - row);
            let line = Line { image: pixel / (od * oh * ow), at, count };
            let mut tap = 0;
            for z in 0..kd {
                for y in 0..kh {
                    for x in 0..kw {
                        // SAFETY: the line's rows lie within each tap's panels.
                        unsafe {
                            let to = to.add(tap * tap_len + row * PANEL);
                            self.read_line::<L>(line, [z, y, x], to, stride);
                        }
                        tap += 1;
                    }
                }
            }
            row += count;
        }
    }

    /// The same for few channels, value by value.
    ///
    /// # Safety
    /// `to` has `rows` rows of [`SpaceConvolution::depth`] columns, in panels.
    #[inline(always)]
    unsafe fn gather_narrow(&self, to: *mut f32, rows: usize) {
        let SpaceConvolution { size, kernel, stride: step, inputs, .. } = *self.shape;
        let [od, oh, ow] = self.shape.out_size();
        for row in 0..self.count {
            let pixel = self.start + row;
            let image = pixel / (od * oh * ow);
            // The kernel's corner; outside the map it wraps round to a large number, and so does the place in memory.
            let at = [pixel / (oh * ow) % od, pixel / ow % oh, pixel % ow];
            let corner =
                [0, 1, 2].map(|axis| (at[axis] * step[axis]).wrapping_sub(kernel[axis] / 2));
            let line = (image * size[0]).wrapping_add(corner[0]).wrapping_mul(size[1]);
            let first = line.wrapping_add(corner[1]).wrapping_mul(size[2]).wrapping_add(corner[2]);
            let first = first.wrapping_mul(inputs);
            for (column, (tap, offset)) in self.columns.iter().enumerate() {
                let is_inside =
                    (0..3).all(|axis| corner[axis].wrapping_add(tap[axis]) < size[axis]);
                let value =
                    if is_inside { self.source.map[first.wrapping_add(*offset)] } else { 0.0 };
                // SAFETY: row and column lie within the matrix.
                unsafe { *to.add(place(row, column, rows * PANEL)) = value };
            }
            for column in self.columns.len()..self.shape.depth() {
                // SAFETY: as above.
                unsafe { *to.add(place(row, column, rows * PANEL)) = 0.0 };
            }
        }
    }

    /// Reads what one tap sees of a line, with zeros outside the map.
    ///
    /// # Safety
    /// As [`Self::gather`]; `to` has a row for each of the line's results in each panel.
    #[inline(always)]
    unsafe fn read_line<L: Lanes>(&self, line: Line, tap: [usize; 3], to: *mut f32, stride: usize) {
        let SpaceConvolution { size, kernel, stride: step, inputs, .. } = *self.shape;
        let Line { image, at, count } = line;
        let panels = padded(inputs) / PANEL;
        let clear = |from: usize, end: usize| {
            for panel in 0..panels {
                // SAFETY: rows `from .. end` are the line's.
                unsafe {
                    let to = to.add(panel * stride + from * PANEL);
                    std::ptr::write_bytes(to, 0, (end - from) * PANEL);
                }
            }
        };
        let inside = |axis: usize| {
            let place = (at[axis] * step[axis] + tap[axis]).checked_sub(kernel[axis] / 2);
            place.filter(|&place| place < size[axis])
        };
        let (Some(z), Some(y)) = (inside(0), inside(1)) else { return clear(0, count) };
        // Results whose tap lies within the map's line.
        let pad = kernel[2] / 2;
        let first = pad.saturating_sub(tap[2]).div_ceil(step[2]).saturating_sub(at[2]).min(count);
        let end = (size[2] + pad).saturating_sub(tap[2]).div_ceil(step[2]);
        let end = end.saturating_sub(at[2]).clamp(first, count);
        clear(0, first);
        if end > first {
            let x = (at[2] + first) * step[2] + tap[2] - pad;
            let pixel = ((image * size[0] + z) * size[1] + y) * size[2] + x;
            let run = Run { pixel, count: end - first, step: step[2] };
            // SAFETY: the pixels lie within the map, and their rows are the line's.
            unsafe { self.source.read::<L>(run, to.add(first * PANEL), stride) };
        }
        clear(end, count);
    }

    /// Stores the results.
    ///
    /// # Safety
    /// `from` holds a row of the padded outputs for each; they belong to this item alone.
    #[inline(always)]
    unsafe fn scatter<L: Lanes>(&self, from: *const f32, stride: usize) {
        const GROUP: usize = 16;
        let mut partial = Partial::new(self.sink.channels, Sums::Nothing);
        for first in (0..self.count).step_by(GROUP) {
            let group = GROUP.min(self.count - first);
            let mut pixels = [0; GROUP];
            for (r, pixel) in pixels.iter_mut().enumerate() {
                *pixel = self.start + first + r;
            }
            for c in (0..padded(self.sink.channels)).step_by(L::N) {
                // SAFETY: passed on from the caller; `c` lies within the padded outputs.
                unsafe {
                    let at = c / PANEL * stride + c % PANEL;
                    let values = Vectors { first: from.add(at + first * PANEL), stride: PANEL };
                    self.sink.store::<L>(&pixels[..group], values, c, &mut partial);
                }
            }
        }
    }
}
