//! Runs as folders: their settings, what they read, and the adaptation of a network from settings to a verdict.
//!
//! A [`Job`] is made of [`AdaptSettings`], which may leave most things open, and gives an [`Outcome`]; a [`RunFolder`] is
//! where it happens: locked while it is written, every file whole or absent, with a state to go on from. A [`Host`] is
//! the program around it, which is told what happens; [`Silent`] is one that listens to nothing.
//!
//! The feature `clap` makes the settings' structs flags of a command line as well, so that an option is stated once; the
//! program `udas` has them so. Without it the crate knows nothing of command lines, though errors and warnings name
//! settings as the program's flags do: `--epochs` is the setting `epochs`.
#![forbid(unsafe_code)]

mod adapt_settings;
mod adaptation;
mod balance;
mod beginning;
mod choice;
mod error;
#[cfg(feature = "clap")]
pub mod flags;
pub mod head_search;
mod host;
pub mod intensity;
pub mod judging;
mod method_settings;
mod observer;
pub mod other_trainings;
pub mod outcome;
pub mod plane;
mod prepare;
pub mod readiness;
mod run_folder;
pub mod selection;
pub mod settings;
pub mod spacing;
pub mod training;

pub use adapt_settings::{AdaptSettings, DEFAULT_CACHE_GIB};
pub use adaptation::{Job, Ran};
pub use balance::Balance;
pub use beginning::{Beginning, Begun};
pub use error::{Error, Result};
pub use host::{Host, Progress, Silent, Work};
pub use judging::JudgingSettings;
pub use method_settings::{MethodSettings, Preset};
pub use observer::{JudgeStart, Watch};
pub use outcome::{Outcome, PATCH_FILE};
pub use run_folder::{RESULT_FOLDER, RunFolder, Start};
pub use selection::Images;
pub use settings::Settings;
