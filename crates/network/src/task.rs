//! Binary or multi-class: which loss, which probabilities, which masks.
use crate::Network;
use candle_core::{DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use udas_losses::{AgreementTask, binary_cross_entropy, cross_entropy, sigmoid, softmax};
use udas_nn::NormMode;

/// What the network's output channels mean. Logits are `[N, C, H, W]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One channel: foreground against background.
    Binary,
    /// One channel a class, background included.
    MultiClass {
        /// Classes, background included.
        classes: usize,
    },
}

impl Task {
    /// The task of a network with so many output channels.
    pub fn of(outputs: usize) -> Self {
        if outputs == 1 { Self::Binary } else { Self::MultiClass { classes: outputs } }
    }

    /// Output channels.
    pub fn outputs(self) -> usize {
        match self {
            Self::Binary => 1,
            Self::MultiClass { classes } => classes,
        }
    }

    /// Labels, one a pixel, as a target `[N, C, H, W]`: 0 and 1, or one-hot.
    ///
    /// # Errors
    /// When there are not `n * h * w` labels.
    pub fn target(
        self,
        labels: &[u8],
        (n, h, w): (usize, usize, usize),
        device: &Device,
    ) -> Result<Tensor> {
        let Self::MultiClass { classes } = self else {
            let values: Vec<f32> = labels.iter().map(|&label| f32::from(label.min(1))).collect();
            return Tensor::from_vec(values, (n, 1, h, w), device);
        };
        let plane = h * w;
        let mut values = vec![0.0f32; n * classes * plane];
        for (pixel, &label) in labels.iter().enumerate() {
            let (image, offset) = (pixel / plane.max(1), pixel % plane.max(1));
            let channel = usize::from(label).min(classes - 1);
            if let Some(value) = values.get_mut((image * classes + channel) * plane + offset) {
                *value = 1.0;
            }
        }
        Tensor::from_vec(values, (n, classes, h, w), device)
    }

    /// Binary cross-entropy, or cross-entropy; the mean over elements, or pixels.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn loss(self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        match self {
            Self::Binary => binary_cross_entropy(logits, target),
            Self::MultiClass { .. } => cross_entropy(logits, target),
        }
    }

    /// Sigmoid or softmax.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn probabilities(self, logits: &Tensor) -> Result<Tensor> {
        match self {
            Self::Binary => sigmoid(logits),
            Self::MultiClass { .. } => softmax(logits),
        }
    }

    /// The mean of the probabilities that a network and other trainings of it give slices `[N, 1, H, W]`, with running
    /// statistics and without a gradient (Lakshminarayanan et al. 2017, section 2.4); of a network alone, its own.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn mean_probabilities(
        self,
        network: &dyn Network,
        others: &[Arc<dyn Network>],
        slices: &Tensor,
    ) -> udas_nn::Result<Tensor> {
        let predict = |network: &dyn Network| -> udas_nn::Result<Tensor> {
            let logits = network.forward(slices, NormMode::Running)?.detach();
            Ok(self.probabilities(&logits)?)
        };
        let mut sum = predict(network)?;
        if others.is_empty() {
            return Ok(sum);
        }
        for other in others {
            sum = (sum + predict(&**other)?)?;
        }
        Ok((sum / (1 + others.len()) as f64)?)
    }

    /// Share of the pixels whose predicted class is not the background.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn foreground(self, logits: &Tensor) -> Result<f64> {
        let mask = match self {
            Self::Binary => logits.gt(0.0)?,
            Self::MultiClass { .. } => logits.argmax(1)?.gt(0u32)?,
        };
        mask.to_dtype(DType::F64)?.mean_all()?.to_scalar()
    }

    /// How logits become masks for an agreement.
    pub fn agreement(self) -> AgreementTask {
        match self {
            Self::Binary => AgreementTask::Binary,
            Self::MultiClass { .. } => AgreementTask::MultiClass,
        }
    }
}
