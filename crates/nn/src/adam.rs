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
    first: Vec<f32>,
    second: Vec<f32>,
}

/// Adam over named variables. Moments live in host memory, whatever the device of the variables.
pub struct Adam {
    config: AdamConfig,
    steps: u64,
    moments: BTreeMap<String, Moments>,
}

impl Adam {
    /// An optimiser over `variables`, moments at zero.
    pub fn new(variables: Vec<(String, Var)>, config: AdamConfig) -> Self {
        let moments = variables
            .into_iter()
            .map(|(name, var)| {
                let zeros = vec![0.0; var.elem_count()];
                (name, Moments { var, first: zeros.clone(), second: zeros })
            })
            .collect();
        Self { config, steps: 0, moments }
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
        for Moments { var, first, second } in self.moments.values_mut() {
            let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
            if var.device().is_cpu() && var.is_contiguous() {
                let moments = RefCell::new((first.as_mut_slice(), second.as_mut_slice()));
                let step = InPlace { step, moments };
                var.as_tensor().inplace_op2(&gradient.contiguous()?, &step)?;
                continue;
            }
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            let mut value = var.flatten_all()?.to_vec1::<f32>()?;
            step.apply(&mut value, &gradient, first, second);
            var.set(&Tensor::from_vec(value, var.shape(), var.device())?)?;
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
            let shape = moments.var.shape();
            for (prefix, values) in [("first", &moments.first), ("second", &moments.second)] {
                let tensor = Tensor::from_slice(values, shape, &Device::Cpu)?;
                state.insert(format!("{prefix}.{name}"), tensor);
            }
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
            for (prefix, values) in [("first", &mut moments.first), ("second", &mut moments.second)]
            {
                let saved = entry(state, &format!("{prefix}.{name}"))?;
                let saved = saved.flatten_all()?.to_vec1::<f32>()?;
                if saved.len() != values.len() {
                    let misshapen = vec![format!("{prefix}.{name}")];
                    return Err(Error::Mismatch(Mismatch { misshapen, ..Mismatch::default() }));
                }
                *values = saved;
            }
        }
        Ok(())
    }
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
