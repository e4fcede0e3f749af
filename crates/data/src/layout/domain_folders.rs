//! Domain folders: `DOMAIN/images/NAME.nii.gz` and, where there are masks, `DOMAIN/masks/NAME.nii.gz`; or one of them.

use std::path::{Path, PathBuf};

use super::Found;
use crate::files::{entries, images_in, name_of};
use crate::subject::by_name;
use crate::{Error, Frames, Result, Subject, without_masks};

pub(crate) fn is_here(root: &Path) -> Result<bool> {
    Ok(!below(root)?.is_empty())
}

/// Whether the folder is itself a single domain.
pub(crate) fn is_one(root: &Path) -> bool {
    root.join("images").is_dir()
}

fn below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = entries(root)?;
    folders.retain(|folder| is_one(folder));
    Ok(folders)
}

fn domains(root: &Path) -> Result<Vec<PathBuf>> {
    let folders = below(root)?;
    // The folder's own name is the domain's, however it was reached.
    let itself = || root.canonicalize().map_err(|source| Error::io(root, source));
    if folders.is_empty() && is_one(root) { Ok(vec![itself()?]) } else { Ok(folders) }
}

pub(crate) fn find(root: &Path) -> Result<Found> {
    let (mut subjects, mut notes) = (Vec::new(), Vec::new());
    if is_one(root) && !below(root)?.is_empty() {
        notes.push(format!(
            "{}: passed over, because folders beside it are domains with images of their own",
            root.join("images").display()
        ));
    }
    for folder in domains(root)? {
        let domain = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let named = |files: Vec<PathBuf>| {
            by_name(files.into_iter().map(|path| (name_of(&path), path)).collect())
        };
        let images = named(images_in(&folder.join("images"))?)?;
        if images.is_empty() {
            return Err(Error::empty(&folder.join("images")));
        }
        let masks = folder.join("masks");
        let mut masks =
            if masks.is_dir() { named(images_in(&masks)?)? } else { Default::default() };
        let subject = |(id, image): (String, PathBuf)| {
            let labels = masks.remove(&id);
            let domain = domain.clone();
            Subject { id, domain, image, labels, frames: Frames::Single, part: None }
        };
        let (images, among) = without_masks(images.into_iter().map(subject).collect());
        subjects.extend(images);
        notes.extend(among.first().map(|first| {
            format!(
                "{}: looks like a mask among the images; {} such files are left out (masks are read from {})",
                first.display(),
                among.len(),
                folder.join("masks").display()
            )
        }));
        notes.extend(
            masks.values().map(|mask| format!("{}: a mask without an image", mask.display())),
        );
    }
    Ok((subjects, notes))
}
