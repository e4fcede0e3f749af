//! Unsupervised domain adaptation methods for segmentation networks, one file each.
#![forbid(unsafe_code)]
