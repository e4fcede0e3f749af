//! Lists of scores in JSON: a number, `null` for undefined, `"inf"` for infinite.
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Word(String),
}

/// Writes a list of scores.
pub(crate) fn serialize<S: Serializer>(
    scores: &[Option<f64>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scores.iter().map(|score| match score {
        Some(value) if value.is_infinite() => serde_json::Value::from("inf"),
        Some(value) => serde_json::Value::from(*value),
        None => serde_json::Value::Null,
    }))
}

/// Reads a list of scores.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Option<f64>>, D::Error> {
    let written = Vec::<Option<Written>>::deserialize(deserializer)?;
    let score = |written| match written {
        None => Ok(None),
        Some(Written::Number(value)) => Ok(Some(value)),
        Some(Written::Word(word)) if word == "inf" => Ok(Some(f64::INFINITY)),
        Some(Written::Word(word)) => Err(Error::custom(format!("score {word:?} is no number"))),
    };
    written.into_iter().map(score).collect()
}
