//! Scores before and after, subject by subject: named dumbbells, and small slope plots to compare methods.
use super::{Anchor, At, Scale, Svg, shortened};
use crate::markup::{number, signed};

/// A subject before and after.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Paired<'a> {
    pub name: &'a str,
    pub before: f64,
    pub after: f64,
    /// Class of its colour: `better`, `worse` or `same`.
    pub class: &'static str,
}

const ROW: f64 = 15.0;

/// A line a subject from the hollow mark (before) to the filled one (after).
pub(crate) fn dumbbells(
    title: &str,
    axis: &str,
    pairs: &[Paired],
    decimals: usize,
    width: f64,
) -> Svg {
    let (left, right) = (0.27 * width, width - 64.0);
    let bottom = 26.0 + ROW * pairs.len() as f64;
    let mut svg = Svg::new(width, bottom + 40.0, title, &description(pairs, decimals));
    let x = Scale::over(pairs.iter().flat_map(|p| [p.before, p.after]), [left, right]);
    svg.circle("o same", [left + 6.0, 10.0], 3.6, "");
    svg.text("k", [left + 14.0, 14.0], Anchor::Start, "before");
    svg.circle("f same", [left + 66.0, 10.0], 4.0, "");
    svg.text("k", [left + 74.0, 14.0], Anchor::Start, "after");
    svg.text("k", [width - 4.0, 14.0], Anchor::End, "change");
    for (value, text) in x.ticks(((right - left) / 70.0) as usize) {
        svg.line("g", [x.at(value), 22.0], [x.at(value), bottom]);
        svg.text("k", [x.at(value), bottom + 15.0], Anchor::Middle, &text);
    }
    for (index, pair) in pairs.iter().enumerate() {
        let y = 26.0 + ROW * (index as f64 + 0.5);
        let Paired { name, before, after, class } = pair;
        svg.text("k", [left - 8.0, y + 4.0], Anchor::End, &shortened(name, left - 10.0));
        svg.line(&format!("l {class}"), [x.at(*before), y], [x.at(*after), y]);
        svg.circle(&format!("o {class}"), [x.at(*before), y], 3.4, "");
        let (from, to) = (number(*before, decimals), number(*after, decimals));
        svg.circle(
            &format!("f {class}"),
            [x.at(*after), y],
            4.0,
            &format!("{name}: {from} to {to}"),
        );
        svg.text("k", [width - 4.0, y + 4.0], Anchor::End, &signed(after - before, decimals));
    }
    svg.text("t", [(left + right) / 2.0, bottom + 33.0], Anchor::Middle, axis);
    svg
}

/// A small plot with a line a subject from before to after, on a given axis so that many can be compared.
pub(crate) fn slopes(title: &str, pairs: &[Paired], range: [f64; 2], decimals: usize) -> Svg {
    let (width, top, bottom, left, right) = (196.0, 22.0, 128.0, 42.0, 180.0);
    let mut svg = Svg::new(width, bottom + 18.0, title, &description(pairs, decimals));
    let y = Scale::over(range, [bottom, top]);
    svg.text("h", [0.0, 11.0], Anchor::Start, &shortened(title, 0.94 * width));
    for (value, text) in y.ticks(3) {
        svg.line("g", [left, y.at(value)], [right, y.at(value)]);
        svg.text("k", [left - 5.0, y.at(value) + 4.0], Anchor::End, &text);
    }
    // One path a colour keeps the page of a large experiment small.
    for class in ["same", "worse", "better"] {
        let of_class = pairs.iter().filter(|pair| pair.class == class);
        let data: String = of_class
            .map(|p| format!("M{left} {}L{right} {}", At(y.at(p.before)), At(y.at(p.after))))
            .collect();
        if !data.is_empty() {
            svg.path(&format!("l thin {class}"), &data, "");
        }
    }
    svg.text("k", [left, bottom + 14.0], Anchor::Middle, "before");
    svg.text("k", [right, bottom + 14.0], Anchor::Middle, "after");
    svg
}

fn description(pairs: &[Paired], decimals: usize) -> String {
    let of = |class: &str| pairs.iter().filter(|pair| pair.class == class).count();
    let mut text = format!(
        "{} subjects: {} better, {} worse, {} about the same.",
        pairs.len(),
        of("better"),
        of("worse"),
        of("same")
    );
    let change = |pair: &&Paired| pair.after - pair.before;
    let lowest = pairs.iter().min_by(|a, b| change(a).total_cmp(&change(b)));
    let highest = pairs.iter().max_by(|a, b| change(a).total_cmp(&change(b)));
    if let (Some(lowest), Some(highest)) = (lowest, highest) {
        let (low, high) = (signed(change(&lowest), decimals), signed(change(&highest), decimals));
        text += &format!(" Changes from {low} ({}) to {high} ({}).", lowest.name, highest.name);
    }
    text
}
