//! An experiment: a question, the data, the methods, and what every adaptation came to. The file
//! `results.json`, written where outcomes are gathered and read by the report.
use crate::{Convergence, Histogram, Input, Machine, Outcome, ResultsError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Everything one page is made of.
///
/// Outcomes stand for themselves and repeat no subject of another one's, so that they can be written by
/// separate jobs and gathered in any order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Heading of the page.
    pub title: String,
    /// The question in one sentence, with its question mark.
    pub question: String,
    /// The method that the question is about; none: the first adaptation in `methods`.
    #[serde(default)]
    pub focus: Option<String>,
    /// What it was measured on.
    pub data: DataSet,
    /// Columns to show; the first one answers the question.
    pub metrics: Vec<MetricDescription>,
    /// In the order in which tables show them. The first [`MethodKind::Baseline`] is "no adaptation".
    pub methods: Vec<MethodDescription>,
    /// The source models and early heads that methods start from; empty where nothing is known of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingredients: Vec<Ingredient>,
    /// One entry a source, target, method and seed.
    pub outcomes: Vec<Outcome>,
    /// Intensities of each domain.
    #[serde(default)]
    pub histograms: Vec<Histogram>,
    /// Figures from the literature to stand beside the measured ones.
    #[serde(default)]
    pub published: Vec<Published>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A source model or an early head, as its own training measured it at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ingredient {
    /// The stage whose output an early head reads; none: it is a source model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<usize>,
    /// The domain that it was trained on.
    pub domain: String,
    /// Its seed.
    pub seed: u64,
    /// Where its training stood.
    pub measured: Convergence,
}

impl Ingredient {
    /// What it is, such as `early head, level 0`.
    pub fn name(&self) -> String {
        self.level.map_or("source model".to_owned(), |level| format!("early head, level {level}"))
    }

    /// Why what a method makes of it says little of the method; none where it is sound.
    pub fn fault(&self) -> Option<&'static str> {
        let Convergence { dice, .. } = self.measured;
        match self.level {
            Some(_) if dice < Convergence::HEAD_DICE => Some("does not know the task"),
            None if dice < Convergence::MODEL_DICE => Some("does not know the task"),
            None if !self.measured.is_sure() => Some("has not converged"),
            _ => None,
        }
    }
}

/// What an experiment was measured on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSet {
    /// Such as `CC-359`.
    pub name: String,
    /// Whether patients or equations made it.
    pub origin: Origin,
    /// What it is, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// Foreground classes.
    pub classes: Vec<Class>,
}

/// Whether patients or equations made the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Scans of people.
    Real,
    /// Simulated images.
    Synthetic,
    /// Nobody said.
    #[default]
    Unknown,
}

/// A foreground class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its label as text, as in [`crate::SubjectRecord::classes`].
    pub label: String,
    /// Such as `left ventricle`.
    pub name: String,
}

/// A column of scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricDescription {
    /// Its key, such as `surface_dice_1mm`.
    pub name: String,
    /// For readers, such as `surface Dice at 1 mm`.
    pub title: String,
    /// Which way is good.
    pub better: Better,
    /// Changes up to this size count as no change.
    pub smallest_change: f64,
    /// Such as `mm`; empty for ratios.
    #[serde(default)]
    pub unit: String,
}

/// Which way a score improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Larger is better, as with Dice.
    Higher,
    /// Smaller is better, as with distances.
    Lower,
}

/// A method as the tables name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodDescription {
    /// Its name in the registry, with its options where several are compared.
    pub name: String,
    /// For readers.
    pub title: String,
    /// What it may use.
    pub kind: MethodKind,
    /// The idea in a sentence.
    #[serde(default)]
    pub idea: String,
}

/// What a method may use, which decides what it can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// The source model as it is.
    Baseline,
    /// Another treatment of intensities or another source training; sees no target while training.
    SourceSide,
    /// Adaptation to unlabelled target images.
    Adaptation,
    /// Uses labels of the target: a bound, no competitor.
    Oracle,
}

/// A figure from the literature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Source domain.
    pub source: String,
    /// Target domain.
    pub target: String,
    /// Method name as in [`Experiment::methods`].
    pub method: String,
    /// Metric name as in [`Experiment::metrics`].
    pub metric: String,
    /// The figure.
    pub value: f64,
    /// Where it stands.
    pub reference: String,
}

/// Where an experiment comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// Commit of the program, where known.
    #[serde(default)]
    pub commit: Option<String>,
    /// Seconds since 1970, UTC, when the last outcome was done.
    #[serde(default)]
    pub finished_unix: Option<u64>,
    /// Where it ran.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// Models and other files, with their hashes.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// Commands that make it again, in order.
    #[serde(default)]
    pub commands: Vec<String>,
    /// The configuration as it was given, such as the text of a run's `config.toml`.
    #[serde(default)]
    pub configuration: Option<String>,
    /// Other settings worth knowing, name and value.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
}

impl Experiment {
    /// Target domains per source, in order of first appearance.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        let mut seen = BTreeSet::new();
        let pairs = self.outcomes.iter().map(|o| (o.source.as_str(), o.target.as_str()));
        pairs.filter(|pair| seen.insert(*pair)).collect()
    }

    /// Adds a description for every method, class and known metric that outcomes name and the lists lack,
    /// so that rows gathered from run folders can be shown without further ado.
    pub fn describe_missing(&mut self) {
        let told = !self.metrics.is_empty();
        for outcome in &self.outcomes {
            if !self.methods.iter().any(|m| m.name == outcome.method) {
                self.methods.push(MethodDescription::guess(&outcome.method));
            }
            for column in &outcome.scores {
                if !self.metrics.iter().any(|m| m.name == column.metric) {
                    self.metrics.extend(MetricDescription::guess(&column.metric));
                }
                if !self.data.classes.iter().any(|c| c.label == column.class) {
                    let name = format!("class {}", column.class);
                    self.data.classes.push(Class { label: column.class.clone(), name });
                }
            }
        }
        if !told {
            self.metrics.sort_by_key(|metric| !metric.name.ends_with("dice"));
        }
        self.data.classes.sort_by(|a, b| a.label.cmp(&b.label));
    }

    /// Checks that every outcome is whole and described, and that none comes twice.
    ///
    /// # Errors
    /// [`ResultsError::Outcome`] names the outcome and what is wrong with it.
    pub fn check(&self) -> Result<(), ResultsError> {
        let mut seen = BTreeSet::new();
        for outcome in &self.outcomes {
            let refuse = |problem: String| {
                Err(ResultsError::Outcome { outcome: outcome.to_string(), problem })
            };
            if let Err(problem) = outcome.check() {
                return refuse(problem);
            }
            if !self.methods.iter().any(|m| m.name == outcome.method) {
                return refuse(format!("method {} is not described", outcome.method));
            }
            let key = (&outcome.source, &outcome.target, &outcome.method, outcome.seed);
            if !seen.insert(key) {
                return refuse(
                    "it is there twice, with one seed and settings that do not tell its runs apart; leave one out, or \
                     adapt with another --seed"
                        .into(),
                );
            }
        }
        Ok(())
    }
}

impl MethodDescription {
    fn guess(name: &str) -> Self {
        // What follows the name are settings that set it apart.
        let (base, rest) = name.split_at(name.find(", ").unwrap_or(name.len()));
        let kind =
            if base == "source-only" { MethodKind::Baseline } else { MethodKind::Adaptation };
        let title = base.replace('-', " ") + rest;
        Self { name: name.into(), title, kind, idea: String::new() }
    }
}

impl MetricDescription {
    /// What is known of a metric by its name; none where better and worse have no direction or where
    /// another metric says it better.
    fn guess(name: &str) -> Option<Self> {
        let (better, smallest_change, unit) = match name {
            _ if name == "dice" || name.starts_with("surface_dice_") => (Better::Higher, 0.01, ""),
            _ if name.starts_with("hausdorff_") || name.starts_with("average_symmetric_") => {
                (Better::Lower, 0.1, "mm")
            }
            _ => return None,
        };
        let title = match name.strip_prefix("surface_dice_").and_then(|t| t.strip_suffix("mm")) {
            Some(tolerance) => format!("surface Dice at {tolerance} mm"),
            None if name == "dice" => "Dice".into(),
            None => name.trim_end_matches("_mm").replace('_', " "),
        };
        Some(Self { name: name.into(), title, better, smallest_change, unit: unit.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScoreColumn;

    #[test]
    fn known_metrics_are_described_with_dice_first_and_others_left_alone() {
        let names = [
            "average_symmetric_surface_distance_mm",
            "dice",
            "prediction_volume_ml",
            "specificity",
        ];
        let column = |metric: &str| ScoreColumn { metric: metric.into(), ..ScoreColumn::default() };
        let scores = names.map(column).to_vec();
        let outcome = Outcome { method: "source-only".into(), scores, ..Outcome::default() };
        let mut experiment = Experiment { outcomes: vec![outcome], ..Experiment::default() };
        experiment.describe_missing();
        let described: Vec<_> =
            experiment.metrics.iter().map(|m| (m.title.as_str(), m.better)).collect();
        let expected =
            [("Dice", Better::Higher), ("average symmetric surface distance", Better::Lower)];
        assert_eq!(described, expected);
        assert_eq!(experiment.methods[0].kind, MethodKind::Baseline);
    }
}
