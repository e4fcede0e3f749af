//! Dice between two predictions over a whole batch: what the published stop rule watches.
use candle_core::{DType, Result, Tensor};

/// Added to both sides of the fraction, as in the published code.
const SMOOTHING: f64 = 1e-4;

/// How logits become masks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AgreementTask {
    /// One channel; foreground where the probability is above 0.5.
    Binary,
    /// The class of the largest logit; the mean over the foreground classes.
    MultiClass,
}

/// `(2 sum(ab) + 1e-4) / (sum a + sum b + 1e-4)` over the whole batch, where a and b are the masks of two
/// logits `[N, C, H, W]`; for several classes the mean over classes 1 to C - 1.
///
/// # Errors
/// When the shapes differ.
pub fn dice_agreement(first: &Tensor, second: &Tensor, task: AgreementTask) -> Result<f64> {
    match task {
        // A probability is above 0.5 exactly where its logit is above 0.
        AgreementTask::Binary => dice(&first.gt(0.0)?, &second.gt(0.0)?),
        AgreementTask::MultiClass => {
            let classes = first.dim(1)?;
            let (first, second) = (first.argmax(1)?, second.argmax(1)?);
            let mut total = 0.0;
            for class in 1..classes {
                total += dice(&first.eq(class as u32)?, &second.eq(class as u32)?)?;
            }
            Ok(total / (classes.max(2) - 1) as f64)
        }
    }
}

fn dice(a: &Tensor, b: &Tensor) -> Result<f64> {
    let count =
        |mask: &Tensor| -> Result<f64> { mask.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>() };
    let both = count(&(a * b)?)?;
    Ok((2.0 * both + SMOOTHING) / (count(a)? + count(b)? + SMOOTHING))
}
