//! Predicted volumes: before (hollow) and after (filled) over the true volume, or after over before.
use super::{Anchor, At, Scale, Svg, shortened};

/// A subject that moved from one height to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moved<'a> {
    pub name: &'a str,
    pub x: f64,
    /// Height before, where it is another quantity than `x`.
    pub from: Option<f64>,
    pub to: f64,
}

/// Points about the line of equal volumes.
pub(crate) fn scatter(title: &str, [x_axis, y_axis]: [&str; 2], points: &[Moved]) -> Svg {
    let (width, left, right, top, bottom) = (300.0, 54.0, 290.0, 26.0, 240.0);
    let mut svg = Svg::new(width, bottom + 38.0, title, &description(points));
    let all = points.iter().flat_map(|p| [p.x, p.to].into_iter().chain(p.from));
    let values: Vec<f64> = all.collect();
    let x = Scale::over(values.iter().copied(), [left, right]);
    let y = Scale::over(values, [bottom, top]);
    svg.text("h", [0.0, 12.0], Anchor::Start, &shortened(title, width));
    for (value, text) in y.ticks(4) {
        svg.line("g", [left, y.at(value)], [right, y.at(value)]);
        svg.text("k", [left - 6.0, y.at(value) + 4.0], Anchor::End, &text);
        svg.text("k", [x.at(value), bottom + 15.0], Anchor::Middle, &text);
    }
    svg.line("z", [left, bottom], [right, top]);
    for Moved { name, x: px, from, to } in points {
        let at = x.at(*px);
        if let Some(from) = from {
            let data = format!("M{} {}V{}", At(at), At(y.at(*from)), At(y.at(*to)));
            svg.path("l thin same", &data, "");
            svg.circle("o s2", [at, y.at(*from)], 3.0, "");
        }
        let tip = match from {
            Some(from) => format!("{name}: {from:.1} to {to:.1} ml, true {px:.1} ml"),
            None => format!("{name}: {px:.1} to {to:.1} ml"),
        };
        svg.circle("f s1", [at, y.at(*to)], 3.2, &tip);
    }
    svg.text("t", [(left + right) / 2.0, bottom + 32.0], Anchor::Middle, x_axis);
    svg.vertical_text([12.0, (top + bottom) / 2.0], y_axis);
    svg
}

fn description(points: &[Moved]) -> String {
    let mean = |values: Vec<f64>| {
        crate::index::mean(values).map_or_else(|| "n/a".into(), |mean| format!("{mean:.1} ml"))
    };
    let reference = mean(points.iter().map(|p| p.x).collect());
    let before = mean(points.iter().filter_map(|p| p.from).collect());
    let after = mean(points.iter().map(|p| p.to).collect());
    match points.iter().any(|p| p.from.is_some()) {
        true => {
            format!("Mean true volume {reference}; predicted {before} before and {after} after.")
        }
        false => format!("Mean predicted volume {reference} before and {after} after."),
    }
}
