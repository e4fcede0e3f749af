//! M&Ms: a CSV with vendor and the frames ED and ES of each subject, and a folder a subject.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Found;
use crate::files::{composed, entries, images_below, name_of};
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

pub(super) fn reader(path: &Path) -> Result<csv::Reader<std::io::Cursor<Vec<u8>>>> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    let text = as_utf8(bytes);
    let (separator, text) = without_preamble(&text);
    let names = text.lines().next().unwrap_or_default();
    let delimiter = separator.unwrap_or_else(|| delimiter(names.as_bytes()));
    let text = text.as_bytes().to_vec();
    let mut reader = csv::ReaderBuilder::new();
    reader.trim(csv::Trim::All).flexible(true).delimiter(delimiter);
    Ok(reader.from_reader(std::io::Cursor::new(text)))
}

/// Spreadsheets write UTF-16 and UTF-32 too, which the first bytes tell: a mark, or a letter and zeros. Bytes of other encodings
/// become U+FFFD.
fn as_utf8(bytes: Vec<u8>) -> String {
    let halves = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks().0.iter().map(|unit| of(*unit)).collect();
        String::from_utf16_lossy(&units)
    };
    let words = |of: fn([u8; 4]) -> u32| -> String {
        let letter = |unit: &[u8; 4]| char::from_u32(of(*unit)).unwrap_or('\u{fffd}');
        bytes.as_chunks().0.iter().map(letter).collect()
    };
    let text = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [1..=255, 0, 0, 0, ..] => words(u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=255, ..] => words(u32::from_be_bytes),
        [0xff, 0xfe, ..] | [1..=255, 0, ..] => halves(u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, 1..=255, ..] => halves(u16::from_be_bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    };
    match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    }
}

/// A table from the line of its columns on, and its separator where a first line `sep=;` names it, as spreadsheets write.
/// Titles before the columns of M&Ms are passed over.
fn without_preamble(text: &str) -> (Option<u8>, &str) {
    /// So many lines a title may have.
    const TITLE: usize = 5;
    let (separator, text) = match text.split_once('\n') {
        Some((first, rest)) if first.trim_end().to_lowercase().starts_with("sep=") => {
            (first.trim_end().as_bytes().get(4).copied(), rest)
        }
        _ => (None, text),
    };
    let mut start = 0;
    for line in text.split_inclusive('\n').take(TITLE + 1) {
        let words = line.to_lowercase().replace('_', " ");
        if words.contains(CODE) && words.contains(VENDOR) {
            return (separator, &text[start..]);
        }
        start += line.len();
    }
    (separator, text)
}

/// What stands between the columns: spreadsheets write semicolons where the comma is a decimal sign.
fn delimiter(names: &[u8]) -> u8 {
    let count = |delimiter: u8| names.iter().filter(|&&byte| byte == delimiter).count();
    [b';', b'\t'].into_iter().fold(b',', |most, d| if count(d) > count(most) { d } else { most })
}

/// Codes count in any case and either spelling of an accent: tables and file names differ in it.
fn same_code(code: &str) -> String {
    composed(code).to_uppercase()
}

/// Column numbers by lower-case name: revisions differ in order and in further columns.
pub(super) fn columns(path: &Path) -> Result<BTreeMap<String, usize>> {
    let mut reader = reader(path)?;
    let names = reader.headers().map_err(|error| invalid(path, error.to_string()))?;
    Ok(names.iter().enumerate().map(|(number, text)| (name(text), number)).collect())
}

/// A column's name, whatever its case and however its words are joined.
fn name(text: &str) -> String {
    let text = text.trim().to_lowercase();
    if text.replace('_', " ") == CODE { CODE.into() } else { text }
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
        if [code, vendor].into_iter().any(|column| field(column).contains('\u{fffd}')) {
            let problem = format!("row {} is not UTF-8; save the table as UTF-8", number + 2);
            return Err(invalid(path, problem));
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
        if rows.insert(same_code(field(code)), row).is_some() {
            return Err(invalid(path, format!("names subject {} twice", field(code))));
        }
    }
    Ok(rows)
}

/// Spreadsheets turn 9 into 9.0, or 9,0.
fn whole_number(text: &str) -> Option<usize> {
    [".0", ",0"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text).parse().ok()
}

pub(super) fn invalid(path: &Path, problem: String) -> Error {
    Error::Table { path: path.into(), problem }
}

pub(crate) fn find(root: &Path) -> Result<Found> {
    let Some(table) = table(root)? else {
        return Err(invalid(root, "holds no CSV with a column \"External code\"".into()));
    };
    let mut rows = rows(&table)?;
    let (mut images, mut masks) = (Vec::new(), Vec::new());
    for path in images_below(root, DEPTH)? {
        let name = name_of(&path);
        if let Some(code) = name.strip_suffix("_sa_gt") {
            masks.push((code.to_owned(), path));
        } else if let Some(code) = name.strip_suffix("_sa") {
            images.push((code.to_owned(), path));
        }
    }
    let mut masks = by_name(masks)?;
    let (mut subjects, mut notes) = (Vec::new(), Vec::new());
    let images = by_name(images)?;
    let first = images.keys().next().cloned();
    for (id, image) in images {
        let labels = masks.remove(&id);
        match rows.remove(&same_code(&id)) {
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
    if let (Some(first), true) = (first, subjects.is_empty()) {
        let problem =
            format!("gives no vendor and frames ED and ES for any image here, such as {first}_sa");
        return Err(invalid(&table, problem));
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
