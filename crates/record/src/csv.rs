//! Fields of a CSV file (RFC 4180).

/// A text field. A name that a spreadsheet would run as a formula gets a quote before it.
pub(crate) fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
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
