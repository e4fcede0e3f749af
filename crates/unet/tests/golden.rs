//! The network against golden values of the published implementation: every stage, logits, loss, every
//! gradient, every running statistic.
use candle_core::{Device, Tensor};
use udas_losses::{binary_cross_entropy, cross_entropy};
use udas_nn::{Checkpoint, NormMode, RunningUpdate, StateDict, layout};
use udas_unet::{EarlyHead, UNet};

/// Largest difference relative to the golden tensor's largest value.
const TOLERANCE: f64 = 1e-4;

fn golden(name: &str) -> Option<Checkpoint> {
    let path = format!("{}/../../tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if !std::path::Path::new(&path).exists() {
        eprintln!("skipped: {path} is absent (golden values are not part of the packaged crate)");
        return None;
    }
    Some(Checkpoint::load(path).unwrap())
}

fn with_prefix(tensors: &StateDict, prefix: &str) -> StateDict {
    let named = tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())));
    named.collect()
}

#[track_caller]
fn assert_close(name: &str, found: &Tensor, golden: &Tensor) {
    let values = |tensor: &Tensor| {
        let tensor = tensor.to_dtype(candle_core::DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let (found, golden) = (values(found), values(golden));
    assert_eq!(found.len(), golden.len(), "{name}");
    let largest = golden.iter().fold(1e-6, |max: f64, value| max.max(value.abs()));
    let error = found.iter().zip(&golden).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;
    assert!(error < TOLERANCE, "{name}: relative error {error:.2e}");
}

fn check(file: &str) {
    let Some(golden) = golden(file) else { return };
    let tensors = &golden.tensors;
    let state = with_prefix(tensors, "model.");
    assert_eq!(state.len(), 319);
    let mut unet = UNet::from_state(&state, &Device::Cpu).unwrap();
    stages(&unet, tensors);
    heads(&unet, tensors);

    unet.parameters_mut().set_trainable(|_| true);
    let logits = unet.forward(&tensors["input"], NormMode::Batch(RunningUpdate::Once)).unwrap();
    assert_close("train.logits", &logits, &tensors["train.logits"]);
    let target = &tensors["target"];
    let loss = if target.dim(1).unwrap() == 1 {
        binary_cross_entropy(&logits, target).unwrap()
    } else {
        cross_entropy(&logits, target).unwrap()
    };
    assert_close("train.loss", &loss, &tensors["train.loss"]);

    let gradients = loss.backward().unwrap();
    let trainable = unet.parameters().trainable();
    let expected = with_prefix(tensors, "train.grad.");
    assert_eq!(trainable.len(), expected.len());
    for (name, var) in trainable {
        assert_close(&name, gradients.get(&var).unwrap(), &expected[&name]);
    }
    let after = unet.parameters().state().unwrap();
    for (name, buffer) in with_prefix(tensors, "train.buffer.") {
        assert_close(&name, &after[&name], &buffer);
    }
}

fn stages(unet: &UNet, tensors: &StateDict) {
    let input = &tensors["input"];
    let features = unet.early(input, 3, NormMode::Running).unwrap();
    for (stage, map) in features.stages().iter().enumerate() {
        let map = layout::to_channels_first(map).unwrap();
        assert_close(&format!("x{stage}"), &map, &tensors[&format!("eval.x{stage}")]);
    }
    let logits = unet.forward(input, NormMode::Running).unwrap();
    assert_close("eval.logits", &logits, &tensors["eval.logits"]);
    // What lies between: the decoder's inputs are skips added to what comes from below.
    let decoded = unet.decode(&features, NormMode::Running).unwrap();
    for (stage, (skip, up)) in decoded.iter().enumerate() {
        let skip = layout::to_channels_first(skip).unwrap();
        let up = layout::to_channels_first(up).unwrap();
        assert_close(&format!("skip{stage}"), &skip, &tensors[&format!("eval.skip{stage}")]);
        assert_close(&format!("x{stage}_up"), &up, &tensors[&format!("eval.x{stage}_up")]);
    }
}

fn heads(unet: &UNet, tensors: &StateDict) {
    for level in 0..=1 {
        let state = with_prefix(tensors, &format!("head{level}."));
        assert_eq!(EarlyHead::level_of(&state, unet.architecture()).unwrap(), level);
        let head = EarlyHead::from_state(&state, unet.architecture(), level, &Device::Cpu).unwrap();
        let features = unet.early(&tensors["input"], level, NormMode::Running).unwrap();
        let logits = head.forward(features.last().unwrap()).unwrap();
        let name = format!("eval.head{level}_logits");
        assert_close(&name, &logits, &tensors[&name]);
    }
}

#[test]
fn binary_network_matches_the_published_one() {
    check("unet_binary_forward_backward.safetensors");
}

#[test]
fn four_class_network_matches_the_published_one() {
    check("unet_multiclass_forward_backward.safetensors");
}

#[test]
fn pth_files_hold_the_same_entries() {
    for task in ["binary", "multiclass"] {
        let Some(pth) = golden(&format!("unet_{task}.pth")) else { return };
        let safetensors = golden(&format!("unet_{task}_forward_backward.safetensors")).unwrap();
        let state = with_prefix(&safetensors.tensors, "model.");
        assert_eq!(pth.tensors.len(), 319);
        let same = Checkpoint { tensors: state, metadata: None };
        assert_eq!(pth.hash().unwrap(), same.hash().unwrap());
    }
}

#[test]
fn the_paper_s_network_has_the_published_number_of_parameters() {
    let architecture = udas_unet::Architecture { filters: 16, outputs: 1 };
    let mut unet = UNet::random(architecture, 0, &Device::Cpu).unwrap();
    let mut count = |choose: &dyn Fn(&str) -> bool| -> usize {
        unet.parameters_mut().set_trainable(choose);
        unet.parameters().trainable().iter().map(|(_, var)| var.elem_count()).sum()
    };
    assert_eq!(count(&|_| true), 2_434_771);
    assert_eq!(count(&|name| UNet::is_early(name, 0)), 14_160);
}
