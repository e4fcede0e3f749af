//! The compiled part of the Python module `udas`: models, volumes and scores over numpy arrays.
//!
//! Arrays are `[x, y, z]`, as nibabel has them. What runs for long (training, adaptation, verdicts) is the program's work; the
//! module's Python part calls it.

mod model;
mod scores;
mod volumes;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

pyo3::create_exception!(
    _udas,
    UdasError,
    PyException,
    "What udas could not do, why, and what helps."
);

/// An error of a library of ours, its causes included.
fn raise(error: impl std::error::Error) -> PyErr {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    UdasError::new_err(text)
}

#[pymodule]
fn _udas(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("UdasError", module.py().get_type::<UdasError>())?;
    module.add_class::<model::Model>()?;
    module.add_function(wrap_pyfunction!(volumes::read, module)?)?;
    module.add_function(wrap_pyfunction!(volumes::read_labels, module)?)?;
    module.add_function(wrap_pyfunction!(volumes::write, module)?)?;
    module.add_function(wrap_pyfunction!(volumes::write_labels, module)?)?;
    module.add_function(wrap_pyfunction!(scores::scores, module)?)?;
    module.add_function(wrap_pyfunction!(scores::wilcoxon, module)?)?;
    module.add_function(wrap_pyfunction!(scores::bootstrap_mean, module)?)?;
    module.add_function(wrap_pyfunction!(scores::holm, module)?)?;
    module.add_function(wrap_pyfunction!(scores::auroc, module)?)?;
    Ok(())
}
