//! What signals say of a change of Dice: learned from pairs of a model and what became of it, on the same shifted
//! subjects.
//!
//! How much a score can change depends on how much the masks change at all: one minus the Jaccard index is a metric (Kosub,
//! Pattern Recognit. Lett. 120, 2019), so no mask can gain more on the truth, by Jaccard, than lies between it and the mask
//! before. Dice has no such bound where it is low, but about the same size where it is not. One minus the Dice of the masks
//! before and after is therefore the scale of everything here: of what counts as a large error while the mapping is
//! learned, and of the interval that decides (residuals scaled as by Lei et al., J. Am. Stat. Assoc. 113, 2018, section
//! 5.2).
use crate::measurement::{HARM, Measurement};
use crate::signals::Signal;
use std::collections::{BTreeMap, BTreeSet};
use udas_metrics::statistics::auroc;
use udas_metrics::statistics::{Ridge, half_width};

/// The model that changes begin at, in [`Measurement::model`].
pub const AS_IT_IS: &str = "as it is";
/// Share of the mean changes that the interval of the decision should hold.
const LEVEL: f64 = 0.9;
/// Added to the share of the masks that changed: two masks that are the same are not known to be equally good.
const SMALLEST: f64 = 0.02;

/// The typical size of a change of Dice, and of its error, for masks that agree this much (Dice).
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
    /// Learns from rows of all shifts, each shift predicted from the others; none without a change of [`AS_IT_IS`].
    pub fn learn(rows: &[Measurement], signals: &[Signal]) -> Option<Self> {
        let pairs = pairs(rows, signals);
        if pairs.is_empty() {
            return None;
        }
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
        Some(Self {
            weights: fit(pairs.iter()).slopes(),
            error: half_width(&residuals, LEVEL),
            harm_auroc: auroc(&harmed, &others),
        })
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

fn pairs<'a>(rows: &'a [Measurement], signals: &[Signal]) -> Vec<Pair<'a>> {
    let before: BTreeMap<(&str, &str), &Measurement> = rows
        .iter()
        .filter(|row| row.model == AS_IT_IS)
        .map(|row| ((row.shift.as_str(), row.subject.as_str()), row))
        .collect();
    let pair = |row: &'a Measurement| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Signals;

    /// A model before and after on one subject: a signal that tells the change of Dice but for `error`.
    fn pair(shift: usize, change: f64, error: f64, agreement: f64) -> [Measurement; 2] {
        let row = |model: &str, flip: f64, dice: f64, agreement: f64| Measurement {
            shift: format!("shift {shift}"),
            model: model.into(),
            subject: "s".into(),
            signals: Signals::from([(Signal::FlipConsistency, flip)]),
            dice,
            agreement,
            left_out: 0.0,
        };
        [row(AS_IT_IS, 0.8, 0.8, 1.0), row("after", 0.8 + change, 0.8 + change + error, agreement)]
    }

    fn learn(pairs: impl IntoIterator<Item = [Measurement; 2]>) -> Option<Changes> {
        let rows: Vec<Measurement> = pairs.into_iter().flatten().collect();
        Changes::learn(&rows, &[Signal::FlipConsistency])
    }

    #[test]
    fn errors_count_in_parts_of_what_changed() {
        // The same error of 0.03 on masks that changed by 0.04 and by 0.28; the signal changes by nothing, so that
        // nothing is predicted.
        let of = |agreement: f64| learn((0..20).map(|i| pair(i, 0.0, 0.03, agreement))).unwrap();
        assert!((of(0.96).error - 0.5).abs() < 1e-12, "{}", of(0.96).error);
        assert!((of(0.72).error - 0.1).abs() < 1e-12, "{}", of(0.72).error);
    }

    #[test]
    fn a_shift_is_predicted_from_the_others() {
        // One shift where the signal lies: the others do not know, and its error is seen.
        let honest = |i: usize| pair(i, -0.02 * (1 + i % 3) as f64, 0.0, 0.9);
        let lying = (0..4).map(|i| pair(100 + i, -0.05, 0.1, 0.9));
        let changes = learn((0..20).map(honest).chain(lying)).unwrap();
        assert!(changes.error > 0.5, "{}", changes.error);
        assert!((learn((0..20).map(honest)).unwrap().error) < 0.01);
    }

    #[test]
    fn harm_is_ranked_where_there_is_harm_and_something_else() {
        let changes = |i: usize| if i.is_multiple_of(2) { 0.02 } else { -0.04 };
        let both = learn((0..10).map(|i| pair(i, changes(i), 0.0, 0.9))).unwrap();
        assert_eq!(both.harm_auroc, Some(1.0));
        let harm = learn((0..10).map(|i| pair(i, -0.04, 0.0, 0.9))).unwrap();
        assert_eq!(harm.harm_auroc, None);
        assert!(
            learn((0..10).map(|i| {
                let [before, _] = pair(i, 0.0, 0.0, 1.0);
                [before.clone(), before]
            }))
            .is_none()
        );
    }
}
