//! The network as this crate uses it: labels and confidences of slices, batch-norm statistics of a target.
use crate::Result;
use crate::prediction::Prediction;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;
use udas_model::{ModelFile, Predictor};
use udas_network::{Network, NormKind, Task};
use udas_nn::{NormMode, RunningUpdate, StateDict};

/// A network that segments slices.
pub struct Segmenter {
    network: Arc<dyn Network>,
    predictor: Predictor,
    device: Device,
    /// Slices that the network sees together; 1 of a network of slices.
    depth: usize,
}

/// Mean and variance of each channel of a batch-norm layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerStatistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances.
    pub variance: Vec<f32>,
}

impl Segmenter {
    /// A model's network.
    ///
    /// # Errors
    /// When the entries are not those of a known network.
    pub fn of(model: &ModelFile, device: &Device) -> Result<Self> {
        Ok(Self::new(model.network(device)?.into(), device, 1))
    }

    /// A network that sees `depth` slices together, 1 of a network of slices.
    pub fn new(network: Arc<dyn Network>, device: &Device, depth: usize) -> Self {
        let predictor = Predictor::new(network.clone(), device);
        Self { network, predictor, device: device.clone(), depth: depth.max(1) }
    }

    /// The same network with other weights.
    ///
    /// # Errors
    /// When the entries are not those of the network.
    pub fn with_state(&self, state: &StateDict) -> Result<Self> {
        let network = self.network.with_state(state, &self.device)?;
        Ok(Self::new(network.into(), &self.device, self.depth))
    }

    /// The network itself.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// The network, for others to train.
    pub fn into_network(self) -> Arc<dyn Network> {
        self.network
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the output channels mean.
    pub fn task(&self) -> Task {
        self.predictor.task()
    }

    /// Slices that the network sees together.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Labels and confidences of slices `[n, height, width]`; of a network of volumes, of as many as it sees together, or
    /// of multiples.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn predict(&self, images: &[f32], size: [usize; 2]) -> Result<Prediction> {
        let mut prediction = Prediction::new(self.task());
        let at_once = Predictor::slices_at_once(size).next_multiple_of(self.depth);
        for images in images.chunks(at_once * size[0] * size[1]) {
            let probabilities = self.predictor.forward(&self.tensor(images, size)?)?;
            self.push(&probabilities, size, &mut prediction)?;
        }
        Ok(prediction)
    }

    /// Adds probabilities `[N, C, H, W]`, or `[N, C, D, H, W]`, to a prediction.
    fn push(&self, probabilities: &Tensor, size: [usize; 2], to: &mut Prediction) -> Result<()> {
        let slices = match probabilities.rank() {
            5 => probabilities.permute((0, 2, 1, 3, 4))?,
            _ => probabilities.clone(),
        };
        let values = slices.flatten_all()?.to_vec1::<f32>()?;
        values
            .chunks_exact(self.task().outputs() * size[0] * size[1])
            .for_each(|slice| to.push(slice));
        Ok(())
    }

    /// The state with batch-norm statistics taken from these slices as one batch (AdaBN), and what the network
    /// then says of them; none of a network that keeps no such statistics.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn re_estimated(
        &self,
        images: &[f32],
        size: [usize; 2],
    ) -> Result<Option<(StateDict, Prediction)>> {
        if self.network.spec().norm != NormKind::Batch {
            return Ok(None);
        }
        let network = self.network.with_state(&self.network.parameters().state()?, &self.device)?;
        let batch = self.tensor(images, size)?;
        let mode = NormMode::Batch(RunningUpdate::Average { seen: 0 });
        let logits = network.forward(&batch, mode)?;
        let mut prediction = Prediction::new(self.task());
        self.push(&self.task().probabilities(&logits)?, size, &mut prediction)?;
        Ok(Some((network.parameters().state()?, prediction)))
    }

    /// Slices as the network takes them.
    ///
    /// # Errors
    /// When they are not those of whole images.
    pub fn tensor(&self, images: &[f32], [height, width]: [usize; 2]) -> Result<Tensor> {
        let count = images.len() / (self.depth * height * width).max(1);
        let images = match self.network.spec().axes {
            3 => Tensor::from_slice(images, (count, 1, self.depth, height, width), &self.device),
            _ => Tensor::from_slice(images, (count, 1, height, width), &self.device),
        };
        Ok(images?)
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
