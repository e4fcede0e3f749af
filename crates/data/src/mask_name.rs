//! What masks are named after their image: `NAME_seg` beside `NAME`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::Subject;

/// Endings of masks' names, behind `_` or `-`, in any case.
const ENDINGS: [&str; 9] =
    ["ss", "gt", "mask", "masks", "seg", "segm", "segmentation", "label", "labels"];
/// Of those, what images end in as well: CC-359's masks, and images without their skulls.
const WEAK: &str = "ss";

/// The name of the image that a mask of this name belongs to: `s1` for `s1_seg`, `s1-Mask` or `s1_gt`.
///
/// ```
/// use udas_data::image_of_mask;
/// assert_eq!(image_of_mask("patient001_frame01_gt"), Some("patient001_frame01"));
/// assert_eq!(image_of_mask("BraTS-GLI-00000-000-seg"), Some("BraTS-GLI-00000-000"));
/// assert_eq!(image_of_mask("s1_flair"), None);
/// ```
pub fn image_of_mask(name: &str) -> Option<&str> {
    split(name).map(|(image, _)| image)
}

fn split(name: &str) -> Option<(&str, &str)> {
    let (image, ending) = name.rsplit_once(['_', '-'])?;
    let known = ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    (known && !image.is_empty()).then_some((image, ending))
}

/// Divides subjects into images and masks that lie among them. A mask is named after an image beside it, or is the only
/// kind of its name's ending among images of other names, as `s1_seg` is beside `s1_t1` and `s1_flair`. Files that all
/// have such names are images.
pub fn without_masks(subjects: Vec<Subject>) -> (Vec<Subject>, Vec<PathBuf>) {
    let folder = |subject: &Subject| subject.image.parent().map(Path::to_owned);
    let names: BTreeSet<_> = subjects.iter().map(|s| (folder(s), s.id.clone())).collect();
    let with_images: BTreeSet<_> =
        subjects.iter().filter(|s| split(&s.id).is_none()).map(folder).collect();
    let is_mask = |subject: &Subject| {
        let Some((image, ending)) = split(&subject.id) else { return false };
        let folder = folder(subject);
        let among_images = !ending.eq_ignore_ascii_case(WEAK) && with_images.contains(&folder);
        among_images || names.contains(&(folder, image.to_owned()))
    };
    let (masks, images): (Vec<_>, Vec<_>) = subjects.into_iter().partition(is_mask);
    (images, masks.into_iter().map(|mask| mask.image).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frames;

    fn kept(names: &[&str]) -> Vec<String> {
        let subject = |name: &&str| Subject {
            id: (*name).into(),
            domain: "d".into(),
            image: format!("set/{name}.nii.gz").into(),
            labels: None,
            frames: Frames::Single,
            part: None,
        };
        let (images, masks) = without_masks(names.iter().map(subject).collect());
        assert_eq!(images.len() + masks.len(), names.len());
        images.into_iter().map(|image| image.id).collect()
    }

    #[test]
    fn masks_among_images_are_told_by_their_names() {
        assert_eq!(kept(&["b1_flair", "b1_seg", "b1_t1"]), ["b1_flair", "b1_t1"]);
        assert_eq!(kept(&["x-t1n", "x-seg", "x-t2w"]), ["x-t1n", "x-t2w"]);
        assert_eq!(kept(&["a", "a_Mask", "b", "b_LABEL"]), ["a", "b"]);
        assert_eq!(kept(&["p1_4d", "p1_frame01", "p1_frame01_gt"]), ["p1_4d", "p1_frame01"]);
        assert_eq!(kept(&["s_ss", "s"]), ["s"]);
        // Without skull, and no image of that name.
        assert_eq!(kept(&["s_ss", "t"]), ["s_ss", "t"]);
        assert_eq!(kept(&["s1_seg", "s2_seg"]), ["s1_seg", "s2_seg"]);
        assert_eq!(kept(&["_seg", "unmasked"]), ["_seg", "unmasked"]);
    }
}
