//! A data set's manifest: its files with sizes and checksums, its licence, domains and splits.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One `datasets/<name>/manifest.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The folder's name; not written in the file.
    #[serde(skip)]
    pub name: String,
    /// One line that says what it is.
    pub title: String,
    /// The licence, in the publisher's words.
    pub licence: String,
    /// How the prepared folder is laid out.
    pub layout: Layout,
    /// How many subjects there are, where the files fix that.
    pub subjects: Option<usize>,
    /// The domains (scanners, vendors) in it.
    pub domains: Vec<String>,
    /// How one gets the files.
    pub access: Access,
    /// How subjects are divided.
    pub splits: Splits,
    /// The files to download; none where a person must register.
    #[serde(default)]
    pub files: Vec<RemoteFile>,
}

/// The folder layouts that the loaders know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `Original/<SITE>/` and `Silver-standard/<SITE>/`.
    Cc359,
    /// `Training/Labeled/<code>/` and so on, with a CSV.
    Mnms,
}

/// How one gets the files.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Access {
    /// Anybody may download `base_url` + file name.
    Open {
        /// Ends in a slash.
        base_url: String,
    },
    /// A person must register first.
    Registration {
        /// Where to register.
        url: String,
        /// What the person does, in order.
        steps: Vec<String>,
    },
}

/// How subjects are divided into training and test sets.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Splits {
    /// Cross-validation.
    Folds {
        /// The number of folds.
        folds: usize,
        /// The rule, in words.
        rule: String,
    },
    /// As the publisher divided them.
    Published {
        /// The rule, in words.
        rule: String,
    },
}

/// One file of a data set as published.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    /// Its name, below the base URL and on disk.
    pub name: String,
    /// What is inside.
    pub holds: Holds,
    /// Its length.
    pub bytes: u64,
    /// Its MD5 sum, 32 lower-case hexadecimal digits.
    pub md5: String,
}

/// What an archive holds, as far as the experiments care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// The images; needed.
    Images,
    /// The masks; needed.
    Masks,
    /// Something no experiment reads; fetched only when named.
    Extra,
}

/// Reads every manifest under `folder`, sorted by name.
pub fn load_all(folder: &Path) -> Result<Vec<Manifest>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| format!("cannot list {}", folder.display()))?;
    let sets = entries.iter().filter(|entry| entry.path().join("manifest.toml").is_file());
    let mut names: Vec<_> = sets.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.iter().map(|name| load(folder, name)).collect()
}

/// Reads one manifest by its data set's name.
pub fn load(folder: &Path, name: &str) -> Result<Manifest> {
    let path = folder.join(name).join("manifest.toml");
    let text = fs::read_to_string(&path).with_context(|| {
        format!("no data set `{name}` ({}): `cargo xtask data list` shows them", path.display())
    })?;
    let mut manifest: Manifest =
        toml::from_str(&text).with_context(|| format!("{} is wrong", path.display()))?;
    manifest.name = name.to_string();
    check(&manifest).with_context(|| format!("{} is wrong", path.display()))?;
    Ok(manifest)
}

fn check(manifest: &Manifest) -> Result<()> {
    for file in &manifest.files {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let safe = file.name.chars().all(plain) && !file.name.starts_with('.');
        ensure!(safe && !file.name.is_empty(), "`{}` is not a plain file name", file.name);
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let sum = file.md5.len() == 32 && file.md5.chars().all(hex);
        ensure!(sum, "the md5 of {} is not 32 lower-case hexadecimal digits", file.name);
    }
    match &manifest.access {
        Access::Open { base_url } => {
            ensure!(base_url.ends_with('/'), "base_url lacks its last `/`")
        }
        Access::Registration { .. } => {
            ensure!(manifest.files.is_empty(), "files behind a registration cannot be listed");
        }
    }
    Ok(())
}

/// The files named, or all that the experiments need when none is named.
pub fn select<'a>(manifest: &'a Manifest, names: &[String]) -> Result<Vec<&'a RemoteFile>> {
    if names.is_empty() {
        return Ok(manifest.files.iter().filter(|file| file.holds != Holds::Extra).collect());
    }
    let find = |name: &String| {
        manifest.files.iter().find(|file| file.name == *name).with_context(|| {
            let known: Vec<_> = manifest.files.iter().map(|file| file.name.as_str()).collect();
            format!("{} has no file `{name}`; it has {}", manifest.name, known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_in_the_repository_are_sound() {
        let all = load_all(&crate::workspace::root().join("datasets")).unwrap();
        let names: Vec<_> = all.iter().map(|manifest| manifest.name.as_str()).collect();
        assert_eq!(names, ["cc359", "mnms"]);
        assert_eq!(select(&all[0], &[]).unwrap().len(), 2);
    }

    #[test]
    fn a_file_name_may_not_lead_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("evil")).unwrap();
        let text = r#"
            title = "t"
            licence = "l"
            layout = "cc359"
            domains = []
            access = { kind = "open", base_url = "http://localhost/" }
            splits = { kind = "published", rule = "r" }
            files = [{ name = "../x.zip", holds = "images", bytes = 1, md5 = "00000000000000000000000000000000" }]
        "#;
        fs::write(folder.path().join("evil/manifest.toml"), text).unwrap();
        let error = format!("{:#}", load(folder.path(), "evil").unwrap_err());
        assert!(error.contains("not a plain file name"), "{error}");
    }
}
