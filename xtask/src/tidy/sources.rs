//! Rules on the text of single files: opening sentence, leftovers, `unsafe`, machine paths, length.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};

use super::Findings;

/// A file longer than this is probably two.
const MAX_LINES: usize = 600;
/// The only places where `unsafe` may stand.
const UNSAFE_HOMES: [&str; 2] = ["crates/kernels", "crates/cuda"];
/// Macros that mark unfinished work.
const LEFTOVERS: [&str; 3] = ["todo", "unimplemented", "dbg"];
/// Folders at the root of a machine that name a person or a place rather than a system file.
const MACHINE_ROOTS: [&str; 4] = ["home", "root", "Users", "work"];
/// Files in which a machine path would go unnoticed by the compiler.
const TEXT_EXTENSIONS: [&str; 6] = ["rs", "toml", "md", "py", "sh", "yml"];

/// Checks every text file below `root`, build products and hidden folders other than `.ci` left out.
pub fn check(root: &Path) -> Result<Findings> {
    let mut files = Vec::new();
    collect(root, &["target", "runs", "data"], &mut files)
        .with_context(|| format!("cannot list {}", root.display()))?;
    files.sort();
    let mut findings = Findings::default();
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root).unwrap_or(&path);
        check_machine_paths(name, &text, &mut findings);
        if path.extension().is_some_and(|extension| extension == "rs") {
            check_rust(name, &text, &mut findings);
        }
    }
    Ok(findings)
}

/// Lists the text files below `folder`; build products, runs and data sets have names of their own.
fn collect(folder: &Path, skip: &[&str], files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
        let kind = entry.file_type()?;
        if kind.is_dir() && !hidden && !skip.contains(&name.as_str()) {
            collect(&path, &["target"], files)?;
        } else if kind.is_file() && name != ".git" && is_text(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    // Scripts without an extension (`.ci/run`) are text as well.
    path.extension().is_none_or(|found| TEXT_EXTENSIONS.iter().any(|known| found == *known))
}

fn check_machine_paths(name: &Path, text: &str, findings: &mut Findings) {
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(path) = machine_path(line) {
            let problem = format!("{}:{number}: `{path}` is a path of one machine", name.display());
            findings.errors.push(problem);
        }
    }
}

/// The first absolute path in `line` that begins in one of the machine roots.
fn machine_path(line: &str) -> Option<&str> {
    for (start, _) in line.match_indices('/') {
        // Within an address or a relative path, a slash follows a name.
        let follows_name = line[..start].ends_with(|c: char| {
            c.is_alphanumeric() || ['_', '-', '.', '}', ')', '>', '/', '*', '~'].contains(&c)
        });
        let rest = &line[start + 1..];
        let is_root =
            |root: &&str| rest.strip_prefix(*root).is_some_and(|tail| tail.starts_with('/'));
        if !follows_name && MACHINE_ROOTS.iter().any(is_root) {
            let end = rest
                .find(|c: char| c.is_whitespace() || "\"'`)>,;".contains(c))
                .unwrap_or(rest.len());
            return Some(&line[start..start + 1 + end]);
        }
    }
    None
}

fn check_rust(name: &Path, text: &str, findings: &mut Findings) {
    let shown = name.display();
    if !text.starts_with("//! ") {
        findings.errors.push(format!("{shown}: does not open with a `//!` sentence"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.warnings.push(format!("{shown}: {lines} lines; is it two files?"));
    }
    match TokenStream::from_str(text) {
        Ok(tokens) => {
            check_tokens(tokens.clone(), name, findings);
            super::seam::check(name, tokens, findings);
        }
        Err(error) => findings.errors.push(format!("{shown}: is not Rust: {error}")),
    }
}

/// Tokens rather than text: a comment or a string may well speak of `unsafe`.
fn check_tokens(tokens: TokenStream, name: &Path, findings: &mut Findings) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let (word, line) = match token {
            TokenTree::Group(group) => {
                check_tokens(group.stream(), name, findings);
                continue;
            }
            TokenTree::Ident(word) => (word.to_string(), word.span().start().line),
            _ => continue,
        };
        let calls_macro =
            matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
        if calls_macro && LEFTOVERS.contains(&word.as_str()) {
            findings.errors.push(format!("{}:{line}: `{word}!` is left over", name.display()));
        }
        if word == "unsafe" && !UNSAFE_HOMES.iter().any(|home| name.starts_with(home)) {
            let problem = format!("{}:{line}: `unsafe` outside {UNSAFE_HOMES:?}", name.display());
            findings.errors.push(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings on a tree of one file.
    fn findings(name: &str, text: &str) -> Findings {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        check(root.path()).unwrap()
    }

    fn errors(name: &str, text: &str) -> Vec<String> {
        findings(name, text).errors
    }

    #[test]
    fn a_clean_file_passes() {
        let text = "//! What lives here.\n// todo!() and unsafe in a comment\nconst A: &str = \"unsafe dbg!()\";\n";
        assert_eq!(findings("crates/a/src/lib.rs", text), Findings::default());
    }

    #[test]
    fn each_leftover_is_named_with_its_line() {
        for word in LEFTOVERS {
            let text = format!("//! S.\nfn f() {{\n    g(|| {word}!(1));\n}}\n");
            let found = errors("src/a.rs", &text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("src/a.rs:3: "), "{found:?}");
        }
    }

    #[test]
    fn unsafe_stays_in_kernels() {
        let text = "//! S.\nfn f() { unsafe { g() } }\n";
        assert!(errors("crates/kernels/src/lib.rs", text).is_empty());
        assert_eq!(errors("crates/nn/src/lib.rs", text).len(), 1);
        assert_eq!(errors("crates/kernels2/src/lib.rs", text).len(), 1);
    }

    #[test]
    fn a_file_opens_with_a_sentence() {
        assert_eq!(errors("a.rs", "fn f() {}\n").len(), 1);
        assert_eq!(errors("a.rs", "//!\nfn f() {}\n").len(), 1);
    }

    #[test]
    fn a_long_file_is_a_warning() {
        let text = format!("//! S.\n{}", "const _: () = ();\n".repeat(MAX_LINES));
        let found = findings("a.rs", &text);
        assert_eq!((found.errors.len(), found.warnings.len()), (0, 1));
    }

    #[test]
    fn machine_paths_are_found_and_addresses_are_not() {
        for root in MACHINE_ROOTS {
            let absolute = format!("see \"/{root}/x/data\"");
            assert_eq!(machine_path(&absolute), Some(format!("/{root}/x/data").as_str()));
            for fine in [
                format!("https://host/{root}/x"),
                format!("crates/{root}/x"),
                format!("/{root}s/x"),
            ] {
                assert_eq!(machine_path(&fine), None, "{fine}");
            }
        }
        assert_eq!(errors("docs/a.md", &format!("`/{}/me/x`\n", MACHINE_ROOTS[0])).len(), 1);
        assert_eq!(errors("target/a.md", &format!("`/{}/me/x`\n", MACHINE_ROOTS[0])).len(), 0);
    }
}
