//! The worst five and the best, drawn.
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{Section, figure};
use crate::markup::{Text, optional};
use crate::{Case, Overview, Pictures, Rank, cases};

pub(super) fn section(overview: &Overview, pictures: &Pictures) -> Option<Section> {
    let cases = cases(overview.experiment);
    if cases.is_empty() {
        return None;
    }
    let title = Text(&overview.focus.title);
    let mut body = format!(
        "<p>{title}: the lowest five and the highest after adaptation, on the slice where before and after \
         differ most. Contours: <span class=\"swatch truth\"></span>truth, <span class=\"swatch \
         before\"></span>before, <span class=\"swatch after\"></span>after.</p>\n"
    );
    let drawn = cases.iter().filter_map(|case| Some((case, pictures.get(case)?)));
    let mut missing = cases.len();
    body += "<div class=\"grid cases\">";
    for (case, picture) in drawn {
        missing -= 1;
        let data = BASE64_STANDARD.encode(&picture.png);
        let alt = format!("{}. {}", words(overview, case), picture.description);
        let image = format!(
            "<img decoding=\"async\" width=\"{}\" height=\"{}\" alt=\"{}\" src=\"data:image/png;base64,{data}\">",
            picture.width,
            picture.height,
            Text(&alt)
        );
        body +=
            &figure(&image, &format!("{} {}", caption(overview, case), Text(&picture.description)));
    }
    body += "</div>\n";
    if missing > 0 {
        body += &without_picture(overview, pictures, &cases);
    }
    Some(Section { id: "cases", short: "Cases", title: "Worst five and best", body })
}

fn without_picture(overview: &Overview, pictures: &Pictures, cases: &[Case]) -> String {
    let reason = |case: &Case| {
        let found = pictures.missing().find(|(missing, _)| missing.is_same(case));
        found.map_or_else(String::new, |(_, error)| format!(" {}.", Text(&error.to_string())))
    };
    let listed = cases.iter().filter(|case| pictures.get(case).is_none());
    let items = listed.map(|case| format!("<li>{}{}</li>", caption(overview, case), reason(case)));
    let items: String = items.collect();
    format!("<p>Without a picture, as their volumes were not at hand:</p><ul>{items}</ul>\n")
}

fn rank(case: &Case) -> String {
    match case.rank {
        Rank::Worst(1) => "Lowest".into(),
        Rank::Worst(n) => format!("Lowest {n}"),
        Rank::Best => "Highest".into(),
    }
}

fn words(overview: &Overview, case: &Case) -> String {
    let decimals = overview.decimals();
    let metric = overview.metric.map_or_else(String::new, |metric| {
        let (before, after) = (optional(case.before, decimals), optional(case.after, decimals));
        format!(", {} {before} before, {after} after", metric.title)
    });
    let pair = overview.pair_name((&case.source, &case.target));
    format!("{}: {}, {pair}, seed {}{metric}", rank(case), case.subject, case.seed)
}

fn caption(overview: &Overview, case: &Case) -> String {
    let text = words(overview, case);
    let (head, rest) = text.split_once(", ").unwrap_or((&text, ""));
    format!("<strong>{}</strong>, {}.", Text(head), Text(rest))
}
