//! Exact Euclidean distance transform of an anisotropic grid, in time linear in its voxels.
//!
//! Source: P. Felzenszwalb and D. Huttenlocher, "Distance Transforms of Sampled Functions", Theory
//! of Computing 8 (2012): one pass an axis, each the lower envelope of the parabolas on its lines.
use crate::{Grid, Result};
use rayon::prelude::*;

/// Squared distance in mm² from every voxel centre to the nearest one that is set; infinite
/// everywhere where none is.
///
/// # Errors
/// [`crate::Error::MaskLength`] where the mask's length is not the grid's.
pub fn squared_distances_mm2(mask: &[bool], grid: &Grid) -> Result<Vec<f64>> {
    grid.check("mask", mask.len())?;
    let [nx, ny, nz] = grid.shape();
    let [dx, dy, dz] = grid.spacing_mm();
    let mut squared = vec![f64::INFINITY; mask.len()];
    squared
        .par_chunks_mut(nx)
        .zip(mask.par_chunks(nx))
        .with_min_len(64)
        .for_each(|(squared, mask)| along_row(mask, dx, squared));
    if ny > 1 {
        squared.par_chunks_mut(nx * ny).for_each(|plane| {
            across_rows(&mut plane.chunks_mut(nx).collect::<Vec<_>>(), dy);
        });
    }
    if nz > 1 {
        let mut sections: Vec<Vec<&mut [f64]>> = (0..ny).map(|_| Vec::with_capacity(nz)).collect();
        for (index, row) in squared.chunks_mut(nx).enumerate() {
            sections[index % ny].push(row);
        }
        sections.par_iter_mut().for_each(|rows| across_rows(rows, dz));
    }
    Ok(squared)
}

/// First pass: squared distance to the nearest set voxel of the same row, by two sweeps.
fn along_row(mask: &[bool], spacing_mm: f64, squared: &mut [f64]) {
    let mut steps = f64::INFINITY;
    for (value, &set) in squared.iter_mut().zip(mask) {
        steps = if set { 0.0 } else { steps + 1.0 };
        *value = steps;
    }
    let mut steps = f64::INFINITY;
    for value in squared.iter_mut().rev() {
        steps = value.min(steps + 1.0);
        *value = (steps * spacing_mm).powi(2);
    }
}

/// Columns handled together: one cache line of each row.
const COLUMNS: usize = 8;

/// A further pass: every column of a stack of equally long rows becomes its distance transform.
fn across_rows(rows: &mut [&mut [f64]], spacing_mm: f64) {
    let (length, width) = (rows.len(), rows.first().map_or(0, |row| row.len()));
    let mut columns = vec![0.0; COLUMNS * length];
    let mut envelope = Envelope::with_capacity(length);
    for start in (0..width).step_by(COLUMNS) {
        let end = width.min(start + COLUMNS);
        for (i, row) in rows.iter().enumerate() {
            for (column, &value) in row[start..end].iter().enumerate() {
                columns[column * length + i] = value;
            }
        }
        for column in columns.chunks_mut(length).take(end - start) {
            envelope.transform(column, spacing_mm);
        }
        for (i, row) in rows.iter_mut().enumerate() {
            for (column, value) in row[start..end].iter_mut().enumerate() {
                *value = columns[column * length + i];
            }
        }
    }
}

/// Lower envelope of the parabolas `height + (position - apex)²`, positions in mm.
struct Envelope {
    parabolas: Vec<Parabola>,
}

struct Parabola {
    apex_mm: f64,
    height_mm2: f64,
    /// Where this parabola becomes the lowest.
    from_mm: f64,
}

impl Envelope {
    fn with_capacity(length: usize) -> Self {
        Self { parabolas: Vec::with_capacity(length) }
    }

    fn transform(&mut self, column: &mut [f64], spacing_mm: f64) {
        self.parabolas.clear();
        for (i, &height_mm2) in column.iter().enumerate() {
            if height_mm2.is_finite() {
                self.insert(i as f64 * spacing_mm, height_mm2);
            }
        }
        let Some((first, rest)) = self.parabolas.split_first() else { return };
        let (mut lowest, mut later) = (first, rest.iter().peekable());
        for (i, value) in column.iter_mut().enumerate() {
            let position_mm = i as f64 * spacing_mm;
            while let Some(next) = later.next_if(|next| next.from_mm <= position_mm) {
                lowest = next;
            }
            *value = (position_mm - lowest.apex_mm).powi(2) + lowest.height_mm2;
        }
    }

    fn insert(&mut self, apex_mm: f64, height_mm2: f64) {
        let mut from_mm = f64::NEG_INFINITY;
        while let Some(last) = self.parabolas.last() {
            let rise = (height_mm2 - last.height_mm2) / (apex_mm - last.apex_mm);
            from_mm = 0.5 * (rise + apex_mm + last.apex_mm);
            if from_mm > last.from_mm {
                break;
            }
            self.parabolas.pop();
        }
        self.parabolas.push(Parabola { apex_mm, height_mm2, from_mm });
    }
}
