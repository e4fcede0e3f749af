//! Records of runs turned into pictures, tables and one self-contained HTML page. No network, no files
//! beside the page: it opens from disk, prints, and reads on a phone, in the dark and aloud.
//!
//! - [`write_report`]: the page of an [`Experiment`] as `index.html`, its question and answer first, with
//!   overlays drawn from the volumes that the outcomes name. [`html`] is the page as text.
//! - [`write_results`]: the same experiment as `results.json` and `results.csv`.
//! - [`figures`]: the plots as SVG and the overlays as PNG, for papers.
//! - [`cases`], [`Overlay`] and [`Pictures`]: which subjects to look at, contours of masks on the slice that
//!   differs most, and their way into the page.
//! - [`masks_page`]: masks of any tool, worst first.
//! - [`tensorboard`]: event files for TensorBoard.
//! - [`record_scores`]: from measured scores to records.
//!
//! An experiment is read from `results.json`, or gathered from run folders by [`Experiment::gather`].
//!
//! Numbers come from [`udas_metrics::statistics`]; the unit is always the subject. The page depends on
//! its inputs only: the same results give the same bytes.
//!
//! ```
//! use udas_record::{Experiment, Outcome, ScoreColumn};
//!
//! let scores = ScoreColumn {
//!     class: "1".into(),
//!     metric: "dice".into(),
//!     before: vec![Some(0.70), Some(0.80)],
//!     after: vec![Some(0.90), Some(0.75)],
//! };
//! let outcome = Outcome {
//!     source: "scanner A".into(),
//!     target: "scanner B".into(),
//!     method: "tent".into(),
//!     subjects: vec!["s1".into(), "s2".into()],
//!     scores: vec![scores],
//!     ..Outcome::default()
//! };
//! let mut experiment = Experiment {
//!     title: "TENT on two subjects".into(),
//!     question: "Does it help?".into(),
//!     outcomes: vec![outcome],
//!     ..Experiment::default()
//! };
//! experiment.describe_missing();
//! # let folder = tempfile::tempdir()?;
//! # let out = folder.path();
//! // No outcome names volumes, so that the folder they start at is never looked at.
//! let pictures = udas_report::write_report(&experiment, out, udas_report::Plane::Sagittal, out)?;
//! udas_report::write_results(&experiment, out)?;
//! udas_report::figures(&experiment, &pictures, &out.join("figures"))?;
//! let page = std::fs::read_to_string(out.join("index.html"))?;
//! assert!(page.contains("Too few subjects to say."));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod analysis;
mod answer;
mod cases;
mod error;
mod figures;
mod files;
mod index;
mod markup;
mod overlay;
mod overview;
mod page;
mod pictures;
mod plot;
mod scores;
pub mod tensorboard;

pub use cases::{Case, Rank, cases};
pub use error::Error;
pub use figures::figures;
pub use files::{PAGE_FILE, RESULTS_TABLE_FILE, write_page, write_report, write_results};
pub use overlay::{
    Choice, Colour, Contour, Crop, Overlay, Panel, Picture, Plane, Stroke, after_only, before_after,
};
pub use page::{MaskGroup, MaskPage, MaskRow, masks_page};
pub use pictures::Pictures;
pub use scores::record_scores;
pub use udas_record::Experiment;

use overview::Overview;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// The page of an experiment: one HTML document without links to anything outside it.
pub fn html(experiment: &Experiment, pictures: &Pictures) -> String {
    match Overview::of(experiment) {
        Some(overview) => page::page(&overview, pictures),
        None => page::empty(&experiment.title),
    }
}
