//! M&Ms: a CSV with vendor and the frames ED and ES of each subject, and a folder a subject.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use udas_volume::stem;

use super::Found;
use crate::files::{entries, images_below};
use crate::subject::by_name;
use crate::{Error, Frames, Part, Result, Subject};

/// `Training/Labeled/CODE/FILE` is three levels below the root; a folder around it makes one more.
const DEPTH: usize = 4;
const CODE: &str = "external code";
const VENDOR: &str = "vendor";

/// The data set's CSV, recognised by its columns; the last by name where there are revisions.
pub(crate) fn table(root: &Path) -> Result<Option<PathBuf>> {
    let is_table = |path: &PathBuf| {
        let is_csv =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        is_csv && path.is_file() && columns(path).is_ok_and(|columns| columns.contains_key(CODE))
    };
    Ok(entries(root)?.into_iter().rfind(is_table))
}

fn reader(path: &Path) -> Result<csv::Reader<std::fs::File>> {
    let file = std::fs::File::open(path).map_err(|source| Error::io(path, source))?;
    Ok(csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(file))
}

/// Column numbers by lower-case name: revisions differ in order and in further columns.
fn columns(path: &Path) -> Result<BTreeMap<String, usize>> {
    let mut reader = reader(path)?;
    let names = reader.headers().map_err(|error| invalid(path, error.to_string()))?;
    let name = |name: &str| name.trim_start_matches('\u{feff}').trim().to_lowercase();
    Ok(names.iter().enumerate().map(|(number, text)| (name(text), number)).collect())
}

/// A row of the CSV.
struct Row {
    vendor: String,
    /// ED and ES; none for subjects without labels in some revisions.
    frames: Option<Vec<usize>>,
}

fn rows(path: &Path) -> Result<BTreeMap<String, Row>> {
    let columns = columns(path)?;
    let column = |name: &str| {
        columns.get(name).copied().ok_or_else(|| {
            let existing = columns.keys().cloned().collect::<Vec<_>>().join(", ");
            invalid(path, format!("has no column {name:?} (it has {existing})"))
        })
    };
    let (code, vendor, ed, es) = (column(CODE)?, column(VENDOR)?, column("ed")?, column("es")?);
    let mut rows = BTreeMap::new();
    for (number, record) in reader(path)?.records().enumerate() {
        let record = record.map_err(|error| invalid(path, error.to_string()))?;
        let field = |column: usize| record.get(column).unwrap_or_default();
        if field(code).is_empty() {
            continue;
        }
        let frame = |name: &str, column: usize| match field(column) {
            "" => Ok(None),
            text => whole_number(text).map(Some).ok_or_else(|| {
                invalid(
                    path,
                    format!("row {} has {name} {text:?}, which is no frame number", number + 2),
                )
            }),
        };
        let frames = frame("ED", ed)?.zip(frame("ES", es)?).map(|(ed, es)| vec![ed, es]);
        let row = Row { vendor: field(vendor).to_owned(), frames };
        if rows.insert(field(code).to_owned(), row).is_some() {
            return Err(invalid(path, format!("names subject {} twice", field(code))));
        }
    }
    Ok(rows)
}

/// Spreadsheets turn 9 into 9.0.
fn whole_number(text: &str) -> Option<usize> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

fn invalid(path: &Path, problem: String) -> Error {
    Error::Table { path: path.into(), problem }
}

pub(crate) fn find(root: &Path) -> Result<Found> {
    let Some(table) = table(root)? else {
        return Err(invalid(root, "holds no CSV with a column \"External code\"".into()));
    };
    let mut rows = rows(&table)?;
    let (mut images, mut masks) = (Vec::new(), Vec::new());
    for path in images_below(root, DEPTH)? {
        let name = stem(&path);
        if let Some(code) = name.strip_suffix("_sa_gt") {
            masks.push((code.to_owned(), path));
        } else if let Some(code) = name.strip_suffix("_sa") {
            images.push((code.to_owned(), path));
        }
    }
    let mut masks = by_name(masks)?;
    let (mut subjects, mut notes) = (Vec::new(), Vec::new());
    for (id, image) in by_name(images)? {
        let labels = masks.remove(&id);
        match rows.remove(&id) {
            Some(Row { vendor, frames: Some(frames) }) if !vendor.is_empty() => {
                let part = part_of(&image);
                let frames = Frames::Chosen(frames);
                subjects.push(Subject { id, domain: vendor, image, labels, frames, part });
            }
            Some(_) => {
                notes.push(format!(
                    "{}: left out, since its vendor, ED or ES is not in the CSV; fill them in, or give frames as files \
                     of their own",
                    image.display()
                ));
            }
            None => notes.push(format!("{}: the CSV has no such subject", image.display())),
        }
    }
    if !rows.is_empty() {
        notes.push(format!("{}: {} subjects have no files here", table.display(), rows.len()));
    }
    Ok((subjects, notes))
}

fn part_of(image: &Path) -> Option<Part> {
    image.components().rev().find_map(|component| match component.as_os_str().to_str()? {
        "Training" => Some(Part::Training),
        "Validation" => Some(Part::Validation),
        "Testing" => Some(Part::Testing),
        _ => None,
    })
}
