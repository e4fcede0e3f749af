//! Calgary-Campinas-359: vendor and field strength are in the file names, so that the published tree, the
//! unpacked archives and a flat folder of files are all read the same way.

use std::path::Path;

use super::Found;
use crate::files::{images_below, name_of};
use crate::subject::by_name;
use crate::{Frames, Result, Subject};

/// Silver-standard masks have their image's name with this behind.
const MASK: &str = "_ss";
/// `Original/SITE/NAME` is two levels below the root; a folder around the archives makes one more.
const DEPTH: usize = 3;

/// What a name such as `CC0030_philips_15_42_F` says.
pub(crate) struct Name {
    vendor: String,
    field: String,
}

impl Name {
    pub(crate) fn parse(stem: &str) -> Option<Self> {
        let parts: Vec<&str> = stem.split('_').collect();
        let [id, vendor, field, age, sex] = parts[..] else { return None };
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // `CC` for the published subjects, `PH` for the phantom's.
        let valid =
            ["CC", "PH"].iter().any(|prefix| id.strip_prefix(prefix).is_some_and(is_number))
                && ["ge", "philips", "siemens"].contains(&vendor)
                && [field, age].into_iter().all(is_number)
                && ["F", "M"].contains(&sex);
        valid.then(|| Self { vendor: vendor.to_owned(), field: field.to_owned() })
    }

    /// As the published tree names its sites: `GE_3`, `Philips_15`.
    fn domain(&self) -> String {
        let vendor = match self.vendor.as_str() {
            "ge" => "GE",
            "philips" => "Philips",
            _ => "Siemens",
        };
        format!("{vendor}_{}", self.field)
    }
}

pub(crate) fn is_here(root: &Path) -> Result<bool> {
    let files = images_below(root, DEPTH)?;
    Ok(files.iter().any(|path| Name::parse(&name_of(path)).is_some()))
}

pub(crate) fn find(root: &Path) -> Result<Found> {
    let (mut images, mut masks, mut others) = (Vec::new(), Vec::new(), 0);
    for path in images_below(root, DEPTH)? {
        let name = name_of(&path);
        if Name::parse(&name).is_some() {
            images.push((name, path));
        } else if let Some(image) =
            name.strip_suffix(MASK).filter(|image| Name::parse(image).is_some())
        {
            masks.push((image.to_owned(), path));
        } else {
            others += 1;
        }
    }
    let mut masks = by_name(masks)?;
    let mut subjects = Vec::new();
    for (id, image) in by_name(images)? {
        let Some(name) = Name::parse(&id) else { continue };
        let labels = masks.remove(&id);
        subjects.push(Subject {
            id,
            domain: name.domain(),
            image,
            labels,
            frames: Frames::Single,
            part: None,
        });
    }
    let mut notes: Vec<_> =
        masks.values().map(|mask| format!("{}: a mask without an image", mask.display())).collect();
    if others > 0 {
        notes.push(format!(
            "{}: {others} files without a CC-359 name were passed over",
            root.display()
        ));
    }
    Ok((subjects, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_the_site() {
        let domain = |name: &str| Name::parse(name).map(|name| name.domain());
        assert_eq!(domain("CC0030_philips_15_42_F").as_deref(), Some("Philips_15"));
        assert_eq!(domain("CC0100_ge_3_30_M").as_deref(), Some("GE_3"));
        assert_eq!(domain("PH1001_ge_3_56_F").as_deref(), Some("GE_3"));
        for name in
            ["CC0100_ge_3_30_M_ss", "CC_ge_3_30_M", "CC1_canon_3_30_M", "CC1_ge_3_30_X", "scan"]
        {
            assert_eq!(domain(name), None, "{name}");
        }
    }
}
