//! BIDS trees and nnU-Net's raw data: subjects, masks and domains by names alone.
use std::path::Path;

use udas_data::{DataSet, Error, Layout, Part};

/// A folder of files with these names and texts; nothing but names is read of images.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn open(folder: &tempfile::TempDir) -> DataSet {
    DataSet::open(folder.path()).unwrap()
}

const SIEMENS: &str = r#"{"Manufacturer": "SIEMENS Healthineers", "MagneticFieldStrength": 1.5}"#;
const PHILIPS: &str = r#"{"Manufacturer": "Philips", "MagneticFieldStrength": 3}"#;

#[test]
fn a_bids_tree_has_sessions_scanners_and_masks() {
    let folder = tree(&[
        ("dataset_description.json", "{}"),
        ("sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz", ""),
        ("sub-01/ses-a/anat/sub-01_ses-a_T1w.json", SIEMENS),
        ("sub-01/ses-a/anat/sub-01_ses-a_T2w.nii.gz", ""),
        ("sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz", ""),
        ("sub-01/ses-b/anat/sub-01_ses-b_T1w.json", PHILIPS),
        ("sub-02/anat/sub-02_T1w.nii.gz", ""),
        ("sub-02/func/sub-02_task-rest_bold.nii.gz", ""),
        ("derivatives/hand/sub-01/ses-a/anat/sub-01_ses-a_label-brain_mask.nii.gz", ""),
        ("derivatives/hand/sub-01/ses-a/anat/sub-01_ses-a_space-MNI_label-brain_mask.nii.gz", ""),
        ("derivatives/hand/sub-02/anat/sub-02_desc-brain_dseg.nii.gz", ""),
    ]);
    let set = open(&folder);
    assert_eq!(set.layout(), Layout::Bids);
    let own = folder.path().file_name().unwrap().to_str().unwrap();
    let mut domains = vec!["Philips_3", "SIEMENS_1.5", own];
    domains.sort_unstable();
    assert_eq!(set.domains(), domains);
    let [a, b, c] =
        ["SIEMENS_1.5", "Philips_3", own].map(|name| set.subjects(name).unwrap().remove(0));
    assert_eq!([&a.id, &b.id, &c.id], ["sub-01_ses-a", "sub-01_ses-b", "sub-02"]);
    let mask = |subject: &udas_data::Subject| {
        subject.labels.as_deref().and_then(Path::file_name).map(|n| n.to_owned())
    };
    assert_eq!(mask(&a).unwrap(), "sub-01_ses-a_label-brain_mask.nii.gz");
    assert_eq!(mask(&b), None);
    assert_eq!(mask(&c).unwrap(), "sub-02_desc-brain_dseg.nii.gz");
    assert!(set.notes()[0].contains("_T1w") && set.notes()[0].contains("1 others"));
}

#[test]
fn participants_tsv_names_scanners() {
    let folder = tree(&[
        (
            "participants.tsv",
            "participant_id\tage\tscanner\nsub-1\t40\tGE 750\nsub-2\t50\tn/a\nsub-3\t60\tPrisma\n",
        ),
        ("sub-1/anat/sub-1_FLAIR.nii.gz", ""),
        ("sub-2/anat/sub-2_FLAIR.nii.gz", ""),
        ("sub-2/anat/sub-2_FLAIR.json", PHILIPS),
        ("sub-3/anat/sub-3_FLAIR.nii.gz", ""),
        ("sub-3/anat/sub-3_FLAIR.json", PHILIPS),
    ]);
    assert_eq!(open(&folder).domains(), ["GE_750", "Philips_3", "Prisma"]);
}

#[test]
fn two_masks_of_an_image_are_refused() {
    let folder = tree(&[
        ("sub-1/anat/sub-1_T1w.nii.gz", ""),
        ("derivatives/a/sub-1/anat/sub-1_label-brain_mask.nii.gz", ""),
        ("derivatives/b/sub-1/anat/sub-1_dseg.nii.gz", ""),
    ]);
    let error = DataSet::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::TwoMasks { .. }), "{error:?}");
    for part in ["sub-1_label-brain_mask", "sub-1_dseg", "leave one of them"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn raw_data_of_nnunet_is_one_domain() {
    let folder = tree(&[
        ("Dataset004_Heads/dataset.json", "{}"),
        ("Dataset004_Heads/imagesTr/h_1_0000.nii.gz", ""),
        ("Dataset004_Heads/imagesTr/h_1_0001.nii.gz", ""),
        ("Dataset004_Heads/imagesTs/h_2_0000.nii.gz", ""),
        ("Dataset004_Heads/labelsTr/h_1.nii.gz", ""),
        ("Dataset004_Heads/labelsTr/h_9.nii.gz", ""),
    ]);
    let set = DataSet::open(&folder.path().join("Dataset004_Heads")).unwrap();
    assert_eq!((set.layout(), set.domains()), (Layout::NnunetRaw, vec!["Dataset004_Heads".into()]));
    let subjects = set.subjects("Dataset004_Heads").unwrap();
    let told: Vec<_> =
        subjects.iter().map(|s| (s.id.as_str(), s.labels.is_some(), s.part)).collect();
    assert_eq!(told, [("h_1", true, Some(Part::Training)), ("h_2", false, Some(Part::Testing))]);
    let notes = set.notes().join("\n");
    assert!(notes.contains("1 files do not end in _0000") && notes.contains("h_9"), "{notes}");
}
