//! Every comparison with its numbers: by target, method, class and metric.
use udas_metrics::statistics::Bootstrap;
use udas_record::MetricDescription;

use super::{Section, effect_class, scrolling};
use crate::Overview;
use crate::analysis::{Cell, FEWEST_PAIRS, MethodResult, compare};
use crate::index::Selection;
use crate::markup::{Text, count, optional, p_value, signed};
use crate::overview::decimals;

pub(super) fn section(overview: &Overview) -> Option<Section> {
    overview.metric?;
    let (mut rows, mut total) = (String::new(), 0);
    for metric in &overview.experiment.metrics {
        for (class, name) in classes(overview) {
            let selection = Selection { metric, class };
            for result in compare(overview.experiment, &overview.index, selection) {
                for cell in &result.cells {
                    rows += &row(overview, &result, cell, metric, name);
                    total += 1;
                }
            }
        }
    }
    let caption = count(total, "comparison");
    let table = format!(
        "<table class=\"dense sortable\"><caption>{caption}</caption><thead><tr>\
         <th scope=\"col\" data-choose>Target</th><th scope=\"col\" data-choose>Method</th>\
         <th scope=\"col\" data-choose>Metric</th><th scope=\"col\" data-choose>Class</th>\
         <th scope=\"col\">Subjects</th><th scope=\"col\">Seeds</th><th scope=\"col\">Before</th>\
         <th scope=\"col\">After</th><th scope=\"col\">SD</th><th scope=\"col\">SD of seeds</th>\
         <th scope=\"col\">Change</th><th scope=\"col\">95% CI</th><th scope=\"col\">p</th>\
         <th scope=\"col\">Better / worse / same</th><th scope=\"col\">Left out</th>\
         <th scope=\"col\" data-choose>Effect</th></tr></thead>\n<tbody>\n{rows}</tbody></table>"
    );
    let body = format!("{}{}", method_words(), scrolling("All comparisons", "tall", &table));
    Some(Section { id: "statistics", short: "Statistics", title: "All comparisons", body })
}

fn method_words() -> String {
    format!(
        "<p>The unit is the subject, its scores averaged over seeds (and over classes where it says so) \
         before anything else. Intervals are {}% bootstrap intervals of the mean change, by percentiles of \
         {} resamples over subjects. p is from Wilcoxon's signed-rank test, two-sided, \
         corrected by Holm over a method's targets (over methods for all targets together). A change is \
         beyond chance where the interval leaves out zero and the corrected p is below 0.05; with fewer \
         than {FEWEST_PAIRS} subjects no test can say so. Undefined and infinite scores are left out and \
         counted.</p>\n",
        100.0 * Bootstrap::REPORTED.level,
        Bootstrap::REPORTED.resamples
    )
}

/// Each class, and their mean where there are several.
fn classes<'a>(overview: &Overview<'a>) -> Vec<(Option<&'a str>, &'a str)> {
    let classes = &overview.experiment.data.classes;
    let each = classes.iter().map(|c| (Some(c.label.as_str()), c.name.as_str()));
    let mean = (classes.len() > 1).then_some((None, "mean of classes"));
    mean.into_iter().chain(each).collect()
}

fn row(
    overview: &Overview,
    result: &MethodResult,
    cell: &Cell,
    metric: &MetricDescription,
    class: &str,
) -> String {
    let d = decimals(metric);
    let change = &cell.change;
    let interval = change.interval.map_or_else(String::new, |interval| {
        format!("{} to {}", signed(interval.low, d), signed(interval.high, d))
    });
    let reference = result.method.kind == udas_record::MethodKind::Baseline;
    let names = [
        &*overview.pair_name((cell.source, cell.target)),
        &result.method.title,
        &metric.title,
        class,
    ];
    let compared = |text: String| if reference { String::new() } else { text };
    let mean = change.mean.map_or_else(String::new, |mean| signed(mean, d));
    let numbers = [
        change.pairs.differences.len().to_string(),
        cell.seeds.to_string(),
        optional(cell.before.as_ref().map(|b| b.mean), d),
        optional(cell.after.as_ref().map(|a| a.mean), d),
        optional(cell.after.as_ref().and_then(|a| a.sd), d),
        optional(cell.seed_sd, d),
        compared(mean),
        compared(interval),
        change.p.map_or_else(String::new, p_value),
        compared(format!("{} / {} / {}", change.better, change.worse, change.same)),
        change.pairs.left_out.to_string(),
    ];
    let names: String = names.iter().map(|name| format!("<td>{}</td>", Text(name))).collect();
    let numbers: String = numbers.iter().map(|number| format!("<td>{number}</td>")).collect();
    let (class, word) = (effect_class(change.effect), change.effect.word());
    format!("<tr>{names}{numbers}<td class=\"{class}\">{word}</td></tr>\n")
}
