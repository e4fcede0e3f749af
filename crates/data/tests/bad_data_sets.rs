//! What is wrong with a data set is said with the files it concerns and the remedy; nothing is guessed.

mod common;

use std::path::Path;

use udas_data::{
    DEFAULT_CACHE_BYTES, DataSet, Error, LabelUse, Plane, Preprocessing, Result, SliceSource,
    Subject, VolumeSlices, expand, select,
};
use udas_volume::{Affine, Volume, write_frames, write_labels, write_volume};

/// Reads everything of a domain as training does.
fn read_all(root: &Path, domain: &str) -> Result<()> {
    let subjects = DataSet::open(root)?.subjects(domain)?;
    let (preprocessing, labels) =
        (Preprocessing::upright(Plane::Axial), LabelUse::Require { classes: 2 });
    let slices = VolumeSlices::new(subjects, preprocessing, labels, DEFAULT_CACHE_BYTES)?;
    (0..slices.len()).try_for_each(|index| slices.read(index).map(drop))
}

/// A set with one sound subject `a` in a domain `scanner`.
fn sound() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::write_subject(folder.path(), "scanner", "a.nii.gz", &ramp());
    read_all(folder.path(), "scanner").unwrap();
    folder
}

fn ramp() -> Volume {
    common::volume([4, 5, 3], |offset| offset as f32)
}

#[track_caller]
fn check(result: Result<()>, is_kind: fn(&Error) -> bool, parts: &[&str]) {
    let error = result.unwrap_err();
    let message = error.to_string();
    assert!(is_kind(&error), "{error:?}");
    for part in parts {
        assert!(message.contains(part), "{message:?} says nothing of {part:?}");
    }
}

#[test]
fn a_domain_that_does_not_exist_lists_those_that_do() {
    let folder = sound();
    common::write_subject(folder.path(), "other", "b.nii.gz", &ramp());
    let is_kind = |error: &Error| matches!(error, Error::UnknownDomain { .. });
    check(read_all(folder.path(), "scaner"), is_kind, &["\"scaner\"", "other, scanner"]);
}

#[test]
fn an_unknown_site_is_refused_and_not_the_default_one() {
    let Some(golden) = common::golden() else { return };
    let is_kind = |error: &Error| matches!(error, Error::UnknownDomain { .. });
    let sites = &["\"GE_15\"", "GE_3, Philips_15, Siemens_15"];
    check(read_all(&golden.join("datasets/cc359"), "GE_15"), is_kind, sites);
    check(read_all(&golden.join("datasets/mnms"), "E"), is_kind, &["\"E\"", "A, B, C, D"]);
}

/// Names like those of CC-359 do not make a domain's folder a CC-359 tree.
#[test]
fn a_domain_s_own_folder_is_one_whatever_its_files_are_called() {
    let folder = tempfile::tempdir().unwrap();
    common::write_subject(folder.path(), "scanner", "CC0001_philips_15_55_M.nii.gz", &ramp());
    read_all(&folder.path().join("scanner"), "scanner").unwrap();
    // What lies deeper is taken first, and what is passed over is said.
    common::write_subject(&folder.path().join("scanner"), "inner", "b.nii.gz", &ramp());
    let set = DataSet::open(&folder.path().join("scanner")).unwrap();
    assert_eq!(set.domains(), ["inner"]);
    let notes = set.notes().join("\n");
    assert!(notes.contains("scanner/images") && notes.contains("passed over"), "{notes}");
}

#[test]
fn two_files_of_one_name_are_both_named() {
    let is_kind = |error: &Error| matches!(error, Error::SameName { .. });
    let folder = sound();
    let images = folder.path().join("scanner/images");
    write_volume(&images.join("a.nii"), &ramp()).unwrap();
    let both = &["images/a.nii and", "images/a.nii.gz", "rename or remove"];
    check(read_all(folder.path(), "scanner"), is_kind, both);

    let other = sound();
    let paths = [images.join("a.nii"), other.path().join("scanner/images/a.nii.gz")];
    let parts = paths.each_ref().map(|path| path.to_str().unwrap());
    check(expand(&paths, "target").map(drop), is_kind, &parts);
}

#[test]
fn a_mask_on_another_grid_is_named_with_its_image() {
    let is_kind =
        |error: &Error| matches!(error, Error::Volume(udas_volume::Error::GridMismatch { .. }));
    let folder = sound();
    let mask = folder.path().join("scanner/masks/a.nii.gz");
    let names = &["images/a.nii.gz and", "masks/a.nii.gz", "resample"];
    let shifted = Affine::from_spacing([1.0; 3]).with_origin([0.1, 0.0, 0.0]);
    let on_it = Volume::new(vec![0.0; 60], [4, 5, 3], shifted).unwrap().map(|_| 0u8);
    write_labels(&mask, &on_it).unwrap();
    check(read_all(folder.path(), "scanner"), is_kind, names);
    let smaller = common::volume([4, 5, 2], |_| 0.0).map(|_| 0u8);
    write_labels(&mask, &smaller).unwrap();
    check(read_all(folder.path(), "scanner"), is_kind, names);
    // Rounding of another tool is no difference.
    let rounded = Affine::from_spacing([1.0005, 1.0, 1.0]);
    let mut label = 0;
    let on_it = Volume::new(vec![0.0; 60], [4, 5, 3], rounded).unwrap().map(|_| {
        label = 1 - label;
        label
    });
    write_labels(&mask, &on_it).unwrap();
    read_all(folder.path(), "scanner").unwrap();
}

#[test]
fn labels_outside_the_classes_are_named_with_their_voxel() {
    let folder = sound();
    let mut mask = ramp().map(|_| 0u8);
    mask.data_mut()[4 + 1] = 3;
    write_labels(&folder.path().join("scanner/masks/a.nii.gz"), &mask).unwrap();
    let is_kind = |error: &Error| matches!(error, Error::LabelOutside { .. });
    let parts = &["masks/a.nii.gz", "[1, 1, 0]", "label 3", "0 to 1", "more classes"];
    check(read_all(folder.path(), "scanner"), is_kind, parts);
}

#[test]
fn nan_voxels_are_counted() {
    let folder = sound();
    let image = ramp().map(|value| if value < 2.0 { f32::NAN } else { value });
    write_volume(&folder.path().join("scanner/images/a.nii.gz"), &image).unwrap();
    let is_kind =
        |error: &Error| matches!(error, Error::Volume(udas_volume::Error::NotFinite { .. }));
    let parts = &["images/a.nii.gz", "2 voxels are NaN or infinite", "replace"];
    check(read_all(folder.path(), "scanner"), is_kind, parts);
}

#[test]
fn a_volume_of_one_value_is_refused_and_an_empty_slice_is_not() {
    let folder = sound();
    let image = folder.path().join("scanner/images/a.nii.gz");
    write_volume(&image, &ramp().map(|_| 7.0)).unwrap();
    let is_kind = |error: &Error| matches!(error, Error::Constant { .. });
    check(read_all(folder.path(), "scanner"), is_kind, &["images/a.nii.gz", "every voxel is 7"]);

    // The outer slices of a stack of pictures are often empty.
    let slice = common::volume([8, 8, 1], |_| 7.0);
    let path = folder.path().join("empty.nii");
    write_volume(&path, &slice).unwrap();
    let (subjects, preprocessing) =
        (expand(&[path], "target").unwrap(), Preprocessing::upright(Plane::Axial));
    let slices = VolumeSlices::new(subjects, preprocessing, LabelUse::Ignore, 0).unwrap();
    assert!(slices.read(0).unwrap().image.iter().all(|&value| value == 0.0));
}

#[test]
fn empty_folders_are_named() {
    let is_kind = |error: &Error| matches!(error, Error::Empty { .. });
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    check(read_all(folder.path(), "scanner"), is_kind, &[name, "holds no images"]);
    std::fs::create_dir_all(folder.path().join("scanner/images")).unwrap();
    check(read_all(folder.path(), "scanner"), is_kind, &["scanner/images", "holds no images"]);
    let inner = folder.path().join("scanner");
    check(expand(std::slice::from_ref(&inner), "target").map(drop), is_kind, &["holds no images"]);
    let pattern = inner.join("*.nii");
    check(expand(&[pattern], "target").map(drop), is_kind, &["*.nii", "holds no images"]);
}

#[test]
fn a_domain_is_a_data_set_of_one() {
    let folder = sound();
    common::write_subject(folder.path(), "other", "b.nii.gz", &ramp());
    let inside = folder.path().join("scanner");
    read_all(&inside, "scanner").unwrap();
    assert_eq!(DataSet::open(&inside).unwrap().domains(), ["scanner"]);
    assert_eq!(DataSet::open(folder.path()).unwrap().domains(), ["other", "scanner"]);
}

#[test]
fn a_folder_of_something_else_says_what_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    write_volume(&folder.path().join("scan.nii.gz"), &ramp()).unwrap();
    let is_kind = |error: &Error| matches!(error, Error::Unrecognised { .. });
    check(read_all(folder.path(), "scanner"), is_kind, &["DOMAIN/images", "CC-359", "M&Ms"]);
    let absent = folder.path().join("absent");
    let is_kind = |error: &Error| matches!(error, Error::Io { .. });
    check(read_all(&absent, "scanner"), is_kind, &["absent"]);
}

#[test]
fn a_missing_mask_is_named_with_its_place() {
    let folder = sound();
    std::fs::remove_file(folder.path().join("scanner/masks/a.nii.gz")).unwrap();
    let is_kind = |error: &Error| matches!(error, Error::NoMask { .. });
    let parts = &["images/a.nii.gz", "add", "masks/a.nii.gz", "unlabelled"];
    check(read_all(folder.path(), "scanner"), is_kind, parts);
}

#[test]
fn unknown_subjects_list_the_known_ones() {
    let folder = sound();
    let subjects = DataSet::open(folder.path()).unwrap().subjects("scanner").unwrap();
    let is_kind = |error: &Error| matches!(error, Error::UnknownSubject { .. });
    check(select(&subjects, &["z".into()]).map(drop), is_kind, &["\"z\"", "there are a"]);
}

#[test]
fn several_frames_where_one_is_wanted_are_refused() {
    let folder = sound();
    let image = folder.path().join("scanner/images/a.nii.gz");
    write_frames(&image, &[ramp(), ramp()], 40.0).unwrap();
    let is_kind = |error: &Error| matches!(error, Error::Volume(udas_volume::Error::Frames { .. }));
    let parts = &["images/a.nii.gz", "2 frames", "split the file"];
    check(read_all(folder.path(), "scanner"), is_kind, parts);
}

#[test]
fn slices_that_would_be_mostly_padding_name_the_extremes() {
    let folder = tempfile::tempdir().unwrap();
    let strip = |shape: [usize; 3]| common::volume(shape, |offset| offset as f32);
    common::write_subject(folder.path(), "scanner", "tall.nii.gz", &strip([2, 16384, 2]));
    common::write_subject(folder.path(), "scanner", "wide.nii.gz", &strip([16384, 2, 2]));
    let is_kind = |error: &Error| matches!(error, Error::SliceSize { .. });
    let parts = &["16384x16384", "tall.nii.gz needs the height", "wide.nii.gz the width"];
    check(read_all(folder.path(), "scanner"), is_kind, parts);
}

#[test]
fn preprocessing_without_meaning_is_refused() {
    let subjects: Vec<Subject> = Vec::new();
    let base = Preprocessing::upright(Plane::Axial);
    let text = serde_json::to_value(&base).unwrap();
    for (field, value) in [
        ("padding", serde_json::json!({"square": {"multiple": 0}})),
        ("padding", serde_json::json!({"rectangle": {"multiple": u64::MAX}})),
        ("spacing", serde_json::json!({"millimetres": [1.0, 0.0, 1.0]})),
        ("intensity", serde_json::json!({"percentile": {"low": 99.0, "high": 1.0}})),
        (
            "intensity",
            serde_json::json!({"landmarks": {"darkest": 0.0, "percentiles": [1.0], "values": []}}),
        ),
    ] {
        let mut text = text.clone();
        text[field] = value;
        let preprocessing: Preprocessing = serde_json::from_value(text).unwrap();
        let result =
            VolumeSlices::new(subjects.clone(), preprocessing, LabelUse::Ignore, 0).map(drop);
        check(result, |error| matches!(error, Error::Setting(_)), &["give"]);
    }
}

/// Normalisations that take all voxels of a volume with contrast to one value.
#[test]
fn contrast_that_a_normalisation_loses_is_refused() {
    use udas_data::Intensity;
    let read = |intensity: Intensity, shape: [usize; 3], value: fn(usize) -> f32| -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        common::write_subject(folder.path(), "scanner", "a.nii.gz", &common::volume(shape, value));
        let subjects = DataSet::open(folder.path())?.subjects("scanner")?;
        let preprocessing = Preprocessing { intensity, ..Preprocessing::upright(Plane::Axial) };
        let slices =
            VolumeSlices::new(subjects, preprocessing, LabelUse::Ignore, DEFAULT_CACHE_BYTES)?;
        slices.read(0).map(drop)
    };
    let sparse = |offset: usize| if offset.is_multiple_of(500) { 700.0 } else { 0.0 };
    let two = |offset: usize| if offset.is_multiple_of(2) { 5.0 } else { 0.0 };
    let percentile = Intensity::Percentile { low: 1.0, high: 99.0 };
    let is_flat = |error: &Error| matches!(error, Error::Flat { .. });
    let parts = ["a.nii.gz", "percentile", "choose another"];
    check(read(percentile.clone(), [10, 20, 10], sparse), is_flat, &parts);
    check(read(percentile.clone(), [100, 20, 1], sparse), is_flat, &parts);
    let narrow = Intensity::Percentile { low: 60.0, high: 80.0 };
    check(read(narrow, [10, 20, 10], two), is_flat, &parts);
    check(read(Intensity::ForegroundZScore, [10, 20, 10], two), is_flat, &["a.nii.gz", "z-score"]);
    read(Intensity::MinMax, [10, 20, 10], sparse).unwrap();
    read(percentile.clone(), [10, 20, 10], |offset| offset as f32).unwrap();
    // A single slice may be empty; a single voxel shows nothing.
    read(percentile, [10, 20, 1], |_| 3.0).unwrap();
    let is_constant = |error: &Error| matches!(error, Error::Constant { .. });
    check(read(Intensity::MinMax, [1, 1, 1], |_| 3.0), is_constant, &["a.nii.gz", "every voxel"]);
}
