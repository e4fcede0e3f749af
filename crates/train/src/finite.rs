//! Whether a step stayed among numbers: loss, gradients, and the statistics of batch norm.
use crate::{Objective, Result};
use candle_core::{Storage, Tensor, backprop::GradStore};

/// The first thing found to be NaN or infinite, with the value.
pub(crate) type Fault = Option<(String, f32)>;

/// Looks at the loss.
pub(crate) fn in_loss(loss: f32) -> Fault {
    (!loss.is_finite()).then(|| ("the loss".to_owned(), loss))
}

/// Looks at the statistics that the step's forward pass has moved.
pub(crate) fn in_statistics<O: Objective>(objective: &O) -> Result<Fault> {
    let statistics = objective.statistics();
    let named = statistics.iter().map(|(name, var)| (name.as_str(), var.as_tensor()));
    Ok(odd_among(named)?.map(|(name, value)| (format!("the statistic `{name}`"), value)))
}

/// Looks at the gradients of what is trained.
pub(crate) fn in_gradients<O: Objective>(objective: &O, gradients: &GradStore) -> Result<Fault> {
    let trainable = objective.trainable();
    let named = trainable
        .iter()
        .filter_map(|(name, var)| Some((name.as_str(), gradients.get(var.as_tensor())?)));
    Ok(odd_among(named)?.map(|(name, value)| (format!("the gradient of `{name}`"), value)))
}

fn odd_among<'a>(
    named: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Result<Option<(&'a str, f32)>> {
    let mut elsewhere = Vec::new();
    for (name, tensor) in named {
        if !tensor.device().is_cpu() {
            elsewhere.push((name, tensor));
        } else if let Some(value) = odd_value(tensor)? {
            return Ok(Some((name, value)));
        }
    }
    if elsewhere.is_empty() {
        return Ok(None);
    }
    // What is on a device is asked about in one copy: zero times a number is zero, times NaN or infinity NaN.
    let zero = |(_, tensor): &(&str, &Tensor)| (*tensor * 0.0)?.sum_all();
    let zeros: candle_core::Result<Vec<Tensor>> = elsewhere.iter().map(zero).collect();
    let zeros = Tensor::stack(&zeros?, 0)?.to_vec1::<f32>()?;
    let Some(at) = zeros.iter().position(|zero| zero.is_nan()) else { return Ok(None) };
    let (name, tensor) = elsewhere[at];
    Ok(odd_value(tensor)?.map(|value| (name, value)))
}

fn odd_value(tensor: &Tensor) -> Result<Option<f32>> {
    let (storage, layout) = tensor.storage_and_layout();
    let values = match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(values), Some((start, end))) => &values.as_slice::<f32>()?[start..end],
        _ => {
            drop(storage);
            return Ok(odd_in(&tensor.flatten_all()?.to_vec1::<f32>()?));
        }
    };
    Ok(odd_in(values))
}

fn odd_in(values: &[f32]) -> Option<f32> {
    // A chunk at a time without branches, so that the compiler makes vectors of it: most are found well.
    let is_odd = |values: &[f32]| values.iter().fold(false, |odd, value| odd | !value.is_finite());
    let odd = values.chunks(4096).find(|values| is_odd(values))?;
    odd.iter().copied().find(|value| !value.is_finite())
}
