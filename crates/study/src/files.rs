//! Files written whole or not at all, and what sums up a file or a folder tree in a line.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::error::{At, Result};

/// Writes beside the place and renames: a reader, or a killed writer, never sees half of it.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).writing(folder)?;
    udas_files::write_whole(path, bytes).writing(path)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a file's bytes.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).reading(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).reading(path),
        }
    }
}

/// Sums up the files below `root` by path, length and content, so that it changes when a file appears, disappears or changes;
/// archives beside the tree do not count. A gzip file's content is known by the checksum that it ends with, so that a
/// copy of the data counts as the same; that of others by their time of change.
pub fn tree(root: &Path) -> Result<String> {
    let mut found = Vec::new();
    list(root, &mut found).reading(root)?;
    found.sort_unstable();
    let mut hash = Sha256::new();
    for (path, length, content) in &found {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        hash.update(format!("{name}\0{length}\0{content}\n"));
    }
    Ok(hex(&hash.finalize()))
}

fn list(folder: &Path, found: &mut Vec<(PathBuf, u64, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Links count as what they lead to: data sets are often linked into place.
        let about = fs::metadata(&path)?;
        if about.is_dir() {
            if entry.file_name() != "archives" {
                list(&path, found)?;
            }
        } else {
            let content = content(&path, &about)?;
            found.push((path, about.len(), content));
        }
    }
    Ok(())
}

fn content(path: &Path, about: &fs::Metadata) -> io::Result<String> {
    let is_gzip = path.extension().is_some_and(|ending| ending == "gz");
    if is_gzip && about.len() >= 8 {
        // CRC-32 and length of what is compressed (RFC 1952, section 2.3.1).
        let mut end = [0; 8];
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-8))?;
        file.read_exact(&mut end)?;
        return Ok(hex(&end));
    }
    let changed = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(changed.as_nanos().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_changes_with_its_files_and_not_with_its_archives() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/x.nii", "1");
        write("a/y.nii", "2");
        let before = tree(folder.path()).unwrap();
        assert_eq!(before, tree(folder.path()).unwrap());
        write("archives/z.zip", "3");
        assert_eq!(before, tree(folder.path()).unwrap());
        write("a/x.nii", "11");
        assert_ne!(before, tree(folder.path()).unwrap());
    }

    #[test]
    fn a_copy_of_gzip_files_counts_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.nii.gz");
        let place = |end: u8, seconds: u64| {
            fs::write(&path, [&[0; 20][..], &[end; 8]].concat()).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
            tree(folder.path()).unwrap()
        };
        let before = place(1, 1000);
        assert_eq!(before, place(1, 2000));
        assert_ne!(before, place(2, 1000));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        write_atomically(&path, b"abc").unwrap();
        assert_eq!(sha256(&path).unwrap(), abc);
    }
}
