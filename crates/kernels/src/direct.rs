//! Convolutions in three axes as matrix products over gathered pixels: any taps, any steps between results, forward, back to
//! the input, and gathered into the weights' gradient.
//!
//! A row of the left matrix is what a result sees, tap after tap; rows are gathered a block at a time.
use crate::emit::{Partial, Sink, Vectors};
use crate::gemm::{PANEL, Panels, Sizes, add_outer, multiply, padded_rows, place};
use crate::load::{Run, Source};
use crate::memory::Scratch;
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;

/// Channels that are so few that a vector for each tap would be mostly padding.
pub(crate) const NARROW: usize = 6;

/// Between a fine map, where a kernel lies at equal steps, and a coarse one, with a value for each of its places. A
/// convolution goes from fine to coarse, its transposed from coarse to fine; weights are `[coarse, fine, taps]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub n: usize,
    /// Depth, height, width of the fine map.
    pub fine: [usize; 3],
    /// Of the coarse map.
    pub coarse: [usize; 3],
    pub fine_channels: usize,
    pub coarse_channels: usize,
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    /// Zeros before the fine map.
    pub pad: [usize; 3],
}

impl Window {
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Place of each tap in the kernel, in the weights' order.
    fn each_tap(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [kd, kh, kw] = self.kernel;
        (0..kd * kh * kw).map(move |tap| [tap / (kh * kw), tap / kw % kh, tap % kw])
    }

    /// What a place of the coarse map sees of the fine one.
    fn view(&self) -> View {
        let offset = |tap: [usize; 3]| [0, 1, 2].map(|a| tap[a] as isize - self.pad[a] as isize);
        View {
            from: self.fine,
            grid: self.coarse,
            step: self.stride,
            taps: self.each_tap().map(offset).collect(),
            to: self.coarse,
            spacing: [1; 3],
            phase: [0; 3],
        }
    }

    /// What places of the fine map see of the coarse one: those of one phase see the same taps. Each with its taps' places
    /// in the weights.
    fn views_back(&self) -> Vec<(View, Vec<usize>)> {
        let Self { fine, coarse, stride, pad, .. } = *self;
        let phases = stride[0] * stride[1] * stride[2];
        let phases = (0..phases)
            .map(|p| [p / (stride[1] * stride[2]), p / stride[2] % stride[1], p % stride[2]]);
        let views = phases.filter(|phase| (0..3).all(|a| phase[a] < fine[a])).map(|phase| {
            let mut view = View {
                from: coarse,
                grid: [0, 1, 2].map(|a| (fine[a] - phase[a]).div_ceil(stride[a])),
                step: [1; 3],
                taps: Vec::new(),
                to: fine,
                spacing: stride,
                phase,
            };
            let mut places = Vec::new();
            for (at, tap) in self.each_tap().enumerate() {
                let ahead = [0, 1, 2].map(|a| (phase[a] + pad[a]) as isize - tap[a] as isize);
                if (0..3).all(|a| ahead[a].rem_euclid(stride[a] as isize) == 0) {
                    view.taps.push([0, 1, 2].map(|a| ahead[a].div_euclid(stride[a] as isize)));
                    places.push(at);
                }
            }
            (view, places)
        });
        views.collect()
    }
}

/// Results on a grid, and what each sees.
struct View {
    /// Sizes of the map that is read.
    from: [usize; 3],
    /// Results along each axis.
    grid: [usize; 3],
    /// From one result to the next in the map that is read.
    step: [usize; 3],
    /// What a result sees, against its place there.
    taps: Vec<[isize; 3]>,
    /// Sizes of the map that is written.
    to: [usize; 3],
    /// From one result to the next there.
    spacing: [usize; 3],
    /// Where the first result stands there.
    phase: [usize; 3],
}

impl View {
    /// Results of an image.
    fn results(&self) -> usize {
        self.grid.iter().product()
    }

    fn at(&self, result: usize) -> [usize; 3] {
        let [_, h, w] = self.grid;
        [result / (h * w), result / w % h, result % w]
    }

    /// Pixel of the map written.
    fn target(&self, image: usize, result: usize) -> usize {
        let [d, h, w] = self.to;
        if self.spacing == [1; 3] {
            return image * d * h * w + result;
        }
        let at = self.at(result);
        let [z, y, x] = [0, 1, 2].map(|a| at[a] * self.spacing[a] + self.phase[a]);
        ((image * d + z) * h + y) * w + x
    }
}

/// A left matrix: rows that are gathered of a map.
struct Gather<'a> {
    view: &'a View,
    source: &'a Source<'a>,
    /// For few channels, whose taps stand side by side, each column's tap and how far it stands from the first result's
    /// place in memory; empty for many.
    narrow: Vec<([isize; 3], isize)>,
}

impl<'a> Gather<'a> {
    fn new(view: &'a View, source: &'a Source<'a>) -> Self {
        let [_, h, w] = view.from.map(|size| size as isize);
        let channels = source.channels as isize;
        let mut narrow = Vec::new();
        if source.channels <= NARROW {
            for &tap in &view.taps {
                let pixel = (tap[0] * h + tap[1]) * w + tap[2];
                narrow.extend((0..channels).map(|c| (tap, pixel * channels + c)));
            }
        }
        Self { view, source, narrow }
    }

    fn is_narrow(&self) -> bool {
        self.source.channels <= NARROW
    }

    /// Columns of these taps.
    fn columns(&self, taps: usize) -> usize {
        if self.is_narrow() {
            padded(taps * self.source.channels)
        } else {
            taps * padded(self.source.channels)
        }
    }

    /// Reads the rows of an image's results; of few channels all taps.
    ///
    /// # Safety
    /// The results lie within the grid; `to` has a panel of `stride` values, with a row for each result, for each
    /// [`PANEL`] of [`Self::columns`].
    #[inline(always)]
    unsafe fn read<L: Lanes>(
        &self,
        (image, start, count): (usize, usize, usize),
        taps: std::ops::Range<usize>,
        to: *mut f32,
        stride: usize,
    ) {
        if self.is_narrow() {
            // SAFETY: passed on from the caller.
            return unsafe { self.read_narrow(image, start, count, to, stride) };
        }
        let tap_len = padded(self.source.channels) / PANEL * stride;
        let wide = self.view.grid[2];
        let mut row = 0;
        while row < count {
            let at = self.view.at(start + row);
            let line = (wide - at[2]).min(count - row);
            for (place, tap) in self.view.taps[taps.clone()].iter().enumerate() {
                // SAFETY: the line's rows lie within each tap's panels.
                unsafe {
                    let to = to.add(place * tap_len + row * PANEL);
                    self.read_line::<L>(image, at, line, *tap, to, stride);
                }
            }
            row += line;
        }
    }

    /// The same value by value.
    ///
    /// # Safety
    /// As [`Self::read`].
    #[inline(always)]
    unsafe fn read_narrow(
        &self,
        image: usize,
        start: usize,
        count: usize,
        to: *mut f32,
        stride: usize,
    ) {
        let View { from, step, taps, .. } = self.view;
        let sizes = from.map(|size| size as isize);
        let bound = |axis: usize, largest: bool| {
            let places = taps.iter().map(|tap| tap[axis]);
            if largest { places.max() } else { places.min() }.unwrap_or(0)
        };
        let (low, high) = ([0, 1, 2].map(|a| bound(a, false)), [0, 1, 2].map(|a| bound(a, true)));
        let columns = self.columns(taps.len());
        for row in 0..count {
            let at = self.view.at(start + row);
            let at = [0, 1, 2].map(|a| (at[a] * step[a]) as isize);
            let pixel = ((image as isize * sizes[0] + at[0]) * sizes[1] + at[1]) * sizes[2] + at[2];
            let first = pixel * self.source.channels as isize;
            let is_whole = (0..3).all(|a| at[a] + low[a] >= 0 && at[a] + high[a] < sizes[a]);
            for (column, (tap, offset)) in self.narrow.iter().enumerate() {
                let is_inside =
                    is_whole || (0..3).all(|a| (0..sizes[a]).contains(&(at[a] + tap[a])));
                // SAFETY: row and column lie within the matrix, and what is inside within the map.
                unsafe {
                    let value = if is_inside {
                        *self.source.map.get_unchecked((first + offset) as usize)
                    } else {
                        0.0
                    };
                    *to.add(place(row, column, stride)) = value;
                }
            }
            for column in self.narrow.len()..columns {
                // SAFETY: as above.
                unsafe { *to.add(place(row, column, stride)) = 0.0 };
            }
        }
    }

    /// Reads what one tap sees of a line of results, with zeros outside the map.
    ///
    /// # Safety
    /// As [`Self::read`]; `to` has a row for each of the line's results in each panel.
    #[inline(always)]
    unsafe fn read_line<L: Lanes>(
        &self,
        image: usize,
        at: [usize; 3],
        count: usize,
        tap: [isize; 3],
        to: *mut f32,
        stride: usize,
    ) {
        let View { from, step, .. } = self.view;
        let panels = padded(self.source.channels) / PANEL;
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
            let place = (at[axis] * step[axis]).checked_add_signed(tap[axis]);
            place.filter(|&place| place < from[axis])
        };
        let (Some(z), Some(y)) = (inside(0), inside(1)) else { return clear(0, count) };
        // Results whose tap lies within the map's line.
        let before = (-tap[2]).max(0) as usize;
        let first = before.div_ceil(step[2]).saturating_sub(at[2]).min(count);
        let end = from[2].saturating_add_signed(-tap[2]).div_ceil(step[2]);
        let end = end.saturating_sub(at[2]).clamp(first, count);
        clear(0, first);
        if end > first {
            let x = ((at[2] + first) * step[2]).saturating_add_signed(tap[2]);
            let pixel = ((image * from[0] + z) * from[1] + y) * from[2] + x;
            let run = Run { pixel, count: end - first, step: step[2] };
            // SAFETY: the pixels lie within the map, and their rows are the line's.
            unsafe { self.source.read::<L>(run, to.add(first * PANEL), stride) };
        }
        clear(end, count);
    }
}

/// The weights `[coarse, fine, taps]` as a right matrix in panels: rows are `gather`'s columns, columns the channels of the
/// other side.
fn matrix(
    window: &Window,
    weight: &[f32],
    gather: &Gather,
    places: &[usize],
    back: bool,
) -> Vec<f32> {
    let (taps, fine) = (window.taps(), window.fine_channels);
    let (written, step, read_step) = match back {
        false => (window.coarse_channels, fine * taps, taps),
        true => (fine, taps, fine * taps),
    };
    let read = gather.source.channels;
    let tap_rows = if gather.is_narrow() { read } else { padded(read) };
    let rows = gather.columns(places.len());
    let mut matrix = vec![0.0; rows * padded(written)];
    if rows == 0 {
        return matrix;
    }
    matrix.par_chunks_mut(rows * PANEL).enumerate().for_each(|(panel, matrix)| {
        let columns = PANEL.min(written - panel * PANEL);
        for channel in 0..read {
            for (tap, place) in places.iter().enumerate() {
                let to = &mut matrix[(tap * tap_rows + channel) * PANEL..][..columns];
                for (column, to) in to.iter_mut().enumerate() {
                    *to = weight[(panel * PANEL + column) * step + channel * read_step + place];
                }
            }
        }
    });
    matrix
}

/// Rows of a work item: few enough that the left matrix stays in a core's cache, so many items that threads end together.
fn block(columns: usize, results: usize) -> usize {
    const CACHE_VALUES: usize = 96 * 1024;
    let fits = (CACHE_VALUES / columns.max(1)).clamp(24, 96) / 12 * 12;
    (results / 8).next_multiple_of(12).clamp(12, fits)
}

/// From the fine map to the coarse one. Gives the items' sums, in order: as many for each image.
pub(crate) fn convolve(
    window: &Window,
    source: &Source,
    weight: &[f32],
    sink: &Sink,
) -> Vec<Partial> {
    let view = window.view();
    let gather = Gather::new(&view, source);
    let places: Vec<_> = (0..window.taps()).collect();
    let matrix = matrix(window, weight, &gather, &places, false);
    product(window.n, &gather, &matrix, sink)
}

/// From the coarse map to the fine one: the transposed convolution, which is the gradient of the input too.
pub(crate) fn convolve_back(window: &Window, source: &Source, weight: &[f32], sink: &Sink) {
    for (view, places) in window.views_back() {
        let gather = Gather::new(&view, source);
        let matrix = matrix(window, weight, &gather, &places, true);
        product(window.n, &gather, &matrix, sink);
    }
}

fn product(images: usize, gather: &Gather, matrix: &[f32], sink: &Sink) -> Vec<Partial> {
    let set = InstructionSet::current();
    let results = gather.view.results();
    let block = block(gather.columns(gather.view.taps.len()), images * results);
    let of_image = results.div_ceil(block);
    (0..images * of_image)
        .into_par_iter()
        .with_max_len(4)
        .map(|item| {
            let (image, start) = (item / of_image, item % of_image * block);
            let rows = (image, start, block.min(results - start));
            set.run(Product { gather, matrix, sink, rows })
        })
        .collect()
}

/// Results of an image: the image, the first one, how many.
struct Product<'a> {
    gather: &'a Gather<'a>,
    matrix: &'a [f32],
    sink: &'a Sink<'a>,
    rows: (usize, usize, usize),
}

impl Job for Product<'_> {
    type Output = Partial;

    #[inline(always)]
    fn run<L: Lanes>(self) -> Partial {
        let Self { gather, matrix, sink, rows: (image, start, count) } = self;
        let taps = gather.view.taps.len();
        let (depth, columns) = (gather.columns(taps), padded(sink.channels));
        let rows = padded_rows(count);
        let mut partial = Partial::new(sink.channels, sink.sums);
        let mut scratch = Scratch::take(rows * (depth + columns));
        let (inputs, products) = scratch.values().split_at_mut(rows * depth);
        let (inputs, products) = (inputs.as_mut_ptr(), products.as_mut_ptr());
        let stride = rows * PANEL;
        // SAFETY: the scratch has the rows on both sides, and `matrix` the sizes; the results lie within the output and
        // belong to this item.
        unsafe {
            gather.read::<L>((image, start, count), 0..taps, inputs, stride);
            let sizes = Sizes::plain(rows, depth, columns);
            multiply::<L>(inputs, matrix.as_ptr(), products, sizes);
            self.scatter::<L>(products, stride, &mut partial);
        }
        partial
    }
}

impl Product<'_> {
    /// Stores the results.
    ///
    /// # Safety
    /// `from` holds a row of the padded channels for each; they belong to this item alone.
    #[inline(always)]
    unsafe fn scatter<L: Lanes>(&self, from: *const f32, stride: usize, partial: &mut Partial) {
        const GROUP: usize = 16;
        let (image, start, count) = self.rows;
        for first in (0..count).step_by(GROUP) {
            let group = GROUP.min(count - first);
            let mut pixels = [0; GROUP];
            for (r, pixel) in pixels.iter_mut().enumerate().take(group) {
                *pixel = self.gather.view.target(image, start + first + r);
            }
            for c in (0..padded(self.sink.channels)).step_by(L::N) {
                // SAFETY: passed on from the caller; `c` lies within the padded channels.
                unsafe {
                    let at = c / PANEL * stride + c % PANEL;
                    let values = Vectors { first: from.add(at + first * PANEL), stride: PANEL };
                    self.sink.store::<L>(&pixels[..group], values, c, partial);
                }
            }
            partial.count += group;
        }
    }
}

/// Gradient `[coarse, fine, taps]` of the weights, from the fine map and the coarse one.
pub(crate) fn weight_gradient(window: &Window, fine: &Source, coarse: &Source) -> Vec<f32> {
    /// Values of the sums that an item keeps in a core's cache.
    const CACHE_VALUES: usize = 128 * 1024;
    /// Results of a block.
    const BLOCK: usize = 96;
    let set = InstructionSet::current();
    let view = window.view();
    let gather = Gather::new(&view, fine);
    let (taps, columns) = (window.taps(), padded(coarse.channels));
    let together = if gather.is_narrow() {
        taps
    } else {
        (CACHE_VALUES / (padded(fine.channels) * columns)).clamp(1, taps)
    };
    let groups = taps.div_ceil(together);
    let results = view.results();
    // Cut by shape alone, so that bits do not depend on threads.
    let parts = (window.n * results / 1024).clamp(1, 8);
    let blocks: Vec<_> = (0..window.n)
        .flat_map(|image| (0..results).step_by(BLOCK).map(move |start| (image, start)))
        .collect();
    let blocks: Vec<_> = blocks.chunks(blocks.len().div_ceil(parts).max(1)).collect();
    let sums: Vec<Vec<f32>> = (0..blocks.len() * groups)
        .into_par_iter()
        .with_max_len(1)
        .map(|item| {
            let first = item % groups * together;
            let taps = first..(first + together).min(taps);
            let mut sums = vec![0.0; gather.columns(taps.len()) * columns];
            for &(image, start) in blocks[item / groups] {
                let rows = (image, start, BLOCK.min(results - start));
                let (gather, taps, sums) = (&gather, taps.clone(), &mut sums);
                set.run(Outer { gather, taps, coarse, rows, sums });
            }
            sums
        })
        .collect();
    add_up(window, &sums, &gather, together)
}

/// Sums of all parts, as weights.
fn add_up(window: &Window, sums: &[Vec<f32>], gather: &Gather, together: usize) -> Vec<f32> {
    let (taps, fine) = (window.taps(), window.fine_channels);
    let groups = taps.div_ceil(together);
    let tap_rows = if gather.is_narrow() { fine } else { padded(fine) };
    let mut weight = vec![0.0; window.coarse_channels * fine * taps];
    weight.par_chunks_mut(PANEL * fine * taps).enumerate().for_each(|(panel, weight)| {
        for (channel, tap) in (0..fine).flat_map(|c| (0..taps).map(move |tap| (c, tap))) {
            let (group, place) = (tap / together, tap % together);
            let rows = gather.columns(together.min(taps - group * together));
            let at = panel * rows * PANEL + (place * tap_rows + channel) * PANEL;
            let mut total = [0.0; PANEL];
            for part in sums.iter().skip(group).step_by(groups) {
                total.iter_mut().zip(&part[at..]).for_each(|(total, sum)| *total += sum);
            }
            for (weight, total) in weight.chunks_exact_mut(fine * taps).zip(total) {
                weight[channel * taps + tap] = total;
            }
        }
    });
    weight
}

struct Outer<'a> {
    gather: &'a Gather<'a>,
    taps: std::ops::Range<usize>,
    coarse: &'a Source<'a>,
    rows: (usize, usize, usize),
    sums: &'a mut [f32],
}

impl Job for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { gather, taps, coarse, rows: (image, start, count), sums } = self;
        let (rows, columns) = (gather.columns(taps.len()), padded(coarse.channels));
        let mut scratch = Scratch::take(count * (rows + columns));
        let (lefts, rights) = scratch.values().split_at_mut(count * rows);
        let (lefts, rights) = (lefts.as_mut_ptr(), rights.as_mut_ptr());
        let stride = count * PANEL;
        // SAFETY: the scratch has `count` rows on both sides; `sums` is `rows` by `columns`.
        unsafe {
            gather.read::<L>((image, start, count), taps, lefts, stride);
            let pixel = image * gather.view.results() + start;
            coarse.read::<L>(Run { pixel, count, step: 1 }, rights, stride);
            let panels = |first: *mut f32| Panels { first, stride };
            let sizes = (rows, count, columns);
            add_outer::<L>(panels(lefts), panels(rights), sums.as_mut_ptr(), sizes);
        }
    }
}
