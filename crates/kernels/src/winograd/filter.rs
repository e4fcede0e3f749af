//! 3x3 weights in the transformed domain.
use super::transform::{self, PRODUCTS};
use crate::gemm::{PANEL, place};
use crate::memory::{Shared, written};
use crate::simd::{InstructionSet, Job, Lanes, padded};
use rayon::prelude::*;

/// Which convolution a filter is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From input to output.
    Forward,
    /// From the output's gradient to the input's: channels exchanged, kernel turned by 180 degrees.
    Backward,
}

/// Weights in the transformed domain: 36 matrices in panels, a row for each channel read, padded columns
/// for those written.
pub(crate) struct Filter {
    values: Vec<f32>,
    /// Channels read.
    pub depth: usize,
    /// Padded channels written.
    pub columns: usize,
    /// Depths of the kernel: 1 for planes.
    pub taps: usize,
}

impl Filter {
    /// Transforms weights `[cout, cin, 3, 3]`, or `[cout, cin, taps, 3, 3]`.
    pub fn new(weight: &[f32], cout: usize, cin: usize, direction: Direction) -> Self {
        let taps = weight.len() / (9 * cout * cin);
        let (depth, outputs) = match direction {
            Direction::Forward => (cin, cout),
            Direction::Backward => (cout, cin),
        };
        let columns = padded(outputs);
        let set = InstructionSet::current();
        let rows = |out: Shared| {
            (0..taps * depth).into_par_iter().for_each(|row| {
                set.run(TransformRow { weight, cin, taps, direction, row, depth, outputs, out })
            });
        };
        // SAFETY: every row of every panel of the 36 matrices is written, and none is read.
        let (values, ()) = unsafe { written(PRODUCTS * taps * depth * columns, rows) };
        Self { values, depth, columns, taps }
    }

    /// The matrix of one product.
    pub fn product(&self, product: usize) -> *const f32 {
        self.values[product * self.taps * self.depth * self.columns..].as_ptr()
    }
}

/// One row of all 36 matrices: the kernels of one depth that read one channel.
struct TransformRow<'a> {
    weight: &'a [f32],
    cin: usize,
    taps: usize,
    direction: Direction,
    row: usize,
    depth: usize,
    outputs: usize,
    out: Shared,
}

impl Job for TransformRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { weight, cin, taps, direction, row, depth, outputs, out } = self;
        let (tap, channel) = (row / depth, row % depth);
        // Turned by 180 degrees, a kernel's last depth is its first.
        let kernel_tap = if direction == Direction::Forward { tap } else { taps - 1 - tap };
        let kernel = |o: usize, i: usize| &weight[((o * cin + i) * taps + kernel_tap) * 9..][..9];
        let (rows, columns) = (taps * depth, padded(outputs));
        for panel in (0..columns).step_by(PANEL) {
            let mut taps = [[0.0; PANEL]; 9];
            for j in 0..PANEL.min(outputs - panel) {
                match direction {
                    Direction::Forward => {
                        let values = kernel(panel + j, channel);
                        taps.iter_mut().zip(values).for_each(|(tap, value)| tap[j] = *value);
                    }
                    Direction::Backward => {
                        let values = kernel(channel, panel + j).iter().rev();
                        taps.iter_mut().zip(values).for_each(|(tap, value)| tap[j] = *value);
                    }
                }
            }
            // SAFETY: the panel's row lies within the matrices, which are `depth * columns` apart, and belongs
            // to this item.
            unsafe {
                let to = out.pointer().add(place(row, panel, rows * PANEL));
                transform::weights::<L>(&taps, to, rows * columns);
            }
        }
    }
}
