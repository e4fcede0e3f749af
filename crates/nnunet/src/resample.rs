//! Resampling to another shape as nnU-Net does it (skimage's `resize` over scipy's splines), in f64.
use rayon::prelude::*;

/// How values between samples are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The nearest sample.
    Nearest,
    /// On the line between two.
    Linear,
    /// By a cubic B-spline through all.
    Cubic,
}

/// Whether the axis of the thickest voxels is resampled on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeparateZ {
    /// Where voxels are more than three times as thick as wide.
    ByThickness,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a volume is resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// Along all axes, or within slices.
    pub order: Order,
    /// Across slices, where these are resampled on their own.
    pub order_z: Order,
    /// Whether they are.
    pub separate_z: SeparateZ,
}

/// Voxels this many times as thick as wide are still resampled along all axes.
pub(crate) const THICK: f64 = 3.0;

/// Samples that a spline is continued by at each end.
const PAD: usize = 12;

/// The axis of the thickest voxels, where there is one.
fn thickest(spacing: [f64; 3]) -> Option<usize> {
    let most = spacing.into_iter().fold(0.0, f64::max);
    let mut axes = (0..3).filter(|&axis| most / spacing[axis] == 1.0);
    let first = axes.next();
    if axes.next().is_some() { None } else { first }
}

fn is_thick(spacing: [f64; 3]) -> bool {
    let most = spacing.into_iter().fold(f64::MIN, f64::max);
    let least = spacing.into_iter().fold(f64::MAX, f64::min);
    most / least > THICK
}

impl Resampling {
    /// The axis that is resampled on its own.
    fn separate_axis(&self, from: [f64; 3], to: [f64; 3]) -> Option<usize> {
        match self.separate_z {
            SeparateZ::Never => None,
            SeparateZ::Always => thickest(from),
            SeparateZ::ByThickness if is_thick(from) => thickest(from),
            SeparateZ::ByThickness if is_thick(to) => thickest(to),
            SeparateZ::ByThickness => None,
        }
    }

    /// The volume `[z, y, x]` with another shape; spacings are those before and after.
    pub(crate) fn run(
        &self,
        volume: Vec<f64>,
        shape: [usize; 3],
        to: [usize; 3],
        [before, after]: [[f64; 3]; 2],
    ) -> Vec<f64> {
        if shape == to {
            return volume;
        }
        let Some(axis) = self.separate_axis(before, after) else {
            let limits = Limits::of(&volume);
            let mut resized = resize(volume, shape, to, [0, 1, 2], self.order);
            resized.par_iter_mut().for_each(|value| *value = limits.clip(*value));
            return resized;
        };
        let limits = slice_limits(&volume, shape, axis);
        let mut within = to;
        within[axis] = shape[axis];
        let axes = [(axis + 1) % 3, (axis + 2) % 3, axis];
        let mut resized = resize(volume, shape, within, axes, self.order);
        let inner: usize = within[axis + 1..].iter().product();
        for (i, value) in resized.iter_mut().enumerate() {
            *value = limits[i / inner % shape[axis]].clip(*value);
        }
        resize(resized, within, to, axes, self.order_z)
    }
}

/// The smallest and the largest value: what a spline makes beyond them is cut off.
#[derive(Clone, Copy)]
struct Limits {
    least: f64,
    most: f64,
}

impl Limits {
    const NONE: Self = Self { least: f64::INFINITY, most: f64::NEG_INFINITY };

    fn of(values: &[f64]) -> Self {
        values.iter().fold(Self::NONE, |limits, &value| limits.with(value))
    }

    fn with(self, value: f64) -> Self {
        Self { least: self.least.min(value), most: self.most.max(value) }
    }

    fn clip(self, value: f64) -> f64 {
        if value < self.least {
            self.least
        } else if value > self.most {
            self.most
        } else {
            value
        }
    }
}

fn slice_limits(volume: &[f64], shape: [usize; 3], axis: usize) -> Vec<Limits> {
    let inner: usize = shape[axis + 1..].iter().product();
    let mut limits = vec![Limits::NONE; shape[axis]];
    for (i, &value) in volume.iter().enumerate() {
        let limits = &mut limits[i / inner % shape[axis]];
        *limits = limits.with(value);
    }
    limits
}

/// Resizes along the axes in turn; those of the same size stay.
fn resize(
    mut volume: Vec<f64>,
    mut shape: [usize; 3],
    to: [usize; 3],
    axes: [usize; 3],
    order: Order,
) -> Vec<f64> {
    for axis in axes.into_iter().filter(|&axis| shape[axis] != to[axis]).collect::<Vec<_>>() {
        let inner: usize = shape[axis + 1..].iter().product();
        let (from, count) = (shape[axis], to[axis]);
        shape[axis] = count;
        let mut out = vec![0.0; shape.iter().product()];
        let blocks = volume.par_chunks(from * inner).zip(out.par_chunks_mut(count * inner));
        blocks.for_each(|(from, to)| resize_rows(from, to, inner, order));
        volume = out;
    }
    volume
}

/// Where result `k` of `count` lies among `samples`.
fn place(k: usize, samples: usize, count: usize) -> f64 {
    (k as f64 + 0.5) * (samples as f64 / count as f64) - 0.5
}

/// Resizes the rows of a matrix with `columns` columns.
fn resize_rows(from: &[f64], to: &mut [f64], columns: usize, order: Order) {
    let (samples, count) = (from.len() / columns, to.len() / columns);
    let clamped = |x: f64| x.clamp(0.0, (samples - 1) as f64);
    let row = |matrix: &[f64], i: usize, c: usize| matrix[i * columns + c];
    match order {
        Order::Nearest => {
            for (k, to) in to.chunks_exact_mut(columns).enumerate() {
                let nearest = (clamped(place(k, samples, count)) + 0.5).floor() as usize;
                let nearest = nearest.min(samples - 1) * columns;
                to.copy_from_slice(&from[nearest..nearest + columns]);
            }
        }
        Order::Linear => {
            for (k, to) in to.chunks_exact_mut(columns).enumerate() {
                let x = clamped(place(k, samples, count));
                let (i, t) = (x.floor() as usize, x - x.floor());
                let next = (i + 1).min(samples - 1);
                for (c, to) in to.iter_mut().enumerate() {
                    *to = row(from, i, c) * (1.0 - t) + row(from, next, c) * t;
                }
            }
        }
        Order::Cubic => {
            let spline = coefficients(from, columns);
            for (k, to) in to.chunks_exact_mut(columns).enumerate() {
                let x = place(k, samples, count) + PAD as f64;
                let (i, weights) = (x.floor() as usize - 1, spline_weights(x - x.floor()));
                for (c, to) in to.iter_mut().enumerate() {
                    *to = (0..4).map(|j| weights[j] * row(&spline, i + j, c)).sum();
                }
            }
        }
    }
}

/// The cubic B-spline at distance `t` from the second of four coefficients.
fn spline_weights(t: f64) -> [f64; 4] {
    let s = 1.0 - t;
    let near = |t: f64| (t * t * (t - 2.0) * 3.0 + 4.0) / 6.0;
    [s * s * s / 6.0, near(t), near(s), t * t * t / 6.0]
}

/// Coefficients of the spline through the rows of a matrix, continued by copies of its ends (Unser 1999, box 2, with
/// half-sample symmetric ends).
fn coefficients(from: &[f64], columns: usize) -> Vec<f64> {
    let pole = 3f64.sqrt() - 2.0;
    let samples = from.len() / columns;
    let length = samples + 2 * PAD;
    let mut rows = Vec::with_capacity(length * columns);
    for i in 0..length {
        let row = i.saturating_sub(PAD).min(samples - 1) * columns;
        rows.extend(from[row..row + columns].iter().map(|value| value * 6.0));
    }
    // The sum over all of the mirrored past of the first row.
    let mut first = rows[..columns].to_vec();
    let far = pole.powi(length as i32);
    let mut power = pole;
    for i in 0..length {
        let (near, mirrored) = (i * columns, (length - 1 - i) * columns);
        let scale = power / (1.0 - far * far);
        for (c, first) in first.iter_mut().enumerate() {
            *first += scale * (rows[near + c] + far * rows[mirrored + c]);
        }
        power *= pole;
        if power == 0.0 {
            break;
        }
    }
    rows[..columns].copy_from_slice(&first);
    for at in columns..rows.len() {
        rows[at] += pole * rows[at - columns];
    }
    let last = (length - 1) * columns;
    rows[last..].iter_mut().for_each(|value| *value *= pole / (pole - 1.0));
    for at in (0..last).rev() {
        rows[at] = pole * (rows[at + columns] - rows[at]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spline_goes_through_its_samples_and_keeps_what_is_level() {
        let samples: Vec<f64> = (0..9).map(|i| f64::from(i * i % 7)).collect();
        let spline = coefficients(&samples, 1);
        for (i, &sample) in samples.iter().enumerate() {
            let weights = spline_weights(0.0);
            let value: f64 = (0..4).map(|j| weights[j] * spline[i + PAD - 1 + j]).sum();
            assert!((value - sample).abs() < 1e-12, "{i}: {value} and {sample}");
        }
        for order in [Order::Nearest, Order::Linear, Order::Cubic] {
            let resampling = Resampling { order, order_z: order, separate_z: SeparateZ::Never };
            let level = resampling.run(vec![3.5; 24], [2, 3, 4], [5, 1, 7], [[1.0; 3]; 2]);
            assert!(level.len() == 35 && level.iter().all(|value| (value - 3.5).abs() < 1e-12));
        }
    }

    #[test]
    fn thick_slices_are_resampled_on_their_own() {
        let auto = Resampling {
            order: Order::Cubic,
            order_z: Order::Nearest,
            separate_z: SeparateZ::ByThickness,
        };
        assert_eq!(auto.separate_axis([3.0, 1.0, 1.0], [1.0; 3]), None);
        assert_eq!(auto.separate_axis([3.1, 1.0, 1.0], [1.0; 3]), Some(0));
        assert_eq!(auto.separate_axis([1.0; 3], [1.0, 1.0, 4.0]), Some(2));
        assert_eq!(auto.separate_axis([0.24, 1.25, 1.25], [1.0; 3]), None);
        // Slices are copied whole.
        let volume: Vec<f64> = (0..12).map(f64::from).collect();
        let out = auto.run(volume, [2, 2, 3], [4, 2, 3], [[5.0, 1.0, 1.0], [2.5, 1.0, 1.0]]);
        assert_eq!(out[..6], out[6..12]);
        assert_eq!(out[12..18], out[18..]);
        assert_eq!(out[6..18], (0..12).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn lines_lie_between_their_ends() {
        let linear = Resampling {
            order: Order::Linear,
            order_z: Order::Linear,
            separate_z: SeparateZ::Never,
        };
        let out = linear.run(vec![0.0, 4.0], [1, 1, 2], [1, 1, 4], [[1.0; 3]; 2]);
        assert_eq!(out, [0.0, 1.0, 3.0, 4.0]);
    }
}
