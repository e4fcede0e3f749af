//! Low-rank adapters on convolutions (ConvLoRA, Aleem et al. 2024, arXiv 2402.04964): the frozen weight plus
//! the product of two small matrices that are trained in its place.
use candle_core::{Device, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use udas_network::Network;
use udas_nn::{Error, Mismatch, Result, StateDict};

/// The adapters of some convolutions, by the name of the weight.
pub(crate) struct Adapters(BTreeMap<String, Adapter>);

/// W + up * down, where a weight `[out, in, k, k]` is read as a matrix `[out k, in k]`, as in the published
/// code; rank r makes `down` `[r k, in k]` and `up` `[out k, r k]`. Their scaling alpha / r is 1. Of a weight of three axes
/// `[out, in, d, h, w]`, of which the published code has none, the matrix is `[out d, in h w]`.
struct Adapter {
    down: Var,
    up: Var,
}

impl Adapters {
    /// Adapters of `rank` on the convolutions of encoder stages 0 to `level`. `up` begins at zero, so that
    /// nothing changes at first; `down` is drawn uniformly within 1 / sqrt(in k).
    pub fn new(
        network: &dyn Network,
        level: usize,
        rank: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut adapters = BTreeMap::new();
        let parameters = network.parameters();
        for (name, _) in parameters.names().filter(|(name, _)| network.is_early(name, level)) {
            let (rows, inner, columns) = match *parameters.var(name)?.dims() {
                [out, input, k, w] => (out * k, rank * k, input * w),
                [out, input, d, h, w] => (out * d, rank * d, input * h * w),
                _ => continue,
            };
            let bound = 1.0 / (columns as f32).sqrt();
            let shape = (inner, columns);
            let down = (0..shape.0 * shape.1).map(|_| random.random_range(-bound..bound));
            let down = Tensor::from_vec(down.collect::<Vec<f32>>(), shape, device)?;
            let up = Tensor::zeros((rows, inner), down.dtype(), device)?;
            let adapter = Adapter { down: Var::from_tensor(&down)?, up: Var::from_tensor(&up)? };
            adapters.insert(name.to_owned(), adapter);
        }
        Ok(Self(adapters))
    }

    /// Names of the weights that have an adapter.
    pub fn weights(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The matrices, by name.
    pub fn variables(&self) -> Vec<(String, Var)> {
        let both = self.0.iter().flat_map(|(name, Adapter { down, up })| {
            [(format!("{name}.down"), down.clone()), (format!("{name}.up"), up.clone())]
        });
        both.collect()
    }

    /// Lets the sums stand for the weights in `network`, as the matrices are now.
    pub fn apply(&self, network: &mut dyn Network) -> Result<()> {
        for (name, Adapter { down, up }) in &self.0 {
            let weight = network.parameters().var(name)?.as_detached_tensor();
            let change = up.matmul(down)?.reshape(weight.shape())?;
            network.parameters_mut().replace(name, (weight + change)?)?;
        }
        Ok(())
    }

    /// Sets the matrices from a state that has them by name.
    pub fn restore(&self, state: &StateDict) -> Result<()> {
        for (name, var) in self.variables() {
            let Some(saved) = state.get(&name) else {
                return Err(Error::Mismatch(Mismatch {
                    missing: vec![name],
                    ..Mismatch::default()
                }));
            };
            var.set(&saved.to_device(var.device())?)?;
        }
        Ok(())
    }
}
