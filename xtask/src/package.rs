//! `cargo xtask package`: every published crate packed as for the registry, and all of them compiled from
//! their packages, once.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::workspace::{self, Package};

/// The registry refuses larger files.
const MAX_CRATE_BYTES: u64 = 10 << 20;

/// Packs the published members, then checks them in a workspace of their own.
pub fn run() -> Result<()> {
    let metadata = workspace::metadata()?;
    let published: Vec<&Package> =
        metadata.packages.iter().filter(|package| package.is_published()).collect();
    let folder = metadata.target_directory.join("package");
    pack(&published)?;
    let problems: Vec<String> =
        published.iter().filter_map(|package| problem(package, &folder).err()).collect();
    problems.iter().for_each(|problem| eprintln!("package: error: {problem}"));
    if !problems.is_empty() {
        bail!("{} packages are not fit to publish, named above", problems.len());
    }
    let unpacked = folder.join("unpacked");
    unpack(&published, &folder, &unpacked)?;
    compile(&published, &unpacked, &metadata.target_directory)?;
    println!("package: {} packages, complete and compiled from their contents", published.len());
    Ok(())
}

/// Writes a `.crate` file per package; cargo itself refuses files and fields that are missing.
fn pack(packages: &[&Package]) -> Result<()> {
    let mut command = workspace::cargo();
    // Compiling comes afterwards, all packages at once instead of each with all it depends on.
    command.args(["package", "--quiet", "--no-verify", "--allow-dirty", "--offline"]);
    for package in packages {
        command.args(["--package", &package.name]);
    }
    let status = command.status().context("cargo package does not start")?;
    ensure!(status.success(), "cargo package failed");
    Ok(())
}

fn file_name(package: &Package) -> String {
    format!("{}-{}.crate", package.name, package.version)
}

fn problem(package: &Package, folder: &Path) -> Result<(), String> {
    let name = &package.name;
    let said = package.description.as_ref().is_some_and(|text| !text.trim().is_empty());
    if !said {
        return Err(format!("{name} has no description"));
    }
    if package.license.is_none() {
        return Err(format!("{name} has no licence"));
    }
    let path = folder.join(file_name(package));
    let bytes = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.len();
    if bytes > MAX_CRATE_BYTES {
        return Err(format!("{name} is packed into {bytes} bytes, more than {MAX_CRATE_BYTES}"));
    }
    Ok(())
}

/// Unpacks every `.crate` (a gzipped tar) below `unpacked`, emptied before.
fn unpack(packages: &[&Package], folder: &Path, unpacked: &Path) -> Result<()> {
    if unpacked.exists() {
        fs::remove_dir_all(unpacked)
            .with_context(|| format!("cannot empty {}", unpacked.display()))?;
    }
    fs::create_dir_all(unpacked).with_context(|| format!("cannot make {}", unpacked.display()))?;
    for package in packages {
        let path = folder.join(file_name(package));
        let context = || format!("cannot unpack {}", path.display());
        let file = fs::File::open(&path).with_context(context)?;
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        // Packages bear one date, whatever their age: cargo would take changed files for old ones.
        archive.set_preserve_mtime(false);
        archive.unpack(unpacked).with_context(context)?;
    }
    Ok(())
}

/// Checks the unpacked members, each depending on the others' packages instead of their folders here.
fn compile(packages: &[&Package], unpacked: &Path, target: &Path) -> Result<()> {
    let root = workspace::root();
    let text = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let original: toml::Table = toml::from_str(&text).context("Cargo.toml is wrong")?;
    fs::write(unpacked.join("Cargo.toml"), manifest(packages, &original)?)?;
    fs::copy(root.join("Cargo.lock"), unpacked.join("Cargo.lock"))?;
    let mut command = workspace::cargo();
    command
        .current_dir(unpacked)
        .args(["check", "--workspace", "--offline", "--target-dir"])
        .arg(target);
    let status = command.status().context("cargo check does not start")?;
    ensure!(status.success(), "the packages do not compile: is a file left out of one of them?");
    Ok(())
}

/// A workspace of the packages, with the profiles of ours, so that what is compiled already is used again.
fn manifest(packages: &[&Package], original: &toml::Table) -> Result<String> {
    let folder = |package: &Package| format!("{}-{}", package.name, package.version);
    let members: Vec<String> = packages.iter().map(|package| folder(package)).collect();
    let place = |package: &&Package| (package.name.clone(), json!({ "path": folder(package) }));
    let patches: serde_json::Map<_, _> = packages.iter().map(place).collect();
    let mut manifest = json!({
        "workspace": { "resolver": "3", "members": members },
        "patch": { "crates-io": patches },
    });
    if let Some(profile) = original.get("profile") {
        manifest["profile"] = json!(profile);
    }
    Ok(toml::to_string(&manifest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        let (description, license) = (Some("d".into()), Some("MIT".into()));
        Package { description, license, ..Package::of_test("udas-a", &[]) }
    }

    #[test]
    fn the_workspace_of_packages_patches_every_member_and_keeps_the_profiles() {
        let original = toml::from_str("[profile.dev]\nopt-level = 1\n").unwrap();
        let text = manifest(&[&package()], &original).unwrap();
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["workspace"]["members"][0].as_str(), Some("udas-a-0.1.0"));
        assert_eq!(table["patch"]["crates-io"]["udas-a"]["path"].as_str(), Some("udas-a-0.1.0"));
        assert_eq!(table["profile"]["dev"]["opt-level"].as_integer(), Some(1));
    }

    #[test]
    fn what_a_registry_would_refuse_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("udas-a-0.1.0.crate");
        let mut package = package();
        assert!(problem(&package, folder.path()).unwrap_err().contains("udas-a-0.1.0.crate"));
        fs::File::create(&path).unwrap().set_len(MAX_CRATE_BYTES + 1).unwrap();
        assert!(problem(&package, folder.path()).unwrap_err().contains("more than"));
        fs::File::create(&path).unwrap();
        assert_eq!(problem(&package, folder.path()), Ok(()));
        package.description = None;
        assert!(problem(&package, folder.path()).unwrap_err().contains("no description"));
    }
}
