//! ARCHITECTURE.md's dependency table against what the members really depend on.

use std::collections::BTreeSet;

use crate::workspace::Package;

use super::Findings;

/// Compares the table with the members' dependencies; `None` while there is no table.
pub fn check(architecture: &str, packages: &[Package]) -> Option<Findings> {
    let named = table(architecture)?;
    let members: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let used: BTreeSet<&str> = packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !members.contains(name))
        .collect();
    let mut findings = Findings::default();
    for name in used.difference(&named) {
        let problem =
            format!("dependency `{name}` has no reason in ARCHITECTURE.md's dependency table");
        findings.errors.push(problem);
    }
    for name in named.difference(&used) {
        let problem =
            format!("ARCHITECTURE.md's dependency table names `{name}`, which no member uses");
        findings.errors.push(problem);
    }
    Some(findings)
}

/// Names in backticks in the first column of the tables below the heading that says "Dependencies".
fn table(text: &str) -> Option<BTreeSet<&str>> {
    let mut inside = false;
    let mut named = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('#') {
            inside = line.to_lowercase().contains("dependencies");
        } else if inside && let Some(row) = line.trim_start().strip_prefix('|') {
            let first_cell = row.split('|').next().unwrap_or_default();
            // Split at backticks: every second piece stood between two of them.
            named.extend(first_cell.split('`').skip(1).step_by(2));
        }
    }
    (!named.is_empty()).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, Kind};

    const TEXT: &str = "# A\n| `no` | x |\n## Dependencies\n| crate | why |\n|---|---|\n\
                        | `serde`, `toml` | records, `never` here |\n## B\n| `neither` | y |\n";

    fn errors(used: &[&str]) -> Vec<String> {
        let dependency = |name: &&str| Dependency { name: name.to_string(), kind: Kind::Dev };
        let package = Package {
            name: "udas".into(),
            version: "0.1.0".into(),
            dependencies: used.iter().map(dependency).collect(),
            publish: None,
            description: None,
            license: None,
        };
        check(TEXT, &[package]).unwrap().errors
    }

    #[test]
    fn the_table_is_read_and_compared_both_ways() {
        assert!(errors(&["serde", "toml", "udas"]).is_empty());
        assert_eq!(errors(&["serde", "toml", "rand"]).len(), 1);
        assert_eq!(errors(&["serde"]).len(), 1);
    }

    #[test]
    fn without_a_table_there_is_no_verdict() {
        assert_eq!(check("# Dependencies\nnone yet\n", &[]), None);
        assert_eq!(check("", &[]), None);
    }
}
