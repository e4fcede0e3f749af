//! Which files are taken: patterns, hidden files, links that loop, masks among images, names in two spellings.

mod common;

use std::path::{Path, PathBuf};

use udas_data::{DataSet, Error, Subject, expand};
use udas_volume::{Volume, write_volume};

fn scan() -> Volume {
    common::volume([3, 3, 3], |offset| offset as f32)
}

fn write(folder: &Path, name: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_volume(&path, &scan()).unwrap();
}

fn ids(subjects: Vec<Subject>) -> Vec<String> {
    subjects.into_iter().map(|subject| subject.id).collect()
}

fn listed(folder: &Path, pattern: &str) -> Vec<String> {
    ids(expand(&[folder.join(pattern)], "target").unwrap())
}

#[test]
fn patterns_leave_hidden_files_out_as_folders_do() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a.nii.gz", "._a.nii.gz", ".git/annex/b.nii.gz", "sub/c.nii.gz", "sub/.d.nii.gz"];
    names.iter().for_each(|name| write(folder.path(), name));
    assert_eq!(listed(folder.path(), ""), ["a"]);
    assert_eq!(listed(folder.path(), "*.nii.gz"), ["a"]);
    assert_eq!(listed(folder.path(), "*"), ["a", "c"]);
    assert_eq!(listed(folder.path(), "?.nii.gz"), ["a"]);
    assert_eq!(listed(folder.path(), "**/*.nii.gz"), ["a", "c"]);
    assert_eq!(listed(folder.path(), "**"), ["a", "c"]);
    assert_eq!(listed(folder.path(), "s[tu]b/*"), ["c"]);
    // Hidden files by name are meant.
    assert_eq!(listed(folder.path(), "._*"), ["._a"]);
    assert_eq!(listed(folder.path(), ".git/annex/*"), ["b"]);
    let empty = expand(&[folder.path().join("x*")], "target").unwrap_err();
    assert!(matches!(empty, Error::Empty { .. }), "{empty}");
    let wrong = expand(&[folder.path().join("a**/b")], "target").unwrap_err();
    assert!(wrong.to_string().contains("not a valid pattern"), "{wrong}");
}

#[cfg(unix)]
#[test]
fn links_that_loop_end() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "one/CC0001_ge_3_40_M.nii.gz");
    write(folder.path(), "one/two/CC0002_ge_3_40_M.nii.gz");
    for name in ["one/up", "one/two/up", "loop"] {
        std::os::unix::fs::symlink(folder.path(), folder.path().join(name)).unwrap();
    }
    let both = ["CC0001_ge_3_40_M", "CC0002_ge_3_40_M"];
    assert_eq!(listed(folder.path(), "**/*.nii.gz"), both);
    assert_eq!(listed(folder.path(), "**"), both);
    let set = DataSet::open(folder.path()).unwrap();
    assert_eq!(ids(set.subjects("GE_3").unwrap()), both);
}

#[test]
fn a_file_named_twice_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "sub/a.nii.gz");
    let twice: Vec<PathBuf> =
        ["sub/a.nii.gz", "sub", "sub/../sub/a.nii.gz", "sub/*", "**/a.nii.gz"]
            .map(|name| folder.path().join(name))
            .into();
    assert_eq!(ids(expand(&twice, "target").unwrap()), ["a"]);
}

#[test]
fn masks_among_the_images_of_a_domain_are_left_out_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("scanner");
    for name in ["images/s1_t1.nii.gz", "images/s1_seg.nii.gz", "masks/s1_t1.nii.gz"] {
        write(&one, name);
    }
    let set = DataSet::open(folder.path()).unwrap();
    assert_eq!(ids(set.subjects("scanner").unwrap()), ["s1_t1"]);
    assert!(set.notes().iter().any(|note| note.contains("s1_seg.nii.gz")), "{:?}", set.notes());
}

#[test]
fn a_letter_and_its_accent_are_one_name_in_both_spellings() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("scanner");
    write(&one, "images/Mu\u{308}ller.nii.gz");
    write(&one, "masks/M\u{fc}ller.nii.gz");
    let subjects = DataSet::open(folder.path()).unwrap().subjects("scanner").unwrap();
    assert!(subjects[0].labels.is_some());
    assert_eq!(ids(subjects), ["M\u{fc}ller"]);
    let other = folder.path().join("Ko\u{308}ln");
    write(&other, "images/a.nii.gz");
    assert_eq!(DataSet::open(folder.path()).unwrap().subjects("K\u{f6}ln").unwrap().len(), 1);
    write(&one, "images/M\u{fc}ller.nii.gz");
    // A file system may hold both spellings for one already.
    if std::fs::read_dir(one.join("images")).unwrap().count() == 2 {
        let error = DataSet::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::SameName { .. }), "{error}");
    }
}

/// An M&Ms tree of one subject `A1B2C3` with the given table.
fn mnms(table: &[u8]) -> Result<DataSet, Error> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "Training/Labeled/A1B2C3/A1B2C3_sa.nii.gz");
    std::fs::write(folder.path().join("table.csv"), table).unwrap();
    DataSet::open(folder.path())
}

#[test]
fn tables_as_spreadsheets_write_them_are_read() {
    let plain = "External code,VendorName,Vendor,Centre,ED,ES\nA1B2C3,Siemens,A,1,0,9\n";
    let utf16 = |of: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let mark = mark.then_some('\u{feff}');
        let text: String = mark.into_iter().chain(plain.chars()).collect();
        text.encode_utf16().flat_map(of).collect()
    };
    let utf32 = |of: fn(u32) -> [u8; 4]| -> Vec<u8> {
        format!("\u{feff}{plain}").chars().flat_map(|letter| of(letter as u32)).collect()
    };
    for table in [
        plain.as_bytes().to_vec(),
        plain.replace(',', ";").into_bytes(),
        plain.replace(',', "\t").into_bytes(),
        plain.replace('\n', "\r\n").into_bytes(),
        plain.replace("A1B2C3", "a1b2c3").into_bytes(),
        utf16(u16::to_le_bytes, true),
        utf16(u16::to_be_bytes, true),
        utf16(u16::to_le_bytes, false),
        utf32(u32::to_le_bytes),
        utf32(u32::to_be_bytes),
        format!("sep=;\n{}", plain.replace(',', ";")).into_bytes(),
        format!("M&Ms, all vendors\n\n{plain}").into_bytes(),
        plain.replace("External code", "external_code").into_bytes(),
        plain.replace(',', ";").replace(";9", ";9,0").into_bytes(),
        // Latin-1, in a column that is not read.
        plain.replace("Siemens", "Si\u{e9}mens").chars().map(|letter| letter as u8).collect(),
    ] {
        let set = mnms(&table).unwrap_or_else(|error| panic!("{error}: {table:?}"));
        assert_eq!(ids(set.subjects("A").unwrap()), ["A1B2C3"]);
    }
    let error = mnms(plain.replace("A1B2C3", "D4E5F6").as_bytes()).unwrap_err().to_string();
    assert!(error.contains("table.csv") && error.contains("A1B2C3_sa"), "{error}");
}
