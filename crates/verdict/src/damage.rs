//! Models that have gone wrong in known ways, so that a calibration has seen harm.
use crate::Result;
use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use udas_metrics::statistics::standard_normal;
use udas_network::{LastLayer, Network};
use udas_nn::StateDict;

/// What is done to a model's weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// Every convolution weight is multiplied by 1 plus Gaussian noise of this standard deviation.
    Noise(f32),
    /// Logits times a factor: surer of the same masks, as entropy minimisation makes networks.
    Sharpened(f32),
    /// Logits of the foreground plus a summand: masks too large or too small.
    Inclined(f32),
}

/// The damages that a calibration goes through in turn.
pub const DAMAGES: [Damage; 6] = [
    Damage::Noise(0.1),
    Damage::Sharpened(4.0),
    Damage::Inclined(2.0),
    Damage::Noise(0.3),
    Damage::Inclined(-2.0),
    Damage::Noise(0.6),
];

impl Damage {
    /// Its name in a calibration file.
    pub fn name(self) -> String {
        match self {
            Self::Noise(deviation) => format!("weight noise {deviation}"),
            Self::Sharpened(factor) => format!("logits times {factor}"),
            Self::Inclined(summand) => format!("logits plus {summand}"),
        }
    }

    /// The damaged weights; none of a network without what would be damaged.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn apply(self, network: &dyn Network, seed: u64) -> Result<Option<StateDict>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut damaged = StateDict::new();
        let LastLayer { weight, bias, .. } = network.last_layer();
        if matches!(self, Self::Inclined(_)) && bias.is_none() {
            return Ok(None);
        }
        let is_bias = |name: &String| bias.as_ref() == Some(name);
        for (name, tensor) in &network.parameters().state()? {
            let tensor = match self {
                Self::Noise(deviation) if tensor.rank() >= 4 => {
                    let noise = (0..tensor.elem_count())
                        .map(|_| 1.0 + deviation * standard_normal(|| random.next_u32()))
                        .collect::<Vec<f32>>();
                    (tensor * Tensor::from_vec(noise, tensor.shape(), tensor.device())?)?
                }
                Self::Sharpened(factor) if *name == weight || is_bias(name) => {
                    (tensor * f64::from(factor))?
                }
                Self::Inclined(summand) if is_bias(name) => inclined(tensor, summand)?,
                _ => tensor.clone(),
            };
            damaged.insert(name.clone(), tensor);
        }
        Ok(Some(damaged))
    }
}

/// A binary network's only logit rises; of several, the background's falls.
fn inclined(bias: &Tensor, summand: f32) -> Result<Tensor> {
    let mut values: Vec<f32> = bias.to_vec1()?;
    let sign = if values.len() == 1 { 1.0 } else { -1.0 };
    values.iter_mut().take(1).for_each(|value| *value += sign * summand);
    Ok(Tensor::from_vec(values, bias.shape(), bias.device())?)
}
