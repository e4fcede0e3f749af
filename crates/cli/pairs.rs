//! Which prediction is scored against which label, and labels that only one of the two has.
use crate::commands::predict::output_names;
use crate::console::Console;
use crate::{failure, predictions, segmentations};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use udas_data::{Frames, Subject, extends, holds_labels, image_of_mask};
use udas_run::selection;
use udas_volume::stem;

/// A prediction and its truth.
pub struct Pair {
    pub subject: String,
    pub prediction: PathBuf,
    pub truth: PathBuf,
    /// The frame of the truth; none for a 3-D file.
    pub frame: Option<usize>,
}

/// Predictions and labels of one name; every prediction needs a label.
pub fn by_name(
    folder: &Path,
    labels: &Path,
    subjects: Option<&str>,
    console: &Console,
) -> Result<Vec<Pair>> {
    let truths: BTreeMap<String, PathBuf> = segmentations::masks_in(labels)?
        .into_iter()
        .map(|subject| (subject.id, subject.image))
        .collect();
    let predictions = predictions::masks(folder)?;
    let names: BTreeSet<String> = predictions.iter().map(|mask| mask.id.clone()).collect();
    let (mut pairs, mut used, mut images) = (Vec::new(), BTreeSet::new(), Vec::new());
    for subject in selection::choose(predictions, subjects, console)? {
        let found = truth_of(&subject.id, &truths, &names)?;
        let Some((name, image)) = found else {
            let text = format!(
                "{}: {} has no label of that name; add one, or move the prediction away (frames of a cine find their \
                 labels by --data DIR --domain NAME)",
                subject.image.display(),
                labels.display()
            );
            return Err(failure::input(text).into());
        };
        used.insert(name.clone());
        used.extend(image.clone());
        images.extend(image);
        let truth = truths.get(&name).cloned().unwrap_or_default();
        check_apart(&subject.image, &truth)?;
        pairs.push(Pair { subject: subject.id, prediction: subject.image, truth, frame: None });
    }
    if let Some(first) = images.first() {
        let (count, shown) = (images.len(), labels.display());
        console.say(format!(
            "{shown}: {count} images lie among the labels and are left out, such as {first}"
        ));
    }
    let left = truths.len() - used.len();
    if left > 0 {
        console.say(format!("{left} labels have no prediction and are left out"));
    }
    Ok(pairs)
}

/// The label of a prediction, and the image beside it that has the prediction's own name: of `s1` and `s1_gt` the latter
/// is the label. Labels of other predictions, `s1_seg` of `s1_seg`, do not count. Of other names with the prediction's in them
/// the content decides.
fn truth_of(
    id: &str,
    truths: &BTreeMap<String, PathBuf>,
    predictions: &BTreeSet<String>,
) -> Result<Option<(String, Option<String>)>> {
    let is_of = |name: &&String| image_of_mask(name) == Some(id) && !predictions.contains(*name);
    let mut marked: Vec<&String> = truths.keys().filter(is_of).collect();
    let plain = truths.contains_key(id).then(|| id.to_owned());
    let is_label = |name: &str| truths.get(name).is_some_and(|path| holds_labels(path));
    if marked.is_empty() && plain.is_some() {
        let others = truths.keys().filter(|name| extends(name, id) && !predictions.contains(*name));
        let others: Vec<&String> = others.collect();
        if !others.is_empty() && !is_label(id) {
            marked = others.into_iter().filter(|name| is_label(name)).collect();
        }
    }
    match marked[..] {
        [] => Ok(plain.map(|name| (name, None))),
        [one] => Ok(Some((one.clone(), plain))),
        _ => {
            let shown = |name: &String| truths.get(name).map(|path| path.display().to_string());
            let paths: Vec<String> = marked.into_iter().filter_map(shown).collect();
            let text = format!(
                "{}: each may be the label of {id}; move all but one away",
                paths.join(", ")
            );
            Err(failure::input(text).into())
        }
    }
}

/// The predictions of a data set's subjects, named as `predict` names them, whatever their ending. Subjects without
/// labels, which some data sets have among the others, are left out.
pub fn of_subjects(folder: &Path, subjects: &[Subject], console: &Console) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    let (labelled, others): (Vec<&Subject>, Vec<&Subject>) =
        subjects.iter().partition(|subject| subject.labels.is_some());
    if let Some(first) = others.first() {
        let text = format!("{}: has no label to score against", first.image.display());
        if labelled.is_empty() {
            return Err(failure::input(text).into());
        }
        console.warn(format!("{text}; {} such subjects are left out", others.len()));
    }
    let masks = match predictions::masks(folder) {
        // Which mask is missing is said below.
        Err(udas_data::Error::Empty { .. }) => Vec::new(),
        found => found?,
    };
    let masks: BTreeMap<String, PathBuf> =
        masks.into_iter().map(|mask| (mask.id, mask.image)).collect();
    for subject in labelled {
        let Some(truth) = &subject.labels else { continue };
        let frames = match &subject.frames {
            Frames::Single => vec![None],
            Frames::Chosen(frames) => frames.iter().copied().map(Some).collect(),
        };
        for (name, frame) in output_names(subject).into_iter().zip(frames) {
            let subject = stem(Path::new(&name));
            let Some(prediction) = masks.get(&subject).cloned() else {
                let text =
                    format!("{}: is missing; predict it first", folder.join(&name).display());
                return Err(failure::input(text).into());
            };
            check_apart(&prediction, truth)?;
            pairs.push(Pair { subject, prediction, truth: truth.clone(), frame });
        }
    }
    Ok(pairs)
}

/// Refuses one file in both places: its Dice would be 1.
fn check_apart(prediction: &Path, truth: &Path) -> Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    if place(prediction).is_some() && place(prediction) == place(truth) {
        let text = format!(
            "{}: is prediction and label at once, and would score 1; name another --predictions or --labels",
            prediction.display()
        );
        return Err(failure::usage(&text).into());
    }
    Ok(())
}

/// Labels in all predictions and in all truths.
pub struct Values {
    predictions: [bool; 256],
    truths: [bool; 256],
}

impl Values {
    pub fn new() -> Self {
        Self { predictions: [false; 256], truths: [false; 256] }
    }

    pub fn add(&mut self, prediction: &[u8], truth: &[u8]) {
        for (seen, labels) in [(&mut self.predictions, prediction), (&mut self.truths, truth)] {
            labels.iter().for_each(|&label| seen[usize::from(label)] = true);
        }
    }

    /// Warns of labels that only one side has: 255 against 1, or classes numbered otherwise, give a Dice of 0 that says
    /// nothing of the shapes.
    pub fn warn(&self, console: &Console) {
        let only = |these: &[bool; 256], those: &[bool; 256]| -> Vec<String> {
            let is_only = |&label: &usize| these[label] && !those[label];
            (1..256).filter(is_only).map(|label| label.to_string()).collect()
        };
        let all = |seen: &[bool; 256]| -> String {
            let labels: Vec<String> =
                (0..256).filter(|&l| seen[l]).map(|l| l.to_string()).collect();
            labels.join(" ")
        };
        let [predicted, true_ones] =
            [only(&self.predictions, &self.truths), only(&self.truths, &self.predictions)];
        if !predicted.is_empty() || !true_ones.is_empty() {
            console.warn(format!(
                "predictions hold the values {}, labels {}: a value that only one side has scores 0; number them alike",
                all(&self.predictions),
                all(&self.truths)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(
        id: &str,
        labels: &[&str],
        predictions: &[&str],
    ) -> Result<Option<(String, Option<String>)>> {
        let truths =
            labels.iter().map(|&name| (name.into(), format!("l/{name}.nii.gz").into())).collect();
        let predictions = predictions.iter().map(|&name| name.into()).collect();
        truth_of(id, &truths, &predictions)
    }

    #[test]
    fn the_mask_is_taken_and_not_the_image_beside_it() {
        let found =
            |name: &str, image: Option<&str>| Some((name.to_owned(), image.map(str::to_owned)));
        assert_eq!(truth("s1", &["s1", "s1_gt"], &["s1"]).unwrap(), found("s1_gt", Some("s1")));
        assert_eq!(truth("s1", &["s1"], &["s1"]).unwrap(), found("s1", None));
        assert_eq!(truth("s1", &["s1-Seg"], &["s1"]).unwrap(), found("s1-Seg", None));
        assert_eq!(truth("s1", &["s2", "s2_gt"], &["s1"]).unwrap(), None);
        let error = truth("s1", &["s1", "s1_gt", "s1_seg"], &["s1"]).unwrap_err().to_string();
        assert!(error.contains("s1_gt.nii.gz") && error.contains("s1_seg.nii.gz"), "{error}");
        // Two subjects, one named as the other's mask.
        let both = ["s1", "s1_seg"];
        assert_eq!(truth("s1", &both, &both).unwrap(), found("s1", None));
        assert_eq!(truth("s1_seg", &both, &both).unwrap(), found("s1_seg", None));
    }
}
