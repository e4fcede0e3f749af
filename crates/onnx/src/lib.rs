//! Networks as ONNX files, opset 17, for ONNX Runtime, OpenVINO and others.
//!
//! [`encode`] writes a [`Graph`] with its weights. The model's input is `images`, `[N, C, H, W]` or `[N, C, D, H, W]` in
//! float32, of any sizes that the network takes; its output is `logits`. Batch norm goes by running statistics.
//!
//! ```
//! use candle_core::Device;
//! use udas_network::{Network, Shape};
//! use udas_onnx::{Form, Norms};
//! use udas_unet::UNet;
//!
//! let network = UNet::random(Shape { filters: 2, outputs: 1 }, 7, &Device::Cpu)?;
//! let graph = network.graph().ok_or("this family does not say what it computes")?;
//! let form = Form { inputs: 1, outputs: 1, axes: 2, norms: Norms::Folded };
//! let bytes = udas_onnx::encode(&graph, &network.parameters().state()?, form, &[])?;
//! assert!(!bytes.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod encode;
mod fold;
pub mod proto;

pub use encode::{Form, INPUT, Norms, OUTPUT, encode};
use udas_nn::Graph;

/// The version of ONNX's operations.
pub const OPSET: i64 = 17;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A graph names an entry that is not there.
    #[error("the weights have no entry {0}; give the state dict of the graph's own network")]
    NoEntry(String),
    /// The graph is empty.
    #[error("the graph has no operations")]
    Empty,
    /// Protocol buffers end at 2 GiB.
    #[error("{0} bytes of weights: an ONNX file holds 2 GiB at most")]
    TooLarge(usize),
    /// A tensor could not be read.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Entries of the state dict that a graph names.
fn entries(graph: &Graph) -> impl Iterator<Item = &str> {
    let values: std::collections::HashSet<&str> =
        graph.nodes().iter().map(|node| node.output.as_str()).chain([udas_nn::IMAGES]).collect();
    let names = graph.nodes().iter().flat_map(|node| &node.inputs).map(String::as_str);
    names.filter(move |name| !values.contains(name))
}
