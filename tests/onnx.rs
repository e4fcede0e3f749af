//! `udas convert` to ONNX, computed by ONNX Runtime where Python has it. UDAS_PYTHON names another Python.
mod common;

use candle_core::{Device, Tensor};
use common::Bench;
use std::path::{Path, PathBuf};
use std::process::Command;
use udas_model::{ModelFile, ModelInfo, Provenance};
use udas_network::{Network, Shape};
use udas_nn::NormMode;
use udas_nnunet::{Arithmetic, ModelFolder};
use udas_unet::UNet;

/// Logits may differ by so much.
const TOLERANCE: f32 = 1e-4;

fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind)
}

fn raw(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Logits of a file by ONNX Runtime; none, and a word, where it is not installed.
fn by_runtime(bench: &Bench, model: &str, images: &Tensor) -> Option<Vec<f32>> {
    let values = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    std::fs::write(bench.path("images.raw"), raw(&values)).unwrap();
    let python = std::env::var("UDAS_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(&python);
    command.arg(golden("onnx_run.py")).arg(bench.path(model));
    command.args([bench.path("images.raw"), bench.path("logits.raw")]);
    command.args(images.dims().iter().map(usize::to_string));
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: {python}: {error}");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(9) {
        println!("skipped: {said}");
        return None;
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(bench.path("logits.raw")).unwrap();
    let number = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    Some(bytes.chunks_exact(4).map(number).collect())
}

fn images(dims: &[usize]) -> Tensor {
    let count = dims.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.61).sin() * 1.5).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// The largest difference between the runtime's logits and the network's.
fn difference(bench: &Bench, model: &str, network: &dyn Network, dims: &[usize]) -> Option<f32> {
    let images = images(dims);
    let own = network.forward(&images, NormMode::Running).unwrap();
    let own = own.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let other = by_runtime(bench, model, &images)?;
    assert_eq!(own.len(), other.len());
    Some(own.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
}

#[test]
fn our_own_network_leaves_with_what_it_expects() {
    let bench = Bench::new();
    let network = UNet::random(Shape { filters: 4, outputs: 3 }, 11, &Device::Cpu).unwrap();
    let preprocessing = udas_data::Preprocessing::MNMS;
    let info = ModelInfo::new(network.spec().clone(), preprocessing, Provenance::default());
    let state = network.parameters().state().unwrap();
    ModelFile { state, info }.save(&bench.path("model.safetensors")).unwrap();
    assert!(bench.succeed("convert model.safetensors whole.onnx").contains("opset 17"));
    bench.succeed("convert model.safetensors folded.onnx --fold-norms");
    let text = std::fs::read_to_string(bench.path("whole.onnx.json")).unwrap();
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["input"]["sizes-are-multiples-of"], serde_json::json!([8, 8]));
    assert_eq!(said["probabilities"], "softmax over axis 1");
    assert_eq!(said["preprocessing-is-assumed"], false);
    assert_eq!(said["preprocessing"]["plane"], "stored");
    for model in ["whole.onnx", "folded.onnx"] {
        // Sizes and batches are free.
        for dims in [[1, 1, 16, 24], [3, 1, 32, 8]] {
            if let Some(difference) = difference(&bench, model, &network, &dims) {
                assert!(difference < TOLERANCE, "{model} {dims:?}: {difference}");
            }
        }
    }
    bench.fail("convert model.safetensors x.pth --fold-norms", 2, &["--fold-norms", ".onnx"]);
}

#[test]
fn networks_of_nnunet_leave_too() {
    let bench = Bench::new();
    let kinds =
        ["plain2d", "plain3d", "resenc2d", "resenc3d", "separate_z", "batchnorm", "channels2"];
    for kind in kinds {
        let folder = golden("nnunet").join(kind).join("model");
        let model = ModelFolder::open(&folder, &[]).unwrap().load(Arithmetic::Exact).unwrap();
        bench.succeed(&format!("convert {} {kind}.onnx --fold-norms", folder.display()));
        let patch = format!("convert {} x.onnx --patch p.safetensors", folder.display());
        bench.fail(&patch, 2, &["--patch"]);
        let network = &*model.networks[0];
        let dims = [&[2, network.spec().inputs], model.configuration.patch.as_slice()].concat();
        if let Some(difference) = difference(&bench, &format!("{kind}.onnx"), network, &dims) {
            println!("{kind}: {difference:e}");
            assert!(difference < TOLERANCE, "{kind}: {difference}");
        }
    }
}
