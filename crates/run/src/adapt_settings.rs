//! The settings of an adaptation: what is asked for, with gaps, and what a run folder keeps, without any.
#[cfg(feature = "clap")]
use crate::flags::{method, word};
use crate::judging::JudgingSettings;
use crate::method_settings::MethodSettings;
use crate::readiness::Unready;
use crate::selection::Images;
use crate::settings::Settings;
use crate::training::OrderName;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use udas_data::Plane;

/// Memory for decoded volumes where nothing is said of it, in GiB.
pub const DEFAULT_CACHE_GIB: f64 = 4.0;

/// What an adaptation is to be. Gaps are filled by [`Job::prepare`](crate::Job::prepare).
///
/// A run keeps its settings as TOML under these names, with hyphens; the program has a flag for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct AdaptSettings {
    /// The source network: a run folder, .safetensors, .pth, or a model folder of nnU-Net (docs/nnunet.md)
    #[cfg_attr(feature = "clap", arg(short, long))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// The early head [default: looked for beside the model]
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<PathBuf>,
    /// The volumes to adapt to
    #[cfg_attr(feature = "clap", command(flatten))]
    #[serde(flatten)]
    pub target: Images,
    /// Method, as `udas methods` lists them [default: the one that --preset is of; ensemble-distillation with
    /// --teachers; else adabn; for networks without batch norm match-source or, without the source's histogram,
    /// augmented-consistency]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME", value_parser = method(), hide_possible_values = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Folder of the run
    #[cfg_attr(feature = "clap", arg(short, long, value_name = "RUN"))]
    pub out: PathBuf,
    /// Options of the method
    #[cfg_attr(feature = "clap", command(flatten))]
    #[serde(flatten)]
    pub options: MethodSettings,
    /// Labelled source data, for methods that need it: a data set
    #[cfg_attr(feature = "clap", arg(long, value_name = "DIR", requires = "source_domain"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_data: Option<PathBuf>,
    /// Its domains
    #[cfg_attr(feature = "clap", arg(long, num_args = 1.., value_name = "NAME"))]
    #[serde(default)]
    pub source_domain: Vec<String>,
    /// Which of its subjects, as by --subjects [default: all]
    #[cfg_attr(feature = "clap", arg(long, value_name = "LIST"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_subjects: Option<String>,
    /// Other trainings of the source model (other seeds), for methods that learn from them
    #[cfg_attr(feature = "clap", arg(long, num_args = 1.., value_name = "MODEL"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<PathBuf>,
    /// What to do where the source model or its early head is not ready to teach: refuse or warn
    #[cfg_attr(feature = "clap", arg(long, default_value = "refuse", value_parser = word::<Unready>()))]
    #[serde(default)]
    pub unready: Unready,
    /// How the result is judged
    #[cfg_attr(feature = "clap", command(flatten))]
    #[serde(flatten)]
    pub judging: JudgingSettings,
    /// Order of slices: shuffled or sequential
    #[cfg_attr(feature = "clap", arg(long, default_value = "shuffled", value_parser = word::<OrderName>()))]
    pub order: OrderName,
    /// Plane of slices, for models that do not say: sagittal, coronal, axial or stored
    #[cfg_attr(feature = "clap", arg(long, value_parser = word::<Plane>()))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plane: Option<Plane>,
    /// Intensities in place of the model's: match-source (the source's histogram), min-max, percentile,
    /// percentile:LOW,HIGH or z-score; nyul is learned at training (`udas train --intensity nyul`)
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intensity: Option<String>,
    /// Memory for decoded volumes in GiB
    #[cfg_attr(feature = "clap", arg(long, default_value_t = DEFAULT_CACHE_GIB))]
    pub cache_gib: f64,
    /// nnU-Net: steps an epoch, each on a batch of patches [default: 25]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Seed of everything random
    #[cfg_attr(feature = "clap", arg(long, default_value_t = 0))]
    pub seed: u64,
}

impl AdaptSettings {
    /// A model, the volumes to adapt it to, and the folder of the run; the method and its options are left open.
    pub fn new(model: impl Into<PathBuf>, target: Images, out: impl Into<PathBuf>) -> Self {
        Self {
            model: Some(model.into()),
            head: None,
            target,
            method: None,
            out: out.into(),
            options: MethodSettings::default(),
            source_data: None,
            source_domain: Vec::new(),
            source_subjects: None,
            teachers: Vec::new(),
            unready: Unready::default(),
            judging: JudgingSettings::default(),
            order: OrderName::default(),
            plane: None,
            intensity: None,
            cache_gib: DEFAULT_CACHE_GIB,
            steps: None,
            seed: 0,
        }
    }
}

impl Settings for AdaptSettings {
    fn each_path(&mut self, visit: &mut dyn FnMut(&'static str, &mut PathBuf)) {
        let Self { model, head, teachers, target, source_data, judging, .. } = self;
        let mut each = |name, paths: &mut dyn Iterator<Item = &mut PathBuf>| {
            paths.for_each(|path| visit(name, path));
        };
        each("model", &mut model.iter_mut());
        each("head", &mut head.iter_mut());
        each("teachers", &mut teachers.iter_mut());
        each("data", &mut target.set.data.iter_mut());
        each("images", &mut target.images.iter_mut());
        each("source-data", &mut source_data.iter_mut());
        each("calibration", &mut judging.calibration.iter_mut());
        each("peers", &mut judging.peers.iter_mut());
    }

    fn take_places(&mut self, begun: &Self) {
        let Self { model, head, teachers, target, source_data, out, cache_gib, .. } = begun.clone();
        self.target.images = target.images;
        self.target.set.data = target.set.data;
        *self = Self { model, head, teachers, source_data, out, cache_gib, ..self.clone() };
    }

    fn take_ends(&mut self, begun: &Self) {
        let Self { options, judging, .. } = begun.clone();
        self.options.epochs = options.epochs;
        self.options.stop_change = options.stop_change;
        self.judging = judging;
    }

    fn epochs(&self) -> Option<usize> {
        self.options.epochs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    /// Settings in which everything is said.
    fn full() -> AdaptSettings {
        let mut all = AdaptSettings::new("model", Images::default(), "out");
        (all.head, all.source_data) = (Some("head".into()), Some("source".into()));
        all.teachers = vec!["teacher".into()];
        all.target.images = vec!["image".into()];
        all.target.set.data = Some("data".into());
        (all.options.epochs, all.options.stop_change) = (Some(3), Some(0.1));
        all.judging.calibration = Some("calibration".into());
        all.judging.peers = vec!["peer".into()];
        all
    }

    fn changed(change: impl FnOnce(&mut AdaptSettings)) -> Vec<String> {
        let (old, mut new) = (Table::try_from(full()).unwrap(), full());
        change(&mut new);
        let new = Table::try_from(new).unwrap();
        old.keys().filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
    }

    #[test]
    fn a_path_is_named_as_in_a_file() {
        let mut seen = Vec::new();
        let moved = changed(|settings| {
            settings.each_path(&mut |name, path| {
                seen.push(name);
                path.push("moved");
            });
        });
        seen.sort_unstable();
        assert_eq!(moved, seen);
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn places_and_ends_are_taken_and_nothing_else() {
        let mut other = full();
        other.each_path(&mut |_, path| path.push("moved"));
        (other.out, other.cache_gib, other.seed) = ("elsewhere".into(), 1.0, 5);
        (other.options.epochs, other.options.lr) = (Some(9), Some(0.5));
        let places =
            ["cache-gib", "data", "head", "images", "model", "out", "source-data", "teachers"];
        assert_eq!(changed(|settings| settings.take_places(&other)), places);
        assert_eq!(
            changed(|settings| settings.take_ends(&other)),
            ["calibration", "epochs", "peers"]
        );
    }
}
