//! Data sets, preprocessing, splits and streamed batches of slices from medical volumes.
#![forbid(unsafe_code)]
