//! What was said without labels: keep, roll back or abstain, why, and the scores predicted.
use udas_record::{Decision, Outcome, Verdict};

use super::{Section, figure, scrolling};
use crate::Overview;
use crate::markup::{Text, list, number};
use crate::plot::{Estimate, Svg, forest};

pub(super) fn section(overview: &Overview) -> Option<Section> {
    let judged = overview.experiment.outcomes.iter();
    let judged: Vec<(&Outcome, &Verdict)> =
        judged.filter_map(|o| Some((o, o.verdict.as_ref()?))).collect();
    if judged.is_empty() {
        return None;
    }
    let rows: String =
        judged.iter().map(|(outcome, verdict)| row(overview, outcome, verdict)).collect();
    let table = format!(
        "<table class=\"sortable\"><caption>Verdicts, reached without looking at target labels</caption>\
         <thead><tr><th scope=\"col\" data-choose>Target</th><th scope=\"col\" data-choose>Method</th>\
         <th scope=\"col\">Seed</th><th scope=\"col\" data-choose>Verdict</th><th scope=\"col\">Why</th>\
         <th scope=\"col\">Look at first</th></tr></thead>\n<tbody>{rows}</tbody></table>"
    );
    let mut body = scrolling("Verdicts", "tall", &table);
    if let Some(svg) = prediction_plot(overview) {
        body += &figure(
            &svg.inline(),
            "Scores predicted without labels, lowest first, with their intervals.",
        );
    }
    Some(Section { id: "verdicts", short: "Verdicts", title: "Verdicts without labels", body })
}

fn row(overview: &Overview, outcome: &Outcome, verdict: &Verdict) -> String {
    let (word, class) = match verdict.decision {
        Decision::Keep => ("keep", "helps"),
        Decision::RollBack => ("roll back", "harms"),
        Decision::Abstain => ("abstain", "unclear"),
    };
    let method = overview.experiment.methods.iter().find(|m| m.name == outcome.method);
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td>\
         <td class=\"words\">{}</td><td class=\"words\">{}</td></tr>\n",
        Text(&overview.pair_name((&outcome.source, &outcome.target))),
        Text(method.map_or(&outcome.method, |m| &m.title)),
        outcome.seed,
        Text(&verdict.reasons.join(" ")),
        Text(&list(&verdict.check_first)),
    )
}

/// Predicted scores of the first run of the method in question that has some.
pub(crate) fn prediction_plot(overview: &Overview) -> Option<Svg> {
    const SHOWN: usize = 40;
    let runs = overview.experiment.outcomes.iter().filter(|o| o.method == overview.focus.name);
    let predictions =
        |o: &'_ Outcome| o.verdict.as_ref().is_some_and(|v| !v.predictions.is_empty());
    let outcome = runs.into_iter().find(|o| predictions(o))?;
    let mut sorted = outcome.verdict.as_ref()?.predictions.clone();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score).then_with(|| a.subject.cmp(&b.subject)));
    let estimates: Vec<Estimate> = sorted
        .iter()
        .take(SHOWN)
        .map(|p| Estimate {
            label: p.subject.clone(),
            value: p.score,
            interval: Some([p.low, p.high]),
            class: "same",
            note: format!("{} [{}, {}]", number(p.score, 2), number(p.low, 2), number(p.high, 2)),
        })
        .collect();
    let pair = overview.pair_name((&outcome.source, &outcome.target));
    let title =
        format!("Predicted scores, {}, {pair}, seed {}", overview.focus.title, outcome.seed);
    Some(forest(&title, "predicted score", None, &estimates, 680.0))
}
