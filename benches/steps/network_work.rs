//! Whole steps of the paper's network: what the program does for one batch.
use crate::{Sizes, Work, noise};
use candle_core::{Device, Tensor};
use std::error::Error;
use udas_adapt::{Adaptation, Aids, METHODS, Options, PseudoLabel, StepBatch, TargetBatch};
use udas_network::{EarlyHead, Network, Shape};
use udas_nn::{Adam, AdamConfig, NormMode};
use udas_train::{HeadTraining, LabelledBatch, Objective, SourceTraining};
use udas_unet::UNet;

/// The work called `name`.
pub fn find(name: &str, sizes: Sizes) -> Result<Work, Box<dyn Error>> {
    let device = device()?;
    let shape = Shape { filters: sizes.channels, outputs: 1 };
    let unet: Box<dyn Network> = Box::new(UNet::random(shape, 1, &device)?);
    let spec = unet.spec().clone();
    let head = || EarlyHead::random(&spec, 0, 2, &device);
    Ok(match name {
        "forward" => {
            let images = images(sizes)?;
            Box::new(move || {
                unet.forward(&images, NormMode::Running)?;
                Ok(device.synchronize()?)
            })
        }
        "source" => training(SourceTraining::new(unet), labelled(sizes)?)?,
        "head" => training(HeadTraining::new(unet, head()?), labelled(sizes)?)?,
        "refine-attached" => refinement(unet, head()?, PseudoLabel::Attached, images(sizes)?)?,
        "refine-detached" => refinement(unet, head()?, PseudoLabel::Detached, images(sizes)?)?,
        _ => return Err(format!("there is no work called `{name}`").into()),
    })
}

/// Where networks are measured: UDAS_BENCH_DEVICE is `cpu` or `cuda`.
fn device() -> candle_core::Result<Device> {
    match std::env::var("UDAS_BENCH_DEVICE").as_deref() {
        Ok("cuda") => Device::new_cuda(0),
        _ => Ok(Device::Cpu),
    }
}

fn images(Sizes { batch, size, .. }: Sizes) -> candle_core::Result<Tensor> {
    Tensor::from_vec(noise(batch * size * size, 3), (batch, 1, size, size), &device()?)
}

fn labelled(sizes: Sizes) -> candle_core::Result<LabelledBatch> {
    let images = images(sizes)?;
    let target = images.gt(0.0)?.to_dtype(images.dtype())?;
    Ok(LabelledBatch { images, target, indices: (0..sizes.batch).collect() })
}

/// One refinement step of the `paper` preset at level 0.
pub fn refinement(
    network: Box<dyn Network>,
    head: EarlyHead,
    pseudo_label: PseudoLabel,
    images: Tensor,
) -> Result<Work, Box<dyn Error>> {
    let method = METHODS.iter().find(|method| method.name() == "early-features");
    let recipe = method.ok_or("the paper's method is not registered")?.recipe();
    let options = Options { pseudo_label, ..Options::paper() };
    let given = Aids { head: Some(head), ..Aids::default() };
    let adaptation = Adaptation::new(network, given, recipe, options)?;
    let indices = (0..images.dims()[0]).collect();
    let batch = TargetBatch { images, target: None, indices };
    training(adaptation, StepBatch::from(batch))
}

/// Forward, backward, optimiser: what the training loop does for a batch.
pub fn training<O: Objective + 'static>(
    mut objective: O,
    batch: O::Batch,
) -> Result<Work, Box<dyn Error>>
where
    O::Batch: 'static,
{
    let mut adam = Adam::new(objective.trainable(), AdamConfig::new(1e-3))?;
    Ok(Box::new(move || {
        let loss = objective.loss(&batch)?;
        adam.step(&loss.backward()?)?;
        objective.after_step()?;
        loss.to_scalar::<f32>()?;
        Ok(())
    }))
}
