//! What a caller can get wrong, and the remedy.

/// An input that cannot be scored. File names are the caller's to add.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An axis of length zero, or more voxels than memory can address.
    #[error("grid of {0:?} voxels: every axis needs at least one, and their product must fit")]
    Shape([usize; 3]),
    /// A voxel size that is zero, negative, or not finite.
    #[error("voxel spacing {0:?} mm: all three must be positive and finite; correct the header")]
    Spacing([f64; 3]),
    /// A mask whose length is not that of its grid.
    #[error("{mask} has {found} voxels where the grid has {expected}; resample it to the grid")]
    MaskLength {
        /// Which mask: "prediction", "truth" or "mask".
        mask: &'static str,
        /// Voxels of the grid.
        expected: usize,
        /// Voxels of the mask.
        found: usize,
    },
    /// A tolerance that is negative or not finite.
    #[error("surface tolerance {0} mm: give a finite distance of at least 0")]
    Tolerance(f64),
    /// A percentile outside (0, 100].
    #[error("Hausdorff percentile {0}: give one above 0 and up to 100")]
    Percentile(f64),
    /// Too few values for the statistic.
    #[error("{statistic} needs at least {needed} values and got {found}; add subjects")]
    TooFew {
        /// What was asked for.
        statistic: &'static str,
        /// Fewest values it takes.
        needed: usize,
        /// Values given.
        found: usize,
    },
    /// A value that no statistic can use.
    #[error("value {value} at position {index} is not finite; leave that subject out and say so")]
    NotFinite {
        /// Position in the input.
        index: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// Two lists that should pair up and do not.
    #[error("{before} scores before and {after} after; pair them by subject first")]
    Unpaired {
        /// Length of the first list.
        before: usize,
        /// Length of the second list.
        after: usize,
    },
    /// A probability outside [0, 1].
    #[error("p-value {0}: give one from 0 to 1")]
    Probability(f64),
    /// A confidence level outside (0, 1).
    #[error("confidence level {0}: give one between 0 and 1, such as 0.95")]
    Level(f64),
    /// A bootstrap without resamples.
    #[error("a bootstrap needs resamples; 10000 is usual")]
    NoResamples,
    /// More pairs than the exact distribution can be counted for.
    #[error("{0} pairs are too many for the exact test; use the normal approximation")]
    ExactTooLarge(usize),
}
