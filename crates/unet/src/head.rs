//! The early segmentation head: three small convolutions on an early stage's output.
use crate::{Architecture, STAGES, initial};
use candle_core::{Device, Tensor};
use udas_nn::{
    Chain, Layer, Mismatch, NormMode, Parameters, Result, StateDict, UnitSpec, layout,
    upsample_bilinear,
};

/// The deepest stage a head may sit on.
pub const MAX_LEVEL: usize = STAGES - 1;

/// Channels of the two hidden layers.
const HIDDEN: [usize; 2] = [12, 8];

/// A segmentation head on the output of stage `level`.
pub struct EarlyHead {
    level: usize,
    channels: usize,
    outputs: usize,
    chain: Chain,
    parameters: Parameters,
}

impl EarlyHead {
    /// A head with the weights of `state` for the features of `unet` at `level`.
    ///
    /// # Errors
    /// When entries are missing, unexpected or misshapen (a head for another level has other input
    /// channels, one for another class count other output channels).
    pub fn from_state(
        state: &StateDict,
        unet: Architecture,
        level: usize,
        device: &Device,
    ) -> Result<Self> {
        let (channels, outputs) = (unet.channels(level), unet.outputs);
        let chain = chain(channels, outputs);
        let parameters = Parameters::new(&chain.entries(), state, device)?;
        Ok(Self { level, channels, outputs, chain, parameters })
    }

    /// A head with random weights.
    ///
    /// # Errors
    /// When memory cannot be had on `device`.
    pub fn random(unet: Architecture, level: usize, seed: u64, device: &Device) -> Result<Self> {
        let entries = chain(unet.channels(level), unet.outputs).entries();
        Self::from_state(&initial::state(&entries, seed)?, unet, level, device)
    }

    /// The level whose features a head with these weights fits in a network of shape `unet`.
    ///
    /// # Errors
    /// When `conv1.weight` is missing or fits no level.
    pub fn level_of(state: &StateDict, unet: Architecture) -> Result<usize> {
        let channels = match state.get("conv1.weight").map(|tensor| tensor.dims()) {
            Some([_, channels, _, _]) => *channels,
            _ => {
                let missing = vec!["conv1.weight".to_owned()];
                return Err(udas_nn::Error::Mismatch(Mismatch { missing, ..Mismatch::default() }));
            }
        };
        match (0..=MAX_LEVEL).find(|&level| unet.channels(level) == channels) {
            Some(level) => Ok(level),
            None => {
                let fitting: Vec<_> = (0..=MAX_LEVEL).map(|level| unet.channels(level)).collect();
                let misshapen = vec![format!(
                    "conv1.weight: {channels} input channels, levels 0 to {MAX_LEVEL} have {fitting:?}"
                )];
                Err(udas_nn::Error::Mismatch(Mismatch { misshapen, ..Mismatch::default() }))
            }
        }
    }

    /// The stage it sits on.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Input channels and output channels.
    pub fn channels(&self) -> (usize, usize) {
        (self.channels, self.outputs)
    }

    /// The weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The weights, to choose what is trainable.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Logits `[N, outputs, H, W]` at the input's size, from the features `[N, H/2^L, W/2^L, C]` of its
    /// stage.
    ///
    /// # Errors
    /// When the features have another channel count.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        // The head has no batch norm: the mode is without effect.
        let mut map = self.chain.forward(&self.parameters, features, NormMode::Running)?;
        if self.level > 0 {
            map = upsample_bilinear(&map, 1 << self.level)?;
        }
        Ok(layout::to_channels_first(&map)?)
    }
}

fn chain(channels: usize, outputs: usize) -> Chain {
    let [first, second] = HIDDEN;
    Chain::new(vec![
        Layer::Unit(UnitSpec::conv3x3("conv1", channels, first).with_bias().then_relu()),
        Layer::Unit(UnitSpec::conv3x3("conv2", first, second).with_bias().then_relu()),
        Layer::Unit(UnitSpec::conv3x3("conv3", second, outputs).with_bias()),
    ])
}
