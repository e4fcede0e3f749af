//! The compiled part of the Python module `udas`: models, volumes and scores over numpy arrays.
//!
//! Arrays are `[x, y, z]`, as nibabel has them. What runs for long (training, adaptation, verdicts) is the program's work; the
//! module's Python part calls it.

mod arrays;
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

pyo3::create_exception!(
    _udas,
    BadInput,
    UdasError,
    "A file or an array is not what it should be (exit code 3 of the program)."
);

pyo3::create_exception!(
    _udas,
    UsageError,
    UdasError,
    "The arguments ask for something impossible (exit code 2 of the program)."
);

/// An error of a library of ours, its causes included.
fn raise(error: impl std::error::Error + 'static) -> PyErr {
    raise_of(error, |text| text)
}

/// The same in other words, such as an argument's name in place of a file's.
fn raise_of(
    error: impl std::error::Error + 'static,
    words: impl FnOnce(String) -> String,
) -> PyErr {
    let is_input = is_input(&error);
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    let text = words(text);
    if is_input { BadInput::new_err(text) } else { UdasError::new_err(text) }
}

/// Whether what was given is at fault, and neither the place nor the machine.
fn is_input(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_network = |error: &udas_nn::Error| {
        !matches!(error, udas_nn::Error::Tensor(_) | udas_nn::Error::Write { .. })
    };
    let of_volume = |error: &udas_volume::Error| !matches!(error, udas_volume::Error::Write { .. });
    if let Some(error) = error.downcast_ref::<udas_model::Error>() {
        return match error {
            udas_model::Error::Network(error) => of_network(error),
            _ => true,
        };
    }
    if let Some(error) = error.downcast_ref::<udas_nnunet::Error>() {
        return match error {
            udas_nnunet::Error::Network(error) => of_network(error),
            udas_nnunet::Error::Volume(error) => of_volume(error),
            udas_nnunet::Error::Stopped => false,
            _ => true,
        };
    }
    error.downcast_ref().is_some_and(of_network)
        || error.downcast_ref().is_some_and(of_volume)
        || error.is::<udas_data::Error>()
        || error.is::<udas_metrics::Error>()
}

#[pymodule]
fn _udas(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("UdasError", module.py().get_type::<UdasError>())?;
    module.add("BadInput", module.py().get_type::<BadInput>())?;
    module.add("UsageError", module.py().get_type::<UsageError>())?;
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
