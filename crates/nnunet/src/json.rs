//! JSON as Python writes it: NaN and infinities stand bare, and are read as nothing.
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;

/// A description longer than this is none.
const MAX_BYTES: u64 = 64 << 20;

/// Reads a file that holds one object.
pub(crate) fn read(path: &Path) -> Result<Map<String, Value>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::model(path, "is longer than any description; give an nnU-Net folder"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::model(path, "is no text; copy the folder again"))?;
    parse(&text).map_err(|problem| {
        Error::model(
            path,
            format!("is not the JSON that nnU-Net writes ({problem}); copy it again"),
        )
    })
}

/// Parses an object. Python's `NaN` and `Infinity`, which JSON has not, become null.
pub(crate) fn parse(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(&without_nan(text)) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("it is no object".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn without_nan(text: &str) -> String {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    let mut plain = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !inside && rest.starts_with(**word));
        if let Some(word) = word {
            plain.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        if !escaped && letter == '"' {
            inside = !inside;
        }
        escaped = inside && !escaped && letter == '\\';
        plain.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_has_not_is_read_as_nothing_and_texts_stay() {
        let map =
            parse(r#"{"a": NaN, "b": [-Infinity, 1, Infinity], "c": "NaN \" NaN", "NaN": 2}"#);
        let map = map.unwrap();
        assert_eq!(map["a"], Value::Null);
        assert_eq!(map["b"], serde_json::json!([null, 1, null]));
        assert_eq!(map["c"], "NaN \" NaN");
        assert_eq!(map["NaN"], 2);
        assert!(parse("[1]").is_err() && parse("{\"a\": Nothing}").is_err() && parse("").is_err());
    }
}
