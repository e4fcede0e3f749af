//! What masks are named after their image: `NAME_seg` beside `NAME`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::Subject;

/// Endings of masks' names, behind `_`, `-` or `.`, in any case.
const STRONG: [&str; 12] = [
    "gt",
    "mask",
    "masks",
    "seg",
    "segm",
    "segmentation",
    "label",
    "labels",
    "dseg",
    "labelmap",
    "groundtruth",
    "annotation",
];
/// Those that images end in as well: of CC-359's masks and of images without their skulls, or what an image shows.
const WEAK: [&str; 6] = ["ss", "manual", "roi", "lesion", "lesions", "contour"];
/// Beginnings of masks' names, before `_` or `-`.
const BEGINNINGS: [&str; 6] = ["gt", "mask", "seg", "segmentation", "label", "labels"];

/// How sure a name is one of a mask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Whatever lies beside it.
    Strong,
    /// Where its image lies beside it.
    Weak,
}

/// The name of the image that a mask of this name belongs to: `s1` for `s1_seg`, `s1-Mask` or `s1_gt`.
///
/// ```
/// use udas_data::image_of_mask;
/// assert_eq!(image_of_mask("patient001_frame01_gt"), Some("patient001_frame01"));
/// assert_eq!(image_of_mask("BraTS-GLI-00000-000-seg"), Some("BraTS-GLI-00000-000"));
/// assert_eq!(image_of_mask("mask_s1"), Some("s1"));
/// assert_eq!(image_of_mask("s1.seg2"), Some("s1"));
/// assert_eq!(image_of_mask("s1_flair"), None);
/// ```
pub fn image_of_mask(name: &str) -> Option<&str> {
    split(name).map(|(image, _)| image)
}

fn split(name: &str) -> Option<(&str, Sort)> {
    // A number behind the ending: the second rater's, or the first of several.
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = bare.len() < name.len();
    let bare = if numbered { bare.trim_end_matches(['_', '-', '.']) } else { bare };
    let is =
        |word: &str, known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    if let Some((image, ending)) = bare.rsplit_once(['_', '-', '.'])
        && !image.is_empty()
        && (is(ending, &STRONG) || is(ending, &WEAK))
    {
        let sure = is(ending, &STRONG) && !numbered;
        return Some((image, if sure { Sort::Strong } else { Sort::Weak }));
    }
    let (beginning, image) = name.split_once(['_', '-'])?;
    (is(beginning, &BEGINNINGS) && !image.is_empty()).then_some((image, Sort::Weak))
}

fn is_strong(name: &str) -> bool {
    split(name).is_some_and(|(_, sort)| sort == Sort::Strong)
}

/// Whether one name is another with letters before or behind it, as a mask's may be an image's.
pub fn extends(name: &str, image: &str) -> bool {
    let more = name.strip_prefix(image).or_else(|| name.strip_suffix(image));
    more.is_some_and(has_letters)
}

fn has_letters(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

/// Whether an image's file holds labels: few different values, all of them whole numbers from 0 to 255.
pub fn holds_labels(path: &Path) -> bool {
    const MOST: usize = 16;
    let Ok(volume) = udas_volume::read(path) else { return false };
    let mut found = [false; 256];
    for &value in volume.data() {
        let label = value as u8;
        if f32::from(label) != value {
            return false;
        }
        if let Some(found) = found.get_mut(usize::from(label)) {
            *found = true;
        }
    }
    found.into_iter().filter(|found| *found).count() <= MOST
}

/// Divides subjects into images and masks that lie among them. A mask is named after an image beside it, or is the only
/// kind of its name's ending among images of other names, as `s1_seg` is beside `s1_t1` and `s1_flair`; or it has the name
/// of an image and more letters, and holds labels. Files that all have such names are images.
pub fn without_masks(subjects: Vec<Subject>) -> (Vec<Subject>, Vec<PathBuf>) {
    let folder = |subject: &Subject| subject.image.parent().map(Path::to_owned);
    let names: BTreeSet<_> = subjects.iter().map(|s| (folder(s), s.id.clone())).collect();
    let with_images: BTreeSet<_> =
        subjects.iter().filter(|s| !is_strong(&s.id)).map(folder).collect();
    let is_mask = |subject: &Subject| {
        let (folder, id) = (folder(subject), subject.id.as_str());
        let is_there = |name: &str| names.contains(&(folder.clone(), name.to_owned()));
        let named = split(id).is_some_and(|(image, sort)| {
            (sort == Sort::Strong && with_images.contains(&folder)) || is_there(image)
        });
        let mut places = id.char_indices().map(|(at, _)| id.split_at(at)).skip(1);
        let mut of_another = || {
            places.any(|(before, behind)| {
                (has_letters(behind) && is_there(before))
                    || (has_letters(before) && is_there(behind))
            })
        };
        named || of_another() && holds_labels(&subject.image)
    };
    let (masks, images): (Vec<_>, Vec<_>) = subjects.into_iter().partition(is_mask);
    (images, masks.into_iter().map(|mask| mask.image).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frames;
    use udas_volume::{Affine, Volume};

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
        let others =
            ["s_dseg", "s.seg", "s_roi", "s-manual", "s_GT2", "s_Segmentation_1", "mask_s"];
        for mask in others {
            assert_eq!(kept(&["s", mask]), ["s"], "{mask}");
        }
        // Names of what images show, and numbers of subjects.
        assert_eq!(kept(&["p_lesion", "q"]), ["p_lesion", "q"]);
        assert_eq!(kept(&["seg_1", "seg_2", "seg_12"]), ["seg_1", "seg_2", "seg_12"]);
        // Without skull, and no image of that name.
        assert_eq!(kept(&["s_ss", "t"]), ["s_ss", "t"]);
        assert_eq!(kept(&["s1_seg", "s2_seg"]), ["s1_seg", "s2_seg"]);
        assert_eq!(kept(&["_seg", "unmasked"]), ["_seg", "unmasked"]);
    }

    #[test]
    fn of_other_names_the_content_decides() {
        let folder = tempfile::tempdir().unwrap();
        let subject = |id: &str, label: fn(usize) -> f32| {
            let data = (0..64).map(label).collect();
            let volume =
                Volume::new(data, [4; 3], Affine::from_codes("RAS", [1.0; 3]).unwrap()).unwrap();
            let image = folder.path().join(format!("{id}.nii"));
            udas_volume::write_volume(&image, &volume).unwrap();
            let domain = String::new();
            Subject {
                id: id.into(),
                domain,
                image,
                labels: None,
                frames: Frames::Single,
                part: None,
            }
        };
        let subjects = vec![
            subject("s1", |at| at as f32 * 0.5),
            subject("s1brain", |at| (at % 3) as f32),
            subject("s1_t2", |at| at as f32 * 3.0),
            subject("s10", |at| (at % 3) as f32),
        ];
        assert!(holds_labels(&subjects[1].image) && !holds_labels(&subjects[2].image));
        let (images, masks) = without_masks(subjects);
        let images: Vec<_> = images.into_iter().map(|image| image.id).collect();
        assert_eq!((images, masks.len()), (vec!["s1".into(), "s1_t2".into(), "s10".into()], 1));
    }
}
