//! `docs/methods.md` is what the registry says. `UDAS_WRITE_DOCS=1` writes it anew.
use std::path::Path;
use udas_adapt::{METHODS, methods_page};

#[test]
fn the_page_is_not_stale() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("docs/methods.md");
    let page = methods_page();
    for method in METHODS {
        assert!(page.contains(&format!("\n## {}\n", method.name())));
    }
    if std::env::var_os("UDAS_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    if !root.join("ARCHITECTURE.md").exists() && !root.join("xtask").exists() {
        eprintln!("skipped: docs/methods.md is absent (it is not part of the packaged crate)");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let advice = "run `UDAS_WRITE_DOCS=1 cargo test -p udas-adapt --test methods_page`";
    assert!(written == page, "docs/methods.md is stale; {advice}");
}
