//! Adam, with a state that can be saved and restored to the bit.
use crate::{Error, Mismatch, Result, StateDict};
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor, Var, backprop::GradStore};
use std::cell::RefCell;
use std::collections::BTreeMap;
use udas_kernels::AdamStep;

/// Adam's constants (Kingma and Ba 2015, algorithm 1); no weight decay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamConfig {
    /// Step size.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl AdamConfig {
    /// The usual constants (0.9, 0.999, 1e-8) at a given step size.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

struct Moments {
    var: Var,
    kept: Kept,
}

/// Both moments, where the variable is.
enum Kept {
    Host { first: Vec<f32>, second: Vec<f32> },
    Device { first: Tensor, second: Tensor },
}

impl Kept {
    fn zeros(var: &Var) -> Result<Self> {
        if var.device().is_cpu() {
            let zeros = vec![0.0; var.elem_count()];
            return Ok(Self::Host { first: zeros.clone(), second: zeros });
        }
        let zeros = var.zeros_like()?;
        Ok(Self::Device { first: zeros.clone(), second: zeros })
    }

    fn tensors(&self, var: &Var) -> Result<[Tensor; 2]> {
        let cpu = &Device::Cpu;
        Ok(match self {
            Self::Host { first, second } => [
                Tensor::from_slice(first, var.shape(), cpu)?,
                Tensor::from_slice(second, var.shape(), cpu)?,
            ],
            Self::Device { first, second } => [first.to_device(cpu)?, second.to_device(cpu)?],
        })
    }

    fn of(tensors: [&Tensor; 2], var: &Var) -> Result<Self> {
        let [first, second] = tensors;
        if var.device().is_cpu() {
            let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
            return Ok(Self::Host { first: values(first)?, second: values(second)? });
        }
        let there = |tensor: &Tensor| tensor.to_device(var.device())?.reshape(var.shape());
        Ok(Self::Device { first: there(first)?, second: there(second)? })
    }
}

/// Adam over named variables. Moments live where their variable lives.
pub struct Adam {
    config: AdamConfig,
    steps: u64,
    moments: BTreeMap<String, Moments>,
}

impl Adam {
    /// An optimiser over `variables`, moments at zero.
    ///
    /// # Errors
    /// When a device has no memory for the moments.
    pub fn new(variables: Vec<(String, Var)>, config: AdamConfig) -> Result<Self> {
        let moments = variables.into_iter().map(|(name, var)| {
            let kept = Kept::zeros(&var)?;
            Ok((name, Moments { var, kept }))
        });
        Ok(Self { config, steps: 0, moments: moments.collect::<Result<_>>()? })
    }

    /// The constants.
    pub fn config(&self) -> AdamConfig {
        self.config
    }

    /// Sets the step size of the steps to come.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step; a variable without a gradient stays as it is.
    ///
    /// # Errors
    /// When a gradient cannot be read from its device.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.steps += 1;
        let AdamConfig { learning_rate, beta1, beta2, epsilon } = self.config;
        let exponent = self.steps.min(i32::MAX as u64) as i32;
        let correction1 = 1.0 - beta1.powi(exponent);
        let correction2 = (1.0 - beta2.powi(exponent)).sqrt();
        let step = AdamStep {
            step_size: (learning_rate / correction1) as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            root: 1.0 / correction2 as f32,
            epsilon: epsilon as f32,
        };
        for Moments { var, kept } in self.moments.values_mut() {
            let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
            match kept {
                Kept::Host { first, second } => {
                    let moments = RefCell::new((first.as_mut_slice(), second.as_mut_slice()));
                    let step = InPlace { step, moments };
                    var.as_tensor().inplace_op2(&gradient.contiguous()?, &step)?;
                }
                Kept::Device { first, second } => on_device(step, var, gradient, first, second)?,
            }
        }
        Ok(())
    }

    /// The whole state: `steps`, and `first.NAME`, `second.NAME` for every variable.
    ///
    /// # Errors
    /// When memory for the copy cannot be had.
    pub fn state(&self) -> Result<StateDict> {
        let mut state = StateDict::new();
        state.insert("steps".into(), Tensor::new(self.steps as i64, &Device::Cpu)?);
        for (name, moments) in &self.moments {
            let [first, second] = moments.kept.tensors(&moments.var)?;
            state.insert(format!("first.{name}"), first);
            state.insert(format!("second.{name}"), second);
        }
        Ok(state)
    }

    /// Restores what [`Self::state`] gave.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when an entry is missing or has another size.
    pub fn restore(&mut self, state: &StateDict) -> Result<()> {
        self.steps = entry(state, "steps")?.to_scalar::<i64>()?.max(0) as u64;
        for (name, moments) in &mut self.moments {
            let saved = |prefix: &str| -> Result<&Tensor> {
                let name = format!("{prefix}.{name}");
                let tensor = entry(state, &name)?;
                if tensor.elem_count() != moments.var.elem_count() {
                    let misshapen = vec![name];
                    return Err(Error::Mismatch(Mismatch { misshapen, ..Mismatch::default() }));
                }
                Ok(tensor)
            };
            moments.kept = Kept::of([saved("first")?, saved("second")?], &moments.var)?;
        }
        Ok(())
    }
}

/// A step by candle's own operations; none of the values comes to the host.
fn on_device(
    step: AdamStep,
    var: &Var,
    gradient: &Tensor,
    first: &mut Tensor,
    second: &mut Tensor,
) -> Result<()> {
    let AdamStep { step_size, beta1, beta2, root, epsilon } = step;
    let gradient = gradient.detach();
    let blend = |kept: &Tensor, new: Tensor, beta: f32| {
        let beta = f64::from(beta);
        (kept * beta)? + (new * (1.0 - beta))?
    };
    *first = blend(first, gradient.clone(), beta1)?;
    *second = blend(second, gradient.sqr()?, beta2)?;
    let width = (second.sqrt()? * f64::from(root))?.affine(1.0, f64::from(epsilon))?;
    let change = ((&*first / width)? * f64::from(step_size))?;
    Ok(var.set(&(var.as_tensor().detach() - change)?)?)
}

/// A step on a variable's own memory.
struct InPlace<'a> {
    step: AdamStep,
    moments: RefCell<(&'a mut [f32], &'a mut [f32])>,
}

impl InplaceOp2 for InPlace<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<()> {
        let (Some(value), Some(gradient)) = (l1.contiguous_offsets(), l2.contiguous_offsets())
        else {
            candle_core::bail!("a variable or a gradient that is not contiguous")
        };
        let (CpuStorage::F32(values), CpuStorage::F32(gradients)) = (s1, s2) else {
            candle_core::bail!("a variable or a gradient that is not float32")
        };
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        let value = &mut values[value.0..value.1];
        self.step.apply(value, &gradients[gradient.0..gradient.1], first, second);
        Ok(())
    }
}

fn entry<'a>(state: &'a StateDict, name: &str) -> Result<&'a Tensor> {
    state.get(name).ok_or_else(|| {
        Error::Mismatch(Mismatch { missing: vec![name.to_owned()], ..Mismatch::default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_by_candles_operations_is_the_step_of_the_kernel() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let step = AdamStep { step_size: 0.01, beta1: 0.9, beta2: 0.999, root: 1.2, epsilon: 1e-8 };
        let (mut first, mut second) = (tensor(&[0.0; 4]), tensor(&[0.0; 4]));
        let (mut host_first, mut host_second) = (vec![0.0; 4], vec![0.0; 4]);
        let mut host = vec![1.0, -2.0, 0.5, 3.0];
        let var = Var::from_tensor(&tensor(&host)).unwrap();
        for gradient in [[0.1, -3.0, 0.0, 7.0], [0.2, 2.0, 1e-6, -7.0]] {
            step.apply(&mut host, &gradient, &mut host_first, &mut host_second);
            on_device(step, &var, &tensor(&gradient), &mut first, &mut second).unwrap();
        }
        let pairs =
            [(&var.to_vec1::<f32>().unwrap(), &host), (&second.to_vec1().unwrap(), &host_second)];
        for (found, expected) in pairs {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} {expected}");
            }
        }
    }
}
