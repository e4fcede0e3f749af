//! The methods, one file each, and the list of them.
use crate::Method;

mod adabn;
mod alpha_bn;
mod augmented_consistency;
mod conv_lora;
mod deep_features;
mod early_consistency;
mod early_features;
mod ensemble_distillation;
mod entropy_prior;
mod fine_tune_all;
mod fine_tune_first;
mod fine_tune_last;
mod match_source;
mod mean_teacher;
mod self_training;
mod source_only;
mod tent;

pub use adabn::AdaBn;
pub use alpha_bn::AlphaBn;
pub use augmented_consistency::AugmentedConsistency;
pub use conv_lora::ConvLora;
pub use deep_features::DeepFeatures;
pub use early_consistency::EarlyConsistency;
pub use early_features::EarlyFeatures;
pub use ensemble_distillation::EnsembleDistillation;
pub use entropy_prior::EntropyPrior;
pub use fine_tune_all::FineTuneAll;
pub use fine_tune_first::FineTuneFirst;
pub use fine_tune_last::FineTuneLast;
pub use match_source::MatchSource;
pub use mean_teacher::MeanTeacher;
pub use self_training::SelfTraining;
pub use source_only::SourceOnly;
pub use tent::Tent;

/// All methods, in the order in which lists and tables show them; the oracles come last.
pub const METHODS: &[&dyn Method] = &[
    &SourceOnly,
    &MatchSource,
    &AdaBn,
    &AlphaBn,
    &EarlyFeatures,
    &DeepFeatures,
    &ConvLora,
    &SelfTraining,
    &AugmentedConsistency,
    &EarlyConsistency,
    &EnsembleDistillation,
    &Tent,
    &EntropyPrior,
    &MeanTeacher,
    &FineTuneFirst,
    &FineTuneLast,
    &FineTuneAll,
];
