//! A file's own operations, read back and computed by candle, give the network's logits.
use candle_core::{D, DType, Device, Tensor};
use prost::Message;
use std::collections::HashMap;
use udas_network::{Network, Shape};
use udas_nn::{Graph, IMAGES, NormMode, Operation, StateDict};
use udas_onnx::proto::{Attribute, Model, Node};
use udas_onnx::{Error, Form, Norms, encode};
use udas_unet::UNet;

type Values = HashMap<String, Tensor>;

/// Random statistics too: a network as it is after a training.
fn network() -> UNet {
    let fresh = UNet::random(Shape { filters: 2, outputs: 3 }, 5, &Device::Cpu).unwrap();
    let mut state = fresh.parameters().state().unwrap();
    for (place, (name, tensor)) in state.iter_mut().enumerate() {
        let phase = place as f64;
        let values = |low: f64| {
            let values: Vec<f32> = (0..tensor.elem_count())
                .map(|i| (low + 0.3 * (phase + i as f64).sin()) as f32)
                .collect();
            Tensor::from_vec(values, tensor.shape(), &Device::Cpu).unwrap()
        };
        match name.rsplit('.').next() {
            Some("running_var") => *tensor = values(1.0),
            Some("running_mean" | "bias") => *tensor = values(0.0),
            _ => {}
        }
    }
    UNet::from_state(&state, &Device::Cpu).unwrap()
}

fn images() -> Tensor {
    let values: Vec<f32> = (0..2 * 16 * 24).map(|i| (i as f32 * 0.37).sin()).collect();
    Tensor::from_vec(values, (2, 1, 16, 24), &Device::Cpu).unwrap()
}

fn file(network: &UNet, norms: Norms) -> Model {
    let form = Form { inputs: 1, outputs: 3, axes: 2, norms };
    let state = network.parameters().state().unwrap();
    let notes = [("note", "äöü".to_owned())];
    let bytes = encode(&network.graph().unwrap(), &state, form, &notes).unwrap();
    Model::decode(bytes.as_slice()).unwrap()
}

fn ints(node: &Node, name: &str) -> Vec<usize> {
    let attribute = named(node, name);
    attribute.ints.iter().map(|&value| value as usize).collect()
}

fn named<'a>(node: &'a Node, name: &str) -> &'a Attribute {
    node.attribute.iter().find(|attribute| attribute.name == name).unwrap()
}

/// A batch norm's value for each channel, beside a map.
fn wide(value: &Tensor) -> Tensor {
    value.reshape((1, value.elem_count(), 1, 1)).unwrap()
}

fn one(node: &Node, values: &Values) -> candle_core::Result<Tensor> {
    let input = |place: usize| &values[&node.input[place]];
    let biased = |map: Tensor| match node.input.get(2) {
        Some(bias) => map.broadcast_add(&wide(&values[bias])),
        None => Ok(map),
    };
    match node.op_type.as_str() {
        "Conv" => {
            let (strides, pads) = (ints(node, "strides"), ints(node, "pads"));
            assert!(strides.iter().all(|stride| *stride == strides[0]) && pads.len() == 4);
            assert!(pads.iter().all(|pad| *pad == pads[0]));
            biased(input(0).conv2d(input(1), pads[0], strides[0], 1, 1)?)
        }
        "ConvTranspose" => {
            let stride = ints(node, "strides")[0];
            biased(input(0).conv_transpose2d(input(1), 0, 0, stride, 1)?)
        }
        "BatchNormalization" => {
            let epsilon = f64::from(named(node, "epsilon").f);
            let deviation = (input(4) + epsilon)?.sqrt()?;
            let x = input(0).broadcast_sub(&wide(input(3)))?.broadcast_div(&wide(&deviation))?;
            x.broadcast_mul(&wide(input(1)))?.broadcast_add(&wide(input(2)))
        }
        "Relu" => input(0).relu(),
        "Add" => input(0) + input(1),
        other => panic!("{other} is not of this network"),
    }
}

/// Logits by the operations of a file.
fn computed(model: &Model, images: &Tensor) -> Tensor {
    let graph = model.graph.as_ref().unwrap();
    let mut values = Values::from([(graph.input[0].name.clone(), images.clone())]);
    for tensor in &graph.initializer {
        let numbers: Vec<f32> = tensor
            .raw_data
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let dims: Vec<usize> = tensor.dims.iter().map(|&size| size as usize).collect();
        values.insert(tensor.name.clone(), Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap());
    }
    for node in &graph.node {
        let value = one(node, &values).unwrap();
        values.insert(node.output[0].clone(), value);
    }
    values.remove(&graph.output[0].name).unwrap()
}

fn most(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let difference = (a - b).unwrap().abs().unwrap();
    difference.flatten_all().unwrap().max(D::Minus1).unwrap().to_scalar().unwrap()
}

fn count(model: &Model, operation: &str) -> usize {
    let nodes = &model.graph.as_ref().unwrap().node;
    nodes.iter().filter(|node| node.op_type == operation).count()
}

#[test]
fn a_file_computes_what_the_network_computes() {
    let (network, images) = (network(), images());
    let logits = network.forward(&images, NormMode::Running).unwrap();
    assert!(logits.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() > 0.1);
    let (kept, folded) = (file(&network, Norms::Kept), file(&network, Norms::Folded));
    for model in [&kept, &folded] {
        assert!(most(&computed(model, &images), &logits) < 1e-4);
    }
    assert!(count(&folded, "BatchNormalization") < count(&kept, "BatchNormalization"));
    assert_eq!(count(&folded, "Conv"), count(&kept, "Conv"));
}

#[test]
fn a_file_says_its_form() {
    let model = file(&network(), Norms::Kept);
    assert_eq!(model.opset_import[0].version, 17);
    assert_eq!(model.metadata[0].value, "äöü");
    let graph = model.graph.unwrap();
    let names = [&graph.input[0].name, &graph.output[0].name];
    assert_eq!(names, ["images", "logits"]);
    // Counters of batches are no part of what is computed.
    assert!(graph.initializer.iter().all(|tensor| !tensor.name.contains("num_batches")));
}

#[test]
fn what_is_missing_is_named() {
    let network = network();
    let mut state = network.parameters().state().unwrap();
    state.remove("down2.1.weight").unwrap();
    let form = Form { inputs: 1, outputs: 3, axes: 2, norms: Norms::Folded };
    let error = encode(&network.graph().unwrap(), &state, form, &[]).unwrap_err();
    assert!(error.to_string().contains("down2.1.weight"), "{error}");
    let empty = encode(&Graph::default(), &StateDict::new(), form, &[]);
    assert!(matches!(empty, Err(Error::Empty)));
}

/// A norm whose convolution feeds something else too cannot become a part of it.
#[test]
fn a_shared_result_keeps_its_norm() {
    let mut graph = Graph::default();
    let convolution = Operation::Convolution { stride: vec![1; 2], padding: vec![0; 2] };
    let value = graph.add(convolution, &[IMAGES, "w"]);
    let normed = graph.add_batch_norm("norm", &value);
    graph.add(Operation::Add, &[&normed, &value]);
    let mut state = StateDict::new();
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    state.insert("w".into(), ones(&[1, 1, 1, 1]));
    for part in ["weight", "bias", "running_mean", "running_var"] {
        state.insert(format!("norm.{part}"), ones(&[1]));
    }
    let form = Form { inputs: 1, outputs: 1, axes: 2, norms: Norms::Folded };
    let model = Model::decode(encode(&graph, &state, form, &[]).unwrap().as_slice()).unwrap();
    assert_eq!(count(&model, "BatchNormalization"), 1);
    let images = ones(&[1, 1, 2, 2]);
    // 1 + (1 - 1) / sqrt(1 + e) + 1 = 2
    let sum = computed(&model, &images).sum_all().unwrap().to_scalar::<f32>().unwrap();
    assert!((sum - 8.0).abs() < 1e-5, "{sum}");
}
