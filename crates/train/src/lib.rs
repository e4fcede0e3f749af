//! One training loop for every objective: stop rule, resume, epoch records.
#![forbid(unsafe_code)]
