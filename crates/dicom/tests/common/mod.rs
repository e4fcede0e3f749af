//! Series that the tests write themselves.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use udas_dicom::{Export, ExportedFile, Kind, Modality, Series};

pub const SHAPE: [usize; 3] = [7, 5, 6];
/// Sagittal-like, turned by 20 and 35 degrees, right-handed.
pub fn oblique() -> [[f64; 4]; 3] {
    let (s1, c1) = 20f64.to_radians().sin_cos();
    let (s2, c2) = 35f64.to_radians().sin_cos();
    // Rotation about z, then about x.
    let rotation = [[c1, -s1, 0.0], [s1 * c2, c1 * c2, -s2], [s1 * s2, c1 * s2, c2]];
    let sizes = [0.9, 1.1, 2.7];
    let origin = [-81.25, 40.5, -12.75];
    std::array::from_fn(|row| {
        let [a, b, c]: [f64; 3] = rotation[row];
        [a * sizes[0], b * sizes[1], c * sizes[2], origin[row]]
    })
}

pub fn straight() -> [[f64; 4]; 3] {
    [[0.5, 0.0, 0.0, -10.0], [0.0, 0.75, 0.0, 20.0], [0.0, 0.0, 2.5, 30.0]]
}

/// Whole numbers of both signs, all different.
pub fn voxels() -> Vec<f32> {
    (0..SHAPE.iter().product()).map(|v: usize| (v as f32) * 3.0 - 200.0).collect()
}

pub fn files(kind: Kind, affine: [[f64; 4]; 3]) -> Vec<ExportedFile> {
    let voxels = voxels();
    let (modality, patient, seed) = (Modality::Mr, "DOE^JANE", "one");
    Export { voxels: &voxels, shape: SHAPE, affine, kind, modality, patient, seed }.files()
}

/// A folder of files, whose names say nothing of their order.
pub fn folder(files: &[ExportedFile]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    folder
}

pub fn write(folder: &Path, files: &[ExportedFile]) -> Vec<PathBuf> {
    let name = |index: usize| format!("{:02}-{index}", (index * 5 + 3) % files.len().max(1));
    let one = |(index, file): (usize, &ExportedFile)| {
        let path = folder.join(name(index));
        std::fs::write(&path, file.encode()).unwrap();
        path
    };
    files.iter().enumerate().map(one).collect()
}

/// What is said of files that are no volume.
pub fn refusal(files: &[ExportedFile]) -> String {
    let folder = folder(files);
    Series::open(folder.path()).unwrap_err().to_string()
}
