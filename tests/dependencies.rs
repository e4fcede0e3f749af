//! What the packages of Cargo.lock may be: of the licences that `deny.toml` allows, and later than what RustSec's advisories
//! concern, as far as `tests/advisories.toml` of its date knows. `cargo deny` says more where it is installed.
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn read(name: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The packages of Cargo.lock that come from outside, with their versions.
fn locked() -> Vec<(String, String)> {
    let lock = read("Cargo.lock");
    let packages = lock["package"].as_array().unwrap().iter();
    let outside = packages.filter(|package| package.get("source").is_some());
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    outside.map(|package| (text(package, "name"), text(package, "version"))).collect()
}

#[derive(Deserialize)]
struct Advisories {
    date: String,
    accepted: Vec<String>,
    packages: String,
    least: Vec<Least>,
}

#[derive(Deserialize)]
struct Least {
    package: String,
    line: String,
    version: String,
    advisories: String,
}

fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap();
    plain.split('.').map(|part| part.parse().unwrap()).collect()
}

/// Versions of one line are exchangeable: those of a major version, before 1.0 of a minor one.
fn line(version: &str) -> String {
    match numbers(version)[..] {
        [0, minor, ..] => format!("0.{minor}"),
        [major, ..] => major.to_string(),
        [] => unreachable!("a version has a number"),
    }
}

/// What is wrong with a package by the list; nothing where it is later than all that is known of it.
fn problem(list: &Advisories, package: &str, version: &str) -> Option<String> {
    if !list.packages.split_whitespace().any(|known| known == package) {
        let date = &list.date;
        return Some(format!(
            "{package} {version} was not looked up on {date}: look for it in RustSec's list, and add it"
        ));
    }
    let own: Vec<&Least> = list.least.iter().filter(|least| least.package == package).collect();
    let of_line = own.iter().find(|least| least.line == line(version));
    let concerned = match of_line {
        Some(least) => Some(*least).filter(|least| numbers(version) < numbers(&least.version)),
        // Of another line: later than all that is known, or not known to be right.
        None => own.into_iter().find(|least| numbers(version) < numbers(&least.version)),
    };
    concerned.map(|least| {
        let Least { version: wanted, advisories, .. } = least;
        format!("{package} {version}: RUSTSEC-{advisories}; update to {wanted} or later")
    })
}

#[test]
fn no_package_is_one_that_an_advisory_concerns() {
    let list: Advisories =
        toml::from_str(include_str!("advisories.toml")).expect("the list is whole");
    let locked = locked();
    assert!(locked.len() > 100);
    let problems: Vec<_> = locked.iter().filter_map(|(p, v)| problem(&list, p, v)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // What is accepted is accepted in both places, and still there.
    let deny = read("deny.toml");
    let ignored: Vec<_> = deny["advisories"]["ignore"].as_array().unwrap().iter().collect();
    assert_eq!(ignored.len(), list.accepted.len());
    for accepted in &list.accepted {
        let (id, package) = accepted.split_once(' ').unwrap();
        assert!(ignored.iter().any(|ignored| ignored.as_str() == Some(id)), "{accepted}");
        assert!(locked.iter().any(|(name, _)| name == package), "{accepted} is not used any more");
    }
    // It would see one.
    let least = list.least.iter().find(|least| least.package == "rand" && least.line == "0.9");
    assert_eq!(problem(&list, "rand", &least.unwrap().version), None);
    assert!(problem(&list, "rand", "0.9.0").unwrap().contains("RUSTSEC-2026-0097"));
    assert!(problem(&list, "rand", "0.8.0").unwrap().contains("update to"));
    assert!(problem(&list, "not-known", "1.0.0").unwrap().contains("not looked up"));
}

/// An SPDX expression, held against the licences that are allowed.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    // `/` is how older packages write OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (is_right, left) = alternatives(&words, allowed);
    is_right && left.is_empty()
}

/// Terms joined by OR, which binds less than AND.
fn alternatives<'a>(words: &'a [&'a str], allowed: &BTreeSet<String>) -> (bool, &'a [&'a str]) {
    let (mut is_right, mut left) = together(words, allowed);
    while let ["OR", rest @ ..] = left {
        let (other, rest) = together(rest, allowed);
        (is_right, left) = (is_right || other, rest);
    }
    (is_right, left)
}

fn together<'a>(words: &'a [&'a str], allowed: &BTreeSet<String>) -> (bool, &'a [&'a str]) {
    let (mut is_right, mut left) = term(words, allowed);
    while let ["AND", rest @ ..] = left {
        let (other, rest) = term(rest, allowed);
        (is_right, left) = (is_right && other, rest);
    }
    (is_right, left)
}

fn term<'a>(words: &'a [&'a str], allowed: &BTreeSet<String>) -> (bool, &'a [&'a str]) {
    match words {
        ["(", rest @ ..] => match alternatives(rest, allowed) {
            (is_right, [")", rest @ ..]) => (is_right, rest),
            (_, rest) => (false, rest),
        },
        [licence, "WITH", exception, rest @ ..] => {
            (allowed.contains(&format!("{licence} WITH {exception}")), rest)
        }
        [licence, rest @ ..] => (allowed.contains(*licence), rest),
        [] => (false, words),
    }
}

#[test]
fn every_package_has_a_licence_that_is_allowed() {
    let deny = read("deny.toml");
    let allowed = deny["licenses"]["allow"].as_array().unwrap().iter();
    let allowed: BTreeSet<String> = allowed.map(|name| name.as_str().unwrap().to_owned()).collect();
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR GPL-3.0-only) AND Zlib", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-3.0-only WITH LLVM-exception OR (Zlib AND BSD-3-Clause)", true),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
    let cargo = || {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    };
    // Packages of other platforms are not on this machine.
    let version = Command::new("rustc").arg("-vV").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let Some(host) = version
        .as_deref()
        .ok()
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("host: ")))
    else {
        eprintln!("skipped: rustc does not say which platform this is");
        return;
    };
    let arguments =
        ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform"];
    let output = cargo().args(arguments).arg(host).output().unwrap();
    if !output.status.success() {
        eprintln!(
            "skipped: the packages' descriptions are not all here: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default(), &allowed))
        .map(|package| {
            format!("{} {}: {}", package["name"], package["version"], package["license"])
        })
        .collect();
    assert!(refused.is_empty(), "licences that deny.toml does not allow:\n{}", refused.join("\n"));
}
