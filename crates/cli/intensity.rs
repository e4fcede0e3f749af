//! How a flag names an intensity normalisation.
use crate::failure;
use anyhow::Result;
use udas_data::Intensity;

/// Reads `min-max`, `percentile` (1 to 99), `percentile:LOW,HIGH` or `z-score`.
pub fn parse(text: &str) -> Result<Intensity> {
    let intensity = match text.split_once(':') {
        None if text == "min-max" => Some(Intensity::MinMax),
        None if text == "percentile" => Some(Intensity::Percentile { low: 1.0, high: 99.0 }),
        None if text == "z-score" => Some(Intensity::ForegroundZScore),
        Some(("percentile", range)) => range.split_once(',').and_then(|(low, high)| {
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            Some(Intensity::Percentile { low, high })
        }),
        _ => None,
    };
    let Some(intensity) = intensity else {
        let text = format!(
            "--intensity {text}: give min-max, percentile, percentile:LOW,HIGH or z-score"
        );
        return Err(failure::usage(&text).into());
    };
    intensity.check()?;
    Ok(intensity)
}
