//! Batch norms multiplied into the convolutions before them.
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use std::collections::HashMap;
use udas_nn::{Graph, Node, Operation, StateDict};

/// As PyTorch has it.
const EPSILON: f64 = 1e-5;

/// The same network with fewer batch norms: each that alone takes a convolution's result becomes a part of it. One that
/// has a sum or a ReLU before it stays.
pub(crate) fn fold_norms(graph: &Graph, state: &mut StateDict) -> Result<Graph> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for input in graph.nodes().iter().flat_map(|node| &node.inputs) {
        *uses.entry(input).or_default() += 1;
    }
    let mut kept: Vec<Node> = Vec::new();
    for node in graph.nodes() {
        let before = node.inputs.first().and_then(|map| {
            let alone = uses.get(map.as_str()) == Some(&1);
            kept.iter_mut().rfind(|other| alone && other.output == *map)
        });
        match (&node.operation, before) {
            (Operation::BatchNorm, Some(convolution)) if outputs_axis(convolution).is_some() => {
                absorb(convolution, node, state)?;
            }
            _ => kept.push(node.clone()),
        }
    }
    Ok(kept.into_iter().collect())
}

/// Where a convolution's kernel has its output channels; none of other operations.
fn outputs_axis(node: &Node) -> Option<usize> {
    match node.operation {
        Operation::Convolution { .. } => Some(0),
        Operation::TransposedConvolution { .. } => Some(1),
        _ => None,
    }
}

fn absorb(convolution: &mut Node, norm: &Node, state: &mut StateDict) -> Result<()> {
    let entry = |name: &String| -> Result<Tensor> {
        let tensor = state.get(name).ok_or_else(|| Error::NoEntry(name.clone()))?;
        Ok(tensor.to_dtype(DType::F64)?)
    };
    let [_, weight, bias, mean, variance] = norm.inputs.as_slice() else {
        return Err(Error::NoEntry(format!("{:?}", norm.inputs)));
    };
    let scale = (entry(weight)? / (entry(variance)? + EPSILON)?.sqrt()?)?;
    let kernel = entry(&convolution.inputs[1])?;
    let before = match convolution.inputs.get(2) {
        Some(bias) => (entry(bias)? - entry(mean)?)?,
        None => entry(mean)?.neg()?,
    };
    let mut along = vec![1; kernel.rank()];
    along[outputs_axis(convolution).unwrap_or(0)] = scale.elem_count();
    let kernel = kernel.broadcast_mul(&scale.reshape(along)?)?;
    let shift = ((before * scale)? + entry(bias)?)?;
    let (kernel_name, bias_name) =
        (format!("{}.folded", convolution.inputs[1]), format!("{bias}.folded"));
    state.insert(kernel_name.clone(), kernel.to_dtype(DType::F32)?);
    state.insert(bias_name.clone(), shift.to_dtype(DType::F32)?);
    convolution.inputs.truncate(1);
    convolution.inputs.extend([kernel_name, bias_name]);
    convolution.output.clone_from(&norm.output);
    Ok(())
}
