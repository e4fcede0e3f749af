//! What signals say of a change of Dice: learned from pairs of a model and what became of it, on the same shifted
//! subjects.
//!
//! A change of Dice is bounded by how much the masks change at all: one minus the Jaccard index is a metric (Kosub,
//! Pattern Recognit. Lett. 120, 2019), so no mask can gain more on the truth than lies between it and the mask before. The
//! share of the masks that changed is therefore the scale of everything here: of what counts as a large error while the
//! mapping is learned, and of the interval that decides (residuals scaled as by Lei et al., J. Am. Stat. Assoc. 113,
//! 2018, section 5.2).
use crate::calibration::{HARM, Row};
use crate::regression::{Ridge, half_width};
use crate::signals::Signal;
use std::collections::{BTreeMap, BTreeSet};
use udas_metrics::statistics::auroc;

/// The model that changes begin at, in [`Row::model`].
pub const AS_IT_IS: &str = "as it is";
/// Share of the mean changes that the interval of the decision should hold.
const LEVEL: f64 = 0.9;
/// Added to the share of the masks that changed: two masks that are the same are not known to be equally good.
const SMALLEST: f64 = 0.02;

/// How much a change of Dice can be, for masks that agree this much (Dice): the scale of its error.
pub fn scale(agreement: f64) -> f64 {
    SMALLEST + 1.0 - agreement
}

/// One subject under one shift, before and after.
struct Pair<'a> {
    shift: &'a str,
    model: &'a str,
    /// Change of each signal.
    signals: Vec<f64>,
    agreement: f64,
    /// True change of Dice.
    dice: f64,
}

/// What calibration says of changes.
pub struct Changes {
    /// Change of Dice for one unit of each signal.
    pub weights: Vec<f64>,
    /// Error of a mean change over subjects that is seldom exceeded, in parts of [`scale`], with shifts left out.
    pub error: f64,
    /// Area under the ROC curve for harm of one subject, with shifts left out; none where all or none are harmed.
    pub harm_auroc: Option<f64>,
}

impl Changes {
    /// Learns from rows of all shifts, each shift predicted from the others.
    pub fn learn(rows: &[Row], signals: &[Signal]) -> Self {
        let pairs = pairs(rows, signals);
        let shifts: BTreeSet<&str> = pairs.iter().map(|pair| pair.shift).collect();
        let (mut residuals, mut harmed, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for shift in shifts {
            let ridge = fit(pairs.iter().filter(|pair| pair.shift != shift));
            let mut means: BTreeMap<&str, Mean> = BTreeMap::new();
            for pair in pairs.iter().filter(|pair| pair.shift == shift) {
                let said = ridge.predict(&pair.signals);
                means.entry(pair.model).or_default().add(said - pair.dice, pair.agreement);
                let group = if pair.dice < HARM { &mut harmed } else { &mut others };
                group.push(-said);
            }
            residuals.extend(means.into_values().map(|mean| mean.scaled()));
        }
        let ridge = fit(pairs.iter());
        Self {
            weights: ridge.slopes(),
            error: half_width(&residuals, LEVEL),
            harm_auroc: auroc(&harmed, &others),
        }
    }
}

/// Sums over the subjects of one shift and model.
#[derive(Default)]
struct Mean {
    error: f64,
    agreement: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, error: f64, agreement: f64) {
        self.error += error;
        self.agreement += agreement;
        self.count += 1.0;
    }

    /// The mean error in parts of its scale.
    fn scaled(&self) -> f64 {
        self.error / self.count / scale(self.agreement / self.count)
    }
}

fn pairs<'a>(rows: &'a [Row], signals: &[Signal]) -> Vec<Pair<'a>> {
    let before: BTreeMap<(&str, &str), &Row> = rows
        .iter()
        .filter(|row| row.model == AS_IT_IS)
        .map(|row| ((row.shift.as_str(), row.subject.as_str()), row))
        .collect();
    let pair = |row: &'a Row| {
        let from = before.get(&(row.shift.as_str(), row.subject.as_str()))?;
        Some(Pair {
            shift: &row.shift,
            model: &row.model,
            signals: signals.iter().map(|s| row.signals[s] - from.signals[s]).collect(),
            agreement: row.agreement,
            dice: row.dice - from.dice,
        })
    };
    rows.iter().filter(|row| row.model != AS_IT_IS).filter_map(pair).collect()
}

/// Errors count in parts of their scale. No change of any signal is no change of Dice.
fn fit<'a>(pairs: impl Iterator<Item = &'a Pair<'a>>) -> Ridge {
    let (mut x, mut y, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for pair in pairs {
        x.push(pair.signals.clone());
        y.push(pair.dice);
        weights.push(scale(pair.agreement).powi(-2));
    }
    Ridge::through_origin(&x, &y, &weights)
}
