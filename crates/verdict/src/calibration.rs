//! A calibration: the mapping from signals to true Dice that simulated shifts of the source taught, as a file.
use crate::observe::Reference;
use crate::regression::{Ridge, half_width};
use crate::signals::{Signal, Signals};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;
use udas_metrics::statistics::{auroc, correlation};

/// Version of the file; readers refuse later ones.
const FORMAT: u32 = 2;
/// Name of the calibration beside a model.
pub const CALIBRATION_FILE: &str = "calibration.json";
/// Share of the scores that their intervals should hold.
const SCORE_LEVEL: f64 = 0.9;
/// Share of the mean changes that the interval of the decision should hold.
const CHANGE_LEVEL: f64 = 0.9;
/// The error of a predicted change grows with its size; this much more Dice and it has doubled.
const CHANGE_SCALE: f64 = 0.05;
/// Part of a signal's range that it may lie beyond and still count as seen.
const MARGIN: f64 = 0.1;
/// A true change of Dice below this is harm.
pub const HARM: f64 = -0.01;

/// What a calibration was made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Origin {
    /// Hash of the model's tensors.
    pub model: String,
    /// Version of the program.
    pub version: String,
    /// Domains of the labelled subjects.
    pub domain: String,
    /// Subjects whose labels gave volumes and components.
    pub subjects: Vec<String>,
    /// Slices of each subject that are measured, here and when a target is judged.
    pub slices: usize,
    /// Seed of curves, shading, noise and damages.
    pub seed: u64,
}

/// One measurement: a model on a shifted subject, its signals and its true Dice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The simulated shift.
    pub shift: String,
    /// The model: `as it is`, `batch norm re-estimated`, or a damage.
    pub model: String,
    /// The subject.
    pub subject: String,
    /// What is known without labels.
    pub signals: Signals,
    /// Dice with the labels on the sample's slices, the mean over classes.
    pub dice: f64,
    /// What the mapping learned from all other shifts says.
    #[serde(default)]
    pub left_out: f64,
}

/// One signal's part in the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Column {
    /// Which.
    pub signal: Signal,
    /// Mean over the rows.
    pub mean: f64,
    /// Standard deviation over the rows.
    pub deviation: f64,
    /// Dice for one standard deviation.
    pub weight: f64,
    /// Smallest value that was seen.
    pub low: f64,
    /// Largest value that was seen.
    pub high: f64,
}

/// How well scores of shifts are predicted that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quality {
    /// Mean absolute error of the score.
    pub error: f64,
    /// Pearson's correlation of predicted and true scores.
    pub correlation: f64,
    /// Area under the ROC curve of the predicted change for harm, a change below -0.01 between two models on
    /// one subject; none where all or none are harmful.
    #[serde(default)]
    pub harm_auroc: Option<f64>,
}

/// The mapping and all it was learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Calibration {
    /// Version of the file.
    pub format: u32,
    /// What it was made of.
    pub origin: Origin,
    /// The source, for signals that compare with it.
    pub reference: Reference,
    /// The signals.
    pub columns: Vec<Column>,
    /// Mean Dice of the rows.
    pub intercept: f64,
    /// Half the width of a score's interval.
    pub half_width: f64,
    /// Error of a mean change over subjects, in parts of its size and [`CHANGE_SCALE`]; follows from the rows.
    #[serde(skip)]
    change_error: f64,
    /// On shifts that were left out.
    pub quality: Quality,
    /// Every measurement.
    pub rows: Vec<Row>,
}

/// A predicted Dice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// Best guess.
    pub score: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Signals outside what the calibration has seen: the guess is not to be trusted.
    pub outside: Vec<Signal>,
}

impl Calibration {
    /// Learns the mapping, each shift predicted from the others for the intervals.
    ///
    /// # Errors
    /// [`Error::Unfit`] with fewer than three shifts or fewer rows than signals.
    pub fn learn(origin: Origin, reference: Reference, mut rows: Vec<Row>) -> Result<Self> {
        let signals: Vec<Signal> = Signal::ALL
            .into_iter()
            .filter(|signal| rows.iter().all(|row| row.signals.contains_key(signal)))
            .collect();
        let shifts: BTreeSet<String> = rows.iter().map(|row| row.shift.clone()).collect();
        if shifts.len() < 3 || rows.len() <= signals.len() {
            let text = format!(
                "a calibration from {} measurements of {} shifts: give more labelled subjects",
                rows.len(),
                shifts.len()
            );
            return Err(Error::Unfit(text));
        }
        let values = |row: &Row| signals.iter().map(|signal| row.signals[signal]).collect();
        let fit = |rows: &mut dyn Iterator<Item = &Row>| {
            let (x, y): (Vec<Vec<f64>>, Vec<f64>) = rows.map(|row| (values(row), row.dice)).unzip();
            Ridge::fit(&x, &y)
        };
        for shift in &shifts {
            let ridge = fit(&mut rows.iter().filter(|row| row.shift != *shift));
            for row in rows.iter_mut().filter(|row| row.shift == *shift) {
                row.left_out = ridge.predict(&values(row)).clamp(0.0, 1.0);
            }
        }
        let ridge = fit(&mut rows.iter());
        let column = |(index, &signal): (usize, &Signal)| {
            let seen = rows.iter().map(|row| row.signals[&signal]);
            let [mean, deviation] = ridge.scale[index];
            let (low, high) =
                (seen.clone().fold(f64::MAX, f64::min), seen.fold(f64::MIN, f64::max));
            Column { signal, mean, deviation, weight: ridge.weights[index], low, high }
        };
        let residuals: Vec<f64> = rows.iter().map(|row| row.left_out - row.dice).collect();
        let scores: Vec<[f64; 2]> = rows.iter().map(|row| [row.left_out, row.dice]).collect();
        let changes = Changes::of(&rows);
        Ok(Self {
            format: FORMAT,
            origin,
            reference,
            columns: signals.iter().enumerate().map(column).collect(),
            intercept: ridge.intercept,
            half_width: half_width(&residuals, SCORE_LEVEL),
            change_error: changes.error(),
            quality: Quality {
                error: residuals.iter().map(|r| r.abs()).sum::<f64>() / rows.len() as f64,
                correlation: correlation(&scores).unwrap_or(0.0),
                harm_auroc: changes.harm_auroc(),
            },
            rows,
        })
    }

    /// Half the width of the interval of a mean change of Dice over subjects that is predicted as `change`:
    /// residuals of shifts left out, scaled by the size of the change (Lei et al., J. Am. Stat. Assoc. 113, 2018,
    /// section 5.2).
    pub fn change_half_width(&self, change: f64) -> f64 {
        self.change_error * (CHANGE_SCALE + change.abs())
    }

    /// The Dice that these signals speak for.
    pub fn estimate(&self, signals: &Signals) -> Estimate {
        let mut score = self.intercept;
        let mut outside = Vec::new();
        for column in &self.columns {
            let margin = MARGIN * (column.high - column.low);
            match signals.get(&column.signal) {
                Some(&value) => {
                    if column.deviation > 1e-12 {
                        score += column.weight * (value - column.mean) / column.deviation;
                    }
                    if !(column.low - margin..=column.high + margin).contains(&value) {
                        outside.push(column.signal);
                    }
                }
                None => outside.push(column.signal),
            }
        }
        let score = score.clamp(0.0, 1.0);
        let (low, high) = (score - self.half_width, score + self.half_width);
        Estimate { score, low: low.max(0.0), high: high.min(1.0), outside }
    }

    /// Reads a calibration.
    ///
    /// # Errors
    /// [`Error::File`] when it is none, or of a later version.
    pub fn load(path: &Path) -> Result<Self> {
        let wrong = |problem: String| {
            Error::file(path, format!("{problem}; make it with `udas calibrate`"))
        };
        let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let mut calibration: Self = serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("is no calibration ({error})")))?;
        if calibration.format > FORMAT {
            let text = format!("was written by a later version (format {})", calibration.format);
            return Err(Error::file(path, text + "; update udas"));
        }
        calibration.change_error = Changes::of(&calibration.rows).error();
        Ok(calibration)
    }

    /// Writes the calibration whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::file(path, format!("cannot be written: {error}")))?;
        udas_files::write_whole(path, &text)
            .map_err(|error| Error::file(path, format!("cannot be written: {error}")))
    }
}

/// What the mapping says of changes between two models on the same shifted subjects.
struct Changes {
    /// Predicted and true change, means over subjects, for each shift and pair of models.
    means: Vec<[f64; 2]>,
    /// Predicted and true change for each shift, subject and pair of models.
    single: Vec<[f64; 2]>,
}

impl Changes {
    fn of(rows: &[Row]) -> Self {
        let mut changes = Self { means: Vec::new(), single: Vec::new() };
        let keys: BTreeSet<(&str, &str)> =
            rows.iter().map(|row| (row.shift.as_str(), row.model.as_str())).collect();
        for &(shift, before) in &keys {
            for &(_, after) in keys.iter().filter(|key| key.0 == shift && key.1 != before) {
                let of = |model: &str| -> Vec<&Row> {
                    rows.iter().filter(|row| row.shift == shift && row.model == model).collect()
                };
                let (from, to) = (of(before), of(after));
                let pairs: Vec<[f64; 2]> = from
                    .iter()
                    .filter_map(|a| Some((a, to.iter().find(|b| b.subject == a.subject)?)))
                    .map(|(a, b)| [b.left_out - a.left_out, b.dice - a.dice])
                    .collect();
                // The way back has the same error: each pair counts once.
                if !pairs.is_empty() && before < after {
                    let sums = [0, 1].map(|side| pairs.iter().map(|pair| pair[side]).sum::<f64>());
                    changes.means.push(sums.map(|sum| sum / pairs.len() as f64));
                }
                changes.single.extend(pairs);
            }
        }
        changes
    }

    fn error(&self) -> f64 {
        let scaled = |[said, truth]: &[f64; 2]| (said - truth) / (CHANGE_SCALE + said.abs());
        half_width(&self.means.iter().map(scaled).collect::<Vec<_>>(), CHANGE_LEVEL)
    }

    fn harm_auroc(&self) -> Option<f64> {
        let (harmful, others): (Vec<_>, Vec<_>) =
            self.single.iter().partition(|[_, truth]| *truth < HARM);
        let scores =
            |group: Vec<&[f64; 2]>| -> Vec<f64> { group.iter().map(|change| -change[0]).collect() };
        auroc(&scores(harmful), &scores(others))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::signals::confidence::Histogram;
    use crate::signals::plausibility::Spread;
    use crate::signals::reverse::Pixels;

    /// Eight shifts of four subjects and two models whose Dice is 0.1 + 0.8 times their consistency.
    pub(crate) fn linear() -> Calibration {
        let mut rows = Vec::new();
        for shift in 0..8 {
            for (index, model) in ["as it is", "other"].into_iter().enumerate() {
                for subject in 0..4 {
                    let flip = 0.2 + 0.09 * f64::from(shift) + 0.02 * f64::from(subject)
                        - 0.1 * index as f64;
                    let signals = Signals::from([
                        (Signal::FlipConsistency, flip),
                        (Signal::NormDistance, f64::from((shift * 5 + subject * 3) % 7)),
                    ]);
                    rows.push(Row {
                        shift: format!("shift {shift}"),
                        model: model.into(),
                        subject: format!("s{subject}"),
                        signals,
                        dice: 0.1 + 0.8 * flip,
                        left_out: 0.0,
                    });
                }
            }
        }
        let reference = Reference {
            volume_ml: Spread { mean: 1000.0, deviation: 100.0 },
            components: Spread { mean: 1.0, deviation: 0.1 },
            roundness: Spread { mean: 0.5, deviation: 0.1 },
            pixels: Pixels::default(),
            confidence: 0.95,
            threshold: Histogram::default().threshold(0.9),
        };
        Calibration::learn(Origin { slices: 8, ..Origin::default() }, reference, rows).unwrap()
    }

    #[test]
    fn a_linear_relation_is_learned_and_comes_back_from_its_file() {
        let calibration = linear();
        for flip in [0.3, 0.5, 0.7] {
            let signals =
                Signals::from([(Signal::FlipConsistency, flip), (Signal::NormDistance, 3.0)]);
            let estimate = calibration.estimate(&signals);
            let truth = 0.1 + 0.8 * flip;
            assert!((estimate.score - truth).abs() < 0.01, "{estimate:?}");
            assert!((estimate.low..=estimate.high).contains(&truth));
            assert!(estimate.outside.is_empty());
        }
        assert!(calibration.half_width < 0.02 && calibration.quality.correlation > 0.99);
        assert_eq!(calibration.quality.harm_auroc, Some(1.0));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CALIBRATION_FILE);
        calibration.save(&path).unwrap();
        let back = Calibration::load(&path).unwrap();
        assert_eq!(back.columns, calibration.columns);
        assert_eq!(back.rows.len(), calibration.rows.len());
        let widths = [back.change_half_width(0.1), calibration.change_half_width(0.1)];
        assert!((widths[0] - widths[1]).abs() < 1e-12 && widths[0] > 0.0, "{widths:?}");
    }

    #[test]
    fn a_large_change_has_a_wider_interval_than_a_small_one() {
        let calibration = linear();
        let small = calibration.change_half_width(0.0);
        assert!((calibration.change_half_width(-CHANGE_SCALE) - 2.0 * small).abs() < 1e-12);
    }

    #[test]
    fn signals_that_were_not_seen_are_named() {
        let calibration = linear();
        let far = Signals::from([(Signal::FlipConsistency, 0.5), (Signal::NormDistance, 20.0)]);
        assert_eq!(calibration.estimate(&far).outside, [Signal::NormDistance]);
        let absent = Signals::from([(Signal::NormDistance, 3.0)]);
        assert_eq!(calibration.estimate(&absent).outside, [Signal::FlipConsistency]);
    }

    #[test]
    fn files_that_are_no_calibration_are_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        std::fs::write(&path, "{}").unwrap();
        let error = Calibration::load(&path).unwrap_err().to_string();
        assert!(error.contains("c.json") && error.contains("udas calibrate"), "{error}");
        let mut later = linear();
        later.format = FORMAT + 1;
        later.save(&path).unwrap();
        assert!(Calibration::load(&path).unwrap_err().to_string().contains("update udas"));
    }
}
