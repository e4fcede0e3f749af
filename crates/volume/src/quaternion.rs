//! Rotations as NIfTI's qform stores them: parts b, c, d of a unit quaternion.
#![expect(clippy::indexing_slicing, reason = "four squares, counted from 0 to 3")]

/// The rotation of a quaternion by its last three parts (nifti1.h, "METHOD 2").
pub(crate) fn to_rotation([b, c, d]: [f64; 3]) -> [[f64; 3]; 3] {
    let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
    // Rounding may leave a quaternion slightly longer than 1.
    let norm = (a * a + b * b + c * c + d * d).sqrt();
    let [a, b, c, d] = [a, b, c, d].map(|value| value / norm);
    [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
}

/// Parts b, c, d of the unit quaternion with a >= 0 of a proper rotation.
///
/// Each part's size comes from the diagonal, the signs from the largest part, so that it is stable
/// for every rotation (nifti1_io.c does the same by cases).
pub(crate) fn from_rotation(r: &[[f64; 3]; 3]) -> [f64; 3] {
    let squares = [
        1.0 + r[0][0] + r[1][1] + r[2][2],
        1.0 + r[0][0] - r[1][1] - r[2][2],
        1.0 - r[0][0] + r[1][1] - r[2][2],
        1.0 - r[0][0] - r[1][1] + r[2][2],
    ];
    let largest = (0..4).fold(0, |best, i| if squares[i] > squares[best] { i } else { best });
    let unit = 0.5 * squares[largest].max(0.0).sqrt();
    let scale = 0.25 / unit;
    let [a, b, c, d] = match largest {
        0 => [
            unit,
            (r[2][1] - r[1][2]) * scale,
            (r[0][2] - r[2][0]) * scale,
            (r[1][0] - r[0][1]) * scale,
        ],
        1 => [
            (r[2][1] - r[1][2]) * scale,
            unit,
            (r[0][1] + r[1][0]) * scale,
            (r[0][2] + r[2][0]) * scale,
        ],
        2 => [
            (r[0][2] - r[2][0]) * scale,
            (r[0][1] + r[1][0]) * scale,
            unit,
            (r[1][2] + r[2][1]) * scale,
        ],
        _ => [
            (r[1][0] - r[0][1]) * scale,
            (r[0][2] + r[2][0]) * scale,
            (r[1][2] + r[2][1]) * scale,
            unit,
        ],
    };
    if a < 0.0 { [-b, -c, -d] } else { [b, c, d] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_a_rotation_and_come_back() {
        // Every largest part in turn, half turns included.
        let parts: [[f64; 3]; 7] = [
            [0.0, 0.0, 0.0],
            [0.1, -0.2, 0.3],
            [0.9, 0.2, -0.1],
            [-0.3, 0.8, 0.2],
            [0.1, 0.1, -0.95],
            [0.0, 1.0, 0.0],
            [0.6, 0.8, 0.0],
        ];
        for expected in parts {
            let back = from_rotation(&to_rotation(expected));
            let error = back.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error < 1e-9, "{expected:?} came back as {back:?}");
        }
    }
}
