//! Convolution, batch norm and up-sampling on slices of f32: fast on the CPU, the same bits for any number
//! of threads.
//!
//! Maps are channels-last, `[n, h, w, c]`; weights have PyTorch's layouts. The unit of work is a
//! [`Unit`]: batch norm, ReLU, convolution, bias, ReLU or residual addition, each optional, in one pass
//! over memory. [`mod@reference`] has the same in plain loops: the specification that tests hold the rest to.
//!
//! ```
//! use udas_kernels::{Activation, ConvKind, Finish, Gather, MapShape, Unit, unit_forward};
//!
//! let input = MapShape { n: 1, h: 5, w: 7, c: 2 };
//! let weight = vec![1.0; 3 * 2 * 9];
//! let unit = Unit { kind: ConvKind::K3, input, cout: 3, norm: None, activation: Activation::None,
//!     weight: &weight, bias: None, finish: Finish::Plain };
//! let (y, _) = unit_forward(&unit, &vec![1.0; input.len()], Gather::Nothing);
//! assert_eq!(y.len(), unit.output().len());
//! // In the middle nine pixels of two channels are summed, in a corner four.
//! assert!((y[(2 * 7 + 3) * 3] - 18.0).abs() < 1e-4 && (y[0] - 8.0).abs() < 1e-4);
//! ```

mod adam;
mod block_cache;
mod direct;
mod emit;
mod few;
mod gemm;
mod leaky;
mod load;
pub mod loss;
mod memory;
mod norm;
mod ops;
mod peak;
mod pointwise;
mod process;
pub mod reference;
mod shape;
mod simd;
mod space;
mod unit;
mod upsample;
mod winograd;

pub use adam::AdamStep;
pub use block_cache::BlockCache;
pub use leaky::{LeakyGrads, leaky_norm, leaky_norm_backward, leaky_norm_in_place};
pub use norm::{Moments, moments, norm_backward, norm_forward};
pub use ops::{unit_backward, unit_forward};
pub use peak::peak_flops;
pub use process::set_variable;
pub use shape::{ConvKind, MapShape};
pub use simd::{InstructionSet, on_pool, with_instruction_set};
pub use space::{
    SpaceConvolution, SpaceEnlargement, convolve_space, enlarge_backward, enlarge_forward,
    space_backward, space_forward,
};
pub use unit::{Activation, Finish, Gather, Needs, Norm, Statistics, Unit, UnitGrads};
pub use upsample::{upsample_bilinear, upsample_bilinear_backward};
