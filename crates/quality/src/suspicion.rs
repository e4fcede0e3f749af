//! How unlike the others a mask is, where no reference is at hand.
use crate::{Column, Look};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Spread of a normal distribution over its median absolute deviation.
const NORMAL: f64 = 1.4826;

/// A column spreads at least so far: what hardly differs anywhere is not suspicious where it does.
fn least_spread(column: &str) -> f64 {
    match column {
        "log volume" | "log compactness" => 0.1,
        "log parts" => 0.5,
        "at border" => 0.005,
        _ => 0.01,
    }
}

/// The column in which a mask is most unlike the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Suspicion {
    /// Its name, of [`Look::columns`].
    pub column: String,
    /// Distance from the median in robust spreads; below 0 where the value is lower.
    pub distance: f64,
}

/// For each look, the column in which it is furthest from the median of all (Iglewicz and Hoaglin 1993); none of an absent
/// class, or where fewer than three have it.
pub fn suspicion(looks: &[Look]) -> Vec<Option<Suspicion>> {
    let rows: Vec<Option<Vec<Column>>> = looks.iter().map(Look::columns).collect();
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for Column { name, value } in rows.iter().flatten().flatten() {
        values.entry(name).or_default().push(*value);
    }
    let scales: BTreeMap<&str, [f64; 2]> = values
        .into_iter()
        .filter_map(|(name, values)| Some((name, robust(values, least_spread(name))?)))
        .collect();
    let furthest = |row: &Vec<Column>| {
        let distances = row.iter().filter_map(|Column { name, value }| {
            let [centre, spread] = scales.get(name)?;
            Some((name, (value - centre) / spread))
        });
        let (name, distance) = distances.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
        Some(Suspicion { column: (*name).into(), distance })
    };
    rows.iter().map(|row| row.as_ref().and_then(furthest)).collect()
}

/// Median and robust spread, at least `least`.
fn robust(mut values: Vec<f64>, least: f64) -> Option<[f64; 2]> {
    if values.len() < 3 {
        return None;
    }
    let centre = median(&mut values);
    let mut far: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    Some([centre, (NORMAL * median(&mut far)).max(least)])
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks() -> Vec<Look> {
        (0..9)
            .map(|index| Look {
                volume_ml: 100.0 + f64::from(index),
                parts: 1,
                largest_part: 1.0,
                smoothness: 0.9,
                compactness: 0.2,
                at_border: 0.0,
                agreement: None,
                reverse: None,
                confidence: None,
            })
            .collect()
    }

    #[test]
    fn the_one_that_is_unlike_the_others_is_named() {
        let mut looks = looks();
        looks[4].smoothness = 0.5;
        let suspicions = suspicion(&looks);
        let worst = suspicions[4].as_ref().unwrap();
        assert_eq!(worst.column, "smoothness");
        assert!(worst.distance < -10.0);
        assert!(
            suspicions
                .iter()
                .enumerate()
                .all(|(i, s)| i == 4 || s.as_ref().unwrap().distance.abs() < 3.0)
        );
    }

    #[test]
    fn absent_classes_and_small_groups_are_left_out() {
        let mut looks = looks();
        looks[0].parts = 0;
        assert_eq!(suspicion(&looks)[0], None);
        assert_eq!(suspicion(&looks[1..3]), [None, None]);
    }
}
