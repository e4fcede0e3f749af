//! ARCHITECTURE.md's dependency table against what the members really depend on.

use std::collections::BTreeSet;

use crate::workspace::Package;

use super::Findings;

/// Compares the table with the members' dependencies.
pub fn check(architecture: &str, packages: &[Package]) -> Findings {
    let named = table(architecture);
    let members: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let used: BTreeSet<&str> = packages
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !members.contains(name))
        .collect();
    let table = "ARCHITECTURE.md's dependency table";
    let unexplained = used.difference(&named);
    let unused = named.difference(&used);
    let problems = unexplained.map(|name| format!("dependency `{name}` has no reason in {table}"));
    let problems =
        problems.chain(unused.map(|name| format!("{table} names `{name}`, which no member uses")));
    Findings { errors: problems.collect(), ..Findings::default() }
}

/// Names in backticks in the first column of the tables below the heading that says "Dependencies".
fn table(text: &str) -> BTreeSet<&str> {
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
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Kind;

    const TEXT: &str = "# A\n| `no` | x |\n## Dependencies\n| crate | why |\n|---|---|\n\
                        | `serde`, `toml` | records, `never` here |\n## B\n| `neither` | y |\n";

    fn errors(used: &[&str]) -> Vec<String> {
        let used: Vec<_> = used.iter().map(|name| (*name, Kind::Dev)).collect();
        check(TEXT, &[Package::of_test("udas", &used)]).errors
    }

    #[test]
    fn the_table_is_read_and_compared_both_ways() {
        assert!(errors(&["serde", "toml", "udas"]).is_empty());
        assert_eq!(errors(&["serde", "toml", "rand"]).len(), 1);
        assert_eq!(errors(&["serde"]).len(), 1);
    }

    #[test]
    fn without_a_table_every_dependency_lacks_its_reason() {
        let package = Package::of_test("udas", &[("serde", Kind::Normal)]);
        assert_eq!(check("# Dependencies\nnone yet\n", &[package]).errors.len(), 1);
    }
}
