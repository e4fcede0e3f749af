//! The scores of a set of predictions, as `udas evaluate` writes them and `udas report` reads them.
use crate::results::{SCORES, read_json};
use crate::{ResultsError, csv, optional_scores};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Name of the scores file in a run folder: those of the adapted (or trained) model.
pub const SCORES_FILE: &str = "scores.json";
/// Name of the file with the scores of the model before adaptation, on the same subjects.
pub const SCORES_BEFORE_FILE: &str = "scores_before.json";

/// Scores by metric name, such as `dice` or `surface_dice_1mm`. `None` is undefined (both masks empty, say;
/// written `null`), infinity is written `"inf"`.
pub type ClassScores = BTreeMap<String, Option<f64>>;

/// Scores of predictions against labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Where the predictions were.
    pub predictions: String,
    /// Where the labels were.
    pub labels: String,
    /// Tolerances of surface Dice, in mm.
    pub tolerances_mm: Vec<f64>,
    /// One entry a subject, in name order.
    pub subjects: Vec<SubjectRecord>,
}

/// Scores of one subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubjectRecord {
    /// File name without its ending.
    pub subject: String,
    /// Scores by class label (as text, `1` for a binary task).
    #[serde(with = "optional_scores::by_class")]
    pub classes: BTreeMap<String, ClassScores>,
}

impl Evaluation {
    /// Reads a scores file.
    ///
    /// # Errors
    /// [`ResultsError`] with the path.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        read_json(path, &SCORES)
    }

    /// The text of a scores file.
    pub fn to_json(&self) -> String {
        // Keys are text and scores are written as above: infallible.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Writes a table: a line a subject and class, a column a metric (all that any subject has). Undefined
    /// is an empty field, infinity `inf`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_csv(&self, out: &mut impl Write) -> std::io::Result<()> {
        let classes = self.subjects.iter().flat_map(|subject| subject.classes.values());
        let mut metrics: Vec<&String> = classes.flat_map(BTreeMap::keys).collect();
        metrics.sort_unstable();
        metrics.dedup();
        let heads: String = metrics.iter().map(|m| format!(",{}", csv::field(m))).collect();
        writeln!(out, "subject,class{heads}")?;
        for subject in &self.subjects {
            for (class, scores) in &subject.classes {
                write!(out, "{},{}", csv::field(&subject.subject), csv::field(class))?;
                for metric in &metrics {
                    write!(out, ",{}", csv::number(scores.get(*metric).copied().flatten()))?;
                }
                writeln!(out)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        let scores = |scores: &[(&str, Option<f64>)]| -> ClassScores {
            scores.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect()
        };
        let subject = |name: &str, scores| SubjectRecord {
            subject: name.into(),
            classes: [("1".to_owned(), scores)].into(),
        };
        let subjects = vec![
            subject("a", scores(&[("dice", Some(0.5)), ("hausdorff_95_mm", Some(f64::INFINITY))])),
            subject("b", scores(&[("dice", None)])),
        ];
        Evaluation { subjects, ..Evaluation::default() }
    }

    #[test]
    fn undefined_and_infinite_scores_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SCORES_FILE);
        std::fs::write(&path, evaluation().to_json()).unwrap();
        assert_eq!(Evaluation::read(&path).unwrap(), evaluation());
        std::fs::write(&path, evaluation().to_json().replace("inf", "much")).unwrap();
        let error = Evaluation::read(&path).unwrap_err().to_string();
        assert!(error.contains("scores.json") && error.contains("much"), "{error}");
    }

    #[test]
    fn the_table_has_a_column_for_every_metric() {
        let mut table = Vec::new();
        evaluation().write_csv(&mut table).unwrap();
        let expected = "subject,class,dice,hausdorff_95_mm\na,1,0.5,inf\nb,1,,\n";
        assert_eq!(String::from_utf8(table).unwrap(), expected);
    }
}
