//! The early segmentation head: three small convolutions on an early stage's output (Sheikh and Schultz 2022, MIDL).
use crate::{Spec, random_state};
use candle_core::{Device, Tensor};
use candle_nn::Module;
use udas_nn::{
    Chain, Error, Layer, Mismatch, NormMode, Parameters, Result, StateDict, UnitSpec, layout,
    upsample_bilinear,
};

/// Channels of the two hidden layers.
const HIDDEN: [usize; 2] = [12, 8];

/// Entry that all heads have.
const FIRST: &str = "conv1.weight";

/// A segmentation head on the output of encoder stage `level`.
pub struct EarlyHead {
    level: usize,
    /// By how much its logits are enlarged: in depth, and alike in height and width.
    factors: [usize; 2],
    chain: Chain,
    parameters: Parameters,
}

impl EarlyHead {
    /// An entry by which the state dict of a head is known.
    pub const MARK: &str = FIRST;

    /// A head with the weights of `state` for the features of a network of shape `network` at `level`.
    ///
    /// # Errors
    /// When entries are missing, unexpected or misshapen (a head for another level has other input
    /// channels, one for another class count other output channels); when there is no such level.
    pub fn from_state(
        state: &StateDict,
        network: &Spec,
        level: usize,
        device: &Device,
    ) -> Result<Self> {
        let (chain, factors) = (chain(network, level)?, factors(network, level)?);
        let parameters = Parameters::new(&chain.entries(), state, device)?;
        Ok(Self { level, factors, chain, parameters })
    }

    /// A head with random weights.
    ///
    /// # Errors
    /// When there is no such level, or memory cannot be had on `device`.
    pub fn random(network: &Spec, level: usize, seed: u64, device: &Device) -> Result<Self> {
        let entries = chain(network, level)?.entries();
        Self::from_state(&random_state(&entries, seed)?, network, level, device)
    }

    /// The first level whose features a head with these weights fits in a network of shape `network`.
    ///
    /// # Errors
    /// When `conv1.weight` is missing or fits no level.
    pub fn level_of(state: &StateDict, network: &Spec) -> Result<usize> {
        let channels = match state.get(FIRST).map(|tensor| tensor.dims()) {
            Some([_, channels, _, _]) => *channels,
            _ => {
                let missing = vec![FIRST.to_owned()];
                return Err(Error::Mismatch(Mismatch { missing, ..Mismatch::default() }));
            }
        };
        let mut stages = network.stages.iter();
        stages.position(|stage| stage.channels == channels).ok_or_else(|| {
            let fitting: Vec<_> = network.stages.iter().map(|stage| stage.channels).collect();
            let misshapen = vec![format!(
                "{FIRST}: {channels} input channels, levels 0 to {} have {fitting:?}",
                network.deepest()
            )];
            Error::Mismatch(Mismatch { misshapen, ..Mismatch::default() })
        })
    }

    /// The stage it sits on.
    pub fn level(&self) -> usize {
        self.level
    }

    /// The weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The weights, to choose what is trainable.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Logits `[N, outputs, H, W]` at the input's size, from the features `[N, H / F, W / F, C]` of its stage, F its
    /// stride. In 3-D it looks at each slice of the features by itself, and its logits are repeated in depth.
    ///
    /// # Errors
    /// When the features have another channel count.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let &[images, depth, height, width, channels] = features.dims() else {
            return Ok(layout::to_channels_first(&self.of_slices(features)?)?);
        };
        let slices = features.reshape((images * depth, height, width, channels))?;
        let map = self.of_slices(&slices)?;
        let (_, height, width, outputs) = map.dims4()?;
        let map = map.reshape((images, depth, 1, height, width, outputs))?;
        let [repeats, _] = self.factors;
        let map = map.broadcast_as((images, depth, repeats, height, width, outputs))?;
        let map = map.contiguous()?.reshape((images, depth * repeats, height, width, outputs))?;
        Ok(map.permute((0, 4, 1, 2, 3))?.contiguous()?)
    }

    fn of_slices(&self, features: &Tensor) -> Result<Tensor> {
        // The head has no batch norm: the mode is without effect.
        let map = self.chain.forward(&self.parameters, features, NormMode::Running)?;
        match self.factors {
            [_, 1] => Ok(map),
            [_, factor] => upsample_bilinear(&map, factor),
        }
    }
}

impl Module for EarlyHead {
    fn forward(&self, features: &Tensor) -> candle_core::Result<Tensor> {
        Ok(Self::forward(self, features)?)
    }
}

/// By how much a stage's output must be enlarged.
fn factors(network: &Spec, level: usize) -> Result<[usize; 2]> {
    match network.stages.get(level).map(|stage| stage.stride) {
        Some([depth, height, width]) if height == width => Ok([depth, height]),
        Some(stride) => Err(Error::Shape(format!(
            "a head on stage {level}, whose stride is {stride:?}: heads are for stages that are smaller by the same factor \
             in height and width"
        ))),
        None => Err(no_stage(network, level)),
    }
}

fn chain(network: &Spec, level: usize) -> Result<Chain> {
    let Some(stage) = network.stages.get(level) else { return Err(no_stage(network, level)) };
    let [first, second] = HIDDEN;
    Ok(Chain::new(vec![
        Layer::Unit(UnitSpec::conv3x3("conv1", stage.channels, first).with_bias().then_relu()),
        Layer::Unit(UnitSpec::conv3x3("conv2", first, second).with_bias().then_relu()),
        Layer::Unit(UnitSpec::conv3x3("conv3", second, network.outputs).with_bias()),
    ]))
}

fn no_stage(network: &Spec, level: usize) -> Error {
    Error::Shape(format!("there is no stage {level}; the network has 0 to {}", network.deepest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NormKind, Stage};

    fn spec(axes: usize, stride: [usize; 3]) -> Spec {
        Spec {
            family: "any".into(),
            inputs: 1,
            axes,
            outputs: 3,
            stages: vec![Stage { channels: 4, stride }],
            norm: NormKind::Instance,
        }
    }

    #[test]
    fn a_volume_s_slices_are_segmented_each_by_itself_and_repeated_in_depth() {
        let features: Vec<f32> = (0..2 * 3 * 4 * 4 * 4).map(|i| (i % 17) as f32 / 9.0).collect();
        let head = |axes, stride| EarlyHead::random(&spec(axes, stride), 0, 1, &Device::Cpu);
        let volume = Tensor::from_vec(features, (2, 3, 4, 4, 4), &Device::Cpu).unwrap();
        let logits = head(3, [2, 2, 2]).unwrap().forward(&volume).unwrap();
        assert_eq!(logits.dims(), [2, 3, 6, 8, 8]);
        let slices = volume.reshape((6, 4, 4, 4)).unwrap();
        let flat = head(2, [1, 2, 2]).unwrap().forward(&slices).unwrap();
        let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (image, depth) in [(0, 0), (0, 3), (1, 5)] {
            let found = logits.narrow(0, image, 1).unwrap().narrow(2, depth, 1).unwrap();
            let expected = flat.narrow(0, image * 3 + depth / 2, 1).unwrap();
            assert_eq!(values(found), values(expected), "image {image}, depth {depth}");
        }
        let uneven = head(3, [1, 2, 4]).err().unwrap().to_string();
        assert!(uneven.contains("same factor"), "{uneven}");
    }
}
