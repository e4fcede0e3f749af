//! The residual 2-D U-Net of Shirokikh et al. 2020 (arXiv 2008.07357) and the early segmentation heads of
//! Sheikh and Schultz 2022 (MIDL).
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use udas_unet::{Architecture, UNet};
//! use udas_nn::NormMode;
//!
//! let unet = UNet::random(Architecture { filters: 4, outputs: 1 }, 7, &Device::Cpu)?;
//! let slices = Tensor::zeros((2, 1, 16, 24), DType::F32, &Device::Cpu)?;
//! let logits = unet.forward(&slices, NormMode::Running)?;
//! assert_eq!(logits.dims(), [2, 1, 16, 24]);
//! # Ok::<(), udas_nn::Error>(())
//! ```
#![forbid(unsafe_code)]

mod architecture;
mod head;
mod initial;
mod unet;

pub use architecture::{Architecture, STAGES};
pub use head::{EarlyHead, MAX_LEVEL};
pub use unet::{Features, UNet};

/// Height and width of a network's input must be multiples of this.
pub const SIZE_MULTIPLE: usize = 8;
