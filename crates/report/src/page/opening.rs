//! The head of the page: what data, the question, the answer, and all methods in one picture.
use udas_metrics::statistics::Interval;
use udas_record::{MethodKind, Origin};

use super::{effect_class, figure, plot_class};
use crate::Overview;
use crate::analysis::{MethodResult, direction};
use crate::answer::{Answer, answer, change_words};
use crate::markup::{Text, count, date, signed};
use crate::plot::{Estimate, Svg, forest};

pub(super) fn opening(overview: &Overview) -> String {
    let experiment = overview.experiment;
    let Answer { headline, effect, sentences, cautions } = answer(overview);
    let (title, question) = (Text(&experiment.title), Text(&experiment.question));
    let date =
        experiment.provenance.finished_unix.map_or_else(String::new, |t| format!(" · {}", date(t)));
    let (kind, note) = origin(overview);
    let data = Text(&experiment.data.name);
    let description = Text(&experiment.data.description);
    let mut html = format!(
        "<header>\n<p class=\"eyebrow\">udas report{date}</p>\n<h1>{title}</h1>\n\
         <p class=\"data {kind}\"><strong>{note}: {data}.</strong> {description}</p>\n\
         <p class=\"question\"><span class=\"label\">Question</span>{question}</p>\n\
         <div class=\"answer {}\"><p class=\"headline\"><span class=\"label\">Answer</span>{}</p>\n",
        effect_class(effect),
        Text(&headline),
    );
    html += &sentences.iter().map(|s| format!("<p>{}</p>\n", Text(s))).collect::<String>();
    html += "</div>\n";
    if !cautions.is_empty() {
        let items = cautions.iter().map(|c| format!("<li>{}</li>", Text(c)));
        let items: String = items.collect();
        html += &format!(
            "<div class=\"cautions\" role=\"note\"><p class=\"label\">Mind</p><ul>{items}</ul></div>\n"
        );
    }
    html += &all_methods(overview).map_or_else(String::new, |svg| {
        figure(
            &svg.inline(),
            "Change of every method from the source model, mean over all target subjects with 95% \
             confidence interval. Blue: better beyond chance; orange: worse beyond chance; grey: not \
             distinguishable from no change, or too few subjects.",
        )
    });
    html + "</header>\n"
}

fn origin(overview: &Overview) -> (&'static str, &'static str) {
    match overview.experiment.data.origin {
        Origin::Real => ("real", "Real data"),
        Origin::Synthetic => ("synthetic", "Synthetic data"),
        Origin::Unknown => ("unknown", "Data of unstated origin"),
    }
}

/// All methods but the reference, as a forest plot.
pub(crate) fn all_methods(overview: &Overview) -> Option<Svg> {
    let metric = overview.metric?;
    let compared = overview.results.iter().filter(|r| r.method.kind != MethodKind::Baseline);
    let estimates: Vec<Estimate> = compared.filter_map(|r| estimate(overview, r)).collect();
    if estimates.is_empty() {
        return None;
    }
    let better = if direction(metric) > 0.0 { "right is better" } else { "left is better" };
    let axis = format!("change in {} ({better})", metric.title);
    let title = format!("Change in {} by method", metric.title);
    Some(forest(&title, &axis, Some(0.0), &estimates, 760.0))
}

fn estimate(overview: &Overview, result: &MethodResult) -> Option<Estimate> {
    let change = &result.pooled;
    let decimals = overview.decimals();
    let oracle =
        if result.method.kind == MethodKind::Oracle { " (uses target labels)" } else { "" };
    let note = match change.interval {
        Some(Interval { low, high }) => {
            let [mean, low, high] = [change.mean?, low, high].map(|v| signed(v, decimals));
            format!("{mean} [{low}, {high}]")
        }
        None => format!(
            "{}, {}",
            change_words(change, decimals),
            count(change.pairs.differences.len(), "subject")
        ),
    };
    Some(Estimate {
        label: format!("{}{oracle}", result.method.title),
        value: change.mean?,
        interval: change.interval.map(|i| [i.low, i.high]),
        class: plot_class(change),
        note,
    })
}
