//! Arrays as Python's users have them: of any type of number, taken to the one that is computed with.
use crate::BadInput;
use numpy::ndarray::Array3;
use numpy::{
    Element, PyArrayDyn, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArray, PyUntypedArrayMethods,
    dtype,
};
use pyo3::prelude::*;

/// An image `[x, y, z]`: float32 as it is, other real numbers converted. `name` is the argument's.
pub fn image<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<PyReadonlyArray3<'py, f32>> {
    if let Ok(array) = value.extract() {
        return Ok(array);
    }
    let array = converted::<f32>(value, name, 3, "[x, y, z]")?;
    array.extract()
}

/// An affine `[4, 4]`.
pub fn affine<'py>(value: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArray2<'py, f64>> {
    let array = converted::<f64>(value, "affine", 2, "(4, 4)")?;
    array.extract()
}

/// A mask `[x, y, z]`: uint8 as it is, and whole numbers from 0 to 255 of another type.
pub fn labels(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Array3<u8>> {
    if let Ok(array) = value.extract::<PyReadonlyArray3<'_, u8>>() {
        return Ok(array.as_array().to_owned());
    }
    let array = converted::<f64>(value, name, 3, "[x, y, z]")?;
    let array: PyReadonlyArray3<'_, f64> = array.extract()?;
    let is_label = |value: &&f64| value.fract() == 0.0 && (0.0..=255.0).contains(*value);
    if let Some(value) = array.as_array().iter().find(|value| !is_label(value)) {
        let text =
            format!("{name}: holds {value}; labels are whole numbers from 0 to 255: give a mask");
        return Err(BadInput::new_err(text));
    }
    Ok(array.as_array().mapv(|value| value as u8))
}

/// A numpy array of numbers as one of another type.
fn converted<'py, T: Element>(
    value: &Bound<'py, PyAny>,
    name: &str,
    axes: usize,
    shape: &str,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let py = value.py();
    let Ok(array) = value.cast::<PyUntypedArray>() else {
        let text =
            format!("{name}: is of type {}; give a numpy array {shape}", value.get_type().name()?);
        return Err(BadInput::new_err(text));
    };
    if array.ndim() != axes {
        let text = format!("{name}: is of shape {:?}; give an array {shape}", array.shape());
        return Err(BadInput::new_err(text));
    }
    // Truth values, whole numbers with and without a sign, and floating-point numbers.
    let kind: String = array.dtype().getattr("kind")?.extract()?;
    if !["b", "i", "u", "f"].contains(&kind.as_str()) {
        let text = format!("{name}: holds values of type {}; give real numbers", array.dtype());
        return Err(BadInput::new_err(text));
    }
    Ok(value.call_method1("astype", (dtype::<T>(py),))?.cast_into()?)
}
