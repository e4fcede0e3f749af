//! What the fuzz targets share: one folder in memory a process, into which each input is written as a file.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

/// Reading from memory where the system has such a folder: a thousand files a second wear out a disk.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a temporary folder can be made")
});

/// The folder of this process.
pub fn folder() -> &'static Path {
    FOLDER.path()
}

/// Writes the input as a file of this name.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, bytes).expect("the temporary folder can be written");
    path
}
