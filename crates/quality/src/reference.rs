//! What looks say of the true Dice, learned from cases with labels.
use crate::look::CONFIDENCE;
use crate::{Column, Error, Look, Pixels, Result, Reverse};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use udas_metrics::statistics::{Ridge, correlation, half_width};

/// Version of the file.
pub const FORMAT: u32 = 2;

/// Fewer cases of a class teach nothing.
pub const LEAST_CASES: usize = 8;

/// Of intervals: the share of future cases that they are meant to hold.
const LEVEL: f64 = 0.9;

/// A column further from the reference than so many of its spreads has not been seen there.
const FAR: f64 = 4.0;

/// Cases whose labelled pixels are kept for reverse classification, at most.
const KEPT: usize = 16;

/// A mask whose true Dice is known.
#[derive(Clone, Debug)]
pub struct Graded {
    /// The class.
    pub class: u8,
    /// What it looks like.
    pub look: Look,
    /// Dice with the label; none where both are empty.
    pub dice: Option<f64>,
    /// The image around the class, where it is known and the mask has the class.
    pub by_mask: Option<Pixels>,
    /// The same by the label.
    pub by_label: Option<Pixels>,
}

/// What is expected of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// The most likely Dice.
    pub dice: f64,
    /// Lower end of the interval, meant to hold 90 % of cases like the reference's.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether the mask looks as none of the reference did: the estimate is then an extrapolation.
    pub unseen: bool,
}

/// What one class has taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClassReference {
    /// Cases that it was learned from.
    pub cases: usize,
    /// Names of the columns that weigh.
    pub columns: Vec<String>,
    /// Centre and spread of each.
    pub scale: Vec<[f64; 2]>,
    /// Least and largest value of each. A mask beyond them counts as one at the end: nothing is extrapolated.
    pub range: Vec<[f64; 2]>,
    /// Weight of each standardized column.
    pub weights: Vec<f64>,
    /// Dice at the columns' centres.
    pub intercept: f64,
    /// Half of the interval's width, from cases left out in turn.
    pub half_width: f64,
    /// Mean size of the error on cases left out in turn.
    pub error: f64,
    /// Correlation of predicted and true Dice on cases left out in turn; none where they are all alike.
    pub correlation: Option<f64>,
    /// Dice of masks that are empty where the label is not, 0 by definition: how many there were.
    pub missed: usize,
    /// Labelled pixels that classifiers are tried on which learned from a mask; none without images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Pixels>,
}

/// What is known of masks of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reference {
    /// Version of the file.
    pub format: u32,
    /// How many other masks of each case there were.
    pub others: usize,
    /// By class.
    pub classes: BTreeMap<u8, ClassReference>,
}

impl Reference {
    /// Learns from cases; `others` masks of each were looked at beside it. Classes with too few cases are left out.
    ///
    /// # Errors
    /// [`Error::TooFew`] where no class has enough cases.
    pub fn learn(cases: &[Graded], others: usize) -> Result<Self> {
        let mut by_class: BTreeMap<u8, Vec<Graded>> = BTreeMap::new();
        cases.iter().for_each(|case| by_class.entry(case.class).or_default().push(case.clone()));
        let mut classes = BTreeMap::new();
        let mut most = 0;
        for (class, mut cases) in by_class {
            let pixels = reversed(&mut cases);
            let (rows, dice) = rows(&cases);
            most = most.max(rows.len());
            if rows.len() < LEAST_CASES {
                continue;
            }
            let missed =
                cases.iter().filter(|case| case.look.is_empty() && case.dice == Some(0.0)).count();
            let learned = ClassReference::learn(&rows, &dice);
            classes.insert(class, ClassReference { missed, pixels, ..learned });
        }
        if classes.is_empty() {
            return Err(Error::TooFew { found: most });
        }
        Ok(Self { format: FORMAT, others, classes })
    }

    /// Whether images are needed beside masks.
    pub fn needs_images(&self) -> bool {
        self.classes.values().any(|own| own.pixels.is_some())
    }

    /// Whether it was learned from probabilities, so that masks need them too.
    pub fn needs_probabilities(&self) -> bool {
        let has = |own: &ClassReference| own.columns.iter().any(|name| name == CONFIDENCE);
        self.classes.values().any(has)
    }

    /// Dice on the labelled pixels of a classifier that learned from a mask: [`Look::reverse`]. None of a class that was
    /// learned without images.
    pub fn reverse(&self, class: u8, by_mask: &Pixels) -> Option<f64> {
        let labelled = self.classes.get(&class)?.pixels.as_ref()?;
        Some(Reverse::learn(by_mask).dice(labelled))
    }

    /// Whether its figures go together: as many of each kind as there are columns, and no range turned round.
    pub fn is_sound(&self) -> bool {
        self.classes.values().all(|own| {
            let columns = own.weights.len();
            let figures = own.scale.iter().chain(&own.range).flatten().chain(&own.weights);
            (own.scale.len(), own.range.len()) == (columns, columns)
                && own.range.iter().all(|[least, most]| least <= most)
                && figures.chain([&own.intercept, &own.half_width]).all(|figure| figure.is_finite())
        })
    }

    /// What is expected of a mask; none of a class that the reference has not, or where `look` has agreements and the
    /// reference none, or the other way round. A class that is absent, though not all others agree, is expected to be
    /// missed: 0 to 1. Where all agree there is nothing to expect: Dice is undefined.
    pub fn estimate(&self, class: u8, look: &Look) -> Option<Estimate> {
        let own = self.classes.get(&class)?;
        let Some(columns) = look.columns() else {
            let is_agreed = look.agreement.is_some_and(|with| with.least >= 1.0);
            let missed = Estimate { dice: 0.0, low: 0.0, high: 1.0, unseen: own.missed == 0 };
            return (!is_agreed).then_some(missed);
        };
        let is_known = own.columns.iter().eq(columns.iter().map(|column| column.name));
        is_known.then(|| own.estimate(&values(&columns)))
    }
}

/// Fills in what reverse classification says of each mask, on the labelled pixels of other cases, and returns those that
/// are kept; none where there are too few images.
fn reversed(cases: &mut [Graded]) -> Option<Pixels> {
    let labelled: Vec<usize> =
        (0..cases.len()).filter(|&case| cases[case].by_label.is_some()).collect();
    if labelled.len() < LEAST_CASES {
        return None;
    }
    let step = labelled.len().div_ceil(KEPT);
    let kept: Vec<(usize, Pixels)> = labelled
        .into_iter()
        .step_by(step)
        .filter_map(|case| Some((case, cases[case].by_label.clone()?)))
        .collect();
    let without = |left_out: Option<usize>| {
        let mut all = Pixels::default();
        let others = kept.iter().filter(|(case, _)| Some(*case) != left_out);
        others.for_each(|(_, pixels)| all.extend(pixels));
        all
    };
    cases.par_iter_mut().enumerate().for_each(|(number, case)| {
        let learned = case.by_mask.as_ref().map(Reverse::learn);
        case.look.reverse = learned.map(|learned| learned.dice(&without(Some(number))));
    });
    Some(without(None))
}

fn values(columns: &[Column]) -> Vec<f64> {
    columns.iter().map(|column| column.value).collect()
}

/// Columns and Dice of masks that have the class, of those with the columns that the first one has.
fn rows(cases: &[Graded]) -> (Vec<Vec<Column>>, Vec<f64>) {
    let names = |row: &[Column]| row.iter().map(|column| column.name).collect::<Vec<_>>();
    let known = cases.iter().filter_map(|case| Some((case.look.columns()?, case.dice?)));
    let mut rows: Vec<(Vec<Column>, f64)> = known.collect();
    let first = rows.first().map(|(row, _)| names(row)).unwrap_or_default();
    rows.retain(|(row, _)| names(row) == first);
    rows.into_iter().unzip()
}

/// Least and largest value of each column.
fn ends(rows: &[Vec<f64>]) -> Vec<[f64; 2]> {
    let of = |column: usize| {
        let values = rows.iter().map(|row| row[column]);
        let none = [f64::INFINITY, f64::NEG_INFINITY];
        values.fold(none, |[least, most], value| [least.min(value), most.max(value)])
    };
    (0..rows.first().map_or(0, Vec::len)).map(of).collect()
}

/// A row, no further out than what has been seen.
fn within(row: &[f64], range: &[[f64; 2]]) -> Vec<f64> {
    row.iter().zip(range).map(|(x, [least, most])| x.clamp(*least, *most)).collect()
}

impl ClassReference {
    fn learn(columns: &[Vec<Column>], dice: &[f64]) -> Self {
        let rows: &[Vec<f64>] = &columns.iter().map(|row| values(row)).collect::<Vec<_>>();
        let names = columns.first().into_iter().flatten().map(|column| column.name.to_owned());
        let without = |left: usize| -> f64 {
            let keep = |index: &usize| *index != left;
            let some: Vec<_> =
                (0..rows.len()).filter(keep).map(|index| rows[index].clone()).collect();
            let y: Vec<_> = (0..rows.len()).filter(keep).map(|index| dice[index]).collect();
            let row = within(&rows[left], &ends(&some));
            Ridge::fit(&some, &y).predict(&row).clamp(0.0, 1.0)
        };
        let predicted: Vec<f64> = (0..rows.len()).map(without).collect();
        let residuals: Vec<f64> = predicted.iter().zip(dice).map(|(p, d)| d - p).collect();
        let pairs: Vec<[f64; 2]> = predicted.iter().zip(dice).map(|(&p, &d)| [p, d]).collect();
        let Ridge { scale, weights, intercept } = Ridge::fit(rows, dice);
        Self {
            cases: rows.len(),
            columns: names.collect(),
            range: ends(rows),
            scale,
            weights,
            intercept,
            half_width: half_width(&residuals, LEVEL),
            error: residuals.iter().map(|residual| residual.abs()).sum::<f64>() / rows.len() as f64,
            correlation: correlation(&pairs),
            missed: 0,
            pixels: None,
        }
    }

    fn estimate(&self, row: &[f64]) -> Estimate {
        let ridge = Ridge {
            scale: self.scale.clone(),
            weights: self.weights.clone(),
            intercept: self.intercept,
        };
        let inside = within(row, &self.range);
        let dice = ridge.predict(&inside).clamp(0.0, 1.0);
        let far =
            |(x, [centre, spread]): (&f64, &[f64; 2])| (x - centre).abs() > FAR * spread.max(1e-6);
        Estimate {
            dice,
            low: (dice - self.half_width).max(0.0),
            high: (dice + self.half_width).min(1.0),
            unseen: row.iter().zip(&self.scale).any(far),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Agreement, Confidence};

    /// A mask whose agreement is its Dice but for a little; everything else says nothing.
    fn graded(index: usize) -> Graded {
        let noise = |seed: f64| ((index as f64 + 1.0) * seed).sin();
        let dice = 0.75 + 0.2 * noise(1.7);
        let look = Look {
            volume_ml: 100.0 + 20.0 * noise(3.1),
            parts: 1 + index % 3,
            largest_part: 0.98 + 0.01 * noise(5.3),
            smoothness: 0.9 + 0.02 * noise(7.7),
            compactness: 0.2 + 0.01 * noise(11.9),
            at_border: 0.0,
            agreement: Some(Agreement { mean: dice + 0.01 * noise(13.1), least: dice - 0.05 }),
            reverse: None,
            confidence: None,
        };
        Graded { class: 1, look, dice: Some(dice), by_mask: None, by_label: None }
    }

    #[test]
    fn agreement_that_tells_dice_is_learned() {
        let cases: Vec<Graded> = (0..40).map(graded).collect();
        let reference = Reference::learn(&cases, 2).unwrap();
        let own = &reference.classes[&1];
        assert!(own.correlation.unwrap() > 0.95 && own.error < 0.02, "{own:?}");
        let held = (40..80).map(graded).filter(|case| {
            let estimate = reference.estimate(1, &case.look).unwrap();
            (estimate.low..=estimate.high).contains(&case.dice.unwrap())
        });
        assert!(held.count() >= 34);
        assert_eq!(reference.estimate(2, &cases[0].look), None);
    }

    #[test]
    fn what_was_not_seen_is_said() {
        let cases: Vec<Graded> = (0..40).map(graded).collect();
        let reference = Reference::learn(&cases, 2).unwrap();
        let mut look = cases[0].look;
        assert!(!reference.estimate(1, &look).unwrap().unseen);
        look.volume_ml *= 100.0;
        assert!(reference.estimate(1, &look).unwrap().unseen);
        look.agreement = None;
        assert_eq!(reference.estimate(1, &look), None);
        let empty = Look { parts: 0, volume_ml: 0.0, ..look };
        assert_eq!(reference.estimate(1, &empty).unwrap().dice, 0.0);
    }

    #[test]
    fn reverse_classification_is_tried_on_the_labels_of_other_cases() {
        // Bright squares on dark ground; masks of every other case are their left halves.
        let image = |case: usize| -> Vec<f32> {
            (0..400).map(|at| if (5..15).contains(&(at % 20)) { 1.0 } else { 0.0 } + (at * (7 + case) % 13) as f32 / 50.0).collect()
        };
        let pixels = |case: usize, end: usize| {
            Pixels::of(&image(case), [20; 2], |at| (5..end).contains(&(at % 20)))
        };
        let is_half = |case: usize| case % 2 == 1;
        let mut cases: Vec<Graded> = (0..20)
            .map(|case| Graded {
                dice: Some(if is_half(case) { 2.0 / 3.0 } else { 1.0 }),
                by_mask: Some(pixels(case, if is_half(case) { 10 } else { 15 })),
                by_label: Some(pixels(case, 15)),
                ..graded(case)
            })
            .collect();
        let reference = Reference::learn(&cases, 2).unwrap();
        assert!(reference.needs_images());
        let own = &reference.classes[&1];
        assert_eq!(own.columns.last().unwrap(), "reverse Dice");
        assert!(own.correlation.unwrap() > 0.8, "{own:?}");
        let reverse =
            |case: usize| reference.reverse(1, cases[case].by_mask.as_ref().unwrap()).unwrap();
        assert!(reverse(0) > 0.9 && reverse(1) < 0.8, "{} {}", reverse(0), reverse(1));
        // What was learned with images speaks of masks with images.
        assert_eq!(reference.estimate(1, &cases[0].look), None);
        cases.iter_mut().for_each(|case| case.by_label = None);
        assert!(!Reference::learn(&cases, 2).unwrap().needs_images());
    }

    #[test]
    fn confidence_is_learned_and_asked_for() {
        let sure = |index: usize| {
            let mut case = graded(index);
            let mean = 0.5 + case.dice.unwrap() / 2.0;
            case.look.agreement = None;
            case.look.confidence = Some(Confidence { mean, soft_volume: 1.0 });
            case
        };
        let cases: Vec<Graded> = (0..40).map(sure).collect();
        let reference = Reference::learn(&cases, 0).unwrap();
        assert!(reference.needs_probabilities() && !reference.needs_images());
        assert!(reference.classes[&1].correlation.unwrap() > 0.95);
        // What was learned with probabilities speaks of masks with probabilities.
        let without = Look { confidence: None, ..cases[0].look };
        assert_eq!(reference.estimate(1, &without), None);
    }

    #[test]
    fn few_cases_teach_nothing() {
        let cases: Vec<Graded> = (0..LEAST_CASES - 1).map(graded).collect();
        assert!(matches!(Reference::learn(&cases, 2), Err(Error::TooFew { found: 7 })));
    }
}
