//! A chain: a run of layers that executes as one operation, forward and backward.
//!
//! candle sees a chain as one node with two arguments: the feature map, and all weights packed into one
//! vector. Inside, the steps share their intermediate maps, fuse what surrounds a convolution into it, and
//! skip the gradients of what is frozen.
mod composed;
mod device;
mod op;
mod spec;

pub use spec::{Layer, UnitSpec};

use crate::{Entry, Graph, NormMode, Operation, Parameters, Result, batch_norm};
use candle_core::{DType, Tensor};
use op::{ChainOp, ChainPlusOp, Packing};
use spec::{Skip, Step};
use std::sync::Arc;
use udas_kernels::Moments;

/// A run of layers over one feature map.
#[derive(Clone, Debug)]
pub struct Chain {
    steps: Arc<Vec<Step>>,
}

impl Chain {
    /// A chain of `layers`.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self { steps: Arc::new(Step::flatten(layers)) }
    }

    /// The state-dict entries that the chain needs.
    pub fn entries(&self) -> Vec<Entry> {
        self.steps.iter().flat_map(Step::entries).collect()
    }

    /// Adds the chain's operations to a graph, on the value `map`; gives the name of the result.
    pub fn trace(&self, graph: &mut Graph, map: &str) -> String {
        let (mut value, mut kept) = (map.to_owned(), String::new());
        for step in self.steps.iter() {
            if step.skip == Skip::Opens {
                kept.clone_from(&value);
            }
            value = step.trace(graph, &value);
            if step.skip == Skip::Closes {
                value = graph.add(Operation::Add, &[&value, &kept]);
            }
        }
        value
    }

    /// Runs the chain on `map` `[N, H, W, C]`; with batch statistics, updates the running ones as `mode`
    /// says.
    ///
    /// # Errors
    /// When `parameters` lacks an entry or shapes do not fit.
    pub fn forward(&self, parameters: &Parameters, map: &Tensor, mode: NormMode) -> Result<Tensor> {
        self.run(parameters, map, None, mode)
    }

    /// The chain's result plus `other`, a map of its shape.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_plus(
        &self,
        parameters: &Parameters,
        map: &Tensor,
        other: &Tensor,
        mode: NormMode,
    ) -> Result<Tensor> {
        match self.steps.last() {
            Some(step) if step.can_add() => self.run(parameters, map, Some(other), mode),
            _ => Ok((self.forward(parameters, map, mode)? + other)?),
        }
    }

    fn run(
        &self,
        parameters: &Parameters,
        map: &Tensor,
        other: Option<&Tensor>,
        mode: NormMode,
    ) -> Result<Tensor> {
        let norms = self.steps.iter().filter_map(Step::norm);
        if map.device().is_cpu() && map.dtype() == DType::F32 {
            let (result, moments) = self.fused(parameters, map, other, mode)?;
            if let NormMode::Batch(update) = mode {
                for ((name, _), moments) in norms.zip(&moments) {
                    batch_norm::update(parameters, name, moments, update)?;
                }
            }
            return Ok(result);
        }
        let (result, moments) = composed::forward(&self.steps, parameters, map, mode)?;
        if let NormMode::Batch(update) = mode {
            for ((name, _), moments) in norms.zip(&moments) {
                batch_norm::update_on_device(parameters, name, moments, update)?;
            }
        }
        match other {
            Some(other) => Ok((result + other)?),
            None => Ok(result),
        }
    }

    /// The same by candle's own operations: what other devices run, and what the fused path is tested
    /// against.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_composed(
        &self,
        parameters: &Parameters,
        map: &Tensor,
        mode: NormMode,
    ) -> Result<Tensor> {
        Ok(composed::forward(&self.steps, parameters, map, mode)?.0)
    }

    fn fused(
        &self,
        parameters: &Parameters,
        map: &Tensor,
        other: Option<&Tensor>,
        mode: NormMode,
    ) -> Result<(Tensor, Vec<Moments>)> {
        let (packed, packing) = Packing::collect(&self.steps, parameters)?;
        let op = ChainOp::new(self.steps.clone(), packing, parameters, &packed, mode, map)?;
        let moments = op.moments();
        let map = map.contiguous()?;
        let result = match other {
            Some(other) => map.apply_op3(&packed, &other.contiguous()?, ChainPlusOp(op))?,
            None => map.apply_op2(&packed, op)?,
        };
        let moments = std::mem::take(&mut *moments.lock().unwrap_or_else(|e| e.into_inner()));
        Ok((result, moments))
    }
}
