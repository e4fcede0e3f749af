//! Entropy of predictions, and the divergence of the predicted class ratio from a prior.
use crate::{log_softmax, sigmoid};
use candle_core::{Result, Tensor};

/// Mean over pixels of the Shannon entropy of the prediction, in nats (TENT, Wang et al. 2021,
/// arXiv 2006.10726, section 3.1).
/// C = 1 is read as two classes.
///
/// # Errors
/// When there is no axis 1.
pub fn entropy(logits: &Tensor) -> Result<Tensor> {
    if logits.dim(1)? == 1 {
        // The entropy of a Bernoulli variable: its cross-entropy with itself.
        return crate::binary_cross_entropy(logits, &sigmoid(logits)?);
    }
    let log_probabilities = log_softmax(logits)?;
    (log_probabilities.exp()? * &log_probabilities)?.sum(1)?.mean_all()?.neg()
}

/// Kullback-Leibler divergence KL(predicted ratio || prior) in nats, where the predicted ratio of a class
/// is its mean probability over the batch (AdaMI, Bateson et al. 2022, arXiv 2108.03152; AdaEnt of 2020 takes the
/// other direction). `prior` has one
/// entry for C = 1 (the foreground's), else C.
///
/// # Errors
/// When `prior` has another length than the class axis.
pub fn class_ratio_divergence(logits: &Tensor, prior: &[f64]) -> Result<Tensor> {
    let classes = logits.dim(1)?;
    if prior.len() != classes {
        candle_core::bail!("{} prior class ratios for {classes} output channels", prior.len());
    }
    // Ratios below this count as this: the logarithm of an empty class stays finite.
    const SMALLEST: f64 = 1e-6;
    let term = |ratio: &Tensor, prior: f64| -> Result<Tensor> {
        let ratio = ratio.maximum(SMALLEST)?;
        ratio.mul(&(ratio.log()? - prior.max(SMALLEST).ln())?)
    };
    if classes == 1 {
        let ratio = sigmoid(logits)?.mean_all()?;
        return term(&ratio, prior[0])? + term(&ratio.affine(-1.0, 1.0)?, 1.0 - prior[0])?;
    }
    let probabilities = log_softmax(logits)?.exp()?;
    let mut total = Tensor::zeros((), logits.dtype(), logits.device())?;
    for (class, &prior) in prior.iter().enumerate() {
        total = (total + term(&probabilities.narrow(1, class, 1)?.mean_all()?, prior)?)?;
    }
    Ok(total)
}
