//! Golden values, or a visible skip where the package travels without them.
use std::io::Write;
use std::path::PathBuf;

/// Path of a golden file; prints why the test is skipped where the folder is absent.
pub fn golden(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden"));
    if !folder.is_dir() {
        // Not through a macro: the test harness would keep the line to itself.
        let reason =
            format!("SKIPPED: no {name} in this package; run the test in the repository\n");
        std::io::stderr().write_all(reason.as_bytes()).expect("stderr takes a line");
        return None;
    }
    Some(folder.join(name))
}

/// A golden JSON file.
pub fn golden_json(name: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(golden(name)?).expect("golden file is readable");
    Some(serde_json::from_str(&text).expect("golden file is JSON"))
}
