//! `cargo xtask book`: the pages of `docs/` as a book to read in a browser.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs mdBook over `docs/`; the book lies in `target/book`.
pub fn run() -> Result<()> {
    let root = crate::workspace::root();
    let status = Command::new("mdbook")
        .args(["build", "docs", "--dest-dir", "../target/book"])
        .current_dir(&root)
        .status()
        .context("mdbook cannot be started; install it with `cargo install mdbook`")?;
    ensure!(status.success(), "mdbook failed, see above");
    println!("open {}", root.join("target/book/index.html").display());
    Ok(())
}
