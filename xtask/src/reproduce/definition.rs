//! Experiment files: what is compared on what, with which settings, and what the literature found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use udas_record::{Class, MethodDescription, MethodKind, MetricDescription};

/// One `xtask/experiments/NAME.toml`.
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
    /// The real data set's name.
    pub data_set: String,
    /// What the phantom makes in its place.
    pub task: Task,
    /// Foreground classes.
    pub classes: Vec<Class>,
    /// Scores to show; the first answers the question.
    pub metrics: Vec<MetricDescription>,
    /// The domain with labels.
    pub source: String,
    /// The domains to adapt to.
    pub targets: Vec<String>,
    /// The method the question is about.
    pub focus: String,
    /// Names of methods of `xtask/methods.toml`, in the order of the tables.
    #[serde(default)]
    common: Vec<String>,
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
    pub train: Vec<String>,
    /// Options of `udas adapt`, before those of the preset; empty: the source model as it is.
    #[serde(default)]
    pub options: Vec<String>,
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
    pub train: Vec<String>,
    /// For `udas head`.
    pub head: Vec<String>,
    /// For `udas calibrate`; empty: verdicts are not studied.
    pub calibrate: Vec<String>,
    /// For `udas adapt`, whatever the method; an option that the method has is not taken from here.
    pub adapt: Vec<String>,
    /// For `udas adapt` of methods that use labels, in place of options above.
    pub oracle: Vec<String>,
    /// Which subjects of a target are scored and judged.
    pub score: Vec<String>,
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

/// The folder of experiment files.
pub fn folder() -> PathBuf {
    crate::workspace::root().join("xtask/experiments")
}

/// Names of the experiment files in `folder`, sorted.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(stem) = path.file_stem()
        {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Reads and checks one experiment file.
pub fn load(folder: &Path, name: &str) -> Result<Definition> {
    let path = folder.join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).with_context(|| {
        let known = names(folder).unwrap_or_default().join(", ");
        format!("no experiment `{name}` ({}); there are {known}", path.display())
    })?;
    let mut definition: Definition =
        toml::from_str(&text).with_context(|| format!("{} is wrong", path.display()))?;
    definition.name = name.to_string();
    definition.add_common().with_context(|| format!("{} is wrong", path.display()))?;
    ensure!(
        text.starts_with("# Gives: "),
        "{} is wrong: its first line says what the experiment gives, after `# Gives: `",
        path.display()
    );
    definition.check().with_context(|| format!("{} is wrong", path.display()))?;
    Ok(definition)
}

/// The methods that every experiment can name.
fn common_methods() -> Result<Vec<Method>> {
    #[derive(Deserialize)]
    struct Common {
        methods: Vec<Method>,
    }
    let common: Common = toml::from_str(include_str!("../../methods.toml"))
        .context("xtask/methods.toml is wrong")?;
    Ok(common.methods)
}

impl Definition {
    /// Puts the common methods that it names before its own.
    fn add_common(&mut self) -> Result<()> {
        let known = common_methods()?;
        let find = |name: &String| {
            let found = known.iter().find(|method| method.name == *name).cloned();
            found.with_context(|| format!("common: xtask/methods.toml has no method `{name}`"))
        };
        let mut methods = self.common.iter().map(find).collect::<Result<Vec<_>>>()?;
        methods.append(&mut self.methods);
        self.methods = methods;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let method = |name: &String| self.methods.iter().any(|method| method.name == *name);
        ensure!(method(&self.focus), "focus `{}` is no method", self.focus);
        ensure!(!self.metrics.is_empty(), "it has no metric");
        ensure!(!self.targets.contains(&self.source), "source {} is a target too", self.source);
        for (place, method) in self.methods.iter().enumerate() {
            let Method { name, train, options, head, .. } = method;
            let earlier = &self.methods[..place];
            ensure!(
                earlier.iter().all(|other| other.name != *name),
                "method `{name}` stands twice"
            );
            ensure!(
                train.is_empty() || options.is_empty() && head.is_none(),
                "method `{name}` has a source model of its own (train), which is not adapted: it has no options \
                 and no head"
            );
        }
        for (name, preset) in &self.presets {
            ensure!(!preset.seeds.is_empty(), "preset {name} has no seeds");
            ensure!(preset.folds != Some(0) && preset.folds != Some(1), "preset {name}: folds < 2");
            ensure!(preset.cost.threads > 0, "preset {name}: a job has at least one thread");
            if let Some(unknown) = preset.methods.iter().find(|name| !method(name)) {
                bail!("preset {name}: `{unknown}` is no method");
            }
            self.check_teachers(name, preset)?;
        }
        for name in [&self.name, &self.source]
            .into_iter()
            .chain(&self.targets)
            .chain(self.methods.iter().map(|method| &method.name))
        {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let safe = name.chars().all(plain) && !name.starts_with('.') && !name.is_empty();
            ensure!(safe, "`{name}` is not fit for a folder's name");
        }
        Ok(())
    }

    fn check_teachers(&self, name: &str, preset: &Preset) -> Result<()> {
        let learns = self.methods_of(preset).into_iter().find(|method| method.teachers);
        if let Some(method) = learns.filter(|_| preset.seeds.len() < 2) {
            bail!(
                "preset {name} has one seed, and `{}` learns from the models of others",
                method.name
            );
        }
        Ok(())
    }

    /// The source and the targets.
    pub fn domains(&self) -> Vec<&str> {
        std::iter::once(&self.source).chain(&self.targets).map(String::as_str).collect()
    }

    /// The preset of this name.
    pub fn preset(&self, name: &str) -> Result<&Preset> {
        self.presets.get(name).with_context(|| {
            format!("{} has no preset `{name}`; it has {}", self.name, self.preset_names())
        })
    }

    /// The presets' names, for messages.
    pub fn preset_names(&self) -> String {
        self.presets.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Makes a preset compare these methods alone, beside the source model as it is. If the method in question is not
    /// among them, the first is.
    pub fn restrict(&mut self, preset: &str, names: &[String]) -> Result<()> {
        let known = || self.methods.iter().map(|method| method.name.as_str());
        for name in names {
            let all = || known().collect::<Vec<_>>().join(", ");
            ensure!(
                known().any(|known| known == name),
                "{} has no method `{name}`; it has {}",
                self.name,
                all()
            );
        }
        self.preset(preset)?;
        let baselines = self.methods.iter().filter(|method| method.kind == MethodKind::Baseline);
        let wanted = baselines.map(|method| method.name.clone()).chain(names.iter().cloned());
        let wanted: Vec<String> = wanted.collect();
        if !wanted.contains(&self.focus) {
            self.focus.clone_from(&names[0]);
            let focus = self.methods.iter().find(|method| method.name == self.focus);
            self.question =
                focus.map(|focus| format!("Does this help: {}?", focus.title)).unwrap_or_default();
        }
        self.presets.entry(preset.into()).and_modify(|preset| preset.methods = wanted);
        self.check_teachers(preset, self.preset(preset)?)
    }

    /// The methods that a preset compares, in the order of the tables.
    pub fn methods_of(&self, preset: &Preset) -> Vec<&Method> {
        let wanted =
            |method: &&Method| preset.methods.is_empty() || preset.methods.contains(&method.name);
        self.methods.iter().filter(wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_experiments_in_the_repository_are_sound() {
        let found = names(&folder()).unwrap();
        assert_eq!(found, ["brain_t1", "brain_t1_back", "brain_t1_plain", "cc359", "mnms"]);
        for name in found {
            let definition = load(&folder(), &name).unwrap();
            let without_data =
                ["quick", "paper"].map(|preset| definition.presets.contains_key(preset));
            assert_eq!(without_data, [!name.starts_with("brain"); 2]);
            for preset in definition.presets.values() {
                let methods = definition.methods_of(preset);
                assert!(methods.iter().any(|method| method.kind == MethodKind::Baseline));
                assert!(methods.iter().any(|method| method.name == definition.focus));
            }
            let known =
                |name: &String| definition.methods.iter().any(|method| method.name == *name);
            for row in &definition.published {
                assert!(definition.targets.contains(&row.target), "{}", row.target);
                assert!(row.values.keys().all(known), "{:?}", row.values);
            }
        }
    }

    #[test]
    fn methods_are_chosen_by_name() {
        let mut definition = load(&folder(), "cc359").unwrap();
        let names = ["tent", "fine-tune-all"].map(String::from);
        definition.restrict("quick", &names).unwrap();
        let chosen = definition.methods_of(definition.preset("quick").unwrap());
        let chosen: Vec<&str> = chosen.iter().map(|method| method.name.as_str()).collect();
        assert_eq!(chosen, ["source-only", "tent", "fine-tune-all"]);
        assert_eq!(definition.focus, "tent");
        let error = definition.restrict("quick", &["tnet".into()]).unwrap_err().to_string();
        assert!(error.contains("no method `tnet`") && error.contains("tent"), "{error}");
        let lone = definition.restrict("quick", &["ensemble-distillation".into()]);
        assert!(lone.unwrap_err().to_string().contains("one seed"));
        assert!(definition.restrict("qiuck", &names).unwrap_err().to_string().contains("quick"));
    }

    #[test]
    fn mistakes_are_named() {
        let good = fs::read_to_string(folder().join("cc359.toml")).unwrap();
        let check = |from: &str, to: &str, reason: &str| {
            let folder = tempfile::tempdir().unwrap();
            assert!(good.contains(from), "{from}");
            fs::write(folder.path().join("x.toml"), good.replacen(from, to, 1)).unwrap();
            let error = format!("{:#}", load(folder.path(), "x").unwrap_err());
            assert!(error.contains(reason) && error.contains("x.toml"), "{error}");
        };
        check("# Gives: ", "# ", "first line");
        check("focus = \"", "focus = \"un", "is no method");
        check("source = \"GE_3\"", "source = \"../GE_3\"", "not fit for a folder");
        check("source = \"GE_3\"", "source = \"GE_15\"", "is a target too");
        check("seeds = ", "sedes = ", "sedes");
        check("common = [", "common = [\"tnet\", ", "no method `tnet`");
        check("common = [", "common = [\"published\", ", "no method `published`");
        check("name = \"published\"", "name = \"tent\"", "stands twice");
        check("head = 0\n", "head = 0\ntrain = [\"--augment\", \"none\"]\n", "is not adapted");
    }
}
