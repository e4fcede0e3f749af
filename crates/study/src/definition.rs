//! An experiment as its file says it: what is compared on what, with which settings, and what the literature found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use udas_record::{Class, MethodDescription, MethodKind, MetricDescription};

use crate::error::{Error, Result};
use crate::options::CommandOptions;

/// One experiment file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The file's name without its ending; not written in the file.
    #[serde(skip)]
    pub name: String,
    /// Heading of the report.
    pub title: String,
    /// The question, with its question mark.
    pub question: String,
    /// The real data set's name; empty: the name of its folder.
    #[serde(default)]
    pub data_set: String,
    /// What the phantom makes in its place; none: the experiment has no phantom.
    pub task: Option<Task>,
    /// Foreground classes; those that are scored and not named here are named by their labels.
    #[serde(default)]
    pub classes: Vec<Class>,
    /// Scores to show; the first answers the question.
    pub metrics: Vec<MetricDescription>,
    /// The domain with labels.
    pub source: String,
    /// The domains to adapt to.
    pub targets: Vec<String>,
    /// The method the question is about.
    pub focus: String,
    /// Names of methods that are built in, in the order of the tables.
    #[serde(default)]
    pub(crate) common: Vec<String>,
    /// Everything that can be compared: those, and after them the experiment's own.
    #[serde(default)]
    pub methods: Vec<Method>,
    /// Sizes of the experiment by name, `quick` and `paper` among them.
    pub presets: BTreeMap<String, Preset>,
    /// Figures that the literature gives for the real data.
    #[serde(default)]
    pub published: Vec<PublishedRow>,
}

/// What the phantom makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Heads in CC-359's layout.
    Head,
    /// Hearts in M&Ms' layout.
    Heart,
}

impl Task {
    /// As `udas phantom --task` wants it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Heart => "heart",
        }
    }
}

/// One method with its options.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Name in files and folders.
    pub name: String,
    /// For readers.
    pub title: String,
    /// What it may use.
    pub kind: MethodKind,
    /// The idea in a sentence.
    pub idea: String,
    /// The stage whose output its early head reads; none: it has no early head.
    pub head: Option<usize>,
    /// Options of `udas train`, in place of the preset's: it is a source model of its own, which is not adapted; empty:
    /// it starts from the experiment's source model.
    #[serde(default)]
    pub train: CommandOptions,
    /// Options of `udas adapt`, in place of those of the preset; empty: the source model as it is.
    #[serde(default)]
    pub options: CommandOptions,
    /// Whether it goes on training on the source's labelled images.
    #[serde(default)]
    pub source_data: bool,
    /// Whether it learns from the source models of the other seeds or, without options, predicts together with them.
    #[serde(default)]
    pub teachers: bool,
}

impl Method {
    /// As results describe it.
    pub fn description(&self) -> MethodDescription {
        let Self { name, title, kind, idea, .. } = self.clone();
        MethodDescription { name, title, kind, idea }
    }
}

/// How large an experiment is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Names of the methods to run; empty: all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// A source model each. With folds, seed `n` leaves out fold `n mod folds` of the source domain.
    pub seeds: Vec<u64>,
    /// Parts of the source domain, of which one is left out in training; none: all of it is used.
    pub folds: Option<u64>,
    /// Size of the phantom, where there are no real data; none: the preset needs real data.
    pub phantom: Option<Phantom>,
    /// Options of the program, by command.
    #[serde(default)]
    pub options: Options,
    /// What a job takes.
    pub cost: Cost,
}

/// Size of the phantom.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phantom {
    /// Subjects of each domain.
    pub subjects: usize,
    /// In-plane size.
    pub matrix: usize,
}

/// Options of the program, by command.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// For `udas train`.
    pub train: CommandOptions,
    /// For `udas head`.
    pub head: CommandOptions,
    /// For `udas calibrate`; empty: verdicts are not studied.
    pub calibrate: CommandOptions,
    /// For `udas adapt`, whatever the method; an option that the method has is not taken from here.
    pub adapt: CommandOptions,
    /// For `udas adapt` of methods that use labels, in place of options above.
    pub oracle: CommandOptions,
    /// Which subjects of a target are scored and judged.
    pub score: CommandOptions,
}

/// What a job takes: for the plan's estimate and for executors.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Threads of a job.
    pub threads: usize,
    /// Memory of a job.
    pub memory_mb: u64,
    /// Seconds of a source training on one subject, all epochs.
    pub train: f64,
    /// Seconds of a head training on one subject, all epochs.
    pub head: f64,
    /// Seconds of an adaptation to one subject.
    pub adapt: f64,
    /// Seconds of prediction and evaluation of one subject.
    pub score: f64,
    /// Seconds of making one phantom subject.
    #[serde(default)]
    pub phantom: f64,
    /// Seconds of a calibration.
    #[serde(default)]
    pub calibrate: f64,
}

/// Published figures of one target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRow {
    /// The target.
    pub target: String,
    /// Figures by method name.
    pub values: BTreeMap<String, f64>,
    /// Metric they are given in.
    pub metric: String,
    /// Where they stand.
    pub reference: String,
}

impl Definition {
    /// The source and the targets.
    pub fn domains(&self) -> Vec<&str> {
        std::iter::once(&self.source).chain(&self.targets).map(String::as_str).collect()
    }

    /// The preset of this name.
    ///
    /// # Errors
    /// [`Error::Request`], with the presets that there are.
    pub fn preset(&self, name: &str) -> Result<&Preset> {
        let unknown = || {
            let known = self.preset_names();
            Error::Request(format!("{} has no preset `{name}`; it has {known}", self.name))
        };
        self.presets.get(name).ok_or_else(unknown)
    }

    /// The presets' names, for messages.
    pub fn preset_names(&self) -> String {
        self.presets.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The methods that a preset compares, in the order of the tables.
    pub fn methods_of(&self, preset: &Preset) -> Vec<&Method> {
        let wanted =
            |method: &&Method| preset.methods.is_empty() || preset.methods.contains(&method.name);
        self.methods.iter().filter(wanted).collect()
    }

    /// Makes a preset compare these methods alone, beside the source model as it is. If the method in question is not
    /// among them, the first adaptation that is named takes its place, else the first method.
    ///
    /// # Errors
    /// [`Error::Request`] for a method or a preset that there is not.
    pub fn restrict(&mut self, preset: &str, names: &[String]) -> Result<()> {
        let Some(first) = names.first() else { return Ok(()) };
        let known = |name: &String| self.methods.iter().any(|method| method.name == *name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            let all: Vec<&str> = self.methods.iter().map(|method| method.name.as_str()).collect();
            let text =
                format!("{} has no method `{unknown}`; it has {}", self.name, all.join(", "));
            return Err(Error::Request(text));
        }
        self.preset(preset)?;
        let baselines = self.methods.iter().filter(|method| method.kind == MethodKind::Baseline);
        let wanted = baselines.map(|method| method.name.clone()).chain(names.iter().cloned());
        let wanted: Vec<String> = wanted.collect();
        if !wanted.contains(&self.focus) {
            let of = |name: &String| self.methods.iter().find(|method| method.name == *name);
            let adapts =
                |name: &&String| of(name).is_some_and(|m| m.kind == MethodKind::Adaptation);
            let focus = names.iter().find(adapts).unwrap_or(first).clone();
            let title = of(&focus).map(|method| format!("Does this help: {}?", method.title));
            self.question = title.unwrap_or_default();
            self.focus = focus;
        }
        self.presets.entry(preset.into()).and_modify(|preset| preset.methods = wanted);
        self.check_teachers(preset, self.preset(preset)?).map_err(Error::Request)
    }

    /// Goes from another source, or to other targets, than the file says. With a source alone, the targets are all of
    /// the experiment's other domains.
    ///
    /// # Errors
    /// [`Error::Request`] where they are not fit.
    pub fn go_between(&mut self, source: Option<&str>, targets: &[String]) -> Result<()> {
        let before = self.domains().into_iter().map(String::from).collect::<Vec<_>>();
        if let Some(source) = source.filter(|source| *source != self.source) {
            // What the literature gives is for the file's own source.
            self.published.clear();
            self.source = source.into();
            self.targets = before.into_iter().filter(|domain| domain != source).collect();
        }
        if !targets.is_empty() {
            self.targets = targets.to_vec();
        }
        self.check_domains().map_err(Error::Request)
    }
}

#[cfg(test)]
#[path = "definition_test.rs"]
mod tests;
