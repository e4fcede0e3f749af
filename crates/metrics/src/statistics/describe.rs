//! Mean, median and spread of a list of values.
use super::{check_values, mean, quantile};
use crate::Result;
use serde::{Deserialize, Serialize};

/// Location and spread of some values, in their own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// How many values.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation, divisor n - 1; `None` for a single value.
    pub sd: Option<f64>,
    /// Smallest value.
    pub min: f64,
    /// First quartile, linear between neighbours.
    pub lower_quartile: f64,
    /// Median.
    pub median: f64,
    /// Third quartile, linear between neighbours.
    pub upper_quartile: f64,
    /// Largest value.
    pub max: f64,
}

impl Description {
    /// Describes at least one finite value.
    ///
    /// # Errors
    /// [`crate::Error::TooFew`] for no values, [`crate::Error::NotFinite`] for NaN or infinities.
    pub fn of(values: &[f64]) -> Result<Self> {
        check_values("a description", 1, values)?;
        let mean = mean(values);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let mut ascending = values.to_vec();
        ascending.sort_unstable_by(f64::total_cmp);
        Ok(Self {
            count: values.len(),
            mean,
            sd: (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt()),
            min: quantile(&ascending, 0.0),
            lower_quartile: quantile(&ascending, 0.25),
            median: quantile(&ascending, 0.5),
            upper_quartile: quantile(&ascending, 0.75),
            max: quantile(&ascending, 1.0),
        })
    }
}
