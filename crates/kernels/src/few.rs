//! Convolutions of maps so small that their weights are most of what is read: the weights are taken as they lie in memory,
//! once, where the other forms would first bring them into an order of their own.
//!
//! What the kernel sees at a place of the coarse map is a row of values in the weights' order, channel after channel and
//! tap after tap. Sums over such rows are gathered in [`PANEL`] parts, whatever the length of a vector, so that they have
//! the same bits for all.
use crate::direct::{NARROW, Window};
use crate::gemm::PANEL;
use crate::memory::{Shared, written};
use crate::simd::{InstructionSet, Job, Lanes};
use rayon::prelude::*;

/// Places of the coarse map from which on other forms are faster.
const MOST: usize = 128;

/// Channels of the coarse map of a work item.
const CHANNELS: usize = 24;

/// Weights of a row of a work item.
const COLUMNS: usize = 8 * PANEL;

/// Vectors that make up a [`PANEL`] at most.
const VECTORS: usize = 2;

impl Window {
    fn places(&self) -> usize {
        self.n * self.coarse.iter().product::<usize>()
    }

    /// Values of a row.
    fn row(&self) -> usize {
        self.fine_channels * self.taps()
    }

    /// Whether the coarse map is small enough, and rows are whole panels.
    pub fn is_small(&self) -> bool {
        let is_whole = self.row().is_multiple_of(PANEL) && self.fine_channels > NARROW;
        is_whole && self.places() <= MOST
    }

    /// The fine pixel that a tap sees from a place of the coarse map; none outside the map.
    fn seen(&self, place: usize, tap: usize) -> Option<usize> {
        let ([d, h, w], [_, kh, kw]) = (self.coarse, self.kernel);
        let at = [place / (h * w) % d, place / w % h, place % w];
        let tap = [tap / (kh * kw), tap / kw % kh, tap % kw];
        let mut pixel = place / (d * h * w);
        for axis in 0..3 {
            let seen = (at[axis] * self.stride[axis] + tap[axis]).checked_sub(self.pad[axis])?;
            if seen >= self.fine[axis] {
                return None;
            }
            pixel = pixel * self.fine[axis] + seen;
        }
        Some(pixel)
    }

    /// The place of the coarse map from which a tap sees a fine pixel.
    fn seen_from(&self, pixel: usize, tap: usize) -> Option<usize> {
        let ([d, h, w], [_, kh, kw]) = (self.fine, self.kernel);
        let at = [pixel / (h * w) % d, pixel / w % h, pixel % w];
        let tap = [tap / (kh * kw), tap / kw % kh, tap % kw];
        let mut place = pixel / (d * h * w);
        for axis in 0..3 {
            let ahead = (at[axis] + self.pad[axis]).checked_sub(tap[axis])?;
            let from = ahead / self.stride[axis];
            if !ahead.is_multiple_of(self.stride[axis]) || from >= self.coarse[axis] {
                return None;
            }
            place = place * self.coarse[axis] + from;
        }
        Some(place)
    }

    /// What each place of the coarse map sees.
    fn rows(&self, fine: &[f32]) -> Vec<f32> {
        let (channels, taps) = (self.fine_channels, self.taps());
        let mut rows = vec![0.0; self.places() * self.row()];
        rows.par_chunks_mut(self.row()).enumerate().for_each(|(place, row)| {
            for tap in 0..taps {
                let Some(pixel) = self.seen(place, tap) else { continue };
                let pixel = &fine[pixel * channels..][..channels];
                let row = row[tap..].iter_mut().step_by(taps);
                row.zip(pixel).for_each(|(to, from)| *to = *from);
            }
        });
        rows
    }
}

/// From the fine map to the coarse one.
pub(crate) fn convolve(window: &Window, fine: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let (rows, places) = (window.rows(fine), window.places());
    let (channels, len) = (window.coarse_channels, window.row());
    let set = InstructionSet::current();
    // SAFETY: the items write the channels of each place once.
    let (mut out, ()) = unsafe {
        written(places * channels, |out| {
            (0..channels.div_ceil(CHANNELS)).into_par_iter().with_max_len(1).for_each(|item| {
                let first = item * CHANNELS;
                let own = first..(first + CHANNELS).min(channels);
                set.run(Dots { rows: &rows, weight, len, places, channels, own, out });
            });
        })
    };
    for place in out.chunks_exact_mut(channels) {
        place.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    }
    out
}

/// From the coarse map to the fine one: the transposed convolution, which is the gradient of the input too.
pub(crate) fn convolve_back(
    window: &Window,
    coarse: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let (places, len) = (window.places(), window.row());
    let (channels, taps) = (window.fine_channels, window.taps());
    let set = InstructionSet::current();
    // SAFETY: the items write the columns of each row once.
    let (rows, ()) = unsafe {
        written(places * len, |out| {
            (0..len.div_ceil(COLUMNS)).into_par_iter().with_max_len(1).for_each(|item| {
                let first = item * COLUMNS;
                let own = first..(first + COLUMNS).min(len);
                let (left_step, right_step) = (window.coarse_channels, 1);
                set.run(Products {
                    left: coarse,
                    steps: (left_step, right_step),
                    counts: (places, window.coarse_channels),
                    right: weight,
                    len,
                    own,
                    out,
                });
            });
        })
    };
    let pixels = window.n * window.fine.iter().product::<usize>();
    let mut fine = vec![0.0; pixels * channels];
    fine.par_chunks_mut(channels).enumerate().for_each(|(pixel, values)| {
        if let Some(bias) = bias {
            values.copy_from_slice(bias);
        }
        for tap in 0..taps {
            let Some(place) = window.seen_from(pixel, tap) else { continue };
            let row = rows[place * len + tap..].iter().step_by(taps);
            values.iter_mut().zip(row).for_each(|(value, part)| *value += part);
        }
    });
    fine
}

/// Gradient `[coarse, fine, taps]` of the weights, from the fine map and the coarse one.
pub(crate) fn weight_gradient(window: &Window, fine: &[f32], coarse: &[f32]) -> Vec<f32> {
    let (rows, len) = (window.rows(fine), window.row());
    let channels = window.coarse_channels;
    let set = InstructionSet::current();
    // SAFETY: the items write the columns of each channel's row once.
    let (weight, ()) = unsafe {
        written(channels * len, |out| {
            (0..len.div_ceil(COLUMNS)).into_par_iter().with_max_len(1).for_each(|item| {
                let first = item * COLUMNS;
                let own = first..(first + COLUMNS).min(len);
                let (left_step, right_step) = (1, channels);
                set.run(Products {
                    left: coarse,
                    steps: (left_step, right_step),
                    counts: (channels, window.places()),
                    right: &rows,
                    len,
                    own,
                    out,
                });
            });
        })
    };
    weight
}

/// Products of each row with the weights of some channels of the coarse map.
struct Dots<'a> {
    rows: &'a [f32],
    weight: &'a [f32],
    /// Of a row.
    len: usize,
    places: usize,
    channels: usize,
    own: std::ops::Range<usize>,
    out: Shared,
}

impl Job for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let mut place = 0;
        while place < self.places {
            let mut channel = self.own.start;
            while channel < self.own.end {
                let (high, wide) = (self.places - place, self.own.end - channel);
                // SAFETY: the block's rows and channels lie within both matrices; this item alone writes the channels.
                unsafe {
                    match (high >= 2, wide >= 3) {
                        (true, true) => self.block::<L, 2, 3>(place, channel),
                        (true, false) => self.block::<L, 2, 1>(place, channel),
                        (false, true) => self.block::<L, 1, 3>(place, channel),
                        (false, false) => self.block::<L, 1, 1>(place, channel),
                    }
                }
                channel += if wide >= 3 { 3 } else { 1 };
            }
            place += if self.places - place >= 2 { 2 } else { 1 };
        }
    }
}

impl Dots<'_> {
    /// # Safety
    /// `HIGH` rows from `place` on and `WIDE` channels from `channel` on lie within the matrices and the output; as for
    /// the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn block<L: Lanes, const HIGH: usize, const WIDE: usize>(
        &self,
        place: usize,
        channel: usize,
    ) {
        let parts = PANEL / L::N;
        // SAFETY: passed on from the caller.
        unsafe {
            let mut sums = [[[L::splat(0.0); VECTORS]; WIDE]; HIGH];
            let left = self.rows.as_ptr().add(place * self.len);
            let right = self.weight.as_ptr().add(channel * self.len);
            for k in (0..self.len).step_by(PANEL) {
                for part in 0..parts {
                    let k = k + part * L::N;
                    let mut weights = [L::splat(0.0); WIDE];
                    for (j, weight) in weights.iter_mut().enumerate() {
                        *weight = L::load(right.add(j * self.len + k));
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let value = L::load(left.add(i * self.len + k));
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            sum[part] = L::fma(value, weight, sum[part]);
                        }
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    let mut values = [0.0f32; PANEL];
                    for (part, sum) in sum.iter().enumerate().take(parts) {
                        L::store(values.as_mut_ptr().add(part * L::N), *sum);
                    }
                    let at = (place + i) * self.channels + channel + j;
                    *self.out.pointer().add(at) = values.iter().sum();
                }
            }
        }
    }
}

/// `out[i][k] = sum_j left(i, j) * right[j][k]` for some columns `k`; `left(i, j)` stands at `i * steps.0 + j * steps.1`.
struct Products<'a> {
    left: &'a [f32],
    steps: (usize, usize),
    /// Of `i` and of `j`.
    counts: (usize, usize),
    right: &'a [f32],
    /// Columns of a row of `right` and of the output.
    len: usize,
    own: std::ops::Range<usize>,
    out: Shared,
}

impl Job for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for column in self.own.clone().step_by(PANEL) {
            let mut row = 0;
            while row < self.counts.0 {
                let high = self.counts.0 - row;
                // SAFETY: the block's rows and columns lie within all matrices; this item alone writes the columns.
                unsafe {
                    row += if high >= 6 {
                        self.block::<L, 6>(row, column);
                        6
                    } else if high >= 2 {
                        self.block::<L, 2>(row, column);
                        2
                    } else {
                        self.block::<L, 1>(row, column);
                        1
                    };
                }
            }
        }
    }
}

impl Products<'_> {
    /// # Safety
    /// `HIGH` rows from `row` on and a panel from `column` on lie within the matrices and the output; as for the methods
    /// of [`Lanes`].
    #[inline(always)]
    unsafe fn block<L: Lanes, const HIGH: usize>(&self, row: usize, column: usize) {
        let parts = PANEL / L::N;
        let (rows, columns) = self.steps;
        // SAFETY: passed on from the caller.
        unsafe {
            let mut sums = [[L::splat(0.0); VECTORS]; HIGH];
            let left = self.left.as_ptr().add(row * rows);
            let right = self.right.as_ptr().add(column);
            for j in 0..self.counts.1 {
                let mut vectors = [L::splat(0.0); VECTORS];
                for (part, vector) in vectors.iter_mut().enumerate().take(parts) {
                    *vector = L::load(right.add(j * self.len + part * L::N));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let value = L::splat(*left.add(i * rows + j * columns));
                    for (part, sum) in sums.iter_mut().enumerate().take(parts) {
                        *sum = L::fma(value, vectors[part], *sum);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (part, sum) in sums.iter().enumerate().take(parts) {
                    let at = (row + i) * self.len + column + part * L::N;
                    L::store(self.out.pointer().add(at), *sum);
                }
            }
        }
    }
}
