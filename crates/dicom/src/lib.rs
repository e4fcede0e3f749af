//! DICOM series of CT and MR as volumes, and masks as DICOM SEG.
//!
//! - [`Series::open`]: a folder of slices (single-frame or enhanced multi-frame) as one grid. Slices are ordered by their
//!   positions, whatever their files' names; what makes no volume is refused by name, with the remedy.
//! - [`Series::voxels`]: intensities after slope and intercept; pixels as they are, deflated, run-length encoded, or JPEG
//!   (baseline and lossless).
//! - [`Segmentation::encode`]: a mask on a series' grid as a binary DICOM SEG that refers to the series' images.
//! - [`Mask::open`]: a DICOM SEG of any program (binary, fractional, label map) as labels on its own grid.
//! - [`Export::files`]: a volume as a series, for phantoms and tests.
//!
//! Files are not trusted: no length that a file states is allocated before its bytes are there. Of a file's elements those
//! in [`Tag`] are kept, the others are passed over. [`Error`]s name the file and the remedy, never a person.
//!
//! ```
//! use udas_dicom::{Export, Kind, Modality, Series};
//!
//! // A volume of 3x2 pixels and 4 slices of 2.5 mm, as files with names of no order.
//! let voxels: Vec<f32> = (0..24).map(|v| v as f32).collect();
//! let affine = [[0.5, 0.0, 0.0, -10.0], [0.0, 0.5, 0.0, 20.0], [0.0, 0.0, 2.5, 30.0]];
//! let export = Export {
//!     voxels: &voxels, shape: [3, 2, 4], affine,
//!     kind: Kind::SingleFrame, modality: Modality::Mr, patient: "NOBODY", seed: "example",
//! };
//! let folder = std::env::temp_dir().join(format!("udas-dicom-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! for (index, file) in export.files().iter().enumerate() {
//!     std::fs::write(folder.join(format!("{}", 7 * index % 4)), file.encode())?;
//! }
//! let series = Series::open(&folder)?;
//! assert_eq!((series.shape(), series.affine()), ([3, 2, 4], affine));
//! assert_eq!(series.voxels()?, voxels);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
// Files come from outside: nothing they hold may end the program.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod dataset;
mod encode;
mod error;
mod export;
mod folder;
mod jpeg;
mod mask;
mod moment;
mod parse;
mod pixels;
mod segmentation;
mod series;
mod syntax;
mod tag;
mod uid;

pub use dataset::DataSet;
pub use encode::{Pixels, encode, encode_in};
pub use error::{Error, Result};
pub use export::{Export, ExportedFile, Kind, Modality};
pub use folder::{is_named_as_file, is_series, is_slice};
pub use mask::{Mask, is_segmentation};
pub use moment::Moment;
pub use segmentation::Segmentation;
pub use series::{Remark, Series};
pub use tag::Tag;
