//! nnU-Net's raw data: `imagesTr/CASE_0000.nii.gz` with `labelsTr/CASE.nii.gz`, and `imagesTs`; one domain, by the
//! folder's name.

use std::path::{Path, PathBuf};

use super::Found;
use crate::files::{images_in, name_of};
use crate::subject::by_name;
use crate::{Error, Frames, Part, Result, Subject};

/// The ending of the first channel's name.
const FIRST_CHANNEL: &str = "_0000";

pub(crate) fn is_here(root: &Path) -> Result<bool> {
    let images = root.join("imagesTr");
    let first = |path: &PathBuf| name_of(path).ends_with(FIRST_CHANNEL);
    Ok(images.is_dir() && images_in(&images)?.iter().any(first))
}

pub(crate) fn find(root: &Path) -> Result<Found> {
    let place = root.canonicalize().map_err(|source| Error::io(root, source))?;
    let domain = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut subjects, mut notes) = (Vec::new(), Vec::new());
    for (images, labels, part) in
        [("imagesTr", "labelsTr", Part::Training), ("imagesTs", "labelsTs", Part::Testing)]
    {
        let (images, labels) = (root.join(images), root.join(labels));
        let listed = |folder: &Path| {
            if folder.is_dir() { images_in(folder) } else { Ok(Vec::new()) }
        };
        let mut masks =
            by_name(listed(&labels)?.into_iter().map(|path| (name_of(&path), path)).collect())?;
        let mut others = 0;
        for image in listed(&images)? {
            let name = name_of(&image);
            let Some(id) = name.strip_suffix(FIRST_CHANNEL) else {
                others += 1;
                continue;
            };
            let labels = masks.remove(id);
            let (id, domain) = (id.to_owned(), domain.clone());
            let (frames, part) = (Frames::Single, Some(part));
            subjects.push(Subject { id, domain, image, labels, frames, part });
        }
        if others > 0 {
            notes.push(format!(
                "{}: {others} files do not end in {FIRST_CHANNEL}; the first channel alone is taken",
                images.display()
            ));
        }
        notes.extend(
            masks.values().map(|mask| format!("{}: a mask without an image", mask.display())),
        );
    }
    Ok((subjects, notes))
}
