//! The network as this crate uses it: labels and confidences of slices, batch-norm statistics of a target.
use crate::Result;
use crate::prediction::Prediction;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use udas_model::Predictor;
use udas_nn::{NormMode, RunningUpdate, StateDict};
use udas_train::Task;
use udas_unet::UNet;

/// A network with its weights.
pub struct Network {
    state: StateDict,
    predictor: Predictor,
    device: Device,
}

/// Mean and variance of each channel of a batch-norm layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerStatistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances.
    pub variance: Vec<f32>,
}

impl Network {
    /// A network in evaluation mode.
    ///
    /// # Errors
    /// When the entries are not those of the network.
    pub fn new(state: &StateDict, device: &Device) -> Result<Self> {
        let predictor = Predictor::new(state, device)?;
        Ok(Self { state: state.clone(), predictor, device: device.clone() })
    }

    /// What the output channels mean.
    pub fn task(&self) -> Task {
        self.predictor.task()
    }

    /// The weights.
    pub fn state(&self) -> &StateDict {
        &self.state
    }

    /// Labels and confidences of slices `[n, height, width]`.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn predict(&self, images: &[f32], size: [usize; 2]) -> Result<Prediction> {
        let mut prediction = Prediction::new(self.task());
        for images in images.chunks(Predictor::slices_at_once(size) * size[0] * size[1]) {
            let probabilities = self.predictor.forward(&self.tensor(images, size)?)?;
            self.push(&probabilities, size, &mut prediction)?;
        }
        Ok(prediction)
    }

    /// Adds probabilities `[N, C, H, W]` to a prediction.
    fn push(&self, probabilities: &Tensor, size: [usize; 2], to: &mut Prediction) -> Result<()> {
        let values = probabilities.flatten_all()?.to_vec1::<f32>()?;
        values
            .chunks_exact(self.task().outputs() * size[0] * size[1])
            .for_each(|slice| to.push(slice));
        Ok(())
    }

    /// The state with batch-norm statistics taken from these slices as one batch (AdaBN), and what the network
    /// then says of them.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn re_estimated(
        &self,
        images: &[f32],
        size: [usize; 2],
    ) -> Result<(StateDict, Prediction)> {
        let unet = UNet::from_state(&self.state, &self.device)?;
        let batch = self.tensor(images, size)?;
        let mode = NormMode::Batch(RunningUpdate::Average { seen: 0 });
        let logits = unet.forward(&batch, mode)?;
        let mut prediction = Prediction::new(self.task());
        self.push(&self.task().probabilities(&logits)?, size, &mut prediction)?;
        Ok((unet.parameters().state()?, prediction))
    }

    fn tensor(&self, images: &[f32], [height, width]: [usize; 2]) -> Result<Tensor> {
        let count = images.len() / (height * width).max(1);
        Ok(Tensor::from_slice(images, (count, 1, height, width), &self.device)?)
    }
}

/// The statistics of every batch-norm layer of a state, in name order.
///
/// # Errors
/// When an entry is not of floating point.
pub fn layer_statistics(state: &StateDict) -> Result<Vec<LayerStatistics>> {
    let mut layers: BTreeMap<&str, LayerStatistics> = BTreeMap::new();
    for (name, tensor) in state {
        if let Some(layer) = name.strip_suffix(".running_mean") {
            layers.entry(layer).or_default().mean = tensor.to_vec1()?;
        } else if let Some(layer) = name.strip_suffix(".running_var") {
            layers.entry(layer).or_default().variance = tensor.to_vec1()?;
        }
    }
    Ok(layers.into_values().collect())
}
