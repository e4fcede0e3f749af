//! Whether a step stayed among numbers: loss, gradients, and the statistics of batch norm.
use crate::{Objective, Result};
use candle_core::{Tensor, backprop::GradStore};

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
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().find(|value| !value.is_finite()))
}
