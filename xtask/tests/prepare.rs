//! From a server's archives to a prepared and verified tree, and archives that must not be unpacked.

mod web;

use std::fs;
use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use web::{DataSet, FETCH, Reply, Server, said};
use zip::write::SimpleFileOptions;

fn zip_of(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A data set of two archives, fetched.
fn fetched(images: Vec<u8>, masks: Vec<u8>) -> DataSet {
    let files = [images.clone(), masks.clone()];
    let server = Server::start(move |request, _| match request.path.as_str() {
        "/images.zip" => Reply::good(request, &files[0]),
        "/masks.zip" => Reply::good(request, &files[1]),
        _ => Reply::status(404),
    });
    let list = [("images.zip", "images", &images[..]), ("masks.zip", "masks", &masks[..])];
    let set = DataSet::new(&server.url, &list);
    let output = set.command(&FETCH).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    set
}

fn good() -> DataSet {
    let images = [
        ("Original/CC1_ge_3_42_M.nii.gz", gzip(b"one")),
        ("__MACOSX/Original/._CC1_ge_3_42_M.nii.gz", b"x".to_vec()),
    ];
    fetched(zip_of(&images), zip_of(&[("CC1_ge_3_42_M_ss.nii.gz", gzip(b"two"))]))
}

fn check(set: &DataSet, action: &[&str], reason: Option<&str>) {
    let output = set.command(action).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.success(), reason.is_none(), "{text}");
    assert!(text.contains(reason.unwrap_or_default()), "{text}");
}

#[test]
fn archives_become_a_tree_that_is_verified() {
    let set = good();
    check(&set, &["prepare"], None);
    check(&set, &["prepare"], None);
    check(&set, &["verify"], None);
    let image = set.data().join("Original/GE_3/CC1_ge_3_42_M.nii.gz");
    assert_eq!(fs::read(&image).unwrap(), gzip(b"one"));
    assert!(set.data().join("Silver-standard/GE_3/CC1_ge_3_42_M_ss.nii.gz").exists());
}

#[test]
fn verification_finds_what_is_damaged() {
    let set = good();
    check(&set, &["prepare"], None);
    let image = set.data().join("Original/GE_3/CC1_ge_3_42_M.nii.gz");
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, &bytes[..bytes.len() - 4]).unwrap();
    check(&set, &["verify"], Some("CC1_ge_3_42_M.nii.gz"));
    // A quick look does not decode.
    check(&set, &["verify", "--depth", "quick"], None);
    fs::remove_file(&image).unwrap();
    check(&set, &["verify", "--depth", "quick"], Some("has no image"));

    let archive = set.archive("masks.zip");
    let mut bytes = fs::read(&archive).unwrap();
    bytes[10] ^= 1;
    fs::write(&archive, bytes).unwrap();
    check(&set, &["verify"], Some("instead of"));
}

#[test]
fn an_archive_that_is_not_complete_is_not_unpacked() {
    let set = good();
    let archive = set.archive("images.zip");
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    check(&set, &["prepare"], Some("fetch x` first"));
    check(&set, &["fetch"], Some("remove it and fetch again"));
}

#[test]
fn an_archive_that_escapes_writes_nothing() {
    for name in ["../../escaped_ge_3_42_M.nii.gz", "/tmp/escaped_ge_3_42_M.nii.gz"] {
        let images = [("Original/CC1_ge_3_42_M.nii.gz", gzip(b"one")), (name, gzip(b"evil"))];
        let masks = zip_of(&[("CC1_ge_3_42_M_ss.nii.gz", gzip(b"two"))]);
        let set = fetched(zip_of(&images), masks);
        check(&set, &["prepare"], Some("leads out of the folder"));
        assert!(!set.data().join("Original").exists(), "it was unpacked in part");
        assert!(!set.data().parent().unwrap().join("escaped_ge_3_42_M.nii.gz").exists());
    }
}

#[test]
fn an_archive_that_explodes_writes_nothing() {
    let images = [("Original/CC1_ge_3_42_M.nii.gz", vec![0; 64 << 20])];
    let masks = zip_of(&[("CC1_ge_3_42_M_ss.nii.gz", gzip(b"two"))]);
    let set = fetched(zip_of(&images), masks);
    check(&set, &["prepare"], Some("zip bomb"));
    assert!(!set.data().join("Original").exists());
}

#[test]
fn a_site_that_nobody_knows_is_an_error() {
    let images = [("Original/CC1_toshiba_3_42_M.nii.gz", gzip(b"one"))];
    let masks = zip_of(&[("CC1_ge_3_42_M_ss.nii.gz", gzip(b"two"))]);
    let set = fetched(zip_of(&images), masks);
    check(&set, &["prepare"], Some("its site is unknown"));
}

/// The repository's own manifest of M&Ms on a tree that a person has placed.
#[test]
fn a_tree_that_a_person_places_is_checked_after_the_steps_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let check = |action: &[&str], reason: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["data", action[0], "mnms", "--data"]).arg(folder.path()).args(&action[1..]);
        let output = command.output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.success(), reason.is_none(), "{text}");
        assert!(text.contains(reason.unwrap_or_default()), "{text}");
        text
    };
    let text = check(&["fetch"], Some("place the information table there"));
    assert!(text.contains("register, and accept the terms"), "{text}");
    let table = "External code,VendorName,Vendor,Centre,ED,ES\nA1B2C3,Siemens,A,1,0,9\n\
                 D4E5F6,Philips,B,2,3,11\n";
    fs::write(folder.path().join("211006_M&Ms_Dataset_Information_-_opendataset.csv"), table)
        .unwrap();
    check(&["verify"], Some("subject `A1B2C3` of the table has no folder"));
    for (part, code) in [("Training/Labeled", "A1B2C3"), ("Testing", "D4E5F6")] {
        let subject = folder.path().join(part).join(code);
        fs::create_dir_all(&subject).unwrap();
        for ending in ["_sa", "_sa_gt"] {
            fs::write(subject.join(format!("{code}{ending}.nii.gz")), gzip(b"cine")).unwrap();
        }
    }
    check(&["verify"], None);
    check(&["fetch"], None);
    let damaged = folder.path().join("Testing/D4E5F6/D4E5F6_sa_gt.nii.gz");
    fs::write(&damaged, &gzip(b"cine")[..12]).unwrap();
    check(&["verify"], Some("D4E5F6_sa_gt.nii.gz"));
    fs::write(&damaged, gzip(b"cine")).unwrap();
    let wrong = table.replace("Philips", "Toshiba");
    fs::write(folder.path().join("211007_M&Ms_Dataset_Information.csv"), wrong).unwrap();
    check(&["verify"], Some("unknown vendor `Toshiba`"));
}
