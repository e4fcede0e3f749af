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
    let (cell_width, cell_height, top) = (112.0, 26.0, 42.0);
    let left = rows.iter().map(|row| text_width(row)).fold(40.0, f64::max).min(240.0) + 12.0;
    let width = left + cell_width * columns.len() as f64 + 4.0;
    let height = top + cell_height * rows.len() as f64 + 4.0;
    let mut svg = Svg::new(width, height, title, &description(rows, columns, cells, decimals));
    for (index, column) in columns.iter().enumerate() {
        let x = left + cell_width * (index as f64 + 0.5);
        let [first, second] = two_lines(column, cell_width);
        let lines: &[_] = if second.is_empty() {
            &[(first, top - 10.0)]
        } else {
            &[(first, top - 23.0), (second, top - 10.0)]
        };
        for (line, y) in lines {
            svg.text("k", [x, *y], Anchor::Middle, line);
        }
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

/// A name in at most two lines of about `pixels`, broken between words.
fn two_lines(name: &str, pixels: f64) -> [String; 2] {
    let mut first = String::new();
    let mut words = name.split(' ').peekable();
    while let Some(word) = words.peek() {
        let longer = if first.is_empty() { (*word).to_owned() } else { format!("{first} {word}") };
        if !first.is_empty() && text_width(&longer) > pixels {
            break;
        }
        first = longer;
        words.next();
    }
    let second = words.collect::<Vec<_>>().join(" ");
    [shortened(&first, pixels + 6.0), shortened(&second, pixels + 6.0)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_take_two_lines_and_no_more() {
        assert_eq!(two_lines("TENT", 92.0), ["TENT", ""]);
        assert_eq!(two_lines("Early features, level 0", 92.0), ["Early", "features, le…"]);
        assert_eq!(two_lines("Early features, level 0", 112.0), ["Early features,", "level 0"]);
        assert_eq!(two_lines("", 92.0), ["", ""]);
    }
}
