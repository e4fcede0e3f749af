//! Masks of any tool as they come: labels, with probabilities beside them, or a probability in their place.
use crate::{failure, segmentations};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use udas_nnunet::SavedProbabilities;
use udas_quality::Confidence;
use udas_volume::{Error as VolumeError, Grid, Labels, Volume, read, stem};

/// A probability of at least this marks a voxel, where one class alone has probabilities.
const HALF: f32 = 0.5;
/// Rounding of a softmax, in 16 bits too.
const ROUNDING: f32 = 2e-3;
/// The share of a class's voxels in which it must be the most probable one, for probabilities to be of that mask.
const LEAST_LIKELY: f64 = 0.9;

/// A mask, and the probability of each class where the tool has said it.
pub struct Mask {
    path: PathBuf,
    pub labels: Labels,
    probabilities: BTreeMap<u8, Volume>,
}

/// The labels of a mask, or of a volume of probabilities; a DICOM SEG on `grid`, where one is known.
pub fn labels(path: &Path, grid: Option<&Grid>) -> Result<Labels> {
    match segmentations::read_labels(path, grid) {
        Err(VolumeError::NotLabels { .. }) => Ok(marked(&foreground(path)?)),
        labels => Ok(labels?),
    }
}

impl Mask {
    /// Reads a mask and what lies beside it: `CASE_prob.nii.gz` or one file a class (`CASE_prob1.nii.gz`, ...), as
    /// `udas predict --probabilities` writes them, or nnU-Net's `CASE.npz`. A volume of values between 0 and 1 is the
    /// probability of class 1 itself. A DICOM SEG is read on `grid`, where one is known.
    pub fn read(path: &Path, grid: Option<&Grid>) -> Result<Self> {
        let (labels, probabilities) = match segmentations::read_labels(path, grid) {
            Err(VolumeError::NotLabels { .. }) => {
                let foreground = foreground(path)?;
                (marked(&foreground), BTreeMap::from([(1, foreground)]))
            }
            labels => {
                let labels = labels?;
                let probabilities = beside(path, &labels)?;
                (labels, probabilities)
            }
        };
        Ok(Self { path: path.into(), labels, probabilities })
    }

    /// What the probabilities say of a class; none where there are none, and of an absent class.
    pub fn confidence(&self, class: u8) -> Result<Option<Confidence>> {
        let Some(probability) = self.probabilities.get(&class) else { return Ok(None) };
        Confidence::of(&self.labels, class, probability)
            .with_context(|| self.path.display().to_string())
    }
}

fn marked(probability: &Volume) -> Labels {
    probability.map(|value| u8::from(value >= HALF))
}

/// A volume in the place of a mask that holds no labels: the probability of class 1.
fn foreground(path: &Path) -> Result<Volume> {
    let volume = read(path)?;
    check_range(path, volume.data(), "labels are whole numbers from 0 to 255, and ")?;
    Ok(volume)
}

fn check_range(path: &Path, values: &[f32], otherwise: &str) -> Result<()> {
    // A NaN lies in no range.
    let Some(value) = values.iter().find(|value| !(-ROUNDING..=1.0 + ROUNDING).contains(*value))
    else {
        return Ok(());
    };
    let text = format!(
        "{}: holds {value}; {otherwise}probabilities lie between 0 and 1: take the softmax or sigmoid of logits, or give a \
         label volume",
        path.display()
    );
    Err(failure::input(text).into())
}

/// The probabilities that lie beside a mask, by class; nothing where there are none.
fn beside(path: &Path, labels: &Labels) -> Result<BTreeMap<u8, Volume>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = stem(path);
    let archive = folder.join(format!("{name}.npz"));
    if archive.is_file() {
        return of_nnunet(&archive, labels);
    }
    let file = |class: String| folder.join(format!("{name}_prob{class}.nii.gz"));
    let one = (1, file(String::new()));
    let several = (1..=u8::MAX).map(|class| (class, file(class.to_string())));
    let files = std::iter::once(one).chain(several.take_while(|(_, file)| file.is_file()));
    let mut classes = BTreeMap::new();
    for (class, file) in files.filter(|(_, file)| file.is_file()) {
        let volume = read(&file)?;
        check_range(&file, volume.data(), "")?;
        labels.grid().check_same(path, volume.grid(), &file)?;
        classes.insert(class, volume);
    }
    let mut background = vec![1.0; labels.data().len()];
    for volume in classes.values() {
        background.iter_mut().zip(volume.data()).for_each(|(rest, value)| *rest -= value);
    }
    check_likely(&file("*".into()), labels, &background, &classes)?;
    Ok(classes)
}

fn of_nnunet(archive: &Path, labels: &Labels) -> Result<BTreeMap<u8, Volume>> {
    let SavedProbabilities { classes } = SavedProbabilities::read(archive, labels.shape())?;
    let mut background = Vec::new();
    let mut by_class = BTreeMap::new();
    for (class, values) in (0..=u8::MAX).zip(classes) {
        check_range(archive, &values, "")?;
        match class {
            0 => background = values,
            _ => {
                by_class.insert(class, labels.with_data(values)?);
            }
        }
    }
    check_likely(archive, labels, &background, &by_class)?;
    Ok(by_class)
}

/// Refuses probabilities that are not of this mask: of regions, of other classes, or with their axes in another order.
fn check_likely(
    file: &Path,
    labels: &Labels,
    background: &[f32],
    classes: &BTreeMap<u8, Volume>,
) -> Result<()> {
    if classes.is_empty() {
        return Ok(());
    }
    let mut highest = background.to_vec();
    for volume in classes.values() {
        highest.iter_mut().zip(volume.data()).for_each(|(most, &value)| *most = most.max(value));
    }
    for (&class, volume) in classes {
        let voxels = labels.data().iter().zip(volume.data()).zip(&highest);
        let (mut all, mut likely) = (0u64, 0u64);
        for ((_, &value), &most) in voxels.filter(|((label, _), _)| **label == class) {
            all += 1;
            likely += u64::from(value >= most - ROUNDING);
        }
        if (likely as f64) < LEAST_LIKELY * all as f64 {
            let text = format!(
                "{}: class {class} is the most probable one in {likely} of the {all} voxels that its mask has; probabilities \
                 of the mask's own classes are read, on its own axes: move these away from the masks",
                file.display()
            );
            return Err(failure::input(text).into());
        }
    }
    Ok(())
}
