//! Reports and results as files in a folder.
use std::fs;
use std::path::{Path, PathBuf};

use udas_files::write_whole;
use udas_record::RESULTS_FILE;

use crate::{Error, Experiment, Pictures, Plane, Result, html};

/// Name of the page in its folder.
pub const PAGE_FILE: &str = "index.html";
/// Name of the table of all scores.
pub const RESULTS_TABLE_FILE: &str = "results.csv";

/// Writes the page of an experiment as `index.html` into a folder, which is made where it is missing, with
/// overlays of the worst five and the best where its outcomes name the volumes (relative paths start at
/// `volumes`). Returns the pictures, for [`crate::figures`] and to say which could not be drawn.
///
/// # Errors
/// [`Error::Write`] names the file or folder.
pub fn write_report(
    experiment: &Experiment,
    volumes: &Path,
    plane: Plane,
    folder: &Path,
) -> Result<Pictures> {
    let pictures = Pictures::draw(experiment, volumes, plane);
    write_page(experiment, &pictures, folder)?;
    Ok(pictures)
}

/// Writes the page with these pictures as `index.html` into a folder; returns its path.
///
/// # Errors
/// [`Error::Write`] names the file or folder.
pub fn write_page(experiment: &Experiment, pictures: &Pictures, folder: &Path) -> Result<PathBuf> {
    write(folder, PAGE_FILE, html(experiment, pictures).as_bytes())
}

/// Writes `results.json` (all of the experiment) and `results.csv` (every score) into a folder; returns
/// both paths.
///
/// # Errors
/// [`Error::Write`] names the file or folder.
pub fn write_results(experiment: &Experiment, folder: &Path) -> Result<[PathBuf; 2]> {
    let path = folder.join(RESULTS_TABLE_FILE);
    let mut table = Vec::new();
    experiment.write_csv(&mut table).map_err(|source| Error::Write { path, source })?;
    Ok([
        write(folder, RESULTS_FILE, experiment.to_json().as_bytes())?,
        write(folder, RESULTS_TABLE_FILE, &table)?,
    ])
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(fail(folder))?;
    let path = folder.join(name);
    write_whole(&path, bytes).map_err(fail(&path))?;
    Ok(path)
}
