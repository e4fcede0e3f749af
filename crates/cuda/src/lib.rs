//! Operations of the networks on NVIDIA GPUs, with gradients, float32, maps `[N, C, H, W]`.
//!
//! candle computes everything that is here too, in a dozen passes over the map; these take two. The crate is
//! empty without its feature `cuda`. Every result is the same from run to run: no sum depends on which thread
//! comes first.

#[cfg(feature = "cuda")]
mod affine;
#[cfg(feature = "cudnn")]
mod convolution;
#[cfg(feature = "cuda")]
mod launch;

#[cfg(feature = "cuda")]
pub use affine::{Affine, Statistics, moments};
#[cfg(feature = "cudnn")]
pub use convolution::{Convolution, convolve, convolve_transposed};
