//! What is found where a file's content should be: nothing, a pointer of a version control system, a web page.
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What lies in a file's place, and how to come by the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandIn {
    /// What it is, to be said after the file's name.
    pub what: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Bytes that tell them apart; pointers are hardly longer.
const HEAD: u64 = 512;

/// What lies in place of the file at `path`, if it is a thing that is often there: asked once the file could not be read
/// as what its name says, because then its own bytes say little.
pub fn stand_in(path: &Path) -> Option<StandIn> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    of_bytes(&head)
}

fn of_bytes(head: &[u8]) -> Option<StandIn> {
    if head.is_empty() {
        let what = "is empty, as a copy that was cut short leaves it";
        return Some(StandIn { what, remedy: "copy or export the file again" });
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("version https://git-lfs.github.com/spec/") {
        let what = "is a pointer of Git LFS and not the file itself";
        return Some(StandIn { what, remedy: "fetch it with `git lfs pull`" });
    }
    if text.lines().next().is_some_and(|line| line.contains("annex/objects/")) {
        let what = "is a pointer of git-annex and not the file itself";
        return Some(StandIn { what, remedy: "fetch it with `git annex get` or `datalad get`" });
    }
    let begins = |tag: &str| text.get(..tag.len()).is_some_and(|at| at.eq_ignore_ascii_case(tag));
    if begins("<!doctype html") || begins("<html") {
        let what = "is a web page, as a download leaves where a login was asked for";
        return Some(StandIn { what, remedy: "download the file again" });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_files_place_is_known() {
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"", Some("empty")),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
                Some("Git LFS"),
            ),
            (b"/annex/objects/MD5E-s12--4d7a.nii.gz\n", Some("git-annex")),
            (b"../../.git/annex/objects/a/b/MD5E-s12--4d7a.nii.gz", Some("git-annex")),
            (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", Some("web page")),
            (b"<HTML lang=en>", Some("web page")),
            (b"\x1f\x8b\x08\x00", None),
            (b"<ht", None),
        ];
        for (bytes, expected) in cases {
            let found = of_bytes(bytes).map(|found| found.what);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{found:?}");
        }
    }
}
