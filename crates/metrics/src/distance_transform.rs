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
    let mut envelope = Envelope::new(length, spacing_mm);
    for start in (0..width).step_by(COLUMNS) {
        let end = width.min(start + COLUMNS);
        for (i, row) in rows.iter().enumerate() {
            for (column, &value) in row[start..end].iter().enumerate() {
                columns[column * length + i] = value;
            }
        }
        for column in columns.chunks_mut(length).take(end - start) {
            envelope.transform(column);
        }
        for (i, row) in rows.iter_mut().enumerate() {
            for (column, value) in row[start..end].iter_mut().enumerate() {
                *value = columns[column * length + i];
            }
        }
    }
}

/// Lower envelope of the parabolas that stand on the samples of a line.
struct Envelope {
    spacing_mm: f64,
    /// Half the reciprocal of `k` steps times the squared spacing, by `k`: divisions cost the most.
    reciprocals: Vec<f64>,
    parabolas: Vec<Parabola>,
}

/// `height + (distance to the apex)²`, in mm².
struct Parabola {
    apex: usize,
    height_mm2: f64,
    /// First sample where this parabola is below those before it.
    from: usize,
}

impl Envelope {
    fn new(length: usize, spacing_mm: f64) -> Self {
        let reciprocal = |k| 0.5 / (k as f64 * spacing_mm * spacing_mm);
        Self {
            spacing_mm,
            reciprocals: (0..length).map(reciprocal).collect(),
            parabolas: Vec::with_capacity(length),
        }
    }

    /// Replaces the line by its envelope; a line that is infinite everywhere stays so.
    fn transform(&mut self, line: &mut [f64]) {
        self.parabolas.clear();
        for (apex, &height_mm2) in line.iter().enumerate() {
            if height_mm2 < f64::INFINITY {
                self.insert(apex, height_mm2, line.len());
            }
        }
        let mut end = line.len();
        for parabola in self.parabolas.iter().rev() {
            for (i, value) in line[parabola.from..end].iter_mut().enumerate() {
                let steps = (parabola.from + i) as f64 - parabola.apex as f64;
                *value = (steps * self.spacing_mm).powi(2) + parabola.height_mm2;
            }
            end = parabola.from;
        }
    }

    /// Adds a parabola to the right of all others, and drops those that it hides.
    fn insert(&mut self, apex: usize, height_mm2: f64, length: usize) {
        let mut from = 0;
        while let Some(last) = self.parabolas.last() {
            let rise = (height_mm2 - last.height_mm2) * self.reciprocals[apex - last.apex];
            let crossing = rise + 0.5 * (apex + last.apex) as f64;
            // The next sample after the crossing; the conversion saturates at 0.
            from = (crossing + 1.0) as usize;
            if from > last.from {
                break;
            }
            self.parabolas.pop();
            from = 0;
        }
        if from < length {
            self.parabolas.push(Parabola { apex, height_mm2, from });
        }
    }
}
