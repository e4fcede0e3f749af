//! What the documentation says can be done: every link leads somewhere, and the commands of the README and of the
//! pages run one after the other, on a phantom and for shorter.
mod common;

use common::Bench;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages of the repository: those at its root and below `docs`.
fn pages() -> Vec<PathBuf> {
    let (mut pages, mut folders) = (Vec::new(), vec![root().join("docs")]);
    folders.push(root().to_owned());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && folder != root() && !path.ends_with("book") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The lines of a page outside fences, and those of fences of a kind.
fn split<'a>(text: &'a str, kind: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut outside, mut inside, mut fence) = (Vec::new(), Vec::new(), None);
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => fence = Some(language.trim() == kind),
            (None, Some(true)) => inside.push(line),
            (None, Some(false)) => {}
            (None, None) => outside.push(line),
        }
    }
    (outside, inside)
}

/// Where the links of a line lead.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let ends = line.match_indices("](").map(|(at, _)| &line[at + 2..]);
    ends.filter_map(|rest| rest.split([')', ' ']).next())
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let anchors = |page: &Path| -> BTreeSet<String> {
        let text = std::fs::read_to_string(page).unwrap();
        let (lines, _) = split(&text, "");
        lines.iter().filter(|line| line.starts_with('#')).map(|line| anchor(line)).collect()
    };
    let (mut broken, mut count) = (Vec::new(), 0);
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in split(&text, "").0.into_iter().flat_map(links) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            let is_page = to.extension().is_some_and(|extension| extension == "md");
            if !to.exists() || (is_page && !place.is_empty() && !anchors(&to).contains(place)) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(count > 20, "{count} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A command for a small phantom and a short training; what it does to which files is the same.
fn shortened(line: &str) -> String {
    let mut line = line.replace("--matrix 64", "--matrix 32").replace("--filters 8", "--filters 2");
    let given = |line: &str, flag: &str| line.split_whitespace().any(|word| word == flag);
    let of = |line: &str, command: &str| line.starts_with(&format!("udas {command} "));
    let free = !given(&line, "--epochs") && !given(&line, "--resume");
    if (of(&line, "train") || of(&line, "head")) && free {
        line += " --epochs 1 --batch-size 8";
    }
    let by_head = line.contains("early-features") || line.contains("deep-features");
    if of(&line, "adapt") && by_head {
        line += " --unready warn --batch-size 8 --epochs 1";
    }
    if of(&line, "calibrate") && !given(&line, "--slices") {
        line += " --slices 4";
    }
    line
}

/// A line as a shell runs it, with the program on its path.
fn pasted(bench: &Bench, line: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_udas")).parent().unwrap();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(program.to_owned()).chain(std::env::split_paths(&paths));
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(bench.folder.path());
    shell.env("PATH", std::env::join_paths(paths).unwrap()).output().unwrap()
}

/// Runs the commands of a page; a verdict may roll an adaptation back. Gives how many there were.
fn run_commands(bench: &Bench, page: &str) -> usize {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let mut count = 0;
    for line in split(&text, "sh").1 {
        let line = line.split("  #").next().unwrap_or_default().trim();
        // Placeholders in capitals are a reader's own files.
        let own = line.split_whitespace().any(|word| {
            word == "..." || (word.len() > 2 && word.chars().all(|c| c.is_uppercase() || c == '_'))
        });
        // A page that is served waits for Ctrl-C; what cargo builds is built.
        if own || line.is_empty() || line.starts_with("cargo ") || line.contains("--serve") {
            continue;
        }
        count += 1;
        let output = pasted(bench, &shortened(line));
        let code = output.status.code();
        let may_reject = line.starts_with("udas adapt ");
        assert!(
            code == Some(0) || (may_reject && code == Some(4)),
            "{page}: {line}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    count
}

/// A folder and all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Pages whose commands follow those of the quickstart, in the same folder.
const FOLLOWING: [&str; 9] = [
    "your-data",
    "source-training",
    "adapting",
    "verdict",
    "ensembles",
    "paper-method",
    "checkpoints",
    "runs",
    "comparing",
];

#[cfg(unix)]
#[test]
fn the_readme_s_commands_run_as_pasted() {
    if !root().join("README.md").exists() {
        println!("skipped: README.md is not there");
        return;
    }
    assert!(run_commands(&Bench::new(), "README.md") >= 5);
}

#[cfg(unix)]
#[test]
fn the_page_of_dicom_s_commands_run_as_pasted() {
    if !root().join("docs").exists() {
        println!("skipped: docs is not there");
        return;
    }
    assert_eq!(run_commands(&Bench::new(), "docs/dicom.md"), 6);
}

#[cfg(unix)]
#[test]
fn the_pages_commands_run_as_pasted() {
    if !root().join("docs").exists() {
        println!("skipped: docs is not there");
        return;
    }
    let quickstart = Bench::new();
    assert!(run_commands(&quickstart, "docs/quickstart.md") >= 5);
    for page in FOLLOWING {
        let bench = Bench::new();
        copy(quickstart.folder.path(), bench.folder.path());
        assert!(run_commands(&bench, &format!("docs/{page}.md")) > 0, "{page}");
    }
}
