//! A score that may be undefined or infinite, and its form in files.
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A number, or the reason why there is none. In JSON: the number, `"inf"`, or `null`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Score {
    /// An ordinary value.
    Finite(f64),
    /// Something over nothing, such as the distance to an empty surface.
    Infinite,
    /// Nothing over nothing, such as the Dice of two empty masks.
    Undefined,
}

impl Score {
    /// The quotient of two non-negative quantities, `0/0` undefined and `x/0` infinite.
    pub fn ratio(numerator: f64, denominator: f64) -> Self {
        Self::from(numerator / denominator)
    }

    /// The value, if there is a finite one.
    pub fn finite(self) -> Option<f64> {
        match self {
            Self::Finite(value) => Some(value),
            Self::Infinite | Self::Undefined => None,
        }
    }
}

impl From<f64> for Score {
    /// NaN becomes `Undefined`; an infinity becomes `Infinite`.
    fn from(value: f64) -> Self {
        if value.is_nan() {
            Self::Undefined
        } else if value.is_infinite() {
            Self::Infinite
        } else {
            Self::Finite(value)
        }
    }
}

/// Writes `inf` or `n/a` where there is no number; width and precision are those of numbers.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Finite(value) => return value.fmt(f),
            Self::Infinite => "inf",
            Self::Undefined => "n/a",
        };
        write!(f, "{word:>width$}", width = f.width().unwrap_or(0))
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Finite(value) => serializer.serialize_f64(*value),
            Self::Infinite => serializer.serialize_str("inf"),
            Self::Undefined => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        enum Word {
            #[serde(rename = "inf")]
            Inf,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(Word),
        }
        Ok(match Option::<Written>::deserialize(deserializer)? {
            Some(Written::Number(value)) => Self::from(value),
            Some(Written::Word(Word::Inf)) => Self::Infinite,
            None => Self::Undefined,
        })
    }
}
