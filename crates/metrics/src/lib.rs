//! Segmentation scores: overlap, surface distances, and paired statistics.
#![forbid(unsafe_code)]
