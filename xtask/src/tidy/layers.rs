//! The layers of the workspace: no arrow points up.

use super::Findings;
use crate::workspace::{Kind, Package};

/// Every member and its level. A dependency must lie on a lower level; a dev-dependency may lie on the same.
const LEVELS: [(&str, u32); 25] = [
    ("udas-cuda", 0),
    ("udas-dicom", 0),
    ("udas-files", 0),
    ("udas-kernels", 0),
    ("udas-record", 1),
    ("udas-volume", 1),
    ("udas-losses", 1),
    ("udas-nn", 1),
    ("udas-metrics", 1),
    ("udas-data", 2),
    ("udas-quality", 2),
    ("udas-phantom", 2),
    ("udas-network", 2),
    ("udas-unet", 3),
    ("udas-nnunet", 3),
    ("udas-onnx", 4),
    ("udas-train", 4),
    ("udas-adapt", 5),
    ("udas-model", 5),
    ("udas-report", 5),
    ("udas-verdict", 6),
    ("udas-run", 7),
    ("udas-study", 7),
    ("udas", 8),
    ("udas-python", 9),
];

/// Beside the layers: runs the program as a user would, and uses no member.
const TASKS: &str = "xtask";

/// Checks every edge between members.
pub fn check(packages: &[Package]) -> Findings {
    let mut findings = Findings::default();
    for package in packages {
        if package.name != TASKS && level(&package.name).is_none() {
            findings.errors.push(format!("{} has no level in tidy/layers.rs", package.name));
        }
        let members = packages.iter().map(|member| member.name.as_str());
        for (dependency, name) in package.dependencies.iter().filter_map(|dependency| {
            members.clone().find(|name| *name == dependency.name).map(|name| (dependency, name))
        }) {
            if !allowed(&package.name, name, dependency.kind) {
                let problem =
                    format!("{} may not depend on {name}: the arrow points up", package.name);
                findings.errors.push(problem);
            }
        }
    }
    findings
}

fn level(name: &str) -> Option<u32> {
    LEVELS.iter().find(|(member, _)| *member == name).map(|(_, level)| *level)
}

fn allowed(from: &str, to: &str, kind: Kind) -> bool {
    match (level(from), level(to), kind) {
        (Some(from), Some(to), Kind::Dev) => to <= from,
        (Some(from), Some(to), _) => to < from,
        // A member without a level is reported on its own account.
        (_, None, _) => to != TASKS,
        (None, _, _) => from != TASKS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors for one package beside all known members.
    fn errors(name: &str, dependencies: &[(&str, Kind)]) -> Vec<String> {
        let mut packages: Vec<_> = LEVELS
            .iter()
            .map(|(member, _)| *member)
            .chain([TASKS])
            .filter(|member| *member != name)
            .map(|member| Package::of_test(member, &[]))
            .collect();
        packages.push(Package::of_test(name, dependencies));
        check(&packages).errors
    }

    #[test]
    fn downward_edges_pass() {
        assert!(
            errors("udas-train", &[("udas-data", Kind::Normal), ("serde", Kind::Normal)])
                .is_empty()
        );
        assert!(errors("udas-nn", &[("udas-losses", Kind::Dev)]).is_empty());
        assert!(errors("xtask", &[("serde", Kind::Normal)]).is_empty());
    }

    #[test]
    fn upward_and_level_edges_fail() {
        for (from, to, kind) in [
            ("udas-nn", "udas-unet", Kind::Normal),
            ("udas-nn", "udas-losses", Kind::Normal),
            ("udas-volume", "udas-data", Kind::Dev),
            ("udas-volume", "udas", Kind::Build),
            ("xtask", "udas-record", Kind::Normal),
            ("udas", "xtask", Kind::Dev),
        ] {
            assert_eq!(errors(from, &[(to, kind)]).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn a_member_without_a_level_fails() {
        assert_eq!(errors("udas-new", &[]).len(), 1);
    }
}
