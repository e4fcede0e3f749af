//! `udas predict --dicom-seg`: a DICOM SEG beside each mask of a DICOM series.
use crate::{failure, out_file};
use anyhow::Result;
use clap::Args;
use std::path::Path;
use udas_dicom::{Moment, Segmentation, Series};
use udas_volume::{Labels, is_dicom};

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
