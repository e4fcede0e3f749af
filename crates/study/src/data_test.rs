//! Domains, subjects and masks that an experiment names and the data lack are told by name.

use super::*;
use crate::catalogue::Catalogue;
use std::fs;

/// Domain folders of empty files, with masks or without.
fn domain(root: &Path, name: &str, subjects: usize, kinds: &[&str]) {
    for kind in kinds {
        let folder = root.join(name).join(kind);
        fs::create_dir_all(&folder).unwrap();
        for subject in 0..subjects {
            fs::write(folder.join(format!("s{subject}.nii.gz")), "").unwrap();
        }
    }
}

const LABELLED: &[&str] = &["images", "masks"];

fn check(root: &Path, pairs: Pairs, [source, target]: [&str; 2]) -> Result<()> {
    let mut definition = Catalogue::Stock.load("two-scanners").unwrap();
    definition.go_between(Some(source), &[target.into()]).unwrap();
    let preset = definition.preset("converged").unwrap();
    Folder::open(root).and_then(|data| Data::Folder(data).check(&definition, preset, pairs))
}

fn refusal(root: &Path, pairs: Pairs, domains: [&str; 2]) -> String {
    check(root, pairs, domains).unwrap_err().to_string()
}

#[test]
fn a_missing_domain_is_named_beside_those_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    domain(folder.path(), "old", 3, LABELLED);
    domain(folder.path(), "new", 3, LABELLED);
    check(folder.path(), Pairs::All, ["old", "new"]).unwrap();
    let error = refusal(folder.path(), Pairs::Own, ["old", "newer"]);
    assert!(error.contains("no domain newer") && error.contains("new, old"), "{error}");
}

#[test]
fn too_few_subjects_and_missing_masks_are_told() {
    let folder = tempfile::tempdir().unwrap();
    domain(folder.path(), "one", 1, LABELLED);
    domain(folder.path(), "many", 5, LABELLED);
    domain(folder.path(), "bare", 5, &["images"]);
    let error = refusal(folder.path(), Pairs::Own, ["many", "one"]);
    assert!(error.contains("domain one: there is 1"), "{error}");
    let error = refusal(folder.path(), Pairs::Own, ["many", "bare"]);
    assert!(error.contains("domain bare has no mask"), "{error}");
    // Who is not scored needs none.
    domain(folder.path(), "part", 5, LABELLED);
    fs::remove_file(folder.path().join("part/masks/s4.nii.gz")).unwrap();
    check(folder.path(), Pairs::Own, ["many", "part"]).unwrap();
    let error = refusal(folder.path(), Pairs::Own, ["part", "many"]);
    assert!(error.contains("subject s4 of domain part"), "{error}");
    let error = refusal(folder.path(), Pairs::Own, ["bare", "many"]);
    assert!(error.contains("subject s0 of domain bare"), "{error}");
}

#[test]
fn subjects_that_a_preset_asks_for_must_be_there() {
    let mut definition = Catalogue::Stock.load("two-scanners").unwrap();
    let preset = definition.presets.get_mut("converged").unwrap();
    preset.options.train.subjects = Some("1-16".parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for name in definition.domains() {
        domain(folder.path(), name, 9, LABELLED);
    }
    let data = Data::Folder(Folder::open(folder.path()).unwrap());
    let preset = definition.preset("converged").unwrap();
    let error = data.check(&definition, preset, Pairs::Own).unwrap_err().to_string();
    assert!(error.contains("there are 9, and --subjects 1-16"), "{error}");
}
