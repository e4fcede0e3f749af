//! The residual 2-D U-Net with early segmentation heads.
#![forbid(unsafe_code)]
