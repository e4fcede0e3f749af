//! Files that are written whole or not at all.
//!
//! A reader, or whoever comes after a crash, finds the old file or the new one and nothing in between: what is
//! written goes into a temporary file in the same folder, `.NAME.xxxxxx.part`, which is synced and then renamed.
//! What a killed writer leaves goes when the same file is written next. A living writer holds a lock on its temporary
//! file, so that several may write into one folder, and even the same file, at once.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("scores.json");
//! udas_files::write_whole(&path, b"{}")?;
//! assert_eq!(std::fs::read(&path)?, b"{}");
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]

mod stand_in;

pub use stand_in::{StandIn, stand_in};

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempPath;

/// Puts `bytes` in place of the file at `path`.
///
/// # Errors
/// Those of the system; the old file is then as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_with(path, |writer| writer.write_all(bytes))
}

/// Puts what `write` writes in place of the file at `path`, if all goes well.
///
/// # Errors
/// Those of the system and of `write`; the old file is then as it was.
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let prefix = prefix(path.file_name().unwrap_or_default());
    remove_left(folder, &prefix);
    let (file, temporary) = temporary_file(folder, &prefix).map_err(plain)?;
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    // Open until the rename: the lock says that its writer lives.
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    temporary.persist(path).map_err(|error| plain(error.error))?;
    // The rename itself lasts only once the folder is synced; not every system can open one.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Ending of temporary files.
const PART: &str = ".part";

/// Bytes of a file name that go into its temporary file's: systems allow 255 in all.
const NAME_BYTES: usize = 200;
/// How often a temporary file is made anew that a cleaner took for a dead writer's.
const TRIES: usize = 100;

/// What the names of a file's temporary files begin with. A long name is cut, and told from others by its hash.
fn prefix(name: &OsStr) -> String {
    let text = name.to_string_lossy();
    if text.len() <= NAME_BYTES && name.to_str().is_some() {
        return format!(".{text}.");
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let kept = (0..=NAME_BYTES).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    format!(".{kept}-{:016x}.", hasher.finish())
}

/// How long [`try_lock`] waits for a lock that is held.
const PATIENCE: Duration = Duration::from_millis(500);

/// Takes the lock of an open file for this process, or says that another one holds it.
///
/// A process that starts a program holds its own locks twice, from the fork until the program runs. So a lock that was given
/// back a moment ago can still be held; it is waited for, half a second at most.
///
/// # Errors
/// [`TryLockError::WouldBlock`] where it stays held, [`TryLockError::Error`] where the file system has no locks.
pub fn try_lock(file: &File) -> Result<(), TryLockError> {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            taken => return taken,
        }
    }
}

/// A temporary file that is locked while it is open.
fn temporary_file(folder: &Path, prefix: &str) -> io::Result<(File, TempPath)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(PART);
    // Temporary files are their owner's alone; what they become is as readable as the user's other files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    for _ in 0..TRIES {
        let (file, temporary) = builder.tempfile_in(folder)?.into_parts();
        match file.try_lock() {
            // Between making and locking, a cleaner may have come by.
            Ok(()) if temporary.exists() => return Ok((file, temporary)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            // Where there are no locks, nothing is cleaned up either.
            Err(TryLockError::Error(_)) => return Ok((file, temporary)),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Removes the temporary files of writers that are dead: those that nobody holds a lock on.
fn remove_left(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Between the two are letters; a dot would be another file's, whose name begins with this one's.
        let drawn = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(PART));
        if drawn.is_some_and(|drawn| !drawn.contains('.')) {
            let path = entry.path();
            // Held while it is removed, so that no writer can begin to use it.
            if let Ok(file) = File::options().append(true).open(&path)
                && file.try_lock().is_ok()
            {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Without the temporary file's name, which `tempfile` adds and which says nothing to anybody.
fn plain(error: io::Error) -> io::Error {
    match error.get_ref() {
        Some(_) => error.kind().into(),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.nii");
        write_whole(&path, b"old").unwrap();
        let failed = write_whole_with(&path, |writer| {
            writer.write_all(b"new")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "disk full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next_write_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let others = [".b.json.x1y2z3.part", ".a.json.part.txt", ".a.json.gz.x1y2z3.part"];
        for name in others.into_iter().chain([".a.json.x1y2z3.part"]) {
            fs::write(at(name), "").unwrap();
        }
        let killed = write_whole_with(&at("a.json"), |_| {
            let names =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let ours = names.map(|name| name.into_string().unwrap());
            let ours: Vec<_> = ours.filter(|name| name.starts_with(".a.json.")).collect();
            assert_eq!(ours.len(), 3, "{ours:?}");
            Ok(())
        });
        killed.unwrap();
        assert_eq!(others.map(|name| at(name).exists()), [true; 3]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_living_writer_of_the_same_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let outer = write_whole_with(&path, |writer| {
            write_whole(&path, b"inner")?;
            assert_eq!(fs::read(&path)?, b"inner");
            writer.write_all(b"outer")
        });
        outer.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"outer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_writers_of_one_file_all_succeed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.json");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..40 {
                        write_whole(path, &[b'0' + writer; 4000]).unwrap();
                    }
                });
            }
        });
        let text = fs::read(&path).unwrap();
        assert!(text.len() == 4000 && text.iter().all(|byte| *byte == text[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_as_long_as_the_system_allows_are_written_and_cleaned_up_after() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["a", "\u{e9}"].map(|letter| {
            let name = letter.repeat(251 / letter.len());
            folder.path().join(name + ".nii")
        });
        for path in [&one, &two] {
            let left = prefix(path.file_name().unwrap()) + "x1y2z3.part";
            fs::write(folder.path().join(left), "").unwrap();
            write_whole(path, b"mask").unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn an_error_names_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_whole(&folder.path().join("no/such/folder"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains("part"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
        write_whole(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
