//! The program `udas`.
fn main() {}
