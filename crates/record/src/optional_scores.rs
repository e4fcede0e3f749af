//! Scores in JSON: a number, `null` for undefined, `"inf"` for infinite.
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A score as it is written.
struct Written(Option<f64>);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) if value == f64::INFINITY => serializer.serialize_str("inf"),
            Some(value) if value.is_finite() => serializer.serialize_f64(value),
            _ => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Token {
            Number(f64),
            Word(String),
        }
        match Option::<Token>::deserialize(deserializer)? {
            None => Ok(Self(None)),
            Some(Token::Number(value)) => Ok(Self(Some(value))),
            Some(Token::Word(word)) if word == "inf" => Ok(Self(Some(f64::INFINITY))),
            Some(Token::Word(word)) => {
                Err(serde::de::Error::custom(format!("score {word:?} is no number")))
            }
        }
    }
}

/// Writes a list of scores.
pub(crate) fn serialize<S: Serializer>(
    scores: &[Option<f64>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scores.iter().copied().map(Written))
}

/// Reads a list of scores.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Option<f64>>, D::Error> {
    let written = Vec::<Written>::deserialize(deserializer)?;
    Ok(written.into_iter().map(|score| score.0).collect())
}

/// Scores by class and metric.
pub(crate) mod by_class {
    use super::Written;
    use crate::ClassScores;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    /// Writes scores by class.
    pub(crate) fn serialize<S: Serializer>(
        classes: &BTreeMap<String, ClassScores>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(classes.iter().map(|(class, scores)| {
            let written = scores.iter().map(|(metric, score)| (metric, Written(*score)));
            (class, written.collect::<BTreeMap<_, _>>())
        }))
    }

    /// Reads scores by class.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, ClassScores>, D::Error> {
        let written = BTreeMap::<String, BTreeMap<String, Written>>::deserialize(deserializer)?;
        let scores = |(class, scores): (String, BTreeMap<String, Written>)| {
            (class, scores.into_iter().map(|(metric, score)| (metric, score.0)).collect())
        };
        Ok(written.into_iter().map(scores).collect())
    }
}
