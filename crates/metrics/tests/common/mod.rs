//! Golden values, or a visible skip where the package travels without them.
use std::path::PathBuf;

/// Path of a golden file; prints why the test is skipped where the folder is absent.
pub fn golden(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden"));
    if !folder.is_dir() {
        eprintln!("SKIPPED: {name} is not in this package; run the test in the repository");
        return None;
    }
    Some(folder.join(name))
}

/// A golden JSON file.
pub fn golden_json(name: &str) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(golden(name)?).expect("golden file is readable");
    Some(serde_json::from_str(&text).expect("golden file is JSON"))
}
