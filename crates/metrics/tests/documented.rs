//! The rule for undefined cases stands in the crate's documentation and in `docs/metrics.md`, word for word.

/// Rows of the table below a head.
fn rows<'a>(text: &'a str, comment: &str) -> Vec<&'a str> {
    let lines = text.lines().map(|line| line.trim_start_matches(comment).trim());
    let table = lines.skip_while(|line| !line.starts_with("| score | only truth empty"));
    table.take_while(|line| line.starts_with('|')).collect()
}

#[test]
fn both_tables_of_undefined_cases_agree() {
    let page = rows(include_str!("../../../docs/metrics.md"), "");
    let documentation = rows(include_str!("../src/lib.rs"), "//!");
    assert_eq!(page.len(), 12);
    assert_eq!(page, documentation);
}
