//! Segmentation scores: overlap, surface distances, and paired statistics.
//!
//! The crate stands alone: a segmentation is a slice of labels or of booleans, and a [`Grid`] says
//! its shape and its voxel size in millimetres. Files, tensors and tables are other crates' work.
//!
//! ```
//! use udas_metrics::{Config, Connectivity, Grid, score_labels};
//!
//! // A truth of 2 x 2 x 2 voxels, and a prediction that is one voxel longer along x.
//! let grid = Grid::new([5, 4, 4], [1.0, 1.0, 2.0])?;
//! let cuboid = |length: usize| -> Vec<u8> {
//!     let inside = |i: usize, n: usize| (1..1 + n).contains(&i);
//!     let voxel = |i: usize| inside(i % 5, length) && inside(i / 5 % 4, 2) && inside(i / 20, 2);
//!     (0..grid.voxels()).map(|i| u8::from(voxel(i))).collect()
//! };
//! let config = Config::new(vec![1.0], vec![95.0], Connectivity::Corners)?;
//! let scores = score_labels(&cuboid(3), &cuboid(2), &grid, &[1], &config)?;
//! let class = &scores.classes[0];
//! assert_eq!(class.dice.finite(), Some(16.0 / 20.0));
//! assert_eq!(class.hausdorff[0].distance_mm.finite(), Some(1.0));
//! # Ok::<(), udas_metrics::Error>(())
//! ```
//!
//! # Axes
//! Voxels are stored with x fastest, as NIfTI does: voxel `(x, y, z)` is at `x + nx * (y + ny * z)`.
//! A C-ordered array indexed `[z, y, x]`, as NumPy and the golden values store it, holds the same
//! bytes; its shape and its spacing are reversed here.
//!
//! # Two dimensions
//! Where prediction and truth of a class lie in one slice together, they are an image: the boundary is a contour, and
//! lengths in mm take the place of areas in mm²; surface Dice is then Dice of contour length. This is the contour that
//! the surface of the same mask, repeated across the slice, has in every section. It makes no difference which axis is
//! across the slice, nor whether the grid has more slices that are empty. A picture is a grid of shape `[nx, ny, 1]`.
//!
//! # Undefined scores
//! One rule: **a score is what its formula gives**, `0/0` is [`Score::Undefined`] and `x/0` is
//! [`Score::Infinite`]. Nothing is replaced by 0 or 1, and [`Summary`] counts both cases beside
//! every mean. What follows from the rule:
//!
//! | score | only truth empty | only prediction empty | both empty |
//! |---|---|---|---|
//! | Dice, IoU, surface Dice | 0 | 0 | undefined |
//! | sensitivity | undefined | 0 | undefined |
//! | specificity | as counted | 1 | 1 |
//! | precision | 0 | undefined | undefined |
//! | relative volume difference | infinite | -1 | undefined |
//! | overlap of the truth's surface | undefined | 0 | undefined |
//! | overlap of the prediction's surface | 0 | undefined | undefined |
//! | average distance, truth to prediction | undefined | infinite | undefined |
//! | average distance, prediction to truth | infinite | undefined | undefined |
//! | average symmetric distance, Hausdorff | infinite | infinite | undefined |
//!
//! Specificity is undefined where the truth fills the grid. The one difference from the
//! surface-distance package: it calls the Hausdorff distance of two empty masks infinite, which
//! would punish a model for rightly predicting nothing; the largest of no distances is undefined.
#![forbid(unsafe_code)]
// Indices are not among them: voxels are indexed by loops over the grid that their length was checked against.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod components;
mod crop;
mod distance_transform;
mod error;
mod grid;
mod metric;
mod overlap;
mod score;
pub mod statistics;
mod subject;
mod summary;
mod surface;
mod surface_element;

pub use components::{Connectivity, component_sizes, count_components};
pub use distance_transform::squared_distances_mm2;
pub use error::Error;
pub use grid::Grid;
pub use metric::Metric;
pub use overlap::Overlap;
pub use score::Score;
pub use subject::{
    ClassScores, Config, PercentileScore, SubjectScores, ToleranceScores, score_labels, score_masks,
};
pub use summary::{MetricSummary, Summary};
pub use surface::SurfaceDistances;
pub use surface_element::surface_element_areas_mm2;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
