//! How far to trust masks of any tool, without labels: what a mask looks like, how others agree with it, and the Dice
//! that this predicts.
//!
//! [`look`] measures a class of a mask: its parts, its smoothness from slice to slice, its compactness, and its Dice with
//! masks of the same image by other raters, folds or seeds, where there are some: the best single signal of quality. A
//! [`Reference`] learns from cases with labels what that says of the true Dice, and predicts it with an interval.
//! Where the tool has left its probabilities, [`Confidence`] says what they tell of a class.
//! Without a reference, [`suspicion`] tells how unlike the other masks at hand one is.
//!
//! ```
//! use udas_quality::look;
//! use udas_volume::{Affine, Labels};
//!
//! // A cube, and the same cube with a voxel that floats beside it.
//! let cube = |floats: bool| {
//!     let voxel = |i: usize| [i % 8, i / 8 % 8, i / 64];
//!     let inside = |p: [usize; 3]| p.iter().all(|&x| (2..6).contains(&x)) || floats && p == [7, 7, 7];
//!     let data = (0..512).map(|i| u8::from(inside(voxel(i)))).collect();
//!     Labels::new(data, [8; 3], Affine::from_spacing([1.0; 3]))
//! };
//! let (clean, dirty) = (cube(false)?, cube(true)?);
//! let look = look(&dirty, &[clean], 1)?;
//! assert_eq!(look.parts, 2);
//! assert!(look.largest_part < 1.0 && look.agreement.is_some_and(|agreement| agreement.mean > 0.98));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod confidence;
mod look;
mod reference;
mod reverse;
mod suspicion;

pub use confidence::Confidence;
pub use look::{Agreement, Column, Look, look};
pub use reference::{ClassReference, Estimate, FORMAT, Graded, LEAST_CASES, Reference};
pub use reverse::{Pixels, Reverse};
pub use suspicion::{Suspicion, suspicion};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two masks of a case are not on one grid.
    #[error("the masks of a case lie on other grids: {0}; give masks of the same image")]
    Grids(String),
    /// Too few cases to learn from.
    #[error(
        "{found} cases with labels have a mask of some class; a reference needs at least {LEAST_CASES}"
    )]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// A mask cannot be measured.
    #[error(transparent)]
    Metrics(#[from] udas_metrics::Error),
}
