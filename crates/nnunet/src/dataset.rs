//! dataset.json: channels and labels.
use crate::fields::Fields;
use crate::{Result, json};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Name of the file in a model folder.
pub const DATASET_FILE: &str = "dataset.json";

/// What prediction needs to know of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// Images of a case.
    pub channels: usize,
    /// What they are called, such as `T2`, in their order.
    pub channel_names: Vec<String>,
    /// Ending of the images' names, such as `.nii.gz`.
    pub file_ending: String,
    /// What the network's outputs mean.
    pub labels: LabelRule,
}

/// How logits become labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelRule {
    /// One output a class, background first; the largest wins.
    Classes {
        /// Outputs.
        count: usize,
    },
    /// One output a region, which may overlap; the label of each that is likelier than not is painted, later ones over
    /// earlier ones.
    Regions {
        /// The label that each output paints.
        paint: Vec<u8>,
    },
}

impl LabelRule {
    /// The network's outputs.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classes { count } => *count,
            Self::Regions { paint } => paint.len(),
        }
    }
}

impl DataSet {
    /// Reads a file.
    ///
    /// # Errors
    /// [`crate::Error::Io`], or [`crate::Error::Model`] with what is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(path, &json::read(path)?)
    }

    fn of(path: &Path, map: &Map<String, Value>) -> Result<Self> {
        let fields = Fields { path, place: "the data set", map };
        let key = if fields.get("channel_names").is_some() { "channel_names" } else { "modality" };
        let named = fields.object(key)?;
        let channels = named.len();
        let name = |channel: usize| match named.get(&channel.to_string()) {
            Some(Value::String(name)) => name.clone(),
            _ => format!("channel {channel}"),
        };
        let channel_names = (0..channels).map(name).collect();
        let file_ending = match fields.text("file_ending")? {
            known @ (".nii" | ".nii.gz") => known.to_owned(),
            // Weights know nothing of endings: images are given as NIfTI, and so are masks.
            ".mha" | ".mhd" | ".nrrd" | ".gipl" => ".nii.gz".to_owned(),
            other => {
                let problem = format!(
                    "is {other}; models of volumes are supported, trained on .nii.gz, .nii, .mha, .mhd, .nrrd or .gipl"
                );
                return Err(fields.wrong("file_ending", &problem));
            }
        };
        Ok(Self { channels, channel_names, file_ending, labels: label_rule(&fields)? })
    }

    /// The channel that a file's name says, and the case's name before it. Either of NIfTI's endings will do.
    pub fn channel(&self, name: &str) -> Option<(usize, String)> {
        let stem = [".nii.gz", ".nii"].iter().find_map(|ending| name.strip_suffix(ending))?;
        let (case, channel) = stem.rsplit_once('_')?;
        let is_channel = channel.len() == 4 && channel.bytes().all(|byte| byte.is_ascii_digit());
        let channel =
            channel.parse().ok().filter(|&channel| is_channel && channel < self.channels)?;
        Some((channel, case.to_owned()))
    }

    /// Endings of the names of a case's files, one a channel.
    pub fn endings(&self) -> Vec<String> {
        (0..self.channels).map(|channel| format!("_{channel:04}{}", self.file_ending)).collect()
    }
}

fn label_rule(fields: &Fields) -> Result<LabelRule> {
    let labels = fields.object("labels")?;
    let is_region = |value: &Value| value.as_array().is_some_and(|values| values.len() > 1);
    let known = labels.iter().filter(|(name, _)| *name != "ignore");
    let values = known.map(|(name, value)| {
        whole(value)
            .ok_or_else(|| fields.wrong("labels", &format!("has no whole number for {name}")))
    });
    let values: Vec<Vec<u64>> = values.collect::<Result<_>>()?;
    if !labels.values().any(is_region) {
        let distinct: BTreeSet<u64> = values.into_iter().flatten().collect();
        if !(2..=256).contains(&distinct.len()) {
            let problem = format!("has {} values; 2 to 256 are supported", distinct.len());
            return Err(fields.wrong("labels", &problem));
        }
        return Ok(LabelRule::Classes { count: distinct.len() });
    }
    let regions = values.iter().filter(|values| values.iter().any(|&value| value != 0)).count();
    let order = fields.sizes("regions_class_order")?;
    if order.len() != regions {
        let problem = format!("has {} values for {regions} regions", order.len());
        return Err(fields.wrong("regions_class_order", &problem));
    }
    let paint = order.into_iter().map(|label| u8::try_from(label).ok()).collect::<Option<_>>();
    let paint = paint.ok_or_else(|| fields.wrong("regions_class_order", "has labels above 255"))?;
    Ok(LabelRule::Regions { paint })
}

/// The label or labels of an entry.
fn whole(value: &Value) -> Option<Vec<u64>> {
    match value {
        Value::Array(values) => values.iter().map(number).collect(),
        value => number(value).map(|value| vec![value]),
    }
}

/// A label, which nnU-Net takes as text too.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(labels: &str) -> Result<LabelRule> {
        let text = format!(
            r#"{{"channel_names": {{"0": "T1", "1": "T2"}}, "file_ending": ".nii.gz", {labels}}}"#
        );
        let data = DataSet::of(Path::new("dataset.json"), &json::parse(&text).unwrap())?;
        assert_eq!(data.channels, 2);
        // Either ending says the channel; other numbers do not.
        let found = |channel: usize| Some((channel, "case_7".to_owned()));
        assert_eq!(data.channel("case_7_0001.nii.gz"), found(1));
        assert_eq!(data.channel("case_7_0000.nii"), found(0));
        for other in ["case_7_0002.nii.gz", "case_7.nii.gz", "case_7_001.nii.gz", "case_7_0001.png"]
        {
            assert_eq!(data.channel(other), None, "{other}");
        }
        Ok(data.labels)
    }

    #[test]
    fn classes_and_regions_are_counted_as_the_original_does() {
        let of = |labels: &str| rule(labels).unwrap();
        let gap = of(r#""labels": {"background": 0, "a": 1, "b": 3, "ignore": 4}"#);
        assert_eq!(gap, LabelRule::Classes { count: 3 });
        let single = of(r#""labels": {"background": 0, "a": [1]}"#);
        assert_eq!(single, LabelRule::Classes { count: 2 });
        let regions =
            of(r#""labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "tip": 3},
               "regions_class_order": [1, 2, 3]"#);
        assert_eq!(regions, LabelRule::Regions { paint: vec![1, 2, 3] });
    }

    #[test]
    fn labels_that_make_no_sense_are_refused() {
        for (labels, part) in [
            (r#""labels": {"background": 0, "a": "one"}"#, "no whole number for a"),
            (r#""labels": {"background": 0}"#, "has 1 values"),
            (
                r#""labels": {"background": 0, "a": [1, 2]}, "regions_class_order": []"#,
                "for 1 regions",
            ),
            (
                r#""labels": {"background": 0, "a": [1, 2]}, "regions_class_order": [300]"#,
                "above 255",
            ),
            (r#""labels": {"background": 0, "a": [1, 2]}"#, "is missing"),
        ] {
            let error = rule(labels).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("dataset.json"), "{error}");
        }
    }
}
