//! The command lines of the program `udas` that jobs consist of: the only place that knows its options.

use udas_record::MethodKind;

use super::definition::{Definition, Method, Phantom, Preset};
use super::plan::{Resume, Step};

/// How much of a target domain an adaptation sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All its subjects, without labels.
    Domain,
    /// One subject, without its labels: the one at this place in name order, from 1.
    OneSubject(usize),
}

/// `udas adapt` ends with this code when the method does not converge or says that it should not be used.
/// Its model is written all the same, and an experiment reports what it is worth. (One that diverged has none: its job
/// fails.)
const NOT_CONVERGED: i32 = 4;

fn step(resume: Resume, words: &[&str], more: &[&[String]]) -> Step {
    let words = words.iter().map(|word| word.to_string());
    let arguments = words.chain(more.iter().flat_map(|list| list.iter().cloned())).collect();
    Step { arguments, resume, tolerated: Vec::new() }
}

/// The part of the source domain that this seed leaves out, where the preset has folds.
fn fold(preset: &Preset, seed: u64) -> Vec<String> {
    let of = |folds: u64| vec!["--fold".into(), format!("{}/{folds}", seed % folds)];
    preset.folds.map_or_else(Vec::new, of)
}

/// Makes the phantom.
pub fn phantom(definition: &Definition, size: &Phantom, out: &str) -> Step {
    let (subjects, matrix) = (size.subjects.to_string(), size.matrix.to_string());
    let task = definition.task.name();
    let words =
        ["phantom", "--task", task, "--out", out, "--subjects", &subjects, "--matrix", &matrix];
    step(Resume::StartOver, &words, &[])
}

/// Trains a source model on a domain of a data set, with `own` options in place of the preset's.
pub fn train(preset: &Preset, own: &[String], on: [&str; 2], seed: u64, out: &str) -> Step {
    let [data, domain] = on;
    let seed_text = seed.to_string();
    let words = ["train", "--data", data, "--domain", domain, "--out", out, "--seed", &seed_text];
    let common = without(&preset.options.train, own);
    step(Resume::Continue, &words, &[&fold(preset, seed), &common, own])
}

/// Trains an early head for a source model, on the subjects it was trained on.
pub fn head(
    preset: &Preset,
    [data, domain]: [&str; 2],
    model: &str,
    (level, seed): (usize, u64),
    out: &str,
) -> Step {
    let (level, seed_text) = (level.to_string(), seed.to_string());
    let words = [
        "head", "--model", model, "--data", data, "--domain", domain, "--level", &level, "--out",
        out, "--seed", &seed_text,
    ];
    step(Resume::Continue, &words, &[&fold(preset, seed), &preset.options.head])
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
    /// The data set.
    pub data: &'a str,
    /// The domain that the model was trained on.
    pub source: &'a str,
    /// The target.
    pub target: &'a str,
    /// How much of it is seen; all of it, or the subject at a place in name order, from 1.
    pub scope: Scope,
    /// Seed of the source model, and of this.
    pub seed: u64,
}

/// Learns, for a source model, what signals without labels say of the score; `peers` are its other trainings.
pub fn calibrate(
    preset: &Preset,
    [data, domain]: [&str; 2],
    (model, peers): (&str, &[&str]),
    seed: u64,
    out: &str,
) -> Step {
    let seed = seed.to_string();
    let words = [
        "calibrate",
        "--model",
        model,
        "--data",
        data,
        "--domain",
        domain,
        "--out",
        out,
        "--seed",
        &seed,
    ];
    let words = [&words[..], &naming("--peers", peers)].concat();
    step(Resume::StartOver, &words, &[&preset.options.calibrate])
}

/// The flag that names other trainings, if there are some.
fn naming<'a>(flag: &'a str, models: &[&'a str]) -> Vec<&'a str> {
    if models.is_empty() { Vec::new() } else { [&[flag], models].concat() }
}

/// Adapts a model to a target.
pub fn adapt(preset: &Preset, from: &Adaptation, out: &str) -> Step {
    let seed = from.seed.to_string();
    let words = [
        "adapt",
        "--model",
        from.model,
        "--data",
        from.data,
        "--domain",
        from.target,
        "--out",
        out,
        "--seed",
        &seed,
    ];
    let mut own = from.method.options.clone();
    if let Some(head) = from.head {
        own.splice(0..0, ["--head".to_string(), head.to_string()]);
    }
    own.extend(naming("--teachers", from.teachers).into_iter().map(String::from));
    if from.method.source_data {
        let source = ["--source-data", from.data, "--source-domain", from.source];
        own.extend(source.map(String::from));
        // The subjects that the source model was trained on.
        let trained = preset.options.train.windows(2).find(|pair| pair[0] == "--subjects");
        own.extend(
            trained.map(|pair| ["--source-subjects".into(), pair[1].clone()]).into_iter().flatten(),
        );
    }
    if from.method.kind == MethodKind::Oracle {
        own.extend(without(&preset.options.oracle, &own));
    }
    if let Scope::OneSubject(place) = from.scope {
        let one = ["--subjects".to_string(), place.to_string()];
        own = without(&own, &one).into_iter().chain(one).collect();
    }
    let common = without(&preset.options.adapt, &own);
    let step = step(Resume::Continue, &words, &[&own, &common]);
    Step { tolerated: vec![NOT_CONVERGED], ..step }
}

/// Options, each with its values, but for those that `own` has too.
fn without(options: &[String], own: &[String]) -> Vec<String> {
    let mut kept = true;
    let wanted = |word: &&String| {
        if word.starts_with("--") {
            kept = !own.contains(word);
        }
        kept
    };
    options.iter().filter(wanted).cloned().collect()
}

/// Predicts subjects of a domain, together with other models if there are some.
pub fn predict(
    preset: &Preset,
    (model, ensemble): (&str, &[&str]),
    on: [&str; 2],
    out: &str,
) -> Step {
    let words = ["predict", "--model", model];
    scored(preset, &[&words[..], &naming("--ensemble", ensemble)].concat(), on, out)
}

/// Compares predictions with the labels of a domain.
pub fn evaluate(preset: &Preset, predictions: &str, on: [&str; 2], out: &str) -> Step {
    scored(preset, &["evaluate", "--predictions", predictions], on, out)
}

/// Judges an adapted model without labels, on the subjects that are scored, with the help of other trainings of the
/// source model.
pub fn judge(
    preset: &Preset,
    [before, after, calibration]: [&str; 3],
    peers: &[&str],
    on: [&str; 2],
    out: &str,
) -> Step {
    let words = ["judge", "--before", before, "--after", after, "--calibration", calibration];
    scored(preset, &[&words[..], &naming("--peers", peers)].concat(), on, out)
}

/// A command on the subjects of a domain that are scored.
fn scored(preset: &Preset, words: &[&str], [data, domain]: [&str; 2], out: &str) -> Step {
    let words = [words, &["--data", data, "--domain", domain, "--out", out]].concat();
    step(Resume::StartOver, &words, &[&preset.options.score])
}

#[cfg(test)]
mod tests {
    use super::super::definition;
    use super::*;

    #[test]
    fn a_methods_options_stand_in_for_the_presets() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(String::from).collect() };
        let common = words("--epochs 2 --subjects 1-8 --batch-size 20");
        let own = words("--method tent --subjects 1");
        assert_eq!(without(&common, &own), words("--epochs 2 --batch-size 20"));
        assert_eq!(without(&common, &[]), common);
    }

    #[test]
    fn labels_and_source_data_bring_their_own_subjects() {
        let definition = definition::load(&definition::folder(), "cc359").unwrap();
        let words = |name: &str, preset: &str| {
            let method = definition.methods.iter().find(|method| method.name == name).unwrap();
            let teachers: &[&str] = if method.teachers { &["a", "b"] } else { &[] };
            let (model, data, scope) = ("m", "d", Scope::Domain);
            let (source, target, head, seed) = ("GE_3", "GE_15", None, 0);
            let from =
                Adaptation { method, model, head, teachers, data, source, target, scope, seed };
            adapt(definition.preset(preset).unwrap(), &from, "o").arguments.join(" ")
        };
        let teacher = words("mean-teacher", "ablation");
        assert!(teacher.contains("--source-domain GE_3 --source-subjects 1-4"), "{teacher}");
        assert!(!words("mean-teacher", "paper").contains("--source-subjects"));
        let distilled = words("ensemble-distillation", "paper");
        assert!(
            distilled.ends_with("--method ensemble-distillation --teachers a b"),
            "{distilled}"
        );
        assert!(words("fine-tune-all", "paper").ends_with("--method fine-tune-all --subjects 1-3"));
        assert!(!words("tent", "paper").contains("--subjects"));
    }
}
