//! Where the workspace is, what `cargo metadata` says of it, and cargo as a command.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The workspace's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The cargo that runs this task, started in the workspace's root.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The part of `cargo metadata` that the tasks read.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The members of the workspace.
    pub packages: Vec<Package>,
    /// The folder of build products.
    pub target_directory: PathBuf,
}

/// One member of the workspace.
#[derive(Debug, Clone, Deserialize)]
pub struct Package {
    /// The package's name, `udas-volume` for example.
    pub name: String,
    /// The version, as Cargo.toml gives it.
    pub version: String,
    /// What it depends on, of every kind.
    pub dependencies: Vec<Dependency>,
    /// The registries it may go to; `None`: any, empty: none.
    pub publish: Option<Vec<String>>,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// The licence, as an SPDX expression.
    pub license: Option<String>,
}

impl Package {
    /// Whether the package is meant for a registry.
    pub fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }
}

#[cfg(test)]
impl Package {
    /// A member that tests make up.
    pub fn of_test(name: &str, dependencies: &[(&str, Kind)]) -> Self {
        let of = |(name, kind): &(&str, Kind)| Dependency { name: (*name).into(), kind: *kind };
        Self {
            name: name.into(),
            version: "0.1.0".into(),
            dependencies: dependencies.iter().map(of).collect(),
            publish: None,
            description: None,
            license: None,
        }
    }
}

/// One dependency of a member.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    /// The name of the package depended on.
    pub name: String,
    /// What it is needed for.
    #[serde(default, deserialize_with = "null_is_default")]
    pub kind: Kind,
}

/// What a dependency is needed for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The code itself.
    #[default]
    Normal,
    /// Tests, examples and benches only.
    Dev,
    /// The build script.
    Build,
}

/// `cargo metadata` writes a normal dependency's kind as null.
fn null_is_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Asks cargo for the members of the workspace; nothing is downloaded.
pub fn metadata() -> Result<Metadata> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version=1"]).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata failed: {complaint}");
    serde_json::from_slice(&output.stdout).context("cargo metadata's answer is not understood")
}
