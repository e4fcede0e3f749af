//! Plain records of runs: epoch events, scores, and the files of a run folder. No computation.
//!
//! A run is a folder: `config.toml` (what was asked), `model.safetensors` (what came out), `events.jsonl`
//! (one [`Event`] a line, written by an [`EventLog`]), `scores.json` (an [`Evaluation`], where labels were at
//! hand). Many runs make an [`Experiment`], kept in `results.json` or gathered from their folders. The
//! formats are described in `docs/records.md`.
//!
//! ```
//! use udas_record::{EpochRecord, Event, Phase};
//!
//! let epoch = EpochRecord { phase: Phase::Adapt, epoch: 1, steps: 20, loss: 0.31, score: Some(0.92),
//!     score_change: Some(0.02), learning_rate: 1e-3, seconds: 12.5, slices_per_second: 32.0,
//!     peak_memory_bytes: None };
//! let line = serde_json::to_string(&Event::Epoch(epoch))?;
//! assert!(line.starts_with(r#"{"event":"epoch","phase":"adapt","epoch":1"#));
//! # Ok::<(), serde_json::Error>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod anonymous;
mod convergence;
mod csv;
mod evaluation;
mod event;
mod event_log;
mod experiment;
mod gather;
mod histogram;
mod log;
mod machine;
mod optional_scores;
mod outcome;
mod results;
mod settings;

pub use convergence::Convergence;
pub use csv::plain as plain_in_tables;
pub use evaluation::{ClassScores, Evaluation, SCORES_BEFORE_FILE, SCORES_FILE, SubjectRecord};
pub use event::{EpochRecord, Event, Input, Phase, StartRecord, StopReason, StopRecord};
pub use event_log::{EventLog, Progress};
pub use experiment::{
    Better, Class, DataSet, Experiment, Ingredient, MethodDescription, MethodKind,
    MetricDescription, Origin, Provenance, Published,
};
pub use gather::CONFIG_FILE;
pub use histogram::Histogram;
pub use log::{EVENTS_FILE, Error, parse_events, read_events, read_start, to_lines};
pub use machine::{Machine, peak_memory_bytes};
pub use outcome::{
    Decision, MeasuredScore, Outcome, PredictedScore, ScoreColumn, SubjectVolumes, Verdict, person,
};
pub use results::{RESULTS_FILE, ResultsError};
