//! Values of a JSON object, asked for by name; what is missing or of another kind is named.
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// An object of a file, and the place where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub path: &'a Path,
    /// What the object is, in words.
    pub place: &'a str,
    pub map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// A value that is there and not null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn wrong(&self, key: &str, problem: &str) -> Error {
        let place = self.place;
        Error::model(
            self.path,
            format!("`{key}` of {place} {problem}; give a folder as nnU-Net writes it"),
        )
    }

    fn need<T>(&self, key: &str, what: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<T> {
        let value = self.get(key).ok_or_else(|| self.wrong(key, "is missing"))?;
        read(value).ok_or_else(|| self.wrong(key, &format!("is not {what}")))
    }

    pub fn text(&self, key: &str) -> Result<&'a str> {
        self.need(key, "a text", Value::as_str)
    }

    pub fn size(&self, key: &str) -> Result<usize> {
        self.need(key, "a size", size)
    }

    pub fn object(&self, key: &str) -> Result<&'a Map<String, Value>> {
        self.need(key, "an object", Value::as_object)
    }

    pub fn list(&self, key: &str) -> Result<&'a [Value]> {
        self.need(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    pub fn sizes(&self, key: &str) -> Result<Vec<usize>> {
        self.need(key, "a list of sizes", sizes)
    }

    pub fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        self.need(key, "a list of numbers", |value| {
            value.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    /// One size for each of `count` places; a single one stands for all.
    pub fn sizes_of(&self, key: &str, count: usize) -> Result<Vec<usize>> {
        match self.get(key).and_then(size) {
            Some(one) => Ok(vec![one; count]),
            None => self.counted(key, self.sizes(key)?, count),
        }
    }

    /// A list of `axes` sizes for each of `count` places; a single size stands for all axes.
    pub fn tuples(&self, key: &str, count: usize, axes: usize) -> Result<Vec<Vec<usize>>> {
        let tuple = |value: &Value| match size(value) {
            Some(one) => Some(vec![one; axes]),
            None => sizes(value).filter(|sizes| sizes.len() == axes),
        };
        let tuples = match self.get(key) {
            Some(value) if size(value).is_some() => tuple(value).map(|one| vec![one; count]),
            _ => self.list(key)?.iter().map(tuple).collect(),
        };
        let what = format!("is not a list of {axes} sizes for each stage");
        self.counted(key, tuples.ok_or_else(|| self.wrong(key, &what))?, count)
    }

    fn counted<T>(&self, key: &str, values: Vec<T>, count: usize) -> Result<Vec<T>> {
        if values.len() == count {
            return Ok(values);
        }
        Err(self.wrong(key, &format!("has {} values, not {count}", values.len())))
    }
}

fn size(value: &Value) -> Option<usize> {
    // Sizes beyond this are no sizes; what is made of smaller ones is held against the weights.
    value.as_u64().filter(|&size| size < 1 << 24).map(|size| size as usize)
}

fn sizes(value: &Value) -> Option<Vec<usize>> {
    value.as_array()?.iter().map(size).collect()
}
