//! Courses over epochs: a line a run, a colour a method.
use super::{Anchor, At, Scale, Svg, shortened};

/// A line. Lines with the same style belong together and share a legend entry elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub name: String,
    /// Index of its colour and dashes.
    pub style: usize,
    pub points: Vec<(f64, f64)>,
}

/// Class of a style: eight colours, then the same with dashes, then with dots.
fn style(index: usize) -> String {
    let dashes = match index / 8 % 3 {
        0 => "",
        1 => " d1",
        _ => " d2",
    };
    format!("s{}{dashes}", index % 8)
}

/// A short piece of a line, to stand before its name in a legend.
pub(crate) fn legend_key(index: usize) -> String {
    format!(
        "<svg class=\"plot key\" aria-hidden=\"true\" viewBox=\"0 0 26 8\" width=\"26\" height=\"8\">\
         <path class=\"l wide {}\" d=\"M0 4H26\"/></svg>",
        style(index)
    )
}

/// Lines over a common horizontal axis.
pub(crate) fn lines(title: &str, axis: &str, series: &[Series]) -> Svg {
    let (width, left, right, top, bottom) = (300.0, 44.0, 292.0, 24.0, 150.0);
    let mut svg = Svg::new(width, bottom + 36.0, title, &description(series));
    let points = || series.iter().flat_map(|s| &s.points).filter(|p| p.1.is_finite());
    let x = Scale::over(points().map(|p| p.0), [left, right]);
    let y = Scale::over(points().map(|p| p.1), [bottom, top]);
    svg.text("h", [0.0, 12.0], Anchor::Start, &shortened(title, width));
    for (value, text) in y.ticks(4) {
        svg.line("g", [left, y.at(value)], [right, y.at(value)]);
        svg.text("k", [left - 6.0, y.at(value) + 4.0], Anchor::End, &text);
    }
    for (value, text) in x.ticks(6).into_iter().filter(|(value, _)| value.fract() == 0.0) {
        svg.text("k", [x.at(value), bottom + 15.0], Anchor::Middle, &text);
    }
    for Series { name, style: index, points } in series {
        let class = style(*index);
        match points.as_slice() {
            [] => {}
            [(px, py)] => svg.circle(&format!("f {class}"), [x.at(*px), y.at(*py)], 2.4, name),
            many => {
                let mut data = String::new();
                for (px, py) in many.iter().filter(|p| p.1.is_finite()) {
                    data.push(if data.is_empty() { 'M' } else { 'L' });
                    data += &format!("{} {}", At(x.at(*px)), At(y.at(*py)));
                }
                svg.path(&format!("l {class}"), &data, name);
            }
        }
    }
    svg.text("t", [(left + right) / 2.0, bottom + 31.0], Anchor::Middle, axis);
    svg
}

fn description(series: &[Series]) -> String {
    const SHOWN: usize = 12;
    let words = series.iter().filter_map(|s| {
        let (first, last) = (s.points.first()?.1, s.points.last()?.1);
        Some(format!("{}: from {first:.3} to {last:.3}", s.name))
    });
    let mut words: Vec<String> = words.collect();
    let more = words.len().saturating_sub(SHOWN);
    words.truncate(SHOWN);
    if more > 0 {
        words.push(format!("and {more} more lines"));
    }
    words.join("; ")
}
