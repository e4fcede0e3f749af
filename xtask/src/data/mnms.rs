//! M&Ms' folder tree, placed by a person: checked against its own information table.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::verify::{self, Depth};

/// Where a subject's folder may be, and whether it comes with labels there.
const FOLDERS: [(&str, Labels); 4] = [
    ("Training/Labeled", Labels::Given),
    ("Training/Unlabeled", Labels::Withheld),
    ("Validation", Labels::Given),
    ("Testing", Labels::Given),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    Given,
    Withheld,
}

/// A row of the information table, as far as the loader reads it.
#[derive(Deserialize)]
struct Row {
    #[serde(rename = "External code")]
    code: String,
    #[serde(rename = "VendorName")]
    vendor: String,
    #[serde(rename = "ED")]
    end_diastole: u32,
    #[serde(rename = "ES")]
    end_systole: u32,
}

/// Checks the folder; says what is there and returns what is wrong.
pub fn problems(data: &Path, domains: &[String], depth: Depth) -> Result<Vec<String>> {
    let table = find_table(data)?;
    let rows = read_table(&table)?;
    let mut wrong = Vec::new();
    let shown = table.display();
    for Row { code, vendor, end_diastole, end_systole } in &rows {
        if !domains.iter().any(|domain| vendor.starts_with(domain.as_str())) {
            wrong.push(format!("{shown}: {code} has an unknown vendor `{vendor}`"));
        }
        if end_diastole == end_systole {
            wrong.push(format!("{shown}: {code} has the same frame as ED and ES"));
        }
        wrong.extend(subject_problems(data, code, depth));
    }
    println!("{shown}: {} subjects listed", rows.len());
    Ok(wrong)
}

fn find_table(data: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(data).with_context(|| format!("cannot list {}", data.display()))?;
    let is_table = |name: &str| name.contains("Dataset_Information") && name.ends_with(".csv");
    let mut tables: Vec<_> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| is_table(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    // Revisions begin with their date: the last is the newest.
    tables.sort();
    tables.pop().with_context(|| {
        format!(
            "{} has no *Dataset_Information*.csv: place the information table there, or give the folder that \
             has it with --data",
            data.display()
        )
    })
}

fn read_table(path: &Path) -> Result<Vec<Row>> {
    let context = || {
        format!(
            "{} is not the information table (columns External code, VendorName, ED, ES): download it again",
            path.display()
        )
    };
    let mut reader = csv::Reader::from_path(path).with_context(context)?;
    reader.deserialize().collect::<Result<Vec<Row>, _>>().with_context(context)
}

fn subject_problems(data: &Path, code: &str, depth: Depth) -> Vec<String> {
    let plain = !code.is_empty() && code.chars().all(|c| c.is_ascii_alphanumeric());
    let found = FOLDERS.iter().find(|(folder, _)| plain && data.join(folder).join(code).is_dir());
    let Some((folder, labels)) = found else {
        let data = data.display();
        return vec![format!("subject `{code}` of the table has no folder below {data}")];
    };
    let folder = data.join(folder).join(code);
    let mut files = vec![folder.join(format!("{code}_sa.nii.gz"))];
    if *labels == Labels::Given {
        files.push(folder.join(format!("{code}_sa_gt.nii.gz")));
    }
    files.iter().filter_map(|path| verify::image_problem(path, depth)).collect()
}
