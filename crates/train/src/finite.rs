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
    for (name, var) in objective.statistics() {
        if let Some(value) = odd_value(var.as_tensor())? {
            return Ok(Some((format!("the statistic `{name}`"), value)));
        }
    }
    Ok(None)
}

/// Looks at the gradients of what is trained.
pub(crate) fn in_gradients<O: Objective>(objective: &O, gradients: &GradStore) -> Result<Fault> {
    for (name, var) in objective.trainable() {
        let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
        if let Some(value) = odd_value(gradient)? {
            return Ok(Some((format!("the gradient of `{name}`"), value)));
        }
    }
    Ok(None)
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
