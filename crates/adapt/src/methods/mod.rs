//! The methods, one file each.
mod adabn;
mod early_features;
mod self_training;
mod source_only;
mod tent;

pub use adabn::AdaBn;
pub use early_features::EarlyFeatures;
pub use self_training::SelfTraining;
pub use source_only::SourceOnly;
pub use tent::Tent;
