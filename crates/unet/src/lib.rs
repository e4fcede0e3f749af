//! The residual 2-D U-Net of Shirokikh et al. 2020 (arXiv 2008.07357), which Sheikh and Schultz 2022 (MIDL) adapt.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use udas_network::{Family, Network, Shape};
//! use udas_nn::NormMode;
//! use udas_unet::ResidualUNet;
//!
//! let unet = ResidualUNet.random(Shape { filters: 4, outputs: 1 }, 7, &Device::Cpu)?;
//! let slices = Tensor::zeros((2, 1, 16, 24), DType::F32, &Device::Cpu)?;
//! let logits = unet.forward(&slices, NormMode::Running)?;
//! assert_eq!(logits.dims(), [2, 1, 16, 24]);
//! # Ok::<(), udas_nn::Error>(())
//! ```
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod architecture;
mod family;
mod unet;

pub use architecture::STAGES;
pub use family::ResidualUNet;
pub use unet::UNet;
