//! Whole steps of nnU-Net's plain network as its planner makes it for one size of patch, with random weights.
use crate::network_work::{refinement, training};
use crate::{Sizes, Work, noise};
use candle_core::{Device, Tensor};
use std::error::Error;
use udas_adapt::PseudoLabel;
use udas_network::{EarlyHead, Network, random_state};
use udas_nn::{Entry, NormMode, Role};
use udas_nnunet::{Arithmetic, NnUNet};
use udas_train::{LabelledBatch, SourceTraining};

/// Classes, background included.
const CLASSES: usize = 4;

/// The work called `name`, `nnunet2d-...` or `nnunet3d-...`: `sizes.channels` features at full size.
pub fn find(name: &str, sizes: Sizes) -> Result<Option<Work>, Box<dyn Error>> {
    let (axes, work) = match name.split_once('-') {
        Some(("nnunet2d", work)) => (2, work),
        Some(("nnunet3d", work)) => (3, work),
        _ => return Ok(None),
    };
    let state = random_state(&entries(axes, sizes), 1)?;
    let network = NnUNet::from_state(&state, &Device::Cpu)?.with_arithmetic(Arithmetic::Fast);
    let batch = labelled(axes, sizes)?;
    Ok(Some(match work {
        "forward" => Box::new(move || {
            network.forward(&batch.images, NormMode::Running)?;
            Ok(())
        }),
        "step" => training(SourceTraining::new(Box::new(network)), batch)?,
        "refine" => {
            let head = EarlyHead::random(network.spec(), 0, 2, &Device::Cpu)?;
            refinement(Box::new(network), head, PseudoLabel::Attached, batch.images)?
        }
        _ => return Ok(None),
    }))
}

/// Images, and one-hot labels.
fn labelled(axes: usize, Sizes { batch, size, .. }: Sizes) -> candle_core::Result<LabelledBatch> {
    let shape = |channels: usize| [vec![batch, channels], vec![size; axes]].concat();
    let pixels = size.pow(axes as u32);
    let images = Tensor::from_vec(noise(batch * pixels, 3), shape(1), &Device::Cpu)?;
    let mut target = vec![0.0f32; batch * CLASSES * pixels];
    for pixel in 0..batch * pixels {
        let (image, place) = (pixel / pixels, pixel % pixels);
        target[(image * CLASSES + place * CLASSES / pixels) * pixels + place] = 1.0;
    }
    let target = Tensor::from_vec(target, shape(CLASSES), &Device::Cpu)?;
    Ok(LabelledBatch { images, target, indices: (0..batch).collect() })
}

/// The state dict of the network: stages down to 4 pixels a side, features doubled up to 512, in 3-D up to 320; two
/// convolutions a stage.
fn entries(axes: usize, Sizes { size, channels, .. }: Sizes) -> Vec<Entry> {
    let most = if axes == 2 { 512 } else { 320 };
    let stages = (size / 4).max(2).ilog2() as usize + 1;
    let features: Vec<usize> = (0..stages).map(|stage| (channels << stage).min(most)).collect();
    let mut entries = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, role: Role| {
        entries.push(Entry { name, shape, role });
    };
    let mut unit = |name: String, inputs: usize, outputs: usize| {
        let kernel = [vec![outputs, inputs], vec![3; axes]].concat();
        add(format!("{name}.conv.weight"), kernel, Role::Weight);
        add(format!("{name}.conv.bias"), vec![outputs], Role::Weight);
        add(format!("{name}.norm.weight"), vec![outputs], Role::NormAffine);
        add(format!("{name}.norm.bias"), vec![outputs], Role::NormAffine);
    };
    for (stage, &own) in features.iter().enumerate() {
        let before = if stage == 0 { 1 } else { features[stage - 1] };
        unit(format!("encoder.stages.{stage}.0.convs.0"), before, own);
        unit(format!("encoder.stages.{stage}.0.convs.1"), own, own);
    }
    for (step, to) in (0..stages - 1).rev().enumerate() {
        let own = features[to];
        unit(format!("decoder.stages.{step}.convs.0"), 2 * own, own);
        unit(format!("decoder.stages.{step}.convs.1"), own, own);
    }
    for (step, to) in (0..stages - 1).rev().enumerate() {
        let (from, own) = (features[to + 1], features[to]);
        let block = [vec![from, own], vec![2; axes]].concat();
        add(format!("decoder.transpconvs.{step}.weight"), block, Role::Weight);
        add(format!("decoder.transpconvs.{step}.bias"), vec![own], Role::Weight);
        let head = [vec![CLASSES, own], vec![1; axes]].concat();
        add(format!("decoder.seg_layers.{step}.weight"), head, Role::Weight);
        add(format!("decoder.seg_layers.{step}.bias"), vec![CLASSES], Role::Weight);
    }
    entries
}
