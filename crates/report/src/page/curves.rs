//! Courses of the adaptations: loss, what the stop rule watches, and the true score where it was measured.
use udas_record::{EpochRecord, MethodKind, Outcome};

use super::{Section, folded};
use crate::Overview;
use crate::markup::{Text, count, duration};
use crate::plot::{Series, Svg, legend_key, lines};

pub(super) fn section(overview: &Overview) -> Option<Section> {
    let outcomes = &overview.experiment.outcomes;
    if outcomes.iter().all(|o| o.epochs.is_empty() && o.measured.is_empty()) {
        return None;
    }
    let mut body = String::from(
        "<p>A line is a run; seeds share the colour of their method. What the stop rule watches (agreement \
         of the early head with the network, say) is trained for, so that its rise proves nothing; the \
         true score is measured beside the training and seen by no method.</p>\n",
    );
    body += &legend(overview);
    for (index, pair) in overview.pairs.iter().enumerate() {
        let plots: String = course_plots(overview, *pair).iter().map(Svg::inline).collect();
        if !plots.is_empty() {
            let content = format!("<div class=\"grid\">{plots}</div>");
            body += &folded(&overview.pair_name(*pair), &content, index == 0);
        }
    }
    body += &costs(overview);
    Some(Section { id: "course", short: "Course", title: "Course of the training", body })
}

fn legend(overview: &Overview) -> String {
    let trained = |name: &str| {
        let mut runs = overview.experiment.outcomes.iter().filter(|o| o.method == name);
        runs.any(|o| !o.epochs.is_empty())
    };
    let methods = overview.experiment.methods.iter().enumerate().filter(|(_, m)| trained(&m.name));
    let items = methods.map(|(i, m)| format!("<li>{}{}</li>", legend_key(i), Text(&m.title)));
    let items: String = items.collect();
    format!("<ul class=\"legend\">{items}</ul>\n")
}

/// Loss, watched score and true score on one target.
pub(crate) fn course_plots(overview: &Overview, pair: (&str, &str)) -> Vec<Svg> {
    let watched = |outcome: &Outcome| {
        let before = outcome.score_before.map(|score| (0.0, score));
        let after = epochs(outcome).filter_map(|e| Some((e.epoch as f64, e.score?)));
        before.into_iter().chain(after).collect()
    };
    let loss = |outcome: &Outcome| epochs(outcome).map(|e| (e.epoch as f64, e.loss)).collect();
    let measured =
        |outcome: &Outcome| outcome.measured.iter().map(|m| (m.epoch as f64, m.score)).collect();
    let truth = overview.metric.map_or_else(String::new, |m| format!("True {}", m.title));
    let plots = [
        ("Loss".to_owned(), series(overview, pair, &loss)),
        ("What the stop rule watches".to_owned(), series(overview, pair, &watched)),
        (truth, series(overview, pair, &measured)),
    ];
    let drawable = plots.into_iter().filter(|(_, series)| !series.is_empty());
    drawable.map(|(title, series)| lines(&title, "epoch", &series)).collect()
}

/// Epochs of the run's last training: where a head was trained first, those of the adaptation.
fn epochs(outcome: &Outcome) -> impl Iterator<Item = &EpochRecord> {
    let last = outcome.epochs.last().map(|epoch| epoch.phase);
    outcome.epochs.iter().filter(move |epoch| Some(epoch.phase) == last)
}

fn series(
    overview: &Overview,
    pair: (&str, &str),
    points: &dyn Fn(&Outcome) -> Vec<(f64, f64)>,
) -> Vec<Series> {
    let mut all = Vec::new();
    for (style, method) in overview.experiment.methods.iter().enumerate() {
        let fits = |o: &&Outcome| {
            (o.source.as_str(), o.target.as_str()) == pair && o.method == method.name
        };
        for outcome in overview.experiment.outcomes.iter().filter(fits) {
            let points = points(outcome);
            if !points.is_empty() {
                let name = format!("{}, seed {}", method.title, outcome.seed);
                all.push(Series { name, style, points });
            }
        }
    }
    all
}

/// Time a method takes, and how its runs ended.
fn costs(overview: &Overview) -> String {
    let mut rows = String::new();
    for method in &overview.experiment.methods {
        let runs = overview.experiment.outcomes.iter().filter(|o| o.method == method.name);
        let runs: Vec<&Outcome> = runs.filter(|o| o.seconds.is_some()).collect();
        let Some(mean) = crate::index::mean(runs.iter().filter_map(|o| o.seconds)) else {
            continue;
        };
        let mut reasons: Vec<&str> =
            runs.iter().filter_map(|o| o.stop).map(|s| s.explanation()).collect();
        reasons.sort_unstable();
        let reasons = reasons.chunk_by(|a, b| a == b);
        let reasons =
            reasons.map(|same| format!("{} ({})", same.first().unwrap_or(&""), same.len()));
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let epochs = crate::index::mean(runs.iter().map(|o| epochs(o).count() as f64));
        rows += &format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{:.1}</td><td class=\"words\">{}</td></tr>\n",
            Text(&method.title),
            count(runs.len(), "run"),
            duration(mean),
            epochs.unwrap_or(0.0),
            Text(&reasons)
        );
    }
    if rows.is_empty() || overview.focus.kind == MethodKind::Baseline {
        return String::new();
    }
    let table = format!(
        "<table class=\"sortable\"><caption>What the adaptations cost</caption><thead><tr>\
         <th scope=\"col\">Method</th><th scope=\"col\">Runs</th><th scope=\"col\">Mean time</th>\
         <th scope=\"col\">Mean epochs</th><th scope=\"col\">Stopped because</th></tr></thead>\n\
         <tbody>{rows}</tbody></table>"
    );
    super::scrolling("What the adaptations cost", "", &table)
}
