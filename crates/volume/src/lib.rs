//! A 3-D image with its affine: orientation, resampling, NIfTI and PNG/TIFF/JPEG in and out.
#![forbid(unsafe_code)]
