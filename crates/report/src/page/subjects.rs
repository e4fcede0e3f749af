//! Subjects before and after: slopes for every method and target, dumbbells for the method in question,
//! and a table of all.
use udas_record::MethodKind;

use super::{Section, figure, folded, scrolling};
use crate::Overview;
use crate::analysis::{Cell, MethodResult, SubjectScore, direction};
use crate::markup::{Text, count, number};
use crate::plot::{self, Paired, Svg};

pub(super) fn section(overview: &Overview) -> Option<Section> {
    let metric = overview.metric?;
    let mut body = format!(
        "<p>A line is a volume, from its {} by the source model to that after the method, mean over \
         seeds. <span class=\"helps\">Blue</span> is better and <span class=\"harms\">orange</span> worse \
         by more than {}; grey is in between.</p>\n",
        Text(&metric.title),
        metric.smallest_change
    );
    for (index, pair) in overview.pairs.iter().enumerate() {
        let name = overview.pair_name(*pair);
        body += &folded(&name, &pair_plots(overview, *pair), index == 0);
    }
    body += &table(overview);
    Some(Section { id: "subjects", short: "Subjects", title: "Subject by subject", body })
}

fn pair_plots(overview: &Overview, pair: (&str, &str)) -> String {
    let mut html = String::from("<div class=\"grid small-plots\">");
    for svg in slope_plots(overview, pair) {
        html += &svg.inline();
    }
    html += "</div>\n";
    if let Some(svg) = focus_plot(overview, pair) {
        let title = Text(&overview.focus.title);
        html += &figure(&svg.inline(), &format!("{title}: every subject, largest loss first."));
    }
    html
}

/// Slopes of every method but the reference on one target, on a common axis.
pub(crate) fn slope_plots(overview: &Overview, pair: (&str, &str)) -> Vec<Svg> {
    let compared = overview.results.iter().filter(|r| r.method.kind != MethodKind::Baseline);
    let cells: Vec<(&MethodResult, &Cell)> =
        compared.filter_map(|r| Some((r, r.cell(pair)?))).collect();
    let values = || {
        let subjects = cells.iter().flat_map(|(_, cell)| &cell.subjects);
        subjects.flat_map(|s| [s.before.finite(), s.after.finite()]).flatten()
    };
    let range =
        [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)];
    let plot = |(result, cell): &(&MethodResult, &Cell)| {
        let pairs = paired(overview, cell);
        plot::slopes(&result.method.title, &pairs, range, overview.decimals())
    };
    cells.iter().map(plot).collect()
}

/// Dumbbells of the method in question on one target.
pub(crate) fn focus_plot(overview: &Overview, pair: (&str, &str)) -> Option<Svg> {
    let metric = overview.metric?;
    let cell = overview.focus_result()?.cell(pair)?;
    let mut pairs = paired(overview, cell);
    let gain = |p: &Paired| (p.after - p.before) * direction(metric);
    pairs.sort_by(|a, b| gain(a).total_cmp(&gain(b)).then(a.name.cmp(b.name)));
    let title = format!("{} on {}", overview.focus.title, overview.pair_name(pair));
    let drawable = overview.focus.kind != MethodKind::Baseline && !pairs.is_empty();
    drawable.then(|| plot::dumbbells(&title, &metric.title, &pairs, overview.decimals(), 680.0))
}

fn paired<'a>(overview: &Overview, cell: &Cell<'a>) -> Vec<Paired<'a>> {
    let pairs = cell.subjects.iter().filter_map(|subject| {
        let (before, after) = (subject.before.finite()?, subject.after.finite()?);
        Some(Paired { name: subject.name, before, after, class: class(overview, before, after) })
    });
    pairs.collect()
}

fn class(overview: &Overview, before: f64, after: f64) -> &'static str {
    let Some(metric) = overview.metric else { return "same" };
    let gain = (after - before) * direction(metric);
    match gain {
        _ if gain > metric.smallest_change => "better",
        _ if gain < -metric.smallest_change => "worse",
        _ => "same",
    }
}

fn table(overview: &Overview) -> String {
    let shown: Vec<&MethodResult> =
        overview.results.iter().filter(|r| r.method.kind != MethodKind::Baseline).collect();
    let heads: String =
        shown.iter().map(|r| format!("<th scope=\"col\">{}</th>", Text(&r.method.title))).collect();
    let (mut rows, mut total) = (String::new(), 0);
    for pair in &overview.pairs {
        let name = Text(&overview.pair_name(*pair)).to_string();
        let cells: Vec<Option<&Cell>> = shown.iter().map(|r| r.cell(*pair)).collect();
        let mut names: Vec<&str> =
            cells.iter().flatten().flat_map(|cell| &cell.subjects).map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        total += names.len();
        for subject in names {
            let scores: Vec<Option<&SubjectScore>> =
                cells.iter().map(|cell| find((*cell)?, subject)).collect();
            let before = scores.iter().flatten().find_map(|score| score.before.finite());
            let before = before.map_or_else(|| "n/a".into(), |b| number(b, overview.decimals()));
            rows += &format!(
                "<tr><td>{name}</td><th scope=\"row\">{}</th><td>{before}</td>",
                Text(subject)
            );
            rows += &scores.iter().map(|score| score_html(overview, *score)).collect::<String>();
            rows += "</tr>\n";
        }
    }
    if total == 0 {
        return String::new();
    }
    let caption = format!("{}, score after each method, mean over seeds", count(total, "row"));
    let table = format!(
        "<table class=\"dense sortable\"><caption>{caption}</caption><thead><tr>\
         <th scope=\"col\" data-choose>Target</th><th scope=\"col\">Subject</th>\
         <th scope=\"col\">Source model</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table>"
    );
    scrolling("Scores by subject", "tall", &table)
}

/// Subjects are in name order.
fn find<'c, 'a>(cell: &'c Cell<'a>, name: &str) -> Option<&'c SubjectScore<'a>> {
    let found = cell.subjects.binary_search_by(|subject| subject.name.cmp(name)).ok()?;
    cell.subjects.get(found)
}

fn score_html(overview: &Overview, score: Option<&SubjectScore>) -> String {
    let Some(score) = score else { return "<td></td>".into() };
    let Some(after) = score.after.finite() else { return format!("<td>{}</td>", score.after) };
    let class = match score.before.finite().map(|before| class(overview, before, after)) {
        Some("better") => " class=\"helps\"",
        Some("worse") => " class=\"harms\"",
        _ => "",
    };
    format!("<td{class}>{}</td>", number(after, overview.decimals()))
}
