//! Between this crate and `candle_nn`: its builders over our checkpoints, our chains as its modules, its optimisers on
//! our parameters and ours in its place.
use crate::{
    Adam, AdamConfig, Chain, Checkpoint, Entry, Error, Mismatch, NormMode, Parameters, Result,
    RunningUpdate,
};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, ModuleT, Optimizer, VarBuilder, VarMap};
use std::sync::PoisonError;

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(error) => error,
            other => Self::wrap(other),
        }
    }
}

impl NormMode {
    /// What `candle_nn`'s `train` means: the batch's statistics, which move the running ones, or the running ones.
    pub fn of_train(train: bool) -> Self {
        if train { Self::Batch(RunningUpdate::Steps(1)) } else { Self::Running }
    }
}

impl Checkpoint {
    /// The tensors as `candle_nn`'s layers ask for them.
    pub fn var_builder(self, dtype: DType, device: Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self), dtype, device)
    }
}

impl SimpleBackend for Checkpoint {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            let (expected, found) = (shape.dims(), tensor.dims());
            let misshapen = vec![format!("{name}: expected {expected:?}, found {found:?}")];
            return Err(Error::Mismatch(Mismatch { misshapen, ..Mismatch::default() }).into());
        }
        Ok(tensor)
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match self.tensors.get(name) {
            Some(tensor) => tensor.to_device(device)?.to_dtype(dtype),
            None => Err(Error::NoParameter(name.to_owned()).into()),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

impl Parameters {
    /// Takes the `expected` entries from a builder of `candle_nn`, copied and frozen. Counts (scalars) are read as i64,
    /// whatever the builder's type.
    ///
    /// # Errors
    /// When an entry is missing or misshapen.
    pub fn from_builder(expected: &[Entry], builder: &VarBuilder) -> Result<Self> {
        let of = |entry: &Entry| {
            let dtype = if entry.shape.is_empty() { DType::I64 } else { builder.dtype() };
            let shape = entry.shape.as_slice();
            let tensor = builder.get_with_hints_dtype(shape, &entry.name, Init::Const(0.0), dtype);
            Ok((entry.name.clone(), tensor?))
        };
        let state = expected.iter().map(of).collect::<Result<_>>()?;
        Self::new(expected, &state, builder.device())
    }

    /// All entries as a `VarMap` that shares them: what an optimiser of `candle_nn` moves there moves here. What is to
    /// move must be made trainable here, or no gradient reaches it.
    pub fn var_map(&self) -> VarMap {
        let map = VarMap::new();
        let shared = self.names().filter_map(|(name, _)| {
            let var: Var = self.var(name).ok()?.clone();
            Some((name.to_owned(), var))
        });
        map.data().lock().unwrap_or_else(PoisonError::into_inner).extend(shared);
        map
    }

    /// The `expected` entries of a `VarMap`, copied and frozen.
    ///
    /// # Errors
    /// [`Error::Mismatch`] names all missing, unexpected and misshapen entries at once.
    pub fn from_var_map(expected: &[Entry], map: &VarMap, device: &Device) -> Result<Self> {
        let held = map.data().lock().unwrap_or_else(PoisonError::into_inner);
        let entry = |(name, var): (&String, &Var)| (name.clone(), var.as_tensor().clone());
        Self::new(expected, &held.iter().map(entry).collect(), device)
    }
}

/// A chain with its parameters, as a module of `candle_nn`: maps are `[N, H, W, C]`.
#[derive(Clone, Copy)]
pub struct BoundChain<'a> {
    chain: &'a Chain,
    parameters: &'a Parameters,
}

impl Chain {
    /// The chain as a module of `candle_nn`.
    pub fn bind<'a>(&'a self, parameters: &'a Parameters) -> BoundChain<'a> {
        BoundChain { chain: self, parameters }
    }
}

impl ModuleT for BoundChain<'_> {
    fn forward_t(&self, map: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        Ok(self.chain.forward(self.parameters, map, NormMode::of_train(train))?)
    }
}

impl Optimizer for Adam {
    type Config = AdamConfig;

    /// Variables are named by their place.
    fn new(vars: Vec<Var>, config: AdamConfig) -> candle_core::Result<Self> {
        let floats = vars.into_iter().filter(|var| var.dtype().is_float());
        let named = floats.enumerate().map(|(place, var)| (place.to_string(), var));
        Ok(Self::new(named.collect(), config)?)
    }

    fn step(&mut self, gradients: &GradStore) -> candle_core::Result<()> {
        Ok(Self::step(self, gradients)?)
    }

    fn learning_rate(&self) -> f64 {
        self.config().learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        Self::set_learning_rate(self, learning_rate);
    }
}
