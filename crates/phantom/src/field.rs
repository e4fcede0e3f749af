//! Implicit shapes and smooth random fields in millimetres; no tissue, no scanner.

use rand::{Rng, RngExt};

/// A point or direction: right, anterior, superior for heads; the image's axes for hearts. Millimetres.
pub(crate) type Point = [f32; 3];

/// Component-wise difference.
pub(crate) fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// Component-wise sum.
pub(crate) fn plus(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Euclidean length.
pub(crate) fn length(a: Point) -> f32 {
    dot(a, a).sqrt()
}

/// Euclidean length in a plane; for millimetres, which need no guard against overflow.
pub(crate) fn norm(a: f32, b: f32) -> f32 {
    (a * a + b * b).sqrt()
}

/// Approximate signed distance to an ellipsoid, negative inside (exact for a sphere, first order elsewhere).
#[inline]
pub(crate) fn ellipsoid(p: Point, centre: Point, radii: Point) -> f32 {
    let (q, inverse) = (minus(p, centre), radii.map(f32::recip));
    let scaled = [q[0] * inverse[0], q[1] * inverse[1], q[2] * inverse[2]];
    let gradient = [scaled[0] * inverse[0], scaled[1] * inverse[1], scaled[2] * inverse[2]];
    let (level, slope) = (length(scaled), length(gradient));
    if slope < 1e-9 {
        return -radii[0].min(radii[1]).min(radii[2]);
    }
    level * (level - 1.0) / slope
}

/// Signed distance to a segment thickened to the radii at its two ends.
#[inline]
pub(crate) fn capsule(p: Point, from: Point, to: Point, radii: [f32; 2]) -> f32 {
    let (axis, q) = (minus(to, from), minus(p, from));
    let along = (dot(q, axis) / dot(axis, axis)).clamp(0.0, 1.0);
    let foot = [q[0] - along * axis[0], q[1] - along * axis[1], q[2] - along * axis[2]];
    length(foot) - (radii[0] + along * (radii[1] - radii[0]))
}

/// Union of two shapes whose seam is rounded over `width` (polynomial smooth minimum).
pub(crate) fn blend(a: f32, b: f32, width: f32) -> f32 {
    let overlap = (width - (a - b).abs()).max(0.0) / width;
    a.min(b) - 0.25 * width * overlap * overlap
}

/// Intersection of two shapes whose seam is rounded over `width`.
pub(crate) fn meet(a: f32, b: f32, width: f32) -> f32 {
    -blend(-a, -b, width)
}

/// A number from the standard normal distribution.
pub(crate) fn normal(rng: &mut impl Rng) -> f32 {
    normal_pair(rng)[0]
}

/// Two independent numbers from the standard normal distribution (Box, Muller 1958).
pub(crate) fn normal_pair(rng: &mut impl Rng) -> [f32; 2] {
    let (uniform, turn): (f32, f32) = (rng.random(), rng.random());
    let radius = (-2.0 * (1.0 - uniform).ln()).sqrt();
    let (sin, cos) = (std::f32::consts::TAU * turn).sin_cos();
    [radius * cos, radius * sin]
}

/// A random field of unit variance whose wavelengths lie within a quarter of one value: a sum of plane waves
/// in random directions, kept on a lattice and read by linear interpolation.
///
/// Its zero set is a labyrinth of sheets half a wavelength apart, which is what makes gyri.
pub(crate) struct RandomWaves {
    values: Vec<f32>,
    size: [usize; 3],
    origin: Point,
    per_mm: f32,
    wavenumber: f32,
}

/// Plane waves in a field; enough for a Gaussian distribution at a point.
const WAVES: usize = 32;
/// Lattice points per wavelength.
const POINTS_PER_WAVE: f32 = 6.0;

impl RandomWaves {
    /// Draws a field on the box of `half_extent` around `centre`.
    pub(crate) fn draw(
        rng: &mut impl Rng,
        wavelength_mm: f32,
        centre: Point,
        half_extent: Point,
    ) -> Self {
        let step = wavelength_mm / POINTS_PER_WAVE;
        let size = half_extent.map(|h| (2.0 * h / step).ceil() as usize + 2);
        let origin = minus(centre, half_extent);
        let wavenumber = std::f32::consts::TAU / wavelength_mm;
        let mut values = vec![0.0; size[0] * size[1] * size[2]];
        for _ in 0..WAVES {
            let direction = [normal(rng), normal(rng), normal(rng)];
            let k = wavenumber * rng.random_range(0.75..1.25) / length(direction).max(1e-6);
            let phase = rng.random_range(0.0..std::f32::consts::TAU);
            add_wave(&mut values, size, direction.map(|d| k * d * step), phase);
        }
        Self { values, size, origin, per_mm: 1.0 / step, wavenumber }
    }

    /// The field's value; beyond the box, that of the nearest point on its border.
    pub(crate) fn at(&self, p: Point) -> f32 {
        let mut base = [0_usize; 3];
        let mut part = [0.0_f32; 3];
        for axis in 0..3 {
            let last = (self.size[axis] - 2) as f32;
            let place = ((p[axis] - self.origin[axis]) * self.per_mm).clamp(0.0, last + 0.999);
            base[axis] = place as usize;
            part[axis] = place - base[axis] as f32;
        }
        let row = |y: usize, z: usize| {
            let at = base[0] + self.size[0] * (base[1] + y + self.size[1] * (base[2] + z));
            self.values[at] + part[0] * (self.values[at + 1] - self.values[at])
        };
        let near = row(0, 0) + part[1] * (row(1, 0) - row(0, 0));
        let far = row(0, 1) + part[1] * (row(1, 1) - row(0, 1));
        near + part[2] * (far - near)
    }

    /// Distance in mm to the sheet where the field is zero, to first order with the expected slope: the mean
    /// square gradient of an isotropic field of unit variance and wavenumber k is k squared.
    pub(crate) fn distance_to_sheet(&self, p: Point) -> f32 {
        self.at(p).abs() / self.wavenumber
    }
}

/// Adds one plane wave; `k` is in radians per lattice step. The wave's factors along the axes are tabulated,
/// so that a lattice point costs two multiplications.
fn add_wave(values: &mut [f32], size: [usize; 3], k: Point, phase: f32) {
    let amplitude = (2.0 / WAVES as f32).sqrt();
    let along: Vec<(f32, f32)> = (0..size[0]).map(|x| (k[0] * x as f32).sin_cos()).collect();
    for (line, row) in values.chunks_exact_mut(size[0]).enumerate() {
        let (y, z) = (line % size[1], line / size[1]);
        let (sin, cos) = (k[1] * y as f32 + k[2] * z as f32 + phase).sin_cos();
        let (sin, cos) = (amplitude * sin, amplitude * cos);
        for (value, (sin_x, cos_x)) in row.iter_mut().zip(&along) {
            *value += cos * cos_x - sin * sin_x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn shapes_measure_distance() {
        assert!((ellipsoid([15.0, 0.0, 0.0], [5.0, 0.0, 0.0], [4.0; 3]) - 6.0).abs() < 1e-5);
        assert!(ellipsoid([0.0; 3], [0.0; 3], [3.0, 2.0, 4.0]) + 2.0 < 1e-5);
        let rod = capsule([0.0, 5.0, 2.0], [0.0; 3], [0.0, 0.0, 4.0], [1.0, 3.0]);
        assert!((rod - 3.0).abs() < 1e-5);
        assert!(blend(1.0, 1.0, 4.0) < 1.0 && blend(1.0, 9.0, 4.0) == 1.0);
        assert!(meet(1.0, 1.0, 4.0) > 1.0);
    }

    #[test]
    fn waves_have_unit_variance_and_the_stated_slope() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let waves = RandomWaves::draw(&mut rng, 25.0, [0.0; 3], [100.0; 3]);
        let (mut square, mut slope, mut count) = (0.0_f64, 0.0_f64, 0.0_f64);
        for x in -45..45 {
            for y in -45..45 {
                let p = [2.0 * x as f32, 2.0 * y as f32, 7.0];
                let here = f64::from(waves.at(p));
                let there = f64::from(waves.at([p[0] + 3.6, p[1], p[2]]));
                square += here * here;
                slope += ((there - here) / 3.6).powi(2);
                count += 1.0;
            }
        }
        assert!((0.5..1.6).contains(&(square / count)), "{}", square / count);
        // A third of the squared gradient lies along each axis.
        let expected = f64::from(waves.wavenumber).powi(2) / 3.0;
        assert!((0.4..1.8).contains(&(slope / count / expected)), "{}", slope / count / expected);
    }
}
