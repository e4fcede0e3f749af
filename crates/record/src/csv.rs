//! Fields of a CSV file (RFC 4180).

/// A name as a table holds it: one that a spreadsheet would run as a formula gets a quote before it.
pub fn plain(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

/// A text field.
pub(crate) fn field(text: &str) -> String {
    let text = plain(text);
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// A score; undefined is empty, infinity `inf`.
pub(crate) fn number(score: Option<f64>) -> String {
    score.map_or_else(String::new, |value| value.to_string())
}
