//! The page: its parts in reading order, from the answer down to the provenance.
mod cases;
mod curves;
mod ingredients;
mod intensities;
mod masks;
mod methods_table;
mod opening;
mod provenance;
mod statistics_table;
mod subjects;
mod verdicts;
mod volumes;

pub(crate) use curves::course_plots;
pub(crate) use intensities::intensity_plots;
pub use masks::{MaskGroup, MaskPage, MaskRow, masks_page};
pub(crate) use methods_table::changes;
pub(crate) use opening::all_methods;
pub(crate) use subjects::{focus_plot, slope_plots};
pub(crate) use verdicts::prediction_plot;
pub(crate) use volumes::volume_plots;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::analysis::{Change, Effect};
use crate::markup::Text;
use crate::{Overview, Pictures, plot};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A part of the page with its heading.
struct Section {
    id: &'static str,
    /// In the table of contents.
    short: &'static str,
    title: &'static str,
    body: String,
}

/// The whole page.
pub(crate) fn page(overview: &Overview, pictures: &Pictures) -> String {
    let sections: Vec<Section> = [
        methods_table::section(overview),
        ingredients::section(overview),
        subjects::section(overview),
        cases::section(overview, pictures),
        verdicts::section(overview),
        curves::section(overview),
        intensities::section(overview),
        volumes::section(overview),
        statistics_table::section(overview),
        Some(provenance::section(overview)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let links = sections.iter().map(|s| format!("<a href=\"#{}\">{}</a>", s.id, s.short));
    let links: String = links.collect::<Vec<_>>().join("\n");
    let opening = opening::opening(overview);
    let body: String = sections.iter().map(Section::html).collect();
    let nav = format!("<nav aria-label=\"Contents\">{links}</nav>");
    document(&overview.experiment.title, &format!("{opening}{nav}<main id=\"main\">{body}</main>"))
}

/// A page that says that there is nothing to show.
pub(crate) fn empty(title: &str) -> String {
    let title_text = Text(title);
    document(
        title,
        &format!("<main id=\"main\"><h1>{title_text}</h1><p>No outcome to report.</p></main>"),
    )
}

/// The frame of a page. Its policy forbids everything but what the page itself holds: the one script is
/// named by its hash, so that no text from outside can run.
fn document(title: &str, body: &str) -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    let style = format!("{STYLE}{}", plot::STYLE);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"udas\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the results</a>\n{body}\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n",
        Text(title)
    )
}

impl Section {
    fn html(&self) -> String {
        let Self { id, title, body, .. } = self;
        format!(
            "\n<section id=\"{id}\" aria-label=\"{title}\">\n<h2>{title}</h2>\n{body}</section>\n"
        )
    }
}

/// Class of a coloured text or cell.
fn effect_class(effect: Effect) -> &'static str {
    match effect {
        Effect::Helps => "helps",
        Effect::Harms => "harms",
        Effect::Reference | Effect::Unclear | Effect::TooFew => "unclear",
    }
}

/// A sign that says better or worse without colour.
fn arrow(effect: Effect) -> &'static str {
    match effect {
        Effect::Helps => "▲",
        Effect::Harms => "▼",
        Effect::Reference | Effect::Unclear | Effect::TooFew => "◦",
    }
}

/// Colour of a plotted estimate.
fn plot_class(change: &Change) -> &'static str {
    match change.effect {
        Effect::Helps => "better",
        Effect::Harms => "worse",
        Effect::Reference | Effect::Unclear | Effect::TooFew => "same",
    }
}

/// A table in a frame of its own that scrolls sideways, reachable by keyboard.
fn scrolling(label: &str, class: &str, table: &str) -> String {
    let label = Text(label);
    format!(
        "<div class=\"scroll {class}\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">{table}</div>\n"
    )
}

/// A figure with its caption; both already markup.
fn figure(content: &str, caption: &str) -> String {
    format!("<figure>{content}<figcaption>{caption}</figcaption></figure>\n")
}

/// A part that is closed at first where there are many.
fn folded(summary: &str, content: &str, open: bool) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{}</summary>\n{content}</details>\n", Text(summary))
}
