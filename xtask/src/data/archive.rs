//! Unpacking a zip that is not trusted: no way out of the folder, no links, no bombs, no full disk.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use zip::ZipArchive;

use super::fetch::ensure_space;
use super::progress::Progress;

/// The most entries an archive may have.
const MAX_ENTRIES: usize = 20_000;
/// The most bytes an archive may unpack to.
const MAX_TOTAL_BYTES: u64 = 64 << 30;
/// The most an archive may grow; medical images shrink threefold at best.
const MAX_RATIO: u64 = 20;
/// Below this, growth is no danger.
const HARMLESS_BYTES: u64 = 1 << 20;

/// What unpacking did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files written.
    pub written: usize,
    /// Files that were there already, with the right length.
    pub kept: usize,
}

struct Entry {
    index: usize,
    target: PathBuf,
    bytes: u64,
}

/// Unpacks `archive` below `folder`; `place` turns an entry's path into its place there (`None`: left out).
///
/// Every entry is checked before the first byte is written. Files appear under their names only when
/// complete, so a killed call is simply repeated.
pub fn unpack(
    archive: &Path,
    folder: &Path,
    place: impl Fn(&Path) -> Result<Option<PathBuf>>,
) -> Result<Unpacked> {
    let context = || format!("{} cannot be unpacked", archive.display());
    let file = File::open(archive).with_context(context)?;
    let limit = growth_limit(file.metadata().with_context(context)?.len());
    let mut zip = ZipArchive::new(BufReader::new(file)).with_context(context)?;
    let entries = plan(&mut zip, limit, place).with_context(context)?;

    let is_there = |entry: &Entry| {
        fs::symlink_metadata(folder.join(&entry.target))
            .is_ok_and(|found| found.is_file() && found.len() == entry.bytes)
    };
    let (kept, missing): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_there);
    let total = missing.iter().map(|entry| entry.bytes).sum();
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    ensure_space(&folder.join("tree"), total)?;

    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let progress = Progress::new(&format!("{name} unpacking"), total);
    let mut done = 0;
    for entry in &missing {
        let mut source = zip.by_index(entry.index).with_context(context)?;
        let target = folder.join(&entry.target);
        write_entry(&mut source, entry.bytes, &target).with_context(|| {
            format!("cannot unpack {} from {}", target.display(), archive.display())
        })?;
        done += entry.bytes;
        progress.set(done);
    }
    Ok(Unpacked { written: missing.len(), kept: kept.len() })
}

fn growth_limit(archive_bytes: u64) -> u64 {
    archive_bytes.saturating_mul(MAX_RATIO).clamp(HARMLESS_BYTES, MAX_TOTAL_BYTES)
}

/// Checks every entry, wanted or not, against the limits; lists the wanted ones.
fn plan<R: Read + io::Seek>(
    zip: &mut ZipArchive<R>,
    limit: u64,
    place: impl Fn(&Path) -> Result<Option<PathBuf>>,
) -> Result<Vec<Entry>> {
    ensure!(zip.len() <= MAX_ENTRIES, "{} entries, at most {MAX_ENTRIES} are allowed", zip.len());
    let mut total: u64 = 0;
    let mut targets = BTreeSet::new();
    let mut entries = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index)?;
        let name = entry.name()?.into_owned();
        let path = safe_path(&name)?;
        ensure!(!entry.encrypted(), "`{name}` is encrypted");
        if entry.is_dir() {
            continue;
        }
        ensure!(is_plain_file(entry.unix_mode()), "`{name}` is a link or a device");
        total = total.saturating_add(entry.size());
        ensure!(
            total <= limit,
            "it would grow beyond {limit} bytes: a zip bomb, or not this data set"
        );
        if let Some(target) = place(path)? {
            ensure!(targets.insert(target.clone()), "two entries belong at {}", target.display());
            entries.push(Entry { index, target, bytes: entry.size() });
        }
    }
    Ok(entries)
}

/// The name as a path, if it can only lead below the folder it is joined to.
fn safe_path(name: &str) -> Result<&Path> {
    let path = Path::new(name);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let portable = !name.contains(['\\', ':', '\0']);
    ensure!(inside && portable && !name.is_empty(), "`{name}` leads out of the folder");
    Ok(path)
}

/// The file type bits of a Unix mode: regular, or not given (archives made elsewhere).
fn is_plain_file(mode: Option<u32>) -> bool {
    const TYPE: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    mode.is_none_or(|mode| mode & TYPE == REGULAR || mode & TYPE == 0)
}

/// Writes one entry beside its place, and moves it there when its length and CRC are right.
fn write_entry(source: &mut impl Read, bytes: u64, target: &Path) -> Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let part = super::with_ending(target, ".part");
    let copied = File::create(&part).and_then(|file| {
        let mut writer = BufWriter::new(file);
        // One byte more than declared shows that the declaration lies.
        let copied = io::copy(&mut source.take(bytes.saturating_add(1)), &mut writer)?;
        writer.flush()?;
        Ok(copied)
    });
    match copied {
        Ok(copied) if copied == bytes => Ok(fs::rename(&part, target)?),
        failed => {
            // Best effort: the reason is what matters to the reader.
            let _ = fs::remove_file(&part);
            let copied = failed?;
            bail!("it declares {bytes} bytes and holds {copied} or more")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    /// A zip made of (name, content); `link` entries are added by the callers.
    fn zip_of(entries: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        (folder, path)
    }

    fn everything(path: &Path) -> Result<Option<PathBuf>> {
        Ok(Some(path.to_path_buf()))
    }

    /// Unpacking must fail with this reason and leave the target folder empty.
    fn check_refused(archive: &Path, reason: &str) {
        let target = tempfile::tempdir().unwrap();
        let error = format!("{:#}", unpack(archive, target.path(), everything).unwrap_err());
        assert!(error.contains(reason), "{error}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in
            ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "a\\..\\b", "./x/.."]
        {
            let (_folder, path) = zip_of(&[("good", b"1"), (name, b"2")]);
            check_refused(&path, "leads out of the folder");
        }
    }

    #[test]
    fn links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        writer.finish().unwrap();
        check_refused(&path, "is a link");
    }

    #[test]
    fn a_lying_length_is_refused() {
        let content = vec![7; 5000];
        let (_folder, path) = zip_of(&[("liar", &content)]);
        let mut bytes = fs::read(&path).unwrap();
        let honest = 5000_u32.to_le_bytes();
        let places: Vec<_> =
            (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == honest).collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at..at + 4].copy_from_slice(&50_u32.to_le_bytes());
        }
        fs::write(&path, bytes).unwrap();
        let target = tempfile::tempdir().unwrap();
        let error = format!("{:#}", unpack(&path, target.path(), everything).unwrap_err());
        assert!(error.contains("cannot unpack"), "{error}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }

    #[test]
    fn too_many_entries_are_refused() {
        let names: Vec<_> = (0..=MAX_ENTRIES).map(|index| index.to_string()).collect();
        let entries: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        let (_folder, path) = zip_of(&entries);
        check_refused(&path, "entries");
    }

    #[test]
    fn a_second_call_keeps_what_is_there_and_mends_what_is_short() {
        let (_folder, path) = zip_of(&[("x/a", b"first"), ("x/b", b"second")]);
        let target = tempfile::tempdir().unwrap();
        let unpacked = |written, kept| Unpacked { written, kept };
        assert_eq!(unpack(&path, target.path(), everything).unwrap(), unpacked(2, 0));
        fs::write(target.path().join("x/b"), b"sec").unwrap();
        assert_eq!(unpack(&path, target.path(), everything).unwrap(), unpacked(1, 1));
        assert_eq!(fs::read(target.path().join("x/b")).unwrap(), b"second");
    }

    #[test]
    fn a_damaged_entry_leaves_nothing() {
        let (_folder, path) = zip_of(&[("a", &[3; 40])]);
        let mut bytes = fs::read(&path).unwrap();
        bytes[32] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        let target = tempfile::tempdir().unwrap();
        assert!(unpack(&path, target.path(), everything).is_err());
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }
}
