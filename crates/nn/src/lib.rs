//! Layers, custom operations, optimiser and checkpoints for small convolutional networks on candle,
//! fast on the CPU.
//!
//! A network is a few [`Chain`]s: runs of convolution units that execute as one candle operation each,
//! forward and backward, on the kernels of `udas-kernels`. Feature maps are channels-last
//! (`[N, H, W, C]`) everywhere inside a network; [`layout`] converts at its two ends. On other devices,
//! or for other types than f32, the same chain runs on candle's own operations.
//!
//! ```
//! use udas_nn::{Chain, Layer, NormMode, Parameters, StateDict, UnitSpec};
//! use candle_core::{Device, Tensor};
//!
//! // One 3x3 convolution, 1 -> 4 channels, with bias, named `conv`.
//! let chain = Chain::new(vec![Layer::Unit(UnitSpec::conv3x3("conv", 1, 4).with_bias())]);
//! let mut state = StateDict::new();
//! state.insert("conv.weight".into(), Tensor::ones((4, 1, 3, 3), candle_core::DType::F32, &Device::Cpu)?);
//! state.insert("conv.bias".into(), Tensor::zeros(4, candle_core::DType::F32, &Device::Cpu)?);
//! let parameters = Parameters::new(&chain.entries(), &state, &Device::Cpu)?;
//!
//! let map = Tensor::ones((1, 8, 8, 1), candle_core::DType::F32, &Device::Cpu)?;
//! let out = chain.forward(&parameters, &map, NormMode::Running)?;
//! assert_eq!(out.dims(), [1, 8, 8, 4]);
//! # Ok::<(), udas_nn::Error>(())
//! ```
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adam;
mod batch_norm;
mod bridge;
mod chain;
mod checkpoint;
mod error;
mod graph;
pub mod layout;
mod parameters;
mod pth;
mod upsample;
mod wrapper;

pub use adam::{Adam, AdamConfig};
pub use batch_norm::{NormMode, RunningUpdate, update as update_running};
pub use bridge::BoundChain;
pub use chain::{Chain, Layer, UnitSpec};
pub use checkpoint::{Checkpoint, StateDict};
pub use error::{Error, Mismatch, Result};
pub use graph::{Graph, IMAGES, Node, Operation};
pub use parameters::{Entry, Parameters, Role, averaged};
pub use pth::PthFile;
pub use upsample::upsample_bilinear;
pub use wrapper::{Taken, without_prefix};
