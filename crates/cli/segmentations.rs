//! `udas predict --dicom-seg`: a DICOM SEG beside each mask of a DICOM series.
use crate::{failure, out_file};
use anyhow::Result;
use clap::Args;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use udas_data::{Frames, Subject};
use udas_dicom::{Moment, Segmentation, Series};
use udas_volume::{Grid, Labels, is_dicom, is_segmentation, probe};

/// Masks as an archive of images takes them.
#[derive(Args, Clone, Debug, Default)]
pub struct DicomSeg {
    /// Write a DICOM SEG beside each mask, NAME.dcm: a segment a class, with references to the images; for DICOM series alone
    #[arg(long)]
    pub dicom_seg: bool,
    /// Names of the classes from 1 on, for --dicom-seg; brain, left-ventricle, myocardium, right-ventricle and others are
    /// coded as such, unknown ones as an anatomical structure [default: class-1, class-2, ...]
    #[arg(long, num_args = 1.., value_name = "NAME", requires = "dicom_seg")]
    segments: Vec<String>,
}

/// A series' classes, and what has made its mask.
pub struct Source<'a> {
    pub image: &'a Path,
    /// Beyond background.
    pub classes: usize,
    /// Hash of the model.
    pub made_by: &'a str,
}

/// The image and mask files of a folder, and the DICOM SEG files of names that no other file there has: `udas predict` writes
/// one beside a mask.
pub fn masks_in(folder: &Path) -> udas_data::Result<Vec<Subject>> {
    let (mut found, empty) = match udas_data::expand(&[folder.to_owned()], "") {
        Err(error @ udas_data::Error::Empty { .. }) => (Vec::new(), Some(error)),
        found => (found?, None),
    };
    let names: BTreeSet<String> = found.iter().map(|file| file.id.clone()).collect();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut segmentations: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_segmentation(path)).collect();
    segmentations.sort();
    let own = segmentations.into_iter().map(|path| (udas_data::name_of(&path), path));
    found.extend(own.filter(|(name, _)| !names.contains(name)).map(|(id, image)| Subject {
        id,
        domain: String::new(),
        image,
        labels: None,
        frames: Frames::Single,
        part: None,
    }));
    match empty {
        Some(error) if found.is_empty() => Err(error),
        _ => {
            found.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(found)
        }
    }
}

/// The grid that masks of one image are read on, where one of them is a DICOM SEG, whose own grid is a part of the image's: that
/// of the first file that is none. None where no file is a SEG, or all are.
pub fn common_grid<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<Option<Grid>> {
    let (segmentations, others): (Vec<&Path>, Vec<&Path>) =
        files.into_iter().partition(|file| is_segmentation(file));
    match others.first() {
        Some(other) if !segmentations.is_empty() => Ok(Some(probe(other)?.grid)),
        _ => Ok(None),
    }
}

/// Labels on a grid, where one is known.
pub fn read_labels(path: &Path, grid: Option<&Grid>) -> udas_volume::Result<Labels> {
    match grid {
        Some(grid) => udas_volume::read_labels_on(path, grid),
        None => udas_volume::read_labels(path),
    }
}

/// The file of a mask's segmentation, by the mask's name without its ending.
pub fn name(stem: &str) -> String {
    format!("{stem}.dcm")
}

impl DicomSeg {
    /// Refuses images that are no series, and names of other classes than there are.
    pub fn check<'a>(
        &self,
        mut images: impl Iterator<Item = &'a Path>,
        classes: usize,
    ) -> Result<()> {
        if !self.dicom_seg {
            return Ok(());
        }
        if let Some(image) = images.find(|image| !is_dicom(image)) {
            let text = format!(
                "{}: is no DICOM series, to which a DICOM SEG could refer; leave --dicom-seg out",
                image.display()
            );
            return Err(failure::usage(&text).into());
        }
        if !self.segments.is_empty() && self.segments.len() != classes {
            let text = format!(
                "--segments: names {} classes, and the model has {classes} beyond background; name each",
                self.segments.len()
            );
            return Err(failure::usage(&text).into());
        }
        Ok(())
    }

    /// Writes the segmentation of a mask where one is asked for. One that an earlier call has left is removed else: it
    /// would show another mask.
    pub fn write(&self, path: &Path, labels: &Labels, source: &Source) -> Result<()> {
        if !self.dicom_seg {
            return remove_own(path);
        }
        let default = || (1..=source.classes).map(|class| format!("class-{class}")).collect();
        let segments = if self.segments.is_empty() { default() } else { self.segments.clone() };
        let segmentation = Segmentation {
            segments: &segments,
            made_by: source.made_by,
            version: env!("CARGO_PKG_VERSION"),
            at: Moment::now(),
        };
        let series = Series::open(source.image).map_err(udas_volume::Error::from)?;
        let bytes =
            segmentation.encode(&series, labels.data()).map_err(udas_volume::Error::from)?;
        out_file::write(path, &bytes)
    }
}

/// Removes a segmentation that this program has written; another's file stays.
pub fn remove_own(path: &Path) -> Result<()> {
    if path.exists() && Segmentation::is_own(path) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
