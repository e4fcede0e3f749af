//! Data sets, preprocessing, splits and streamed batches of slices from medical volumes.
//!
//! The way of one slice: [`DataSet::open`] finds [`Subject`]s, [`fold`] or [`random_split`] divides them,
//! [`VolumeSlices`] reads their volumes when asked and cuts and normalises them by a recorded
//! [`Preprocessing`], and [`LabelledBatches`] or [`UnlabelledBatches`] group slices in an order that is a
//! function of seed and epoch. [`VolumeSlices::restore_labels`] takes predictions the whole way back, onto the
//! grid of the file.
//!
//! Memory stays bounded however large the data set: headers are read first, decoded volumes are kept in a
//! cache of bounded size, and one background thread reads a few batches ahead. Data without labels is a type
//! of its own, [`Unlabelled`], through which labels cannot be reached.
//!
//! Slices are row by row; sizes are `[height, width]`.
//!
//! ```
//! use std::sync::Arc;
//! use udas_data::*;
//! use udas_volume::{Affine, Labels, Volume, write_labels, write_volume};
//!
//! # let root = std::env::temp_dir().join(format!("udas-data-{}", std::process::id()));
//! // Two subjects from one scanner, in DOMAIN/images and DOMAIN/masks.
//! for folder in ["images", "masks"] {
//!     std::fs::create_dir_all(root.join("scanner_a").join(folder))?;
//! }
//! let affine = Affine::from_spacing([3.0, 1.0, 1.0]);
//! for name in ["one.nii.gz", "two.nii.gz"] {
//!     let scan = Volume::new((0..1500).map(|v| v as f32).collect(), [5, 15, 20], affine)?;
//!     write_volume(&root.join("scanner_a/images").join(name), &scan)?;
//!     write_labels(&root.join("scanner_a/masks").join(name), &scan.map(|v| u8::from(v > 700.0)))?;
//! }
//!
//! let subjects = DataSet::open(&root)?.subjects("scanner_a")?;
//! let preprocessing = Preprocessing::upright(Plane::Sagittal);
//! let slices = VolumeSlices::new(subjects, preprocessing, LabelUse::Require { classes: 2 }, DEFAULT_CACHE_BYTES)?;
//! let slices = Arc::new(slices);
//! assert_eq!((slices.len(), slices.size()), (10, [24, 16]));
//!
//! let plan = BatchPlan { order: Order::Shuffled { seed: 1 }, batch_size: 4, last: LastBatch::Drop };
//! let batches = LabelledBatches::new(Labelled::new(slices.clone()), plan)?;
//! for batch in batches.epoch(0)? {
//!     let LabelledBatch { batch, labels } = batch?;
//!     assert_eq!((batch.n, batch.images.len()), (4, labels.len()));
//! }
//!
//! // Predictions for the ten padded slices of a subject become a mask on its own grid.
//! let prediction = vec![1; 5 * 24 * 16];
//! let mask: &Labels = &slices.restore_labels(0, &prediction)?[0];
//! assert_eq!(mask.shape(), [5, 15, 20]);
//! # std::fs::remove_dir_all(&root)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
// Files come from outside: nothing they hold may end the program.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod augmentation;
mod balance;
mod batch;
mod cache;
mod dataset;
mod deformation;
mod error;
mod files;
mod geometry;
mod instead;
mod intensity;
mod landmarks;
mod layout;
mod mask_name;
mod order;
mod padding;
mod pattern;
mod prefetch;
mod preprocessing;
mod randomisation;
mod slicing;
mod source;
mod split;
mod subject;
mod subset;
mod volume_slices;

pub use augmentation::{Augmentation, AugmentationRanges};
pub use balance::Groups;
pub use batch::{Augment, Batch, Contrast, LabelledBatch, LabelledBatches, UnlabelledBatches};
pub use dataset::{DataSet, Layout};
pub use deformation::{Deformation, DeformationRanges};
pub use error::{Error, Result};
pub use files::{composed, expand, name_of};
pub use geometry::{BODY_AXES, Geometry, Range};
pub use intensity::{Intensity, IntensityMap};
pub use landmarks::{Landmarks, Standard};
pub use mask_name::{extends, holds_labels, image_of_mask, without_masks};
pub use order::{BatchPlan, LastBatch, Order};
pub use padding::{Padding, Window};
pub use pattern::is_pattern;
pub use prefetch::Prefetch;
pub use preprocessing::Preprocessing;
pub use randomisation::{Randomisation, RandomisationRanges};
pub use slicing::{Plane, Slicing, Spacing, Turn};
pub use source::{Labelled, Place, Slice, SliceSource, Unlabelled, UnlabelledSlice};
pub use split::{Split, fold, random_split};
pub use subject::{Frames, Part, Subject, select};
pub use subset::SliceSubset;
pub use volume_slices::{DEFAULT_CACHE_BYTES, LabelUse, VolumeSlices};
