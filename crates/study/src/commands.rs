//! The command lines of the program `udas` that jobs consist of: the only place that knows its options.

use udas_record::MethodKind;

use crate::definition::{Method, Options, Phantom, Preset, Task};
use crate::options::CommandOptions;
use crate::plan::{Resume, Step};
use crate::subjects::Subjects;

/// A domain of a data set, with the number of its subjects.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The data set.
    pub data: &'a str,
    /// The domain.
    pub domain: &'a str,
    /// How many subjects it has.
    pub subjects: usize,
}

/// How much of a target domain an adaptation sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All its subjects, or those that the preset names, without labels.
    Domain,
    /// One subject, without its labels: the one at this place in name order, from 1.
    OneSubject(usize),
}

/// `udas adapt` ends with this code when the method does not converge or says that it should not be used.
/// Its model is written all the same, and an experiment reports what it is worth. (One that diverged has none: its job
/// fails.)
const NOT_CONVERGED: i32 = 4;

/// A command on a domain: its own words, then where, whereto, and the options.
fn step(resume: Resume, words: &[&str], on: Place, out: &str, options: &CommandOptions) -> Step {
    let place = ["--data", on.data, "--domain", on.domain, "--out", out];
    let words = words.iter().chain(&place).map(|word| word.to_string());
    let arguments = words.chain(options.words(on.subjects)).collect();
    Step { arguments, resume, tolerated: Vec::new() }
}

/// The part of the source domain that this seed leaves out, where the preset has folds.
fn with_fold(options: CommandOptions, preset: &Preset, seed: u64) -> CommandOptions {
    match preset.folds {
        Some(folds) => options.with("--fold", &[&format!("{}/{folds}", seed % folds)]),
        None => options,
    }
}

/// Names other trainings, if there are some.
fn naming(flag: &str, models: &[&str]) -> CommandOptions {
    let options = CommandOptions::default();
    if models.is_empty() { options } else { options.with(flag, models) }
}

/// Makes the phantom.
pub fn phantom(task: Task, size: &Phantom, out: &str) -> Step {
    let (subjects, matrix) = (size.subjects.to_string(), size.matrix.to_string());
    let task = task.name();
    let words =
        ["phantom", "--task", task, "--out", out, "--subjects", &subjects, "--matrix", &matrix];
    let arguments = words.map(String::from).to_vec();
    Step { arguments, resume: Resume::StartOver, tolerated: Vec::new() }
}

/// What is made of a source domain: a model, its head, its calibration.
#[derive(Debug, Clone, Copy)]
pub struct Making<'a> {
    /// The source domain.
    pub on: Place<'a>,
    /// Seed of everything random.
    pub seed: u64,
    /// Where the result is to lie.
    pub out: &'a str,
}

/// A model, and others that have a say beside it.
#[derive(Debug, Clone, Copy)]
pub struct Models<'a> {
    /// The model that is meant.
    pub model: &'a str,
    /// The others; perhaps none.
    pub beside: &'a [&'a str],
}

/// Trains a source model, with `own` options in place of the preset's.
pub fn train(preset: &Preset, own: &CommandOptions, making: Making) -> Step {
    let Making { on, seed, out } = making;
    let options = with_fold(own.over(&preset.options.train), preset, seed);
    step(Resume::Continue, &["train", "--seed", &seed.to_string()], on, out, &options)
}

/// Trains an early head for a source model, on the subjects it was trained on.
pub fn head(preset: &Preset, model: &str, level: usize, making: Making) -> Step {
    let Making { on, seed, out } = making;
    let (level, seed_text) = (level.to_string(), seed.to_string());
    let words = ["head", "--model", model, "--level", &level, "--seed", &seed_text];
    let options = with_fold(preset.options.head.clone(), preset, seed);
    step(Resume::Continue, &words, on, out, &options)
}

/// Learns, for a source model, what signals without labels say of the score; its other trainings stand beside it.
pub fn calibrate(preset: &Preset, models: Models, making: Making) -> Step {
    let Making { on, seed, out } = making;
    let words = ["calibrate", "--model", models.model, "--seed", &seed.to_string()];
    let options = naming("--peers", models.beside).over(&preset.options.calibrate);
    step(Resume::StartOver, &words, on, out, &options)
}

/// What an adaptation starts from.
#[derive(Debug, Clone, Copy)]
pub struct Adaptation<'a> {
    /// The method.
    pub method: &'a Method,
    /// The source model's run.
    pub model: &'a str,
    /// The early head's run, if the method has one.
    pub head: Option<&'a str>,
    /// The source models of the other seeds, if the method learns from them.
    pub teachers: &'a [&'a str],
    /// The domain that the model was trained on.
    pub source: Place<'a>,
    /// The target.
    pub target: Place<'a>,
    /// How much of it is seen.
    pub scope: Scope,
    /// Seed of the source model, and of this.
    pub seed: u64,
}

impl Adaptation<'_> {
    /// The method's options, those that follow from what it may use, and the preset's.
    fn options(&self, given: &Options) -> CommandOptions {
        let mut own = naming("--teachers", self.teachers).over(&self.method.options);
        if let Some(head) = self.head {
            own = own.with("--head", &[head]);
        }
        if self.method.source_data {
            let Place { data, domain, subjects } = self.source;
            own = own.with("--source-data", &[data]).with("--source-domain", &[domain]);
            // The subjects that the source model was trained on.
            if let Some(trained) = &given.train.subjects {
                own = own.with("--source-subjects", &[&trained.list(subjects)]);
            }
        }
        if self.method.kind == MethodKind::Oracle {
            own = own.over(&given.oracle);
        }
        if let Scope::OneSubject(place) = self.scope {
            own.subjects = Some(Subjects::Listed(place.to_string()));
        }
        own.over(&given.adapt)
    }
}

/// Adapts a model to a target.
pub fn adapt(preset: &Preset, from: &Adaptation, out: &str) -> Step {
    let words = ["adapt", "--model", from.model, "--seed", &from.seed.to_string()];
    let options = from.options(&preset.options);
    let step = step(Resume::Continue, &words, from.target, out, &options);
    Step { tolerated: vec![NOT_CONVERGED], ..step }
}

/// Predicts subjects of a domain, together with other models if there are some.
pub fn predict(preset: &Preset, models: Models, on: Place, out: &str) -> Step {
    let options = naming("--ensemble", models.beside).over(&preset.options.score);
    step(Resume::StartOver, &["predict", "--model", models.model], on, out, &options)
}

/// Compares predictions with the labels of a domain.
pub fn evaluate(preset: &Preset, predictions: &str, on: Place, out: &str) -> Step {
    let words = ["evaluate", "--predictions", predictions];
    step(Resume::StartOver, &words, on, out, &preset.options.score)
}

/// What a verdict is on, and what helps with it.
#[derive(Debug, Clone, Copy)]
pub struct Judgement<'a> {
    /// The source model.
    pub before: &'a str,
    /// The adapted one.
    pub after: &'a str,
    /// The source model's calibration.
    pub calibration: &'a str,
    /// Its other trainings; perhaps none.
    pub peers: &'a [&'a str],
}

/// Judges an adapted model without labels, on the subjects that are scored.
pub fn judge(preset: &Preset, judgement: Judgement, on: Place, out: &str) -> Step {
    let Judgement { before, after, calibration, peers } = judgement;
    let words = ["judge", "--before", before, "--after", after, "--calibration", calibration];
    let options = naming("--peers", peers).over(&preset.options.score);
    step(Resume::StartOver, &words, on, out, &options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn place<'a>(domain: &'a str) -> Place<'a> {
        Place { data: "d", domain, subjects: 7 }
    }

    #[test]
    fn labels_and_source_data_bring_their_own_subjects() {
        let definition = Catalogue::Stock.load("cc359").unwrap();
        let words = |name: &str, preset: &str, scope: Scope| {
            let method = definition.methods.iter().find(|method| method.name == name).unwrap();
            let teachers: &[&str] = if method.teachers { &["a", "b"] } else { &[] };
            let (source, target) = (place("GE_3"), place("GE_15"));
            let (model, head, seed) = ("m", None, 0);
            let from = Adaptation { method, model, head, teachers, source, target, scope, seed };
            adapt(definition.preset(preset).unwrap(), &from, "o").arguments.join(" ")
        };
        let teacher = words("mean-teacher", "ablation", Scope::Domain);
        assert!(teacher.contains("--source-domain GE_3 --source-subjects 1-4"), "{teacher}");
        assert!(!words("mean-teacher", "paper", Scope::Domain).contains("--source-subjects"));
        let distilled = words("ensemble-distillation", "paper", Scope::Domain);
        assert!(
            distilled.ends_with("--method ensemble-distillation --teachers a b"),
            "{distilled}"
        );
        let oracle = words("fine-tune-all", "paper", Scope::Domain);
        assert!(oracle.ends_with("--method fine-tune-all --subjects 1-3"), "{oracle}");
        assert!(!words("tent", "paper", Scope::Domain).contains("--subjects"));
        let one = words("published-8-subjects", "ablation", Scope::OneSubject(5));
        assert!(one.ends_with("--subjects 5") && one.matches("--subjects").count() == 1, "{one}");
    }

    #[test]
    fn folds_go_round_with_the_seeds() {
        let definition = Catalogue::Stock.load("cc359").unwrap();
        let mut preset = definition.preset("paper").unwrap().clone();
        (preset.folds, preset.seeds) = (Some(3), vec![4]);
        let making = Making { on: place("GE_3"), seed: 4, out: "o" };
        let step = train(&preset, &CommandOptions::default(), making);
        assert!(step.arguments.join(" ").contains("--fold 1/3"), "{step:?}");
    }

    #[test]
    fn shares_become_places_of_the_domain_at_hand() {
        let definition = Catalogue::Stock.load("two-scanners").unwrap();
        let preset = definition.preset("converged").unwrap();
        let making = Making { on: place("scannerA"), seed: 0, out: "o" };
        let train = train(preset, &CommandOptions::default(), making);
        let score = evaluate(preset, "p", place("scannerB"), "o");
        let ends = |step: &Step, end: &str| step.arguments.join(" ").ends_with(end);
        assert!(ends(&train, "--subjects 1-5"), "{train:?}");
        assert!(ends(&score, "--subjects 5-7"), "{score:?}");
    }
}
