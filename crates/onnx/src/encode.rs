//! From a graph and its weights to the bytes of a file.
use crate::fold::fold_norms;
use crate::proto::{
    ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS, Attribute, Dimension, FLOAT,
    Graph as GraphMessage, Kind, Model, Node, OperatorSet, Property, Shape, Size, Tensor,
    TensorKind, ValueInfo,
};
use crate::{Error, OPSET, Result, entries};
use candle_core::DType;
use prost::Message;
use std::collections::BTreeSet;
use udas_nn::{Graph, IMAGES, Operation, StateDict};

/// Name of the model's input.
pub const INPUT: &str = IMAGES;

/// Name of the model's output.
pub const OUTPUT: &str = "logits";

/// The format's version that goes with the operations.
const IR_VERSION: i64 = 8;

/// The most bytes of one message.
const LIMIT: usize = i32::MAX as usize;

const EPSILON: f32 = 1e-5;

/// Whether batch norms stay operations of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norms {
    /// They do.
    #[default]
    Kept,
    /// Those behind a convolution are multiplied into it: fewer operations, other roundings.
    Folded,
}

/// The outer form of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Channels of an image.
    pub inputs: usize,
    /// Channels of the logits.
    pub outputs: usize,
    /// 2 or 3.
    pub axes: usize,
    /// Batch norms.
    pub norms: Norms,
}

/// The bytes of an ONNX file. `notes` are words and their meanings that travel with it.
///
/// # Errors
/// When the graph is empty or names an entry that `state` has not, or the weights are larger than a file holds.
pub fn encode(
    graph: &Graph,
    state: &StateDict,
    form: Form,
    notes: &[(&str, String)],
) -> Result<Vec<u8>> {
    if graph.nodes().is_empty() {
        return Err(Error::Empty);
    }
    let mut state = state.clone();
    let folded;
    let graph = match form.norms {
        Norms::Kept => graph,
        Norms::Folded => {
            folded = fold_norms(graph, &mut state)?;
            &folded
        }
    };
    let names: BTreeSet<&str> = entries(graph).collect();
    let initializer = names.iter().map(|name| tensor(name, &state)).collect::<Result<Vec<_>>>()?;
    let bytes = initializer.iter().map(|tensor| tensor.raw_data.len()).sum();
    if bytes >= LIMIT - (1 << 20) {
        return Err(Error::TooLarge(bytes));
    }
    let message = GraphMessage {
        node: nodes(graph),
        name: "network".into(),
        initializer,
        input: vec![value(INPUT, form.inputs, form.axes)],
        output: vec![value(OUTPUT, form.outputs, form.axes)],
    };
    let property =
        |(key, value): &(&str, String)| Property { key: (*key).to_owned(), value: value.clone() };
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "udas".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(message),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata: notes.iter().map(property).collect(),
    };
    Ok(model.encode_to_vec())
}

fn tensor(name: &str, state: &StateDict) -> Result<Tensor> {
    let tensor = state.get(name).ok_or_else(|| Error::NoEntry(name.to_owned()))?;
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(Tensor {
        dims: tensor.dims().iter().map(|&size| size as i64).collect(),
        data_type: FLOAT,
        name: name.into(),
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    })
}

/// Batches and sizes are free; the batch comes first, then the channels.
fn value(name: &str, channels: usize, axes: usize) -> ValueInfo {
    let sizes = &["depth", "height", "width"][3 - axes..];
    let free = |name: &str| Size::Name(name.into());
    let all = [free("batch"), Size::Number(channels as i64)].into_iter();
    let all = all.chain(sizes.iter().map(|name| free(name)));
    let shape = Shape { dim: all.map(|size| Dimension { size: Some(size) }).collect() };
    let tensor = TensorKind { element: FLOAT, shape: Some(shape) };
    ValueInfo { name: name.into(), kind: Some(Kind { tensor: Some(tensor) }) }
}

fn nodes(graph: &Graph) -> Vec<Node> {
    let outer = |name: &str| if name == graph.output() { OUTPUT.into() } else { name.to_owned() };
    let node = |node: &udas_nn::Node| {
        let (op_type, attribute) = operation(&node.operation);
        Node {
            input: node.inputs.iter().map(|name| outer(name)).collect(),
            output: vec![outer(&node.output)],
            name: format!("{op_type}_{}", node.output),
            op_type: op_type.into(),
            attribute,
        }
    };
    graph.nodes().iter().map(node).collect()
}

/// The operation's name and settings in ONNX.
fn operation(operation: &Operation) -> (&'static str, Vec<Attribute>) {
    match operation {
        Operation::Convolution { stride, padding } => {
            let both = [padding.as_slice(), padding].concat();
            ("Conv", vec![ints("strides", stride), ints("pads", &both)])
        }
        Operation::TransposedConvolution { stride } => {
            ("ConvTranspose", vec![ints("strides", stride)])
        }
        Operation::BatchNorm => ("BatchNormalization", vec![float("epsilon", EPSILON)]),
        Operation::InstanceNorm => ("InstanceNormalization", vec![float("epsilon", EPSILON)]),
        Operation::Relu => ("Relu", Vec::new()),
        Operation::LeakyRelu(slope) => ("LeakyRelu", vec![float("alpha", *slope)]),
        Operation::AveragePool(size) => {
            ("AveragePool", vec![ints("kernel_shape", size), ints("strides", size)])
        }
        Operation::Add => ("Add", Vec::new()),
        Operation::Concatenate => {
            let axis = Attribute { i: 1, ..attribute("axis", ATTRIBUTE_INT) };
            ("Concat", vec![axis])
        }
    }
}

fn attribute(name: &str, kind: i32) -> Attribute {
    Attribute { name: name.into(), kind, ..Attribute::default() }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { f: value, ..attribute(name, ATTRIBUTE_FLOAT) }
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { ints, ..attribute(name, ATTRIBUTE_INTS) }
}
