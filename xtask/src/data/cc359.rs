//! CC-359's folder tree: laid out from the published zips, and checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::archive;
use super::manifest::{Holds, Manifest, RemoteFile};
use super::verify::{self, Depth, FileState};

const IMAGES: &str = "Original";
const MASKS: &str = "Silver-standard";
const EXTENSION: &str = ".nii.gz";
const MASK_SUFFIX: &str = "_ss";

/// Unpacks images and masks into `Original/<SITE>/` and `Silver-standard/<SITE>/` below `data`.
pub fn prepare(manifest: &Manifest, archives: &Path, data: &Path) -> Result<()> {
    let needed = |file: &&RemoteFile| file.holds != Holds::Extra;
    for file in manifest.files.iter().filter(needed) {
        let path = archives.join(&file.name);
        let state = verify::state(&path, file, Depth::Quick)?;
        let name = &manifest.name;
        ensure!(
            state == FileState::Good,
            "{} is not there or not complete: run `cargo xtask data fetch {name}` first",
            path.display()
        );
    }
    for file in manifest.files.iter().filter(needed) {
        let unpacked =
            archive::unpack(&archives.join(&file.name), data, |entry| place(entry, file.holds))?;
        println!("{}: {} unpacked, {} kept", file.name, unpacked.written, unpacked.kept);
    }
    Ok(())
}

/// Where an archive's entry belongs in the tree; `None` for what is no image (folders' leftovers).
fn place(entry: &Path, holds: Holds) -> Result<Option<PathBuf>> {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    // The Mac's archiver adds a `._` twin to every file, below a folder of its own.
    if name.starts_with('.') || entry.starts_with("__MACOSX") || !name.ends_with(EXTENSION) {
        return Ok(None);
    }
    let (folder, stem) = match holds {
        Holds::Masks => {
            (MASKS, name.strip_suffix(EXTENSION).and_then(|n| n.strip_suffix(MASK_SUFFIX)))
        }
        _ => (IMAGES, name.strip_suffix(EXTENSION)),
    };
    let Some(site) = stem.and_then(site) else {
        bail!(
            "`{}` is not named <id>_<vendor>_<field>_<age>_<sex>: its site is unknown",
            entry.display()
        );
    };
    Ok(Some(Path::new(folder).join(site).join(&*name)))
}

/// The loader's name for the scanner in `<id>_<vendor>_<field>_<age>_<sex>`.
fn site(stem: &str) -> Option<String> {
    let parts: Vec<_> = stem.split('_').collect();
    let [_id, vendor, field @ ("15" | "3"), _age, _sex] = parts[..] else { return None };
    let vendor = match vendor.to_ascii_lowercase().as_str() {
        "ge" => "GE",
        "philips" => "Philips",
        "siemens" => "Siemens",
        _ => return None,
    };
    Some(format!("{vendor}_{field}"))
}

/// Whether anything has been prepared below `data`.
pub fn is_prepared(data: &Path) -> bool {
    data.join(IMAGES).is_dir() || data.join(MASKS).is_dir()
}

/// Checks a prepared tree; says what is there and returns what is wrong.
pub fn problems(manifest: &Manifest, data: &Path, depth: Depth) -> Result<Vec<String>> {
    let images = volumes(&data.join(IMAGES), "")?;
    let masks = volumes(&data.join(MASKS), MASK_SUFFIX)?;
    let mut wrong = Vec::new();
    for domain in &manifest.domains {
        let count = |all: &Volumes| all.keys().filter(|(site, _)| site == domain).count();
        println!("{domain}: {} images, {} masks", count(&images), count(&masks));
    }
    for (these, others, what, folder) in
        [(&images, &masks, "mask", MASKS), (&masks, &images, "image", IMAGES)]
    {
        for ((site, _), path) in these.iter().filter(|(key, _)| !others.contains_key(*key)) {
            let path = path.display();
            wrong.push(format!("{path} has no {what} below {folder}/{site}: run prepare"));
        }
    }
    if let Some(expected) = manifest.subjects.filter(|expected| *expected != images.len()) {
        let (data, found) = (data.display(), images.len());
        wrong.push(format!("{data}: {found} images instead of {expected}: run prepare"));
    }
    let files = images.values().chain(masks.values());
    wrong.extend(files.filter_map(|path| verify::image_problem(path, depth)));
    Ok(wrong)
}

/// Paths by (site, subject).
type Volumes = BTreeMap<(String, String), PathBuf>;

/// Every volume in the site folders of `folder`, its name less suffix and extension as the subject.
fn volumes(folder: &Path, suffix: &str) -> Result<Volumes> {
    let list = |path: &Path| {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        entries.with_context(|| format!("cannot list {}: run prepare", path.display()))
    };
    let mut found = BTreeMap::new();
    for site in list(folder)?.iter().filter(|entry| entry.path().is_dir()) {
        for entry in list(&site.path())? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let subject = name.strip_suffix(EXTENSION).and_then(|name| name.strip_suffix(suffix));
            if let Some(subject) = subject {
                let site = site.file_name().to_string_lossy().into_owned();
                found.insert((site, subject.to_string()), entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_where_the_loader_looks() {
        let at = |entry: &str, holds| place(Path::new(entry), holds).unwrap();
        assert_eq!(
            at("Original/CC0030_philips_15_42_F.nii.gz", Holds::Images),
            Some("Original/Philips_15/CC0030_philips_15_42_F.nii.gz".into())
        );
        assert_eq!(
            at("CC0300_ge_3_42_M_ss.nii.gz", Holds::Masks),
            Some("Silver-standard/GE_3/CC0300_ge_3_42_M_ss.nii.gz".into())
        );
        assert_eq!(at("__MACOSX/Original/._CC0030_philips_15_42_F.nii.gz", Holds::Images), None);
        assert_eq!(at("Original/.DS_Store", Holds::Images), None);
    }

    #[test]
    fn an_unknown_site_is_an_error() {
        for name in
            ["CC1_toshiba_3_42_M", "CC1_ge_7_42_M", "CC1_ge_3_42", "scan", "CC1_ge_3_42_M_ss"]
        {
            let entry = format!("{name}{EXTENSION}");
            assert!(place(Path::new(&entry), Holds::Images).is_err(), "{name}");
        }
        assert!(place(Path::new("CC1_ge_3_42_M.nii.gz"), Holds::Masks).is_err());
    }
}
