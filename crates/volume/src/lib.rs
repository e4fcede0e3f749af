//! A 3-D image with its affine: orientation, resampling, NIfTI and PNG/TIFF/JPEG in and out, DICOM series in.
//!
//! - [`read`], [`read_labels`], [`probe`]: NIfTI-1 and -2 (.nii, .nii.gz, .hdr/.img; either byte order, any
//!   scalar datatype, slope and intercept applied), folders of DICOM series ([`is_dicom`]), and greyscale pictures as
//!   one-slice volumes.
//! - [`read_labels_on`]: a DICOM SEG on the grid of its image.
//! - [`Image::to_ras`] and [`Image::from_ras`]: to anatomical axis order and exactly back.
//! - [`Volume::resample_onto`](Image::resample_onto): another grid, by interpolation.
//! - [`write_labels`], [`write_volume`]: whole files or none, on the input's own grid, with its header.
//!
//! Axes are x, y, z with x fastest in memory, as NIfTI stores them; lengths are millimetres; the affine
//! leads to RAS+ coordinates. Files are not trusted: sizes are checked before memory is taken, and every
//! [`Error`] names the file and the remedy.
//!
//! ```
//! use udas_volume::{Affine, Labels, Volume};
//!
//! // A scan stored posterior, superior, right, as sagittal acquisitions are.
//! let affine = Affine::from_codes("PSR", [1.0, 1.0, 1.33]).unwrap();
//! let scan = Volume::new((0..60).map(|v| v as f32).collect(), [3, 4, 5], affine)?;
//!
//! let (ras, orientation) = scan.to_ras();
//! assert_eq!((ras.shape(), ras.orientation().as_str()), ([5, 3, 4], "RAS"));
//!
//! // A prediction made in RAS order goes back to the scan's own grid and into a file.
//! let mask: Labels = ras.map(|value| u8::from(value > 30.0)).from_ras(&orientation)?;
//! assert_eq!(mask.grid(), scan.grid());
//! let folder = std::env::temp_dir().join(format!("udas-volume-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let path = folder.join("mask.nii.gz");
//! udas_volume::write_labels(&path, &mask)?;
//! assert_eq!(udas_volume::read_labels(&path)?.data(), mask.data());
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
// Files come from outside: nothing they hold may end the program.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod affine;
mod dicom;
mod error;
mod fields;
mod file;
mod frames;
mod grid;
mod gzip;
mod header;
mod interop;
mod length;
mod nifti;
mod orientation;
mod picture;
mod placing;
mod png_checksums;
mod quaternion;
mod resample;
mod tiff;
mod volume;
mod warning;

pub use affine::Affine;
pub use dicom::{is_dicom, is_dicom_slice, write_series};
pub use error::{Error, Result};
pub use fields::Version;
pub use file::{
    EXTENSIONS, Probe, files_of, is_segmentation, is_supported, probe, probe_labels, read,
    read_frames, read_label_frames, read_labels, read_labels_on, stem, write_labels, write_volume,
};
pub use frames::{write_frames, write_label_frames};
pub use grid::{GRID_TOLERANCE, Grid};
pub use header::{FileKind, Header};
pub use length::format_mm;
pub use orientation::Orientation;
pub use picture::{is_coloured, is_stored_in_colour, write_rgb_png};
pub use volume::{Image, Labels, Volume};
pub use warning::Warning;
