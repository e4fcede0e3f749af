//! One grid or two, sheared axes, and quaternions that other readers refuse.

mod common;

use common::File;
use udas_volume::{Affine, Grid, Warning, probe, read, write_labels};

fn grid(size_mm: f64, shape: [usize; 3]) -> Grid {
    Grid { shape, affine: Affine::from_spacing([size_mm; 3]).with_origin([-3.0, 7.0, 11.0]) }
}

fn with(grid: Grid, change: impl Fn(&mut [[f64; 4]; 3])) -> Grid {
    let mut rows = *grid.affine.rows();
    change(&mut rows);
    Grid { affine: Affine::from_rows(rows), ..grid }
}

#[test]
fn corners_decide_by_their_share_of_a_voxel_at_every_size() {
    for size in [0.0004, 0.01, 1.0, 250.0] {
        let image = grid(size, [64, 48, 32]);
        let differ = |other: Grid| image.difference(&other).is_some();
        assert!(!differ(image));
        // Mirrored about its own middle, so that the grids cover the same space.
        let mirrored = with(image, |rows| {
            rows[0][0] = -size;
            rows[0][3] += 63.0 * size;
        });
        assert!(differ(mirrored), "{size}: mirrored");
        assert!(differ(with(image, |rows| rows[2][2] *= 3.0)), "{size}: three times the voxel");
        assert!(differ(with(image, |rows| rows[1][3] += 0.5 * size)), "{size}: half a voxel");
        // A tilt that moves the far corner by half a voxel.
        assert!(differ(with(image, |rows| rows[1][0] += 0.5 * size / 63.0)), "{size}: tilt");
        assert!(!differ(with(image, |rows| rows[1][3] += 0.009 * size)), "{size}: rounding");
        assert!(!differ(with(image, |rows| rows[1][0] += 0.02 * size / 63.0)), "{size}: rounding");
        assert!(differ(with(image, |rows| rows[0][3] = f64::NAN)), "{size}: NaN");
    }
}

#[test]
fn an_origin_of_two_decimals_is_the_same_and_a_thicker_slice_is_not() {
    let fine = grid(1.0, [256, 256, 1]);
    let exact = with(fine, |rows| rows[0][3] = -119.876);
    let rounded = with(fine, |rows| rows[0][3] = -119.88);
    assert_eq!(exact.difference(&rounded), None);
    assert!(fine.difference(&with(fine, |rows| rows[2][2] = 5.0)).is_some());
}

#[test]
fn small_voxels_are_not_printed_as_zero() {
    let image = grid(0.0004, [8, 8, 8]);
    let other = with(image, |rows| rows[0][0] = 0.0012);
    let text = image.difference(&other).unwrap();
    assert!(text.contains("0.0004000") && text.contains("0.0012000"), "{text}");
}

/// A volume of 3 mm slices by a gantry tilted by `degrees`, with an sform alone.
fn tilted(degrees: f32) -> File {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let srow = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 3.0 * sin, 0.0], [0.0, 0.0, 3.0 * cos, 0.0]];
    File { srow, ..File::counting() }
}

#[test]
fn sheared_axes_are_said_and_their_voxels_measured() {
    let folder = tempfile::tempdir().unwrap();
    for (degrees, volume) in [(20.0, 2.8191), (-12.5, 2.9289), (0.5, 2.9999)] {
        let found = probe(&tilted(degrees).write(folder.path(), "tilted.nii")).unwrap();
        assert!((found.grid.affine.voxel_mm3() - volume).abs() < 1e-4, "{degrees}");
        let sheared = found.header.warnings().iter().find_map(|warning| match warning {
            Warning::Sheared { degrees } => Some(*degrees),
            _ => None,
        });
        assert!((sheared.unwrap() - f64::from(degrees.abs())).abs() < 1e-4, "{degrees}");
    }
    // Oblique and anisotropic, yet at right angles; four decimals as some tools write them.
    let mut oblique = File::counting();
    oblique.srow = [[0.8192, -1.1472, 0.0, 5.0], [0.5736, 1.6383, 0.0, -8.0], [0.0, 0.0, 3.0, 1.0]];
    let found = probe(&oblique.write(folder.path(), "oblique.nii")).unwrap();
    assert!(found.header.warnings().is_empty(), "{:?}", found.header.warnings());
}

#[test]
fn a_quaternion_longer_than_one_is_written_at_its_length() {
    let folder = tempfile::tempdir().unwrap();
    for quatern in [[0.6, 0.8, 0.001], [0.9, 0.9, -0.9], [1.0, 1e-3, 0.0], [f32::NAN, 0.0, 0.0]] {
        for sform_code in [0, 1] {
            let file = File { qform_code: 1, sform_code, quatern, ..File::counting() };
            let Ok(scan) = read(&file.write(folder.path(), "scan.nii")) else {
                assert!(quatern[0].is_nan());
                continue;
            };
            let out = folder.path().join("mask.nii");
            write_labels(&out, &scan.map(|value| u8::from(value > 4.0))).unwrap();
            let written = read(&out).unwrap();
            let field = |at: usize| {
                let bytes = written.header().bytes();
                f64::from(f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
            };
            let length: f64 = [256, 260, 264].map(field).iter().map(|part| part * part).sum();
            assert!(length <= 1.0, "{quatern:?}: {length}");
            assert_eq!(scan.grid().difference(written.grid()), None, "{quatern:?}");
        }
    }
}
