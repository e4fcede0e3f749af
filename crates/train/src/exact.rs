//! JSON in which every float comes back to the bit: they are written as text, because serde_json reads
//! numbers to within a unit in the last place (its exact reading is a feature of the whole build).
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Error, Number, Value};

/// Begins the text of a float.
const FLOAT: &str = "float ";

pub(crate) fn to_json(value: &impl Serialize) -> Result<String, Error> {
    Ok(each(serde_json::to_value(value)?, &text_of_float).to_string())
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_value(each(serde_json::from_str(text)?, &float_of_text))
}

fn text_of_float(value: Value) -> Value {
    match value.as_f64() {
        // The shortest text that names this float and no other.
        Some(float) if value.is_f64() => Value::String(format!("{FLOAT}{float:?}")),
        _ => value,
    }
}

fn float_of_text(value: Value) -> Value {
    let float = value.as_str().and_then(|text| text.strip_prefix(FLOAT)?.parse().ok());
    float.and_then(Number::from_f64).map_or(value, Value::Number)
}

/// Applies `change` to every leaf.
fn each(value: Value, change: &dyn Fn(Value) -> Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| each(item, change)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, v)| (name, each(v, change))).collect())
        }
        leaf => change(leaf),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_come_back_to_the_bit() {
        // The first is one that serde_json misreads.
        let floats = [f64::from_bits(4606344442792952181), 0.1, 1e300, -0.0, 5e-324, 3.0];
        let (ints, words) = (vec![1u64, 2], vec!["converged".to_owned()]);
        let text = to_json(&(floats, &ints, &words)).unwrap();
        let (found, found_ints, found_words): ([f64; 6], Vec<u64>, Vec<String>) =
            from_json(&text).unwrap();
        assert_eq!(found.map(f64::to_bits), floats.map(f64::to_bits));
        assert_eq!((found_ints, found_words), (ints, words));
    }
}
