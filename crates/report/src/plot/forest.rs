//! Estimates with their intervals, one a line, about a reference value.
use super::{Anchor, Scale, Svg, shortened, text_width};

/// One line of a forest plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub label: String,
    pub value: f64,
    /// Ends of the interval.
    pub interval: Option<[f64; 2]>,
    /// Class of its colour: `better`, `worse` or `same`.
    pub class: &'static str,
    /// Printed on the right.
    pub note: String,
}

const ROW: f64 = 22.0;

/// Estimates from top to bottom; `reference` gets a dashed line where it lies on the axis.
pub(crate) fn forest(
    title: &str,
    axis: &str,
    reference: Option<f64>,
    estimates: &[Estimate],
    width: f64,
) -> Svg {
    let widest = |text: fn(&Estimate) -> &str| {
        estimates.iter().map(|e| text_width(text(e))).fold(0.0, f64::max)
    };
    let left = (widest(|e| &e.label) + 14.0).min(0.36 * width);
    let right = width - (widest(|e| &e.note) + 16.0).min(0.4 * width);
    let bottom = 8.0 + ROW * estimates.len() as f64;
    let description = estimates.iter().map(|e| format!("{}: {}", e.label, e.note));
    let description = description.collect::<Vec<_>>().join(". ");
    let mut svg = Svg::new(width, bottom + 40.0, title, &description);
    let ends = estimates.iter().flat_map(|e| e.interval.unwrap_or([e.value; 2]));
    let values = ends.chain(estimates.iter().map(|e| e.value)).chain(reference);
    let x = Scale::over(values, [left, right]);
    for (value, text) in x.ticks(((right - left) / 70.0) as usize) {
        svg.line("g", [x.at(value), 4.0], [x.at(value), bottom]);
        svg.text("k", [x.at(value), bottom + 15.0], Anchor::Middle, &text);
    }
    if let Some(reference) = reference {
        svg.line("z", [x.at(reference), 2.0], [x.at(reference), bottom]);
    }
    for (index, estimate) in estimates.iter().enumerate() {
        let y = 8.0 + ROW * (index as f64 + 0.5);
        let Estimate { label, value, interval, class, note } = estimate;
        svg.text("", [left - 10.0, y + 4.0], Anchor::End, &shortened(label, left - 12.0));
        if let Some([low, high]) = interval {
            svg.line(&format!("l wide {class}"), [x.at(*low), y], [x.at(*high), y]);
        }
        svg.circle(&format!("f {class}"), [x.at(*value), y], 4.6, &format!("{label}: {note}"));
        svg.text("k", [right + 10.0, y + 4.0], Anchor::Start, note);
    }
    svg.text("t", [(left + right) / 2.0, bottom + 33.0], Anchor::Middle, axis);
    svg
}
