//! The affine transform from voxel indices to millimetres; no files and no voxels here.
#![expect(
    clippy::indexing_slicing,
    reason = "rows and columns of 3x4 and 3x3 arrays, counted from 0 to 2"
)]

use std::fmt;

/// Voxel indices to RAS+ millimetres: x towards the subject's right, y anterior, z superior.
///
/// Row-major; the last row of the 4x4 matrix is always `0 0 0 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine([[f64; 4]; 3]);

impl Affine {
    /// The first three rows of the 4x4 matrix.
    pub const fn from_rows(rows: [[f64; 4]; 3]) -> Self {
        Self(rows)
    }

    /// Axes along RAS with the given voxel size in millimetres and the first voxel at the origin.
    pub const fn from_spacing(spacing_mm: [f64; 3]) -> Self {
        let [x, y, z] = spacing_mm;
        Self([[x, 0.0, 0.0, 0.0], [0.0, y, 0.0, 0.0], [0.0, 0.0, z, 0.0]])
    }

    /// Axes along the given codes (`"PSR"`: first axis towards posterior, and so on), voxel sizes
    /// in millimetres in storage order. `None` unless `codes` names each anatomical axis once.
    ///
    /// ```
    /// use udas_volume::Affine;
    /// let affine = Affine::from_codes("PSR", [2.0, 2.0, 1.5]).unwrap();
    /// assert_eq!(affine.codes(), "PSR");
    /// assert_eq!(affine.apply([1.0, 0.0, 2.0]), [3.0, -2.0, 0.0]);
    /// ```
    pub fn from_codes(codes: &str, spacing_mm: [f64; 3]) -> Option<Self> {
        let mut rows = [[0.0; 4]; 3];
        let mut used = [false; 3];
        let codes: Vec<char> = codes.chars().collect();
        if codes.len() != 3 {
            return None;
        }
        for (column, (code, size)) in codes.into_iter().zip(spacing_mm).enumerate() {
            let row = CODES.iter().position(|pair| pair.contains(&code))?;
            if std::mem::replace(&mut used[row], true) {
                return None;
            }
            rows[row][column] = if CODES[row][1] == code { size } else { -size };
        }
        Some(Self(rows))
    }

    /// The first three rows of the 4x4 matrix.
    pub const fn rows(&self) -> &[[f64; 4]; 3] {
        &self.0
    }

    /// Where a (fractional) voxel index lies, in millimetres.
    pub fn apply(&self, index: [f64; 3]) -> [f64; 3] {
        self.0.map(|[a, b, c, t]| a * index[0] + b * index[1] + c * index[2] + t)
    }

    /// The same axes with the first voxel centre at `origin_mm`.
    pub fn with_origin(mut self, origin_mm: [f64; 3]) -> Self {
        for (row, origin) in self.0.iter_mut().zip(origin_mm) {
            row[3] = origin;
        }
        self
    }

    /// Voxel size along each storage axis, in millimetres.
    pub fn spacing(&self) -> [f64; 3] {
        std::array::from_fn(|axis| {
            self.0.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt()
        })
    }

    /// Volume of a voxel in cubic millimetres: the determinant, which holds for sheared axes too.
    pub fn voxel_mm3(&self) -> f64 {
        determinant(&self.linear()).abs()
    }

    /// How far the axes are from standing at right angles, in degrees, where that is more than rounding. A CT's
    /// tilted gantry makes such volumes.
    ///
    /// ```
    /// use udas_volume::Affine;
    /// let (sin, cos) = 20f64.to_radians().sin_cos();
    /// let rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 3.0 * sin, 0.0], [0.0, 0.0, 3.0 * cos, 0.0]];
    /// let tilted = Affine::from_rows(rows);
    /// assert!((tilted.shear_degrees().unwrap() - 20.0).abs() < 1e-9);
    /// assert!((tilted.voxel_mm3() - 2.819).abs() < 1e-3);
    /// ```
    pub fn shear_degrees(&self) -> Option<f64> {
        let spacing = self.spacing();
        let cosine = |(a, b): (usize, usize)| {
            let product: f64 = self.0.iter().map(|row| row[a] * row[b]).sum();
            (product / (spacing[a] * spacing[b])).abs().min(1.0)
        };
        let degrees = [(0, 1), (0, 2), (1, 2)].map(cosine).into_iter().fold(0.0, f64::max);
        let degrees = degrees.asin().to_degrees();
        (degrees > SHEAR_TOLERANCE_DEGREES).then_some(degrees)
    }

    /// Whether every entry is finite and the axes span space.
    pub fn is_invertible(&self) -> bool {
        let finite = self.0.iter().flatten().all(|value| value.is_finite());
        let cell: f64 = self.spacing().iter().product();
        finite && cell > 0.0 && cell.is_finite() && determinant(&self.linear()).abs() > 1e-6 * cell
    }

    /// Millimetres to voxel indices; `None` where [`is_invertible`](Self::is_invertible) is false.
    pub fn inverse(&self) -> Option<Self> {
        if !self.is_invertible() {
            return None;
        }
        let inverse = invert(&self.linear());
        let rows = inverse.map(|[a, b, c]| {
            let offset = a * self.0[0][3] + b * self.0[1][3] + c * self.0[2][3];
            [a, b, c, -offset]
        });
        Some(Self(rows))
    }

    /// `self` after `first`: `compose(first).apply(i) == self.apply(first.apply(i))`.
    pub fn compose(&self, first: &Self) -> Self {
        Self(self.0.map(|row| {
            let mut out: [f64; 4] =
                std::array::from_fn(|column| (0..3).map(|k| row[k] * first.0[k][column]).sum());
            out[3] += row[3];
            out
        }))
    }

    /// The anatomical direction each storage axis points to, such as `"RAS"` or `"PSR"`; the
    /// nearest one for oblique axes.
    pub fn codes(&self) -> String {
        let (anatomy, flipped) = self.nearest_axes();
        (0..3).map(|axis| CODES[anatomy[axis]][usize::from(!flipped[axis])]).collect()
    }

    /// For each storage axis the anatomical axis (0 right, 1 anterior, 2 superior) nearest to it
    /// and whether it runs against it.
    ///
    /// As nibabel's `io_orientation`: the nearest shear-free rotation by polar decomposition, then
    /// axes from the most to the least clearly aligned, each taking the best axis still free.
    pub(crate) fn nearest_axes(&self) -> ([usize; 3], [bool; 3]) {
        let mut rotation = nearest_rotation(&self.linear(), self.spacing());
        let strength = |axis: usize, r: &[[f64; 3]; 3]| {
            r.iter().map(|row| row[axis].abs()).fold(0.0, f64::max)
        };
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| strength(b, &rotation).total_cmp(&strength(a, &rotation)));

        let (mut anatomy, mut flipped) = ([0; 3], [false; 3]);
        let mut free = [true; 3];
        for axis in order {
            let best = (0..3)
                .filter(|&row| free[row])
                .reduce(|best, row| {
                    if rotation[row][axis].abs() > rotation[best][axis].abs() { row } else { best }
                })
                .unwrap_or(axis);
            free[best] = false;
            anatomy[axis] = best;
            flipped[axis] = rotation[best][axis] < 0.0;
            rotation[best] = [0.0; 3];
        }
        (anatomy, flipped)
    }

    /// The largest difference between two affines' entries.
    pub fn max_difference(&self, other: &Self) -> f64 {
        let pairs = self.0.iter().flatten().zip(other.0.iter().flatten());
        pairs
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
    }

    /// How far apart two affines put the outer corners of a grid, along each axis as a share of this one's voxels; the
    /// largest of them, and NaN where an affine is not finite or singular.
    pub(crate) fn corner_shift(&self, other: &Self, shape: [usize; 3]) -> f64 {
        let Some(inverse) = self.inverse() else { return f64::NAN };
        let shift = inverse.compose(other);
        let mut worst = 0.0f64;
        for corner in 0..8 {
            let index: [f64; 3] = std::array::from_fn(|axis| {
                if corner >> axis & 1 == 0 { -0.5 } else { shape[axis] as f64 - 0.5 }
            });
            for (p, q) in shift.apply(index).into_iter().zip(index) {
                let distance = (p - q).abs();
                if distance.is_nan() || distance > worst {
                    worst = distance;
                }
            }
        }
        worst
    }

    /// The largest distance in millimetres between where two affines put the corners of a grid; NaN
    /// where an affine is not finite.
    pub(crate) fn corner_distance(&self, other: &Self, shape: [usize; 3]) -> f64 {
        let mut worst = 0.0f64;
        for corner in 0..8 {
            let index =
                std::array::from_fn(|axis| ((corner >> axis & 1) * (shape[axis] - 1)) as f64);
            let pairs = self.apply(index).into_iter().zip(other.apply(index));
            let distance = pairs.map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt();
            if distance.is_nan() || distance > worst {
                worst = distance;
            }
        }
        worst
    }

    pub(crate) fn linear(&self) -> [[f64; 3]; 3] {
        self.0.map(|[a, b, c, _]| [a, b, c])
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Four decimals, and four digits of voxels that are smaller than a tenth of a millimetre.
        let smallest = self.spacing().into_iter().fold(f64::INFINITY, f64::min);
        let decimals = ((3.0 - smallest.log10().floor()) as usize).clamp(4, 15);
        let row = |row: &[f64; 4]| row.map(|v| format!("{v:.decimals$}")).join(" ");
        write!(f, "[{}; {}; {}]", row(&self.0[0]), row(&self.0[1]), row(&self.0[2]))
    }
}

/// Axes this near to right angles differ by the rounding of headers.
const SHEAR_TOLERANCE_DEGREES: f64 = 0.1;

/// Codes of the negative and the positive direction of each anatomical axis.
const CODES: [[char; 2]; 3] = [['L', 'R'], ['P', 'A'], ['I', 'S']];

pub(crate) fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

/// Inverse by cofactors; the caller has checked that the determinant is not zero.
fn invert(m: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let scale = 1.0 / determinant(m);
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let (r0, r1) = ((j + 1) % 3, (j + 2) % 3);
            let (c0, c1) = ((i + 1) % 3, (i + 2) % 3);
            scale * (m[r0][c0] * m[r1][c1] - m[r0][c1] * m[r1][c0])
        })
    })
}

/// The orthogonal factor of the polar decomposition of the axes scaled to unit length, by
/// Newton's iteration (Higham 1986); it converges from any invertible start.
pub(crate) fn nearest_rotation(linear: &[[f64; 3]; 3], spacing: [f64; 3]) -> [[f64; 3]; 3] {
    let mut q: [[f64; 3]; 3] = linear.map(|row| std::array::from_fn(|c| row[c] / spacing[c]));
    for _ in 0..100 {
        let inverse = invert(&q);
        let next: [[f64; 3]; 3] =
            std::array::from_fn(|r| std::array::from_fn(|c| 0.5 * (q[r][c] + inverse[c][r])));
        let moved = q.iter().flatten().zip(next.iter().flatten()).map(|(a, b)| (a - b).abs());
        let moved = moved.fold(0.0, f64::max);
        q = next;
        if moved < 1e-14 {
            break;
        }
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_refused_unless_each_axis_is_named_once() {
        for codes in ["", "RA", "RAR", "RLS", "RAX", "RASS"] {
            assert!(Affine::from_codes(codes, [1.0; 3]).is_none(), "{codes}");
        }
    }

    #[test]
    fn inverse_of_an_oblique_affine_undoes_it() {
        let affine = Affine::from_rows([
            [0.9, -0.3, 0.1, -80.0],
            [0.2, 1.1, -0.4, 12.0],
            [0.0, 0.5, 2.9, 7.0],
        ]);
        let round = affine.inverse().unwrap().compose(&affine);
        assert!(round.max_difference(&Affine::from_spacing([1.0; 3])) < 1e-12);
    }

    #[test]
    fn singular_and_unfinished_affines_have_no_inverse() {
        assert!(Affine::from_spacing([1.0, 0.0, 1.0]).inverse().is_none());
        assert!(Affine::from_spacing([1.0, f64::NAN, 1.0]).inverse().is_none());
        let flat =
            Affine::from_rows([[1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
        assert!(flat.inverse().is_none());
    }

    #[test]
    fn oblique_axes_take_the_nearest_anatomical_one() {
        let (sin, cos) = 30f64.to_radians().sin_cos();
        let affine =
            Affine::from_rows([[cos, -sin, 0.0, 0.0], [sin, cos, 0.0, 0.0], [0.0, 0.0, -3.0, 0.0]]);
        assert_eq!(affine.codes(), "RAI");
    }
}
