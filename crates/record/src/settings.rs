//! What sets runs of one method apart.
use crate::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use toml::Table;

/// Settings that are no part of the method: where things are, what becomes of the result, and what every seed has of its
/// own.
const ASIDE: [&str; 16] = [
    "model",
    "head",
    "teachers",
    "images",
    "data",
    "domain",
    "out",
    "source-data",
    "source-domain",
    "source-subjects",
    "calibration",
    "peers",
    "on-harm",
    "cache-gib",
    "seed",
    "method",
];

/// Gives runs of one method on one source and target that differ in settings a name each, such as `tent, lr 0.001`: they
/// are no seeds of one thing. `settings` are those of the outcomes, where they are known.
pub(crate) fn tell_apart(outcomes: &mut [Outcome], settings: &[Option<Table>]) {
    let of_method = |settings: &Table| {
        let mut own = settings.clone();
        own.retain(|name, _| !ASIDE.contains(&name));
        own
    };
    let settings: Vec<_> = settings.iter().map(|table| table.as_ref().map(of_method)).collect();
    let mut groups: BTreeMap<_, Vec<&Table>> = BTreeMap::new();
    for (outcome, table) in outcomes.iter().zip(&settings) {
        let key = [&outcome.source, &outcome.target, &outcome.method].map(String::clone);
        groups.entry(key).or_default().extend(table);
    }
    let mut telling: BTreeMap<&String, BTreeSet<&str>> = BTreeMap::new();
    for ([_, _, method], tables) in &groups {
        let names: BTreeSet<&str> =
            tables.iter().flat_map(|t| t.keys()).map(String::as_str).collect();
        let differs = |name: &&str| {
            let mut values = tables.iter().map(|table| table.get(*name));
            let first = values.next();
            values.any(|value| Some(value) != first)
        };
        telling.entry(method).or_default().extend(names.into_iter().filter(differs));
    }
    for (outcome, table) in outcomes.iter_mut().zip(&settings) {
        let (Some(table), Some(names)) = (table, telling.get(&outcome.method)) else { continue };
        let words: Vec<String> = names
            .iter()
            .filter_map(|name| {
                let value = table.get(*name)?;
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Some(format!(", {name} {value}"))
            })
            .collect();
        outcome.method += &words.concat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(method: &str, seed: u64, settings: &str) -> (Outcome, Option<Table>) {
        let outcome = Outcome { method: method.into(), seed, ..Outcome::default() };
        (outcome, Some(settings.parse().unwrap()))
    }

    fn names(runs: Vec<(Outcome, Option<Table>)>) -> Vec<String> {
        let (mut outcomes, settings): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        tell_apart(&mut outcomes, &settings);
        outcomes.into_iter().map(|outcome| outcome.method).collect()
    }

    #[test]
    fn settings_that_differ_make_methods_of_their_own_and_seeds_do_not() {
        let seeds = vec![
            run("tent", 0, "lr = 0.001\nmodel = \"a\"\nseed = 0"),
            run("tent", 1, "lr = 0.001\nmodel = \"b\"\nseed = 1"),
        ];
        assert_eq!(names(seeds), ["tent", "tent"]);
        let rates = vec![
            run("tent", 0, "lr = 0.001\nnorm = \"batch\""),
            run("tent", 0, "lr = 0.01\nnorm = \"batch\"\nsubjects = \"1-2\""),
            run("adabn", 0, "lr = 1.0"),
        ];
        assert_eq!(names(rates), ["tent, lr 0.001", "tent, lr 0.01, subjects 1-2", "adabn"]);
        let unknown = vec![run("tent", 0, "lr = 0.001"), (run("tent", 1, "").0, None)];
        assert_eq!(names(unknown), ["tent", "tent"]);
    }

    #[test]
    fn targets_may_have_settings_of_their_own() {
        let mut runs = vec![run("tent", 0, "epochs = 1"), run("tent", 0, "epochs = 2")];
        runs[1].0.target = "other".into();
        assert_eq!(names(runs), ["tent", "tent"]);
    }
}
