//! Synthetic heads and hearts as several scanners would show them.
#![forbid(unsafe_code)]

mod acquire;
mod brain;
mod error;
mod field;
mod head;
mod heart;
mod scan;
pub mod scanner;
pub mod signal;
pub mod tissue;

pub use error::{Error, Result};
pub use head::{HeadSubject, Sex};
pub use heart::{HeartSubject, Pathology};
pub use scan::{Cine, FULL_MATRIX, MATRIX_RANGE, head, heart};
