//! Networks of regions that may overlap, as methods for one structure take them: each region's logits as an image of
//! their own.
use candle_core::{Device, Tensor};
use udas_network::{Features, LastLayer, Network, Part, Spec};
use udas_nn::{NormMode, Parameters, Result, StateDict};

/// A network whose outputs are asked about one by one: of `N` images and `K` regions it gives `N K` images of one output,
/// an image's regions one after the other. A voxel is in each region or not, whatever it is in beside, so that every loss
/// for one structure is one for regions.
pub struct RegionsApart {
    network: Box<dyn Network>,
    spec: Spec,
}

impl RegionsApart {
    /// The regions of `network`, one by one.
    pub fn new(network: Box<dyn Network>) -> Self {
        let spec = Spec { outputs: 1, ..network.spec().clone() };
        Self { network, spec }
    }
}

impl Network for RegionsApart {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn parameters(&self) -> &Parameters {
        self.network.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.network.parameters_mut()
    }

    fn part(&self, entry: &str) -> Part {
        self.network.part(entry)
    }

    fn last_layer(&self) -> LastLayer {
        self.network.last_layer()
    }

    fn encode(&self, images: &Tensor, stage: usize, mode: NormMode) -> Result<Features> {
        self.network.encode(images, stage, mode)
    }

    fn decode(&self, features: &Features, mode: NormMode) -> Result<Tensor> {
        let logits = self.network.decode(features, mode)?;
        Ok(logits.flatten(0, 1)?.unsqueeze(1)?)
    }

    fn with_state(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        Ok(Box::new(Self::new(self.network.with_state(state, device)?)))
    }
}
