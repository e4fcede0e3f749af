//! Records of runs turned into pictures, tables and one self-contained HTML page.
#![forbid(unsafe_code)]
