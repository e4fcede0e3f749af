//! Histogram standardisation and matching, learned from files and kept with a model.

mod common;

use std::path::Path;

use udas_data::{
    Intensity, LabelUse, Landmarks, Plane, Preprocessing, SliceSource, Standard, Subject,
    VolumeSlices, expand,
};
use udas_volume::{Volume, write_volume};

/// Two thirds background and tissue of many shades, through a scanner's gain, offset and gamma.
fn scan(gain: f32, offset: f32, gamma: f32) -> Volume {
    common::volume([6, 10, 10], |voxel| {
        let shade = if voxel % 3 > 0 { 0.0 } else { 0.5 + 0.5 * (voxel % 97) as f32 / 96.0 };
        offset + gain * shade.powf(gamma)
    })
}

fn subjects(folder: &Path, scans: &[Volume]) -> Vec<Subject> {
    let mut paths = Vec::new();
    for (number, scan) in scans.iter().enumerate() {
        paths.push(folder.join(format!("{number}.nii.gz")));
        write_volume(&paths[number], scan).unwrap();
    }
    expand(&paths, "scanner").unwrap()
}

fn images(subjects: &[Subject], preprocessing: &Preprocessing) -> Vec<f32> {
    let slices =
        VolumeSlices::new(subjects.to_vec(), preprocessing.clone(), LabelUse::Ignore, 1 << 20);
    let slices = slices.unwrap();
    (0..slices.len()).flat_map(|index| slices.read(index).unwrap().image).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_target_matched_to_the_source_looks_like_the_source_to_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let target_folder = folder.path().join("target");
    std::fs::create_dir(&target_folder).unwrap();
    let source = subjects(folder.path(), &[scan(100.0, 10.0, 1.0), scan(900.0, 0.0, 1.0)]);
    let target = subjects(&target_folder, &[scan(40.0, -5.0, 1.6), scan(3.0, 1.0, 1.6)]);
    let trained = Preprocessing::upright(Plane::Axial);
    let landmarks =
        Landmarks::learn(&source, &trained, Standard::Histogram { quantiles: 256 }).unwrap();
    let matched = Preprocessing { intensity: Intensity::Landmarks(landmarks), ..trained.clone() };

    let (source_seen, plain) = (images(&source, &trained), images(&target, &trained));
    assert!(largest_difference(&source_seen, &plain) > 0.1, "the scanners differ");
    let difference = largest_difference(&source_seen, &images(&target, &matched));
    assert!(difference < 0.01, "{difference}");
    // The source itself stays as its network knows it.
    let difference = largest_difference(&source_seen, &images(&source, &matched));
    assert!(difference < 0.01, "{difference}");
}

#[test]
fn nyul_brings_scanners_of_other_gain_and_offset_to_one_scale() {
    let folder = tempfile::tempdir().unwrap();
    let scans = [scan(100.0, 10.0, 1.0), scan(900.0, 0.0, 1.0), scan(3.0, -1.0, 1.0)];
    let all = subjects(folder.path(), &scans);
    let plain = Preprocessing::upright(Plane::Axial);
    let landmarks = Landmarks::learn(&all[..2], &plain, Standard::Nyul).unwrap();
    assert_eq!(landmarks.points().len(), 11);
    let points: Vec<_> = landmarks.points().collect();
    let ([(1.0, first), ..], [.., (99.0, last)]) = (&points[..], &points[..]) else {
        panic!("{points:?}")
    };
    assert!(first.abs() < 1e-6 && (last - 1.0).abs() < 1e-6, "{points:?}");
    assert!(landmarks.darkest() < 0.0, "background lies below the foreground");

    let standard = Preprocessing { intensity: Intensity::Landmarks(landmarks), ..plain };
    let seen: Vec<_> =
        all.iter().map(|subject| images(std::slice::from_ref(subject), &standard)).collect();
    for other in &seen[1..] {
        assert!(largest_difference(&seen[0], other) < 1e-3);
    }
}

#[test]
fn landmarks_travel_as_json_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let source = subjects(folder.path(), &[scan(100.0, 10.0, 1.3)]);
    let plain = Preprocessing::upright(Plane::Axial);
    for standard in [Standard::Nyul, Standard::Histogram { quantiles: 256 }] {
        let landmarks = Landmarks::learn(&source, &plain, standard).unwrap();
        let preprocessing =
            Preprocessing { intensity: Intensity::Landmarks(landmarks), ..plain.clone() };
        let text = serde_json::to_string(&preprocessing).unwrap();
        let back: Preprocessing = serde_json::from_str(&text).unwrap();
        assert_eq!(back, preprocessing);
        assert_eq!(images(&source, &back), images(&source, &preprocessing));
    }
    assert!(Landmarks::learn(&[], &plain, Standard::Nyul).is_err());
}
