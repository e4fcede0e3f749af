//! A 3-D image with its affine: orientation, resampling, NIfTI and PNG/TIFF/JPEG in and out.
#![forbid(unsafe_code)]

mod affine;
mod error;
mod grid;
mod header;
mod image;
mod orientation;
mod warning;

pub use affine::Affine;
pub use error::{Error, Result};
pub use grid::{GRID_TOLERANCE, Grid};
pub use header::{FileKind, Header};
pub use image::{Image, Labels, Volume};
pub use orientation::Orientation;
pub use warning::Warning;
