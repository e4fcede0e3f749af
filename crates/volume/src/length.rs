//! Lengths as people read them.

/// A length in millimetres: two decimals, or as many as show three digits of what is smaller than 0.1 mm.
///
/// ```
/// assert_eq!(udas_volume::format_mm(0.9375), "0.94");
/// assert_eq!(udas_volume::format_mm(0.0004), "0.000400");
/// ```
pub fn format_mm(mm: f64) -> String {
    let decimals = if mm == 0.0 || mm.abs() >= 0.1 { 2 } else { decimals(mm) };
    format!("{mm:.decimals$}")
}

/// Decimals that show three digits of a length; 2 to 15.
fn decimals(mm: f64) -> usize {
    // A length that is no number has no digits to show: the conversion makes 0 of it.
    ((2.0 - mm.abs().log10().floor()) as usize).clamp(2, 15)
}
