//! Random initial weights, drawn as PyTorch's layers draw theirs (uniform within 1/sqrt(fan-in)).
use candle_core::{Device, Tensor};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use udas_nn::{Entry, Result, Role, StateDict};

/// A random state dict for `entries`, in which each entry depends on `seed` and the entry's position only.
///
/// # Errors
/// When a tensor operation fails.
pub fn random_state(entries: &[Entry], seed: u64) -> Result<StateDict> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut state = StateDict::new();
    let mut fan_in = 1;
    for entry in entries {
        let cpu = &Device::Cpu;
        let shape = entry.shape.as_slice();
        let tensor = match entry.role {
            Role::Statistic if shape.is_empty() => Tensor::new(0i64, cpu)?,
            Role::Statistic if entry.name.ends_with("running_var") => constant(1.0, shape)?,
            Role::Statistic => constant(0.0, shape)?,
            Role::NormAffine => {
                constant(if entry.name.ends_with("weight") { 1.0 } else { 0.0 }, shape)?
            }
            Role::Weight if shape.len() >= 4 => {
                // Axis 1 times the kernel's area, for transposed convolutions too, as PyTorch has it.
                fan_in = shape[1..].iter().product();
                uniform(&mut rng, fan_in, shape)?
            }
            // A convolution's bias follows its weight and shares its fan-in.
            Role::Weight => uniform(&mut rng, fan_in, shape)?,
        };
        state.insert(entry.name.clone(), tensor);
    }
    Ok(state)
}

fn constant(value: f32, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::full(value, shape, &Device::Cpu)?)
}

fn uniform(rng: &mut impl Rng, fan_in: usize, shape: &[usize]) -> Result<Tensor> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-bound..bound)).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
