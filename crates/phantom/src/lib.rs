//! Synthetic heads and hearts as several scanners would show them.
#![forbid(unsafe_code)]
