//! 3x3 weights in the transformed domain.
use super::transform::{self, PRODUCTS};
use crate::gemm::{PANEL, place};
use crate::memory::{Shared, written};
use crate::simd::padded;
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
}

impl Filter {
    /// Transforms weights `[cout, cin, 3, 3]`.
    pub fn new(weight: &[f32], cout: usize, cin: usize, direction: Direction) -> Self {
        let (depth, outputs) = match direction {
            Direction::Forward => (cin, cout),
            Direction::Backward => (cout, cin),
        };
        let columns = padded(outputs);
        let kernel = |row: usize, column: usize| -> [f32; 9] {
            let of = |o: usize, i: usize| &weight[(o * cin + i) * 9..][..9];
            match direction {
                _ if column >= outputs => [0.0; 9],
                Direction::Forward => std::array::from_fn(|tap| of(column, row)[tap]),
                Direction::Backward => std::array::from_fn(|tap| of(row, column)[8 - tap]),
            }
        };
        let rows = |out: Shared| {
            (0..depth).into_par_iter().for_each(|row| {
                for panel in (0..columns).step_by(PANEL) {
                    let group: [_; PANEL] = std::array::from_fn(|j| kernel(row, panel + j));
                    for (product, values) in transform::weights(&group).iter().enumerate() {
                        let at = product * depth * columns + place(row, panel, depth * PANEL);
                        // SAFETY: the panel's row lies within matrix `product`, and belongs to this item.
                        unsafe { out.pointer().add(at).cast::<[f32; PANEL]>().write(*values) };
                    }
                }
            });
        };
        // SAFETY: every row of every panel of the 36 matrices is written, and none is read.
        let (values, ()) = unsafe { written(PRODUCTS * depth * columns, rows) };
        Self { values, depth, columns }
    }

    /// The matrix of one product.
    pub fn product(&self, product: usize) -> *const f32 {
        self.values[product * self.depth * self.columns..].as_ptr()
    }
}
