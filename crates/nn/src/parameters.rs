//! The named tensors of a network: weights, batch-norm statistics, and which of them may move.
//!
//! Everything that a checkpoint holds is one entry here. Entries are frozen unless their name has been
//! made trainable; a frozen entry enters the computation detached, so that it costs no gradient.
use crate::{Error, Mismatch, Result, StateDict};
use candle_core::{DType, Device, Tensor, Var};
use std::collections::{BTreeMap, BTreeSet};

/// What an entry of a state dict is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Moved by an optimiser.
    Weight,
    /// Scale or shift of a norm; moved by an optimiser.
    NormAffine,
    /// Statistics that batch norm keeps; saved, never optimised.
    Statistic,
}

impl Role {
    /// Whether an optimiser may move it.
    pub fn is_trainable(self) -> bool {
        self != Self::Statistic
    }
}

/// Name, shape and role of one entry that a network needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// State-dict name, as the published implementation has it.
    pub name: String,
    /// Shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Weight or statistic.
    pub role: Role,
}

/// The named tensors of one network.
pub struct Parameters {
    entries: BTreeMap<String, (Role, Var)>,
    trainable: BTreeSet<String>,
    replaced: BTreeMap<String, Tensor>,
}

/// `average` moved towards `value`, of which `decay` stays; equal values stay equal.
///
/// # Errors
/// When the shapes differ.
pub fn averaged(average: &Tensor, value: &Tensor, decay: f64) -> Result<Tensor> {
    let step = ((value - average)? * (1.0 - decay))?;
    Ok((average + step)?.detach())
}

impl Parameters {
    /// Takes from `state` exactly the `expected` entries, on `device`; every entry starts frozen.
    ///
    /// A counter of batches that a norm has seen may be missing, as in checkpoints of PyTorch before 0.4.1 and of tools that
    /// never count, or be a list of one: nothing is computed of it. It is then 0, and a scalar.
    ///
    /// # Errors
    /// [`Error::Mismatch`] names all missing, unexpected and misshapen entries at once.
    pub fn new(expected: &[Entry], state: &StateDict, device: &Device) -> Result<Self> {
        let mut mismatch = Mismatch::default();
        let mut entries = BTreeMap::new();
        for entry in expected {
            let is_counter = entry.role == Role::Statistic && entry.shape.is_empty();
            let tensor = match state.get(&entry.name) {
                Some(tensor) if is_counter && tensor.dims() == [1] => tensor.reshape(())?,
                Some(tensor) => tensor.clone(),
                None if is_counter => Tensor::zeros((), DType::I64, &Device::Cpu)?,
                None => {
                    mismatch.missing.push(entry.name.clone());
                    continue;
                }
            };
            if tensor.dims() != entry.shape.as_slice() {
                mismatch.misshapen.push(format!(
                    "{}: expected {:?}, found {:?}",
                    entry.name,
                    entry.shape,
                    tensor.dims()
                ));
                continue;
            }
            // A copy: `Var::from_tensor` would share the storage and so edit the source checkpoint.
            let var = Var::from_tensor(&tensor.to_device(device)?.copy()?)?;
            entries.insert(entry.name.clone(), (entry.role, var));
        }
        let known: BTreeSet<&str> = expected.iter().map(|entry| entry.name.as_str()).collect();
        mismatch.unexpected =
            state.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
        if !mismatch.is_empty() {
            return Err(Error::Mismatch(mismatch));
        }
        Ok(Self { entries, trainable: BTreeSet::new(), replaced: BTreeMap::new() })
    }

    /// Makes exactly the weights whose name satisfies `choose` trainable.
    pub fn set_trainable(&mut self, choose: impl Fn(&str) -> bool) {
        self.trainable = self
            .entries
            .iter()
            .filter(|(name, (role, _))| role.is_trainable() && choose(name))
            .map(|(name, _)| name.clone())
            .collect();
    }

    /// The trainable weights, by name, in name order.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.trainable.iter().map(|name| (name.clone(), self.entries[name].1.clone())).collect()
    }

    /// All entries' names with their roles, in name order.
    pub fn names(&self) -> impl Iterator<Item = (&str, Role)> {
        self.entries.iter().map(|(name, (role, _))| (name.as_str(), *role))
    }

    /// The value of an entry as it enters a computation: tracked where trainable or replaced,
    /// detached otherwise.
    ///
    /// # Errors
    /// [`Error::NoParameter`] for an unknown name.
    pub fn value(&self, name: &str) -> Result<Tensor> {
        if let Some(tensor) = self.replaced.get(name) {
            return Ok(tensor.clone());
        }
        let var = self.var(name)?;
        if self.trainable.contains(name) {
            Ok(var.as_tensor().clone())
        } else {
            Ok(var.as_detached_tensor())
        }
    }

    /// Lets a computed tensor stand for an entry until the next call or [`Self::restore`], such as a
    /// weight with a low-rank adapter added. The stored entry does not change.
    ///
    /// # Errors
    /// [`Error::NoParameter`] for an unknown name.
    pub fn replace(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        self.var(name)?;
        self.replaced.insert(name.to_owned(), tensor);
        Ok(())
    }

    /// Ends all replacements.
    pub fn restore(&mut self) {
        self.replaced.clear();
    }

    /// The variable of an entry.
    ///
    /// # Errors
    /// [`Error::NoParameter`] for an unknown name.
    pub fn var(&self, name: &str) -> Result<&Var> {
        match self.entries.get(name) {
            Some((_, var)) => Ok(var),
            None => Err(Error::NoParameter(name.to_owned())),
        }
    }

    /// A copy of all entries, replacements applied; what a checkpoint stores.
    ///
    /// # Errors
    /// When memory for the copy cannot be had.
    pub fn state(&self) -> Result<StateDict> {
        self.entries
            .keys()
            .map(|name| Ok((name.clone(), self.value(name)?.detach().copy()?)))
            .collect()
    }

    /// Sets all entries from a copy made by [`Self::state`], keeping what is trainable.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when an entry is missing.
    pub fn set_state(&self, state: &StateDict) -> Result<()> {
        for (name, (_, var)) in &self.entries {
            let Some(tensor) = state.get(name) else {
                let missing = vec![name.clone()];
                return Err(Error::Mismatch(Mismatch { missing, ..Mismatch::default() }));
            };
            var.set(&tensor.to_device(var.device())?)?;
        }
        Ok(())
    }
}
