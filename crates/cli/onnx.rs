//! `udas convert` to ONNX: the network, and beside it what it expects of an image.
use crate::console::Console;
use crate::{failure, out_file};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use udas_model::{Description, ModelFile};
use udas_network::Network;
use udas_nnunet::Model;
use udas_onnx::{Form, INPUT, Norms, OUTPUT};

/// A network with what whoever runs it must know.
pub struct Exported {
    network: Box<dyn Network>,
    hash: String,
    expects: Value,
}

impl Exported {
    /// One of ours.
    pub fn of_model(model: &ModelFile) -> Result<Self> {
        let network = model.network(&candle_core::Device::Cpu)?;
        let outputs = network.spec().outputs;
        let expects = json!({
            "preprocessing": model.info.preprocessing,
            "preprocessing-is-assumed": model.info.description == Description::Assumed,
            "probabilities": if outputs == 1 { "sigmoid" } else { "softmax over axis 1" },
            "provenance": model.info.provenance,
        });
        Ok(Self { network, hash: model.hash()?, expects })
    }

    /// A fold of nnU-Net's.
    pub fn of_nnunet(model: Model, hash: String) -> Result<Self> {
        let expects = json!({
            "configuration": model.configuration.name,
            "patch": model.configuration.patch,
            "mirror-axes": model.mirror_axes,
            "preprocessing": "as plans.json and dataset.json of the model's folder say",
        });
        let network = model.networks.into_iter().next();
        let network = network.context("a model folder without a network")?;
        Ok(Self { network, hash, expects })
    }

    /// Writes the file, and NAME.onnx.json beside NAME.onnx.
    pub fn write(&self, output: &Path, norms: Norms, console: &Console) -> Result<()> {
        let spec = self.network.spec();
        let Some(graph) = self.network.graph() else {
            let text = format!("networks of the family {} cannot be written as ONNX", spec.family);
            return Err(failure::input(text).into());
        };
        let form = Form { inputs: spec.inputs, outputs: spec.outputs, axes: spec.axes, norms };
        let description = self.description();
        let notes = [("udas", description.to_string())];
        let state = self.network.parameters().state()?;
        let bytes = udas_onnx::encode(&graph, &state, form, &notes)?;
        let mut beside = output.as_os_str().to_owned();
        beside.push(".json");
        let beside = PathBuf::from(beside);
        out_file::prepare(output, "OUT")?;
        out_file::write(&beside, serde_json::to_string_pretty(&description)?.as_bytes())?;
        out_file::write(output, &bytes)?;
        let text = format!(
            "{}: opset {}, {} bytes; what it expects of an image is in {}",
            output.display(),
            udas_onnx::OPSET,
            bytes.len(),
            beside.display()
        );
        let (file, beside) = (output.display().to_string(), beside.display().to_string());
        console.result(text, &json!({ "file": file, "description": beside, "hash": self.hash }))
    }

    fn description(&self) -> Value {
        let spec = self.network.spec();
        let sizes = &["depth", "height", "width"][3 - spec.axes..];
        let shape = |channels: usize| {
            let head = [json!("batch"), json!(channels)].into_iter();
            head.chain(sizes.iter().map(|size| json!(size))).collect::<Vec<_>>()
        };
        let deepest = spec.stages.last().map_or([1; 3], |stage| stage.stride);
        let mut description = json!({
            "input": {
                "name": INPUT,
                "type": "float32",
                "shape": shape(spec.inputs),
                "sizes-are-multiples-of": &deepest[3 - spec.axes..],
            },
            "output": { "name": OUTPUT, "type": "float32", "shape": shape(spec.outputs) },
            "hash-of-weights": self.hash,
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut description, &self.expects) {
            all.extend(more.clone());
        }
        description
    }
}
