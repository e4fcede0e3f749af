//! The table of methods by targets: mean, spread, change with its interval; what does harm is marked.
use udas_record::{MethodKind, Published};

use super::{Section, arrow, effect_class, figure, scrolling};
use crate::Overview;
use crate::analysis::{Cell, Change, Effect, MethodResult, direction};
use crate::markup::{Text, number, optional, signed};
use crate::plot::{Svg, heat};

pub(super) fn section(overview: &Overview) -> Option<Section> {
    let metric = overview.metric?;
    let mut body = format!(
        "<p>Each cell: mean {} over subjects ± standard deviation; below it the change from the source \
         model and its 95% confidence interval. <span class=\"helps\">▲</span> better beyond chance, \
         <span class=\"harms\">▼</span> worse beyond chance, ◦ neither.{}</p>\n",
        Text(&metric.title),
        if overview.experiment.published.is_empty() {
            ""
        } else {
            " Published figures stand below in italics; they are from other runs and other code."
        }
    );
    let tables: String =
        overview.sources().into_iter().map(|source| table(overview, source)).collect();
    // Of many tables the overview comes first.
    let parts = if overview.sources().len() > 1 {
        [glance(overview), tables]
    } else {
        [tables, glance(overview)]
    };
    body += &parts.concat();
    body += &references(&overview.experiment.published);
    Some(Section { id: "methods", short: "Methods", title: "Methods by targets", body })
}

fn glance(overview: &Overview) -> String {
    let Some(svg) = changes(overview) else { return String::new() };
    let content = format!(
        "<div class=\"wide-plot\" tabindex=\"0\" role=\"region\" aria-label=\"Changes at a glance\">{}</div>",
        svg.inline()
    );
    figure(
        &content,
        "The changes at a glance, blue better and orange worse, full colour at the largest.",
    )
}

fn table(overview: &Overview, source: &str) -> String {
    let targets: Vec<&str> = overview.pairs.iter().filter(|p| p.0 == source).map(|p| p.1).collect();
    let alone = overview.sources().len() == 1;
    let heads: String =
        targets.iter().map(|t| format!("<th scope=\"col\">{}</th>", Text(t))).collect();
    let all = if alone && targets.len() > 1 { "<th scope=\"col\">All targets</th>" } else { "" };
    let best: Vec<Option<f64>> = targets.iter().map(|t| best(overview, (source, t))).collect();
    let mut rows = String::new();
    for result in &overview.results {
        let cells: Vec<Option<&Cell>> =
            targets.iter().map(|target| result.cell((source, target))).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let overall = if alone { result.pooled.effect } else { overall(&cells) };
        rows +=
            &format!("<tr class=\"{}\">{}", effect_class(overall), method_head(result, overall));
        for ((cell, target), best) in cells.iter().zip(&targets).zip(&best) {
            let figures = published(overview, (source, target), &result.method.name);
            rows += &cell_html(overview, *cell, *best, &figures);
        }
        if !all.is_empty() {
            rows += &pooled_html(overview, result);
        }
        rows += "</tr>\n";
    }
    let name = Text(source);
    let caption = format!("Source model trained on {name}. Columns are targets.");
    let table = format!(
        "<table class=\"methods sortable\"><caption>{caption}</caption><thead><tr>\
         <th scope=\"col\">Method</th><th scope=\"col\" data-choose>Overall</th>{heads}{all}</tr></thead>\n\
         <tbody>{rows}</tbody></table>"
    );
    scrolling(&format!("Methods by targets, source {source}"), "", &table)
}

/// For one of several sources: harm anywhere counts first.
fn overall(cells: &[Option<&Cell>]) -> Effect {
    let effects = || cells.iter().flatten().map(|cell| cell.change.effect);
    let order = [Effect::Reference, Effect::Harms, Effect::Helps, Effect::Unclear];
    order.into_iter().find(|e| effects().any(|found| found == *e)).unwrap_or(Effect::TooFew)
}

fn method_head(result: &MethodResult, overall: Effect) -> String {
    let method = result.method;
    let tag = match method.kind {
        MethodKind::Oracle => "<span class=\"tag\">uses target labels</span>",
        MethodKind::SourceSide => "<span class=\"tag\">source side</span>",
        MethodKind::Baseline => "<span class=\"tag\">reference</span>",
        MethodKind::Adaptation => "",
    };
    let idea = if method.idea.is_empty() {
        String::new()
    } else {
        format!("<span class=\"idea\">{}</span>", Text(&method.idea))
    };
    format!(
        "<th scope=\"row\">{}{tag}{idea}</th><td class=\"overall\">{}</td>",
        Text(&method.title),
        overall.word()
    )
}

/// The best mean without target labels.
fn best(overview: &Overview, pair: (&str, &str)) -> Option<f64> {
    let metric = overview.metric?;
    let free = overview.results.iter().filter(|r| r.method.kind != MethodKind::Oracle);
    let means = free.filter_map(|r| Some(r.cell(pair)?.after.as_ref()?.mean));
    means.max_by(|a, b| (a * direction(metric)).total_cmp(&(b * direction(metric))))
}

fn cell_html(
    overview: &Overview,
    cell: Option<&Cell>,
    best: Option<f64>,
    published: &[&Published],
) -> String {
    let decimals = overview.decimals();
    let mut html = match cell.and_then(|cell| Some((cell, cell.after.as_ref()?))) {
        None => "<td><span class=\"none\">not run</span>".to_owned(),
        Some((cell, after)) => {
            let mark =
                if best == Some(after.mean) { "<span class=\"tag\">best</span>" } else { "" };
            let mut html = format!(
                "<td><b>{}</b> <span class=\"sd\">± {}</span>{mark}{}",
                number(after.mean, decimals),
                optional(after.sd, decimals),
                change_html(&cell.change, decimals)
            );
            if let Some(sd) = cell.seed_sd {
                html += &format!("<span class=\"sd line\">seeds ± {}</span>", number(sd, decimals));
            }
            html
        }
    };
    for figure in published {
        html += &format!("<i class=\"line\">published {}</i>", number(figure.value, decimals));
    }
    html + "</td>"
}

fn pooled_html(overview: &Overview, result: &MethodResult) -> String {
    let decimals = overview.decimals();
    let after = optional(result.after, decimals);
    format!("<td><b>{after}</b>{}</td>", change_html(&result.pooled, decimals))
}

fn change_html(change: &Change, decimals: usize) -> String {
    let (Some(mean), false) = (change.mean, change.effect == Effect::Reference) else {
        return String::new();
    };
    let class = effect_class(change.effect);
    let arrow = arrow(change.effect);
    let mean = signed(mean, decimals);
    let interval = change.interval.map_or_else(String::new, |interval| {
        let [low, high] = [interval.low, interval.high].map(|v| signed(v, decimals));
        format!(" <span class=\"ci\">[{low}, {high}]</span>")
    });
    format!("<span class=\"line {class}\">{arrow} {mean}{interval}</span>")
}

fn published<'a>(overview: &Overview<'a>, pair: (&str, &str), method: &str) -> Vec<&'a Published> {
    let metric = overview.metric.map_or("", |m| m.name.as_str());
    let fits = |p: &&Published| {
        (p.source.as_str(), p.target.as_str()) == pair && p.method == method && p.metric == metric
    };
    overview.experiment.published.iter().filter(fits).collect()
}

fn references(published: &[Published]) -> String {
    let mut references: Vec<&str> = published.iter().map(|p| p.reference.as_str()).collect();
    references.sort_unstable();
    references.dedup();
    if references.is_empty() {
        return String::new();
    }
    let references: Vec<String> = references.iter().map(|r| Text(r).to_string()).collect();
    format!("<p class=\"small\">Published figures: {}.</p>\n", references.join("; "))
}

/// Methods by targets as a coloured grid.
pub(crate) fn changes(overview: &Overview) -> Option<Svg> {
    let metric = overview.metric?;
    let results: Vec<&MethodResult> =
        overview.results.iter().filter(|r| r.method.kind != MethodKind::Baseline).collect();
    // A grid reads from left to right as long as it fits; many pairs run downwards.
    let methods: Vec<String> = results.iter().map(|r| r.method.title.clone()).collect();
    let pairs: Vec<String> = overview.pairs.iter().map(|p| overview.pair_name(*p)).collect();
    let change = |r: &MethodResult, pair| r.cell(pair).and_then(|cell| cell.change.mean);
    let title = format!("Change in {} by method and target", metric.title);
    let (sign, decimals) = (direction(metric), overview.decimals());
    if results.is_empty() {
        return None;
    }
    Some(if pairs.len() > 8 {
        let cells: Vec<Vec<_>> = overview
            .pairs
            .iter()
            .map(|pair| results.iter().map(|r| change(r, *pair)).collect())
            .collect();
        heat(&title, &pairs, &methods, &cells, sign, decimals)
    } else {
        let cells: Vec<Vec<_>> = results
            .iter()
            .map(|r| overview.pairs.iter().map(|pair| change(r, *pair)).collect())
            .collect();
        heat(&title, &methods, &pairs, &cells, sign, decimals)
    })
}
