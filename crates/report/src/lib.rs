//! Records of runs turned into pictures, tables and one self-contained HTML page. No network, no files
//! beside the page: it opens from disk, prints, and reads on a phone, in the dark and aloud.
//!
//! - [`html`]: the page of an [`Experiment`], its question and answer first.
//! - [`cases`] and [`Overlay`]: which subjects to look at, and contours of masks on the slice that
//!   differs most; [`Pictures`] carries them into the page.
//! - [`figures`]: the plots as SVG and the overlays as PNG, for papers.
//! - [`tensorboard`]: event files for TensorBoard.
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
//! let page = udas_report::html(&experiment, &udas_report::Pictures::default());
//! assert!(page.contains("Too few subjects to say."));
//! ```
#![forbid(unsafe_code)]

mod analysis;
mod answer;
mod cases;
mod error;
mod figures;
mod markup;
mod overlay;
mod overview;
mod page;
mod pictures;
mod plot;
pub mod tensorboard;

pub use cases::{Case, Rank, cases};
pub use error::Error;
pub use figures::figures;
pub use overlay::{
    Choice, Colour, Contour, Crop, Overlay, Panel, Picture, Plane, Stroke, before_after,
};
pub use pictures::Pictures;
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
