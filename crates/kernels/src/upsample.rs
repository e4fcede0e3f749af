//! Bilinear up-sampling with half-pixel centres (align_corners = false).
use crate::MapShape;
use rayon::prelude::*;

/// The two source positions of each destination position along one axis, with the second one's weight.
fn taps(len: usize, factor: usize) -> Vec<(usize, usize, f32)> {
    let last = len.saturating_sub(1);
    let tap = |position: usize| {
        let source = ((position as f32 + 0.5) / factor as f32 - 0.5).max(0.0);
        let first = (source as usize).min(last);
        (first, (first + 1).min(last), source - first as f32)
    };
    (0..len * factor).map(tap).collect()
}

/// `[n, h, w, c]` to `[n, h * factor, w * factor, c]`.
///
/// # Panics
/// When `x` has not the shape, or `factor` is 0.
pub fn upsample_bilinear(x: &[f32], shape: MapShape, factor: usize) -> Vec<f32> {
    assert_eq!(x.len(), shape.len(), "the map has not the shape {shape:?}");
    assert!(factor > 0, "an up-sampling by 0");
    let MapShape { h, w, c, .. } = shape;
    let (rows, columns) = (taps(h, factor), taps(w, factor));
    let mut y = vec![0.0; x.len() * factor * factor];
    y.par_chunks_mut((w * factor * c).max(1)).enumerate().for_each(|(line, y)| {
        let (image, row) = (line / rows.len(), rows[line % rows.len()]);
        let at = |r: usize, column: usize| &x[((image * h + r) * w + column) * c..][..c];
        for (y, column) in y.chunks_exact_mut(c).zip(&columns) {
            let (top, bottom) = (
                (at(row.0, column.0), at(row.0, column.1)),
                (at(row.1, column.0), at(row.1, column.1)),
            );
            for (k, y) in y.iter_mut().enumerate() {
                let upper = top.0[k] + (top.1[k] - top.0[k]) * column.2;
                let lower = bottom.0[k] + (bottom.1[k] - bottom.0[k]) * column.2;
                *y = upper + (lower - upper) * row.2;
            }
        }
    });
    y
}

/// Gradient of the input of [`upsample_bilinear`] for the output's gradient `dy`.
///
/// # Panics
/// When `dy` has not the output's shape.
pub fn upsample_bilinear_backward(dy: &[f32], shape: MapShape, factor: usize) -> Vec<f32> {
    assert_eq!(dy.len(), shape.len() * factor * factor, "a gradient of another shape");
    let MapShape { h, w, c, .. } = shape;
    let (rows, columns) = (taps(h, factor), taps(w, factor));
    let mut dx = vec![0.0; shape.len()];
    dx.par_chunks_mut((w * c).max(1)).enumerate().for_each(|(line, dx)| {
        let (image, y) = (line / h, line % h);
        // The destination rows between the centres of the source rows above and below.
        let near = y.saturating_sub(1) * factor..((y + 2) * factor).min(rows.len());
        for (row, position) in rows[near.clone()].iter().zip(near) {
            let above = if row.0 == y { 1.0 - row.2 } else { 0.0 };
            let below = if row.1 == y { row.2 } else { 0.0 };
            let weight = above + below;
            if weight > 0.0 {
                let dy = &dy[(image * rows.len() + position) * w * factor * c..][..w * factor * c];
                add_row(dx, dy, &columns, c, weight);
            }
        }
    });
    dx
}

/// Adds a destination row's gradient, times `weight`, to a source row's.
fn add_row(dx: &mut [f32], dy: &[f32], columns: &[(usize, usize, f32)], c: usize, weight: f32) {
    for (column, dy) in columns.iter().zip(dy.chunks_exact(c)) {
        for (x, share) in [(column.0, 1.0 - column.2), (column.1, column.2)] {
            let dx = &mut dx[x * c..][..c];
            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy * (share * weight));
        }
    }
}
