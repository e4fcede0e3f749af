//! Changes by method and target as a coloured grid; the number stands in each cell.
use super::{Anchor, Svg, shortened, text_width};
use crate::markup::signed;

/// Rows and columns of changes; positive in `improvement` is blue, negative orange, full colour at
/// the largest one.
pub(crate) fn heat(
    title: &str,
    rows: &[String],
    columns: &[String],
    cells: &[Vec<Option<f64>>],
    direction: f64,
    decimals: usize,
) -> Svg {
    let (cell_width, cell_height, top) = (92.0, 26.0, 34.0);
    let left = rows.iter().map(|row| text_width(row)).fold(40.0, f64::max).min(240.0) + 12.0;
    let width = left + cell_width * columns.len() as f64 + 4.0;
    let height = top + cell_height * rows.len() as f64 + 4.0;
    let mut svg = Svg::new(width, height, title, &description(rows, columns, cells, decimals));
    for (index, column) in columns.iter().enumerate() {
        let x = left + cell_width * (index as f64 + 0.5);
        svg.text("k", [x, top - 10.0], Anchor::Middle, &shortened(column, cell_width + 4.0));
    }
    let changes = || cells.iter().flatten().flatten();
    let largest = changes().map(|change| change.abs()).fold(1e-9, f64::max);
    for (row, (name, values)) in rows.iter().zip(cells).enumerate() {
        let y = top + cell_height * row as f64;
        svg.text("", [left - 8.0, y + 17.0], Anchor::End, &shortened(name, left - 8.0));
        for (column, value) in values.iter().enumerate() {
            let x = left + cell_width * column as f64;
            let Some(change) = value else {
                svg.text("k", [x + cell_width / 2.0, y + 17.0], Anchor::Middle, "\u{2013}");
                continue;
            };
            let class = if change * direction >= 0.0 { "cell up" } else { "cell down" };
            let opacity = 0.55 * change.abs() / largest;
            let more = format!(" opacity=\"{opacity:.2}\"");
            svg.rect(class, [x + 1.0, y + 1.0], [cell_width - 2.0, cell_height - 2.0], &more);
            let text = signed(*change, decimals);
            svg.text("", [x + cell_width / 2.0, y + 17.0], Anchor::Middle, &text);
        }
    }
    svg
}

fn description(
    rows: &[String],
    columns: &[String],
    cells: &[Vec<Option<f64>>],
    decimals: usize,
) -> String {
    let row = |(name, values): (&String, &Vec<Option<f64>>)| {
        let known = columns.iter().zip(values).filter_map(|(column, value)| {
            value.map(|value| format!("{column} {}", signed(value, decimals)))
        });
        format!("{name}: {}", known.collect::<Vec<_>>().join(", "))
    };
    rows.iter().zip(cells).map(row).collect::<Vec<_>>().join(". ")
}
