//! Scores of masks, and statistics of paired values.
use crate::{BadInput, UsageError, arrays, raise};
use numpy::ndarray::Array3;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use udas_metrics::statistics::{
    Alternative, Bootstrap, auroc as area, bootstrap_mean as bootstrap, holm as adjust,
    wilcoxon_signed_rank,
};
use udas_metrics::{Config, Connectivity, Grid, Score, score_labels};

fn number(score: Score) -> f64 {
    match score {
        Score::Finite(value) => value,
        Score::Infinite => f64::INFINITY,
        Score::Undefined => f64::NAN,
    }
}

/// Voxels with x fastest.
fn labels(array: &Array3<u8>) -> Vec<u8> {
    array.view().reversed_axes().iter().copied().collect()
}

/// Every score of a mask beside the truth, for each class: `{class: {name: value}}`. Infinite scores are inf, undefined
/// ones nan.
#[pyfunction]
#[pyo3(signature = (prediction, truth, spacing=[1.0; 3], classes=None, tolerances=vec![1.0], percentiles=vec![95.0]))]
pub fn scores<'py>(
    py: Python<'py>,
    prediction: &Bound<'py, PyAny>,
    truth: &Bound<'py, PyAny>,
    spacing: [f64; 3],
    classes: Option<Vec<u8>>,
    tolerances: Vec<f64>,
    percentiles: Vec<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let (prediction, truth) =
        (arrays::labels(prediction, "prediction")?, arrays::labels(truth, "truth")?);
    let (shape, other) = (prediction.shape(), truth.shape());
    if shape != other {
        let text = format!(
            "the prediction is of shape {shape:?}, the truth of {other:?}; give masks on one grid"
        );
        return Err(BadInput::new_err(text));
    }
    let grid = Grid::new([shape[0], shape[1], shape[2]], spacing).map_err(raise)?;
    let (prediction, truth) = (labels(&prediction), labels(&truth));
    let classes = classes.unwrap_or_else(|| {
        let present = |class: &u8| prediction.contains(class) || truth.contains(class);
        (1..=u8::MAX).filter(present).collect()
    });
    let config = Config::new(tolerances, percentiles, Connectivity::Corners).map_err(raise)?;
    let scores = py.detach(|| score_labels(&prediction, &truth, &grid, &classes, &config));
    let all = PyDict::new(py);
    for class in scores.map_err(raise)?.classes {
        let own = PyDict::new(py);
        for (metric, score) in class.columns() {
            own.set_item(metric.to_string(), number(score))?;
        }
        all.set_item(class.class, own)?;
    }
    Ok(all)
}

/// Wilcoxon's signed-rank test of paired differences: `(statistic, p)`. `alternative` is two-sided, greater or less.
#[pyfunction]
#[pyo3(signature = (differences, alternative="two-sided"))]
pub fn wilcoxon(differences: Vec<f64>, alternative: &str) -> PyResult<(f64, f64)> {
    let alternative = match alternative {
        "two-sided" => Alternative::TwoSided,
        "greater" => Alternative::Greater,
        "less" => Alternative::Less,
        other => {
            let text = format!("alternative {other:?}; give two-sided, greater or less");
            return Err(UsageError::new_err(text));
        }
    };
    let test = wilcoxon_signed_rank(&differences, alternative, None).map_err(raise)?;
    Ok((test.statistic, test.p_value))
}

/// Percentile interval of a mean: `(low, high)`.
#[pyfunction]
#[pyo3(signature = (values, level=0.95, resamples=10_000, seed=0))]
pub fn bootstrap_mean(
    values: Vec<f64>,
    level: f64,
    resamples: usize,
    seed: u64,
) -> PyResult<(f64, f64)> {
    let settings = Bootstrap { level, resamples, seed, ..Bootstrap::REPORTED };
    let interval = bootstrap(&values, &settings).map_err(raise)?;
    Ok((interval.low, interval.high))
}

/// P-values by Holm's correction.
#[pyfunction]
pub fn holm(p_values: Vec<f64>) -> PyResult<Vec<f64>> {
    adjust(&p_values).map_err(raise)
}

/// Probability that a positive's value is above a negative's; None where there is none of either.
#[pyfunction]
pub fn auroc(positives: Vec<f64>, negatives: Vec<f64>) -> Option<f64> {
    area(&positives, &negatives)
}
