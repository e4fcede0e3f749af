//! The answer in words: did it help, by how much, on which subjects not. Plain text, escaped when shown.
use std::collections::BTreeSet;
use udas_metrics::statistics::{Bootstrap, Interval};
use udas_record::{Decision, MethodKind};

use crate::Overview;
use crate::analysis::{Change, Effect, MethodResult, direction};
use crate::index::mean;
use crate::markup::{count, list, number, p_value, signed};

/// The answer to an experiment's question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// A few words.
    pub headline: String,
    /// How it is coloured.
    pub effect: Effect,
    /// Sentences that say why.
    pub sentences: Vec<String>,
    /// What to beware of.
    pub cautions: Vec<String>,
}

/// Finds the answer.
pub(crate) fn answer(overview: &Overview) -> Answer {
    let cautions = cautions(overview);
    let Some(result) = overview.focus_result() else {
        return Answer {
            headline: "Not known: there are no labels to measure with.".into(),
            effect: Effect::TooFew,
            sentences: unlabelled(overview),
            cautions,
        };
    };
    if let (None, Some(after)) = (result.before, mean_after(result)) {
        return Answer {
            headline: "Nothing to compare with: there are no scores before.".into(),
            effect: Effect::TooFew,
            sentences: vec![after_alone(overview, result, after)],
            cautions,
        };
    }
    let effect = result.pooled.effect;
    let harmed = targets(overview, result, Effect::Harms);
    let headline = match effect {
        Effect::Helps if harmed.is_empty() => "Yes: it helped.",
        Effect::Helps => "On average it helped, but not on every target.",
        Effect::Harms => "No: it did harm.",
        Effect::Unclear if !harmed.is_empty() => {
            "No clear difference overall, and harm on some targets."
        }
        Effect::Unclear => "No clear difference.",
        Effect::TooFew => "Too few subjects to say.",
        Effect::Reference => "This is the source model; nothing was adapted.",
    };
    let mut sentences = vec![size(overview, result)];
    if effect != Effect::Reference {
        sentences.push(subjects(overview, result));
        sentences.extend(by_target(overview, result));
        sentences.extend(losses(overview, result));
    }
    sentences.extend(others(overview, result));
    Answer { headline: headline.into(), effect, sentences, cautions }
}

/// `+0.014 (95% CI +0.003 to +0.020)`.
pub(crate) fn change_words(change: &Change, decimals: usize) -> String {
    let Some(mean) = change.mean else { return "no pairs".into() };
    let mean = signed(mean, decimals);
    match change.interval {
        Some(Interval { low, high }) => {
            let level = 100.0 * Bootstrap::REPORTED.level;
            format!("{mean} ({level}% CI {} to {})", signed(low, decimals), signed(high, decimals))
        }
        None => mean,
    }
}

fn size(overview: &Overview, result: &MethodResult) -> String {
    let decimals = overview.decimals();
    let metric = overview.metric.map_or("", |m| m.title.as_str());
    let (title, change) = (&result.method.title, &result.pooled);
    let (Some(before), Some(after)) = (result.before, result.after) else {
        return format!("No subject has a defined {metric} both before and after.");
    };
    let seeds = result.cells.iter().map(|cell| cell.seeds).max().unwrap_or(0);
    let scope = format!(
        "{} in {}, {}",
        count(change.pairs.differences.len(), "subject"),
        count(
            result.cells.len(),
            if overview.sources().len() > 1 { "domain pair" } else { "target" }
        ),
        count(seeds, "seed")
    );
    if change.effect == Effect::Reference {
        return format!(
            "{title} reaches a mean {metric} of {} ({scope}).",
            number(after, decimals)
        );
    }
    let test = change.p.map_or_else(String::new, |p| {
        let p = p_value(p).replace("&lt;", "<");
        format!(", p\u{a0}{}{p}", if p.starts_with('<') { "" } else { "=\u{a0}" })
    });
    format!(
        "{title} took the mean {metric} from {} to {}: {}; {scope}{test}.",
        number(before, decimals),
        number(after, decimals),
        change_words(change, decimals),
    )
}

/// Mean over targets of the means that were measured.
fn mean_after(result: &MethodResult) -> Option<f64> {
    mean(result.cells.iter().filter_map(|cell| Some(cell.after.as_ref()?.mean)))
}

fn after_alone(overview: &Overview, result: &MethodResult, after: f64) -> String {
    let subjects = result.cells.iter().map(|cell| cell.people.len()).sum();
    format!(
        "{} reaches a mean {} of {} ({} in {}).",
        result.method.title,
        overview.metric.map_or("", |m| m.title.as_str()),
        number(after, overview.decimals()),
        count(subjects, "subject"),
        count(result.cells.len(), "target"),
    )
}

fn subjects(overview: &Overview, result: &MethodResult) -> String {
    let Change { better, worse, same, .. } = result.pooled;
    let smallest = overview.metric.map_or(0.0, |m| m.smallest_change);
    format!(
        "{} better by more than {smallest}, {worse} worse, {same} about the same.",
        count(better, "subject")
    )
}

fn targets(overview: &Overview, result: &MethodResult, effect: Effect) -> Vec<String> {
    let cells = result.cells.iter().filter(|cell| cell.change.effect == effect);
    cells.map(|cell| overview.pair_name((cell.source, cell.target))).collect()
}

fn by_target(overview: &Overview, result: &MethodResult) -> Option<String> {
    if result.cells.len() < 2 {
        return None;
    }
    let parts = [
        (Effect::Helps, "It helped on"),
        (Effect::Harms, "it harmed on"),
        (Effect::Unclear, "no clear difference on"),
        (Effect::TooFew, "too few subjects on"),
    ];
    let parts = parts.into_iter().filter_map(|(effect, words)| {
        let names = targets(overview, result, effect);
        (!names.is_empty()).then(|| format!("{words} {}", list(&names)))
    });
    let mut text = parts.collect::<Vec<_>>().join("; ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    (!text.is_empty()).then(|| format!("{text}."))
}

/// The subjects that lost most.
fn losses(overview: &Overview, result: &MethodResult) -> Option<String> {
    let metric = overview.metric?;
    let decimals = overview.decimals();
    let mut lost: Vec<_> = result
        .cells
        .iter()
        .flat_map(|cell| cell.people.iter().map(move |person| (cell.target, person)))
        .filter_map(|(target, s)| Some((target, s.name, s.before.finite()?, s.after.finite()?)))
        .filter(|(_, _, before, after)| {
            direction(metric) * (before - after) > metric.smallest_change
        })
        .collect();
    let loss =
        |(_, _, before, after): &(&str, &str, f64, f64)| direction(metric) * (before - after);
    lost.sort_by(|a, b| loss(b).total_cmp(&loss(a)).then(a.1.cmp(b.1)));
    let words = lost.iter().take(3).map(|(target, name, before, after)| {
        let (before, after) = (number(*before, decimals), number(*after, decimals));
        format!("{name} ({target}, {before} to {after})")
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| format!("Largest losses: {}.", list(&words)))
}

/// What else was tried.
fn others(overview: &Overview, focus: &MethodResult) -> Vec<String> {
    let decimals = overview.decimals();
    let Some(metric) = overview.metric else { return Vec::new() };
    let gain = |result: &&MethodResult| {
        result.pooled.mean.map_or(f64::NEG_INFINITY, |mean| mean * direction(metric))
    };
    let best_of = |wanted: fn(MethodKind) -> bool| {
        let found = overview.results.iter().filter(|r| wanted(r.method.kind));
        found.filter(|r| r.pooled.mean.is_some()).max_by(|a, b| gain(a).total_cmp(&gain(b)))
    };
    let words = |result: &MethodResult| {
        format!("{}, {}", result.method.title, change_words(&result.pooled, decimals))
    };
    let mut sentences = Vec::new();
    let free = |kind| matches!(kind, MethodKind::Adaptation | MethodKind::SourceSide);
    if let Some(best) = best_of(free).filter(|_| overview.results.len() > 2) {
        sentences.push(if gain(&best) <= 0.0 {
            "No method without target labels improved on the source model on average.".to_owned()
        } else if best.method.name == focus.method.name {
            "No other method without target labels did better on average.".to_owned()
        } else {
            format!("Best without target labels: {}.", words(best))
        });
    }
    if let Some(oracle) = best_of(|kind| kind == MethodKind::Oracle) {
        sentences.push(format!("Bound that uses target labels: {}.", words(oracle)));
    }
    let harmful: Vec<String> = overview
        .results
        .iter()
        .filter(|r| r.pooled.effect == Effect::Harms && r.method.name != focus.method.name)
        .map(|r| r.method.title.clone())
        .collect();
    if !harmful.is_empty() {
        sentences.push(format!("Also worse than no adaptation: {}.", list(&harmful)));
    }
    sentences
}

/// Without labels: what was predicted, and what was decided.
fn unlabelled(overview: &Overview) -> Vec<String> {
    let verdicts: Vec<_> = overview
        .experiment
        .outcomes
        .iter()
        .filter(|o| o.method == overview.focus.name)
        .filter_map(|o| o.verdict.as_ref())
        .collect();
    if verdicts.is_empty() {
        return course(overview).into_iter().collect();
    }
    let predicted = mean(verdicts.iter().flat_map(|v| &v.predictions).map(|p| p.score));
    let mut sentences = Vec::new();
    if let Some(score) = predicted {
        sentences.push(format!("Mean score predicted without labels: {}.", number(score, 2)));
    }
    let decisions: BTreeSet<&str> = verdicts.iter().map(|v| decision(v.decision)).collect();
    let decisions: Vec<&str> = decisions.into_iter().collect();
    sentences.push(format!(
        "Verdict without labels on {}: {}.",
        overview.focus.title,
        decisions.join(" or ")
    ));
    sentences.extend(verdicts.iter().flat_map(|v| v.reasons.iter().take(3).cloned()).take(3));
    sentences
}

fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Keep => "keep the adapted model",
        Decision::RollBack => "roll back to the source model",
        Decision::Abstain => "not decided",
    }
}

/// Where nothing else is known: what the training did.
fn course(overview: &Overview) -> Option<String> {
    let outcome = overview.experiment.outcomes.iter().find(|o| o.method == overview.focus.name)?;
    let (first, last) = (outcome.epochs.first()?, outcome.epochs.last()?);
    let end = outcome.stop.map_or_else(
        || "it was killed, or still runs".to_owned(),
        |stop| format!("it stopped because {}", stop.explanation()),
    );
    Some(format!(
        "The loss went from {} to {} in {}; {end}.",
        number(first.loss, 3),
        number(last.loss, 3),
        count(outcome.epochs.len(), "epoch"),
    ))
}

fn cautions(overview: &Overview) -> Vec<String> {
    let mut cautions: Vec<String> = unsound(overview).into_iter().collect();
    if let (Some(metric), Some(result)) = (overview.metric, overview.focus_result()) {
        if result.pooled.pairs.left_out > 0 {
            let left_out = count(result.pooled.pairs.left_out, "pair");
            cautions.push(format!(
                "{left_out} with an undefined or infinite {} are left out.",
                metric.title
            ));
        }
        let fell = result.pooled.mean.is_some_and(|mean| mean * direction(metric) < 0.0);
        if let Some((before, after)) = watched(overview)
            && fell
            && after > before
        {
            cautions.push(format!(
                "The score that the training watches rose from {} to {} while {} got worse: it is \
                     what the method trains, and no evidence.",
                number(before, 2),
                number(after, 2),
                metric.title
            ));
        }
    }
    let mut warnings: Vec<&String> =
        overview.experiment.outcomes.iter().flat_map(|outcome| &outcome.warnings).collect();
    warnings.sort_unstable();
    warnings.dedup();
    const SHOWN: usize = 8;
    cautions.extend(warnings.iter().take(SHOWN).map(|warning| (*warning).clone()));
    if warnings.len() > SHOWN {
        cautions.push(format!("And {} more warnings in the runs' logs.", warnings.len() - SHOWN));
    }
    cautions
}

/// What of the ingredients speaks against drawing conclusions.
fn unsound(overview: &Overview) -> Option<String> {
    let found = overview.experiment.ingredients.iter().filter_map(|ingredient| {
        let name = ingredient.name();
        Some(format!(
            "{name} of {}, seed {}, {}",
            ingredient.domain,
            ingredient.seed,
            ingredient.fault()?
        ))
    });
    let found: Vec<String> = found.collect();
    (!found.is_empty()).then(|| {
        format!("What methods make of these says little of the methods: {}.", list(&found))
    })
}

/// What the stop rule watched, before and after the method in question, mean over its runs.
fn watched(overview: &Overview) -> Option<(f64, f64)> {
    let runs = overview.experiment.outcomes.iter().filter(|o| o.method == overview.focus.name);
    let pairs: Vec<(f64, f64)> =
        runs.filter_map(|o| Some((o.score_before?, o.epochs.last()?.score?))).collect();
    Some((mean(pairs.iter().map(|p| p.0))?, mean(pairs.iter().map(|p| p.1))?))
}
