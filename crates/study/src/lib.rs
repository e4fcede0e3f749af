//! Experiments: methods compared from scanner to scanner, as a plan of jobs that are run once each.
//!
//! An experiment is a TOML file ([`Definition`]); some are built in ([`Catalogue`]). With a size, data and a folder it
//! becomes a [`Study`]: a [`Plan`] of jobs, each some command lines of the program `udas` with a hash of all that
//! decides what they produce. Jobs run in processes of their own, here or on a Slurm cluster; whatever is cut off goes
//! on with the same call. What came out is a table, a page, and files for other programs ([`Results`]).
//!
//! ```
//! use udas_study::{Catalogue, Maker, Pairs, Shot, Study, StudyConfig};
//!
//! let definition = Catalogue::Stock.load("cc359")?;
//! let study = Study::new(
//!     vec![definition],
//!     StudyConfig {
//!         preset: "quick".into(),
//!         data: None, // a phantom is made
//!         shot: Shot::All,
//!         pairs: Pairs::Own,
//!         out: "runs/quick".into(),
//!         program: std::env::current_exe()?, // `udas`, where it is installed
//!         maker: Maker::default(),
//!     },
//! )?;
//! // A phantom, a source model, two heads; four methods and the source model on five targets.
//! assert_eq!(study.plan().jobs.len(), 1 + 1 + 2 + 20 + 25);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod catalogue;
mod check;
mod commands;
mod data;
mod definition;
mod error;
mod estimate;
mod files;
mod grid;
mod ingredients;
mod job;
mod local;
mod made;
mod options;
mod plan;
mod progress;
mod queue;
mod results;
mod slurm;
mod state;
mod study;
mod subjects;
mod table;
mod verdict_text;
mod verdicts;

pub use catalogue::{ALL, Catalogue, METHODS, common_methods};
pub use definition::{Cost, Definition, Method, Options, Phantom, Preset, PublishedRow, Task};
pub use error::{Error, Result};
pub use estimate::duration;
pub use grid::{Pairs, Shot};
pub use job::run_line;
pub use options::CommandOptions;
pub use plan::{Demand, Job, Plan, Resume, Stage, Step};
pub use progress::{Progress, Tell};
pub use queue::Capacity;
pub use results::Maker;
pub use slurm::RUN_JOB;
pub use study::{Ended, Executor, Results, Study, StudyConfig};
pub use subjects::Subjects;
