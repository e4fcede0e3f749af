//! The seam between segmentation networks and all that trains, adapts and judges them.
//!
//! A [`Network`] is whatever has encoder stages, a way back up, and logits. Its [`Spec`] says its shape, and
//! [`Network::part`] which part a weight belongs to; methods, heads, verdicts and the program ask for nothing else, so
//! that a new network is one implementation and one [`Family`] that knows its state dicts.
//!
//! An [`EarlyHead`] sits on any stage of any network. A [`Task`] says what logits mean.
#![forbid(unsafe_code)]

mod family;
mod head;
mod initial;
mod network;
mod spec;
mod task;

pub use family::{Family, Shape};
pub use head::EarlyHead;
pub use initial::random_state;
pub use network::{Features, LastLayer, Network, Part};
pub use spec::{NormKind, Spec, Stage};
pub use task::Task;
