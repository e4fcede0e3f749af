//! A calibration: the mapping from signals to true Dice that simulated shifts of the source taught, as a file.
use crate::change::{self, AS_IT_IS, Changes};
use crate::measurement::Measurement;
use crate::observe::Reference;
use crate::signals::{Signal, Signals};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use udas_data::Preprocessing;
use udas_metrics::statistics::correlation;
use udas_metrics::statistics::{Ridge, half_width};
use udas_model::ModelFile;

/// Version of the file; readers refuse others.
const FORMAT: u32 = 3;
/// Name of the calibration beside a model.
pub const CALIBRATION_FILE: &str = "calibration.json";
/// Share of the scores that their intervals should hold.
const SCORE_LEVEL: f64 = 0.9;
/// Part of a signal's range that it may lie beyond and still count as seen.
const MARGIN: f64 = 0.1;

/// What a calibration was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Origin {
    /// Hash of the model's tensors.
    pub model: String,
    /// What the model sees of a volume; none where plans of another program say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// SHA-256 of the plans that say what the model sees, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plans: Option<String>,
    /// Hashes of other trainings whose agreement is among the signals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
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
    /// Change of Dice for a change by one unit.
    pub slope: f64,
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
    /// Area under the ROC curve of the predicted change for harm, a change of one subject's Dice below -0.01;
    /// none where all or none are harmed.
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
    /// Error of a mean change over subjects, in parts of the share of the masks that changed.
    pub change_error: f64,
    /// On shifts that were left out.
    pub quality: Quality,
    /// Every measurement.
    pub rows: Vec<Measurement>,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
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
    /// [`Error::Unfit`] with fewer than three shifts, fewer rows than signals, or without the model `as it is` among
    /// them, which changes begin at.
    pub fn learn(origin: Origin, reference: Reference, mut rows: Vec<Measurement>) -> Result<Self> {
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
        let values = |row: &Measurement| signals.iter().map(|signal| row.signals[signal]).collect();
        let fit = |rows: &mut dyn Iterator<Item = &Measurement>| {
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
        let Some(changes) = Changes::learn(&rows, &signals) else {
            let text = format!(
                "a calibration needs subjects on which the model `{AS_IT_IS}` was measured"
            );
            return Err(Error::Unfit(text));
        };
        let column = |(index, &signal): (usize, &Signal)| {
            let seen = rows.iter().map(|row| row.signals[&signal]);
            let [mean, deviation] = ridge.scale[index];
            let (low, high) =
                (seen.clone().fold(f64::MAX, f64::min), seen.fold(f64::MIN, f64::max));
            let (weight, slope) = (ridge.weights[index], changes.weights[index]);
            Column { signal, mean, deviation, weight, slope, low, high }
        };
        let residuals: Vec<f64> = rows.iter().map(|row| row.left_out - row.dice).collect();
        let scores: Vec<[f64; 2]> = rows.iter().map(|row| [row.left_out, row.dice]).collect();
        Ok(Self {
            format: FORMAT,
            origin,
            reference,
            columns: signals.iter().enumerate().map(column).collect(),
            intercept: ridge.intercept,
            half_width: half_width(&residuals, SCORE_LEVEL),
            change_error: changes.error,
            quality: Quality {
                error: residuals.iter().map(|r| r.abs()).sum::<f64>() / rows.len() as f64,
                correlation: correlation(&scores).unwrap_or(0.0),
                harm_auroc: changes.harm_auroc,
            },
            rows,
        })
    }

    /// Refuses another model than the calibration was made for: other weights, or another sight of volumes.
    ///
    /// # Errors
    /// [`Error::Unfit`] when it is another, or cannot be hashed.
    pub fn check(&self, model: &ModelFile) -> Result<()> {
        self.check_weights(&model.hash()?)?;
        if self.origin.preprocessing.as_ref() == Some(&model.info.preprocessing) {
            return Ok(());
        }
        let text = "was made for the model with other slices or intensities; run `udas calibrate` for it as it is now, after \
                    `udas convert` with --plane and --intensity if its file does not describe itself";
        Err(Error::Unfit(format!("the calibration {text}")))
    }

    /// Refuses another network than the calibration was made for, by the hash of its weights and that of the plans that
    /// say what it sees.
    ///
    /// # Errors
    /// [`Error::Unfit`] when it is another.
    pub fn check_planned(&self, weights: &str, plans: &str) -> Result<()> {
        self.check_weights(weights)?;
        if self.origin.plans.as_deref() == Some(plans) {
            return Ok(());
        }
        let text = "the calibration was made for the model with other plans; run `udas calibrate` for it as it is now";
        Err(Error::Unfit(text.into()))
    }

    fn check_weights(&self, hash: &str) -> Result<()> {
        if self.origin.model == hash {
            return Ok(());
        }
        let text = "the calibration was made for another model; run `udas calibrate` for this one";
        Err(Error::Unfit(text.into()))
    }

    /// The mapping for a judgement that asks these other trainings, by their hashes: without any it is learned
    /// again from the same rows, without their agreement.
    ///
    /// # Errors
    /// [`Error::Unfit`] when it was made with others.
    pub fn with_peers(&self, peers: &[String]) -> Result<Cow<'_, Self>> {
        let set = |hashes: &[String]| hashes.iter().cloned().collect::<BTreeSet<_>>();
        if self.origin.peers.is_empty() || set(&self.origin.peers) == set(peers) {
            return Ok(Cow::Borrowed(self));
        }
        if !peers.is_empty() {
            let text = "the calibration was made with other peers; give the same ones, or none";
            return Err(Error::Unfit(text.into()));
        }
        let origin = Origin { peers: Vec::new(), ..self.origin.clone() };
        let mut rows = self.rows.clone();
        for row in &mut rows {
            row.signals.remove(&Signal::PeerAgreement);
        }
        Ok(Cow::Owned(Self::learn(origin, self.reference.clone(), rows)?))
    }

    /// The change of Dice that a change of signals speaks for.
    pub fn change(&self, before: &Signals, after: &Signals) -> f64 {
        let of = |column: &Column| {
            Some(column.slope * (after.get(&column.signal)? - before.get(&column.signal)?))
        };
        self.columns.iter().filter_map(of).sum()
    }

    /// Half the width of the interval of a mean change of Dice over subjects, whose masks before and after agree
    /// this much on the mean.
    pub fn change_half_width(&self, agreement: f64) -> f64 {
        self.change_error * change::scale(agreement)
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
        self.around(score, outside)
    }

    /// The Dice after adaptation: that before, changed as the change of signals speaks for.
    pub fn estimate_after(&self, before: &Signals, after: &Signals) -> Estimate {
        let score = self.estimate(before).score + self.change(before, after);
        self.around(score, self.estimate(after).outside)
    }

    fn around(&self, score: f64, outside: Vec<Signal>) -> Estimate {
        let score = score.clamp(0.0, 1.0);
        let (low, high) = (score - self.half_width, score + self.half_width);
        Estimate { score, low: low.max(0.0), high: high.min(1.0), outside }
    }

    /// Reads a calibration.
    ///
    /// # Errors
    /// [`Error::File`] when it is none, or of another version.
    pub fn load(path: &Path) -> Result<Self> {
        let wrong = |problem: String| {
            Error::file(path, format!("{problem}; make it with `udas calibrate`"))
        };
        let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let format = serde_json::from_slice(&text).map(|Versioned { format }| format);
        match format {
            Ok(format) if format > FORMAT => {
                let text = format!("was written by a later version (format {format}); update udas");
                Err(Error::file(path, text))
            }
            Ok(format) if format < FORMAT => Err(wrong("was written by an earlier version".into())),
            _ => serde_json::from_slice(&text)
                .map_err(|error| wrong(format!("is no calibration ({error})"))),
        }
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

#[cfg(test)]
#[path = "calibration_test.rs"]
pub(crate) mod tests;
