//! Domain folders: `DOMAIN/images/NAME.nii.gz` and, where there are masks, `DOMAIN/masks/NAME.nii.gz`.

use std::path::{Path, PathBuf};

use udas_volume::stem;

use super::Found;
use crate::files::{entries, images_in};
use crate::subject::by_name;
use crate::{Error, Frames, Result, Subject};

pub(crate) fn is_here(root: &Path) -> Result<bool> {
    Ok(!domains(root)?.is_empty())
}

fn domains(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = entries(root)?;
    folders.retain(|folder| folder.join("images").is_dir());
    Ok(folders)
}

pub(crate) fn find(root: &Path) -> Result<Found> {
    let (mut subjects, mut notes) = (Vec::new(), Vec::new());
    for folder in domains(root)? {
        let domain = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let named = |files: Vec<PathBuf>| {
            by_name(files.into_iter().map(|path| (stem(&path), path)).collect())
        };
        let images = named(images_in(&folder.join("images"))?)?;
        if images.is_empty() {
            return Err(Error::Empty { path: folder.join("images") });
        }
        let masks = folder.join("masks");
        let mut masks =
            if masks.is_dir() { named(images_in(&masks)?)? } else { Default::default() };
        for (id, image) in images {
            let labels = masks.remove(&id);
            let domain = domain.clone();
            subjects.push(Subject {
                id,
                domain,
                image,
                labels,
                frames: Frames::Single,
                part: None,
            });
        }
        notes.extend(
            masks.values().map(|mask| format!("{}: a mask without an image", mask.display())),
        );
    }
    Ok((subjects, notes))
}
