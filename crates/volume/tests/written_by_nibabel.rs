//! Files of every kind that nibabel wrote: values, shapes and affines must be those nibabel reads.
//!
//! `tests/formats/write_with_nibabel.py` makes the files; this test discovers them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use udas_volume::{is_supported, probe, read, read_frames, read_labels};

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Refused { refused: String },
    Read(Read),
}

#[derive(Deserialize)]
struct Read {
    shape: [usize; 3],
    frames: usize,
    affine: Option<[[f64; 4]; 3]>,
    spacing: [f64; 3],
    qform_code: i64,
    sform_code: i64,
    values: Vec<f32>,
}

fn golden() -> Option<(PathBuf, BTreeMap<String, Expected>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/formats");
    let Ok(text) = std::fs::read_to_string(folder.join("expected.json")) else {
        eprintln!("skipped: {} is absent (golden values are not packaged)", folder.display());
        return None;
    };
    Some((folder, serde_json::from_str(&text).unwrap()))
}

fn check(path: &Path, expected: &Read) {
    let name = path.display();
    let probed = probe(path).unwrap();
    assert_eq!((probed.grid.shape, probed.frames), (expected.shape, expected.frames), "{name}");
    let codes = (probed.header.qform_code(), probed.header.sform_code());
    assert_eq!(codes, (expected.qform_code, expected.sform_code), "{name}");

    let affine = &probed.grid.affine;
    for (found, expected) in affine.spacing().into_iter().zip(expected.spacing) {
        assert!((found - expected).abs() < 1e-5 * expected, "{name}: {found} mm, not {expected}");
    }
    // Both compute in float64 from the header's float32; a quaternion's fourth part is rounded differently.
    let tolerance = 1e-5;
    for (found, expected) in affine.rows().iter().zip(expected.affine.iter().flatten()) {
        for (found, expected) in found.iter().zip(expected) {
            let error = (found - expected).abs() / expected.abs().max(1.0);
            assert!(error < tolerance, "{name}: {affine} has {found}, not {expected}");
        }
    }

    let frames = read_frames(path, &(0..expected.frames).collect::<Vec<_>>()).unwrap();
    let found: Vec<f32> = frames.iter().flat_map(|frame| frame.data()).copied().collect();
    assert_eq!(found, expected.values, "{name}");
    if expected.frames == 1 {
        assert_eq!(read(path).unwrap().data(), found, "{name}");
    }
}

#[test]
fn each_file_reads_as_nibabel_reads_it() {
    let Some((folder, expected)) = golden() else { return };
    for (name, expected) in &expected {
        let path = folder.join(name);
        match expected {
            Expected::Read(expected) => check(&path, expected),
            Expected::Refused { refused } => {
                let message = read(&path).expect_err(name).to_string();
                assert!(message.contains(refused) && message.contains(name), "{message}");
            }
        }
    }
    assert!(expected.len() >= 70, "{} files", expected.len());
}

#[test]
fn each_file_of_the_folder_is_expected() {
    let Some((folder, expected)) = golden() else { return };
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let second_of_pair = name.ends_with(".img");
        if is_supported(&path) && !second_of_pair {
            assert!(expected.contains_key(&name), "{name} is not in expected.json");
        }
    }
}

#[test]
fn labels_stored_as_floats_are_labels() {
    let Some((folder, _)) = golden() else { return };
    let labels = read_labels(&folder.join("labels_as_float.nii.gz")).unwrap();
    assert!(labels.data().iter().all(|&label| label < 4) && labels.data().contains(&3));
}
