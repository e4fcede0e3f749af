//! Segmentation losses on candle tensors, stable at extreme logits, differentiable in every argument.
//!
//! Logits are `[N, C, H, W]`; C = 1 is the binary task. Means are over elements, as in PyTorch's losses.
//!
//! ```
//! use candle_core::{Device, Tensor};
//!
//! let logits = Tensor::new(&[[[[100f32, -100.0]]]], &Device::Cpu)?;
//! let target = Tensor::new(&[[[[1f32, 0.0]]]], &Device::Cpu)?;
//! let loss = udas_losses::binary_cross_entropy(&logits, &target)?;
//! assert!(loss.to_scalar::<f32>()? < 1e-12);
//! # Ok::<(), candle_core::Error>(())
//! ```
#![forbid(unsafe_code)]

mod agreement;
mod binary;
mod categorical;
mod entropy;
mod fused;

pub use agreement::{AgreementTask, dice_agreement};
pub use binary::{binary_cross_entropy, binary_cross_entropy_elements, sigmoid};
pub use categorical::{cross_entropy, log_softmax, soft_cross_entropy, softmax};
pub use entropy::{class_ratio_divergence, entropy};
