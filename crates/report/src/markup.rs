//! Text made safe for HTML and SVG, numbers as readers expect them.
use std::fmt;

/// Text from outside, escaped where it is shown; control characters become a visible mark.
pub(crate) struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                // Controls are no XML, and directional overrides would reorder what stands beside them.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_char('\u{fffd}')?,
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A number with a true minus sign and `decimals` places; `n/a` and `inf` in words.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "n/a".into();
    }
    if value.is_infinite() {
        return "inf".into();
    }
    let text = format!("{:.decimals$}", value.abs());
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    if value < 0.0 && !zero { format!("\u{2212}{text}") } else { text }
}

/// As [`number`], with a plus sign before gains.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    let positive = value > 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if positive { format!("+{text}") } else { text }
}

/// A number or a dash.
pub(crate) fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "\u{2013}".into(), |value| number(value, decimals))
}

/// A p-value as journals print it.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "&lt;\u{a0}0.001".into() } else { number(p, 3) }
}

/// `90 s`, `12 min`, `3 h 20 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{} s", number(seconds, 1)),
        10..120 => format!("{whole} s"),
        120..7200 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `2 subjects`, `1 subject`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`; after the sixth only how many more.
pub(crate) fn list(names: &[String]) -> String {
    const SHOWN: usize = 6;
    match names {
        [] => String::new(),
        [one] => one.clone(),
        many if many.len() > SHOWN => {
            let shown = many.get(..SHOWN).unwrap_or(many).join(", ");
            format!("{shown} and {} more", many.len() - SHOWN)
        }
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Date and time in UTC of seconds since 1970 (H. Hinnant, "chrono-compatible low-level date
/// algorithms", days to civil).
pub(crate) fn date(unix: u64) -> String {
    let (days, second) = (unix / 86_400 + 719_468, unix % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second % 3600 / 60)
}

/// A file name or element id from a name: letters, digits and single dashes.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_disarmed() {
        let text = Text("<script>\"&'\u{0}\u{202e}").to_string();
        assert_eq!(text, "&lt;script&gt;&quot;&amp;&#39;\u{fffd}\u{fffd}");
    }

    #[test]
    fn numbers_read_as_in_print() {
        assert_eq!(number(-0.1381, 3), "\u{2212}0.138");
        assert_eq!(number(-0.0001, 3), "0.000");
        assert_eq!(signed(0.0141, 3), "+0.014");
        assert_eq!(signed(0.0001, 3), "0.000");
        assert_eq!(p_value(0.0002), "&lt;\u{a0}0.001");
        assert_eq!(
            [duration(3.21), duration(95.0), duration(7300.0)],
            ["3.2 s", "95 s", "2 h 1 min"]
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_709_251_199), "2024-02-29 23:59 UTC");
        assert_eq!(date(4_102_444_800), "2100-01-01 00:00 UTC");
    }

    #[test]
    fn names_become_file_names() {
        assert_eq!(slug("GE 3 T → ../Philips"), "ge-3-t-philips");
    }
}
