//! How a setting names an intensity normalisation.
use crate::error::{Error, Result};
use std::path::Path;
use udas_data::{Intensity, Landmarks, Preprocessing, Standard, Subject};
use udas_model::ModelFile;

/// Quantiles of the source's histogram that a model file keeps.
const QUANTILES: usize = 256;

/// A normalisation as a setting names it.
pub enum Choice {
    /// Depends on the volume alone.
    Fixed(Intensity),
    /// Landmarks learned from the source's volumes (Nyul and Udupa).
    Nyul,
    /// The histogram of the source's volumes, which the model's file keeps.
    MatchSource,
}

/// Reads `min-max`, `percentile` (1 to 99), `percentile:LOW,HIGH`, `z-score`, `nyul` or `match-source`.
///
/// # Errors
/// [`Error::Usage`] for other words, [`Error::Data`] for percentiles out of range.
pub fn parse(text: &str) -> Result<Choice> {
    let intensity = match text.split_once(':') {
        None if text == "nyul" => return Ok(Choice::Nyul),
        None if text == "match-source" => return Ok(Choice::MatchSource),
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
            "--intensity {text}: give min-max, percentile, percentile:LOW,HIGH, z-score, nyul or match-source"
        );
        return Err(Error::usage(text));
    };
    intensity.check()?;
    Ok(Choice::Fixed(intensity))
}

/// The normalisation to train with; landmarks are learned from the subjects.
///
/// # Errors
/// As [`parse`], and those of volumes that cannot be read.
pub fn for_training(
    text: &str,
    subjects: &[Subject],
    preprocessing: &Preprocessing,
) -> Result<Intensity> {
    match parse(text)? {
        Choice::Fixed(intensity) => Ok(intensity),
        Choice::Nyul => {
            Ok(Intensity::Landmarks(Landmarks::learn(subjects, preprocessing, Standard::Nyul)?))
        }
        Choice::MatchSource => {
            let text = "--intensity match-source is for adapt and predict: there is no source to match yet";
            Err(Error::usage(text))
        }
    }
}

/// The source's histogram as its own preprocessing shows it to the network.
///
/// # Errors
/// Those of volumes that cannot be read.
pub fn histogram(subjects: &[Subject], preprocessing: &Preprocessing) -> Result<Landmarks> {
    let standard = Standard::Histogram { quantiles: QUANTILES };
    Ok(Landmarks::learn(subjects, preprocessing, standard)?)
}

/// Puts a normalisation in place of a model's own, for volumes of another scanner; `path` is the model's.
///
/// # Errors
/// As [`parse`]; [`Error::Input`] where the model's file lacks what it needs.
pub fn replace(model: &mut ModelFile, text: Option<&str>, path: &Path) -> Result<()> {
    let intensity = match text.map(parse).transpose()? {
        None => return Ok(()),
        Some(Choice::Fixed(intensity)) => intensity,
        Some(Choice::Nyul) => {
            let text = "--intensity nyul is learned at training: train the model with it";
            return Err(Error::usage(text));
        }
        Some(Choice::MatchSource) => match &model.info.source_histogram {
            Some(landmarks) => Intensity::Landmarks(landmarks.clone()),
            None => {
                let text = format!(
                    "{}: keeps no histogram of its source; train it with `udas train`",
                    path.display()
                );
                return Err(Error::input(text));
            }
        },
    };
    model.info.preprocessing.intensity = intensity;
    Ok(())
}
