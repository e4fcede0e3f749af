//! Volumes as arrays `[x, y, z]` with an affine `[4, 4]` to RAS+ millimetres.
use crate::{BadInput, UsageError, arrays, raise};
use numpy::{PyArray2, PyArray3, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::prelude::*;
use std::path::PathBuf;
use udas_volume::{Affine, Image, Volume};

type Read<'py, T> = (Bound<'py, PyArray3<T>>, Bound<'py, PyArray2<f64>>);

/// The affine of voxels of a size, or the one that is given.
pub fn affine(given: Option<&Bound<'_, PyAny>>, spacing: Option<[f64; 3]>) -> PyResult<Affine> {
    let Some(given) = given else { return Ok(Affine::from_spacing(spacing.unwrap_or([1.0; 3]))) };
    if spacing.is_some() {
        return Err(UsageError::new_err(
            "affine and spacing are both given; leave one of them out",
        ));
    }
    let given = arrays::affine(given)?;
    if given.shape() != [4, 4] {
        let text = format!("an affine is of shape (4, 4), not {:?}", given.shape());
        return Err(BadInput::new_err(text));
    }
    let given = given.as_array();
    Ok(Affine::from_rows(std::array::from_fn(|row| {
        std::array::from_fn(|column| given[[row, column]])
    })))
}

fn to_python<T: numpy::Element + Copy>(py: Python<'_>, image: Image<T>) -> Read<'_, T> {
    let rows = *image.grid().affine.rows();
    let last = [0.0, 0.0, 0.0, 1.0];
    let at = |(row, column): (usize, usize)| rows.get(row).unwrap_or(&last)[column];
    let affine = PyArray2::from_owned_array(py, numpy::ndarray::Array2::from_shape_fn((4, 4), at));
    (PyArray3::from_owned_array(py, image.into_array()), affine)
}

/// Reads an image: `(array float32, affine)`, slope and intercept applied.
#[pyfunction]
pub fn read(py: Python<'_>, path: PathBuf) -> PyResult<Read<'_, f32>> {
    let image = py.detach(|| udas_volume::read(&path)).map_err(raise)?;
    Ok(to_python(py, image))
}

/// Reads a mask: `(array uint8, affine)`.
#[pyfunction]
pub fn read_labels(py: Python<'_>, path: PathBuf) -> PyResult<Read<'_, u8>> {
    let image = py.detach(|| udas_volume::read_labels(&path)).map_err(raise)?;
    Ok(to_python(py, image))
}

/// Writes an image as float32, whole or not at all; the name's ending decides the format.
#[pyfunction]
#[pyo3(signature = (path, array, affine=None, spacing=None))]
pub fn write(
    py: Python<'_>,
    path: PathBuf,
    array: &Bound<'_, PyAny>,
    affine: Option<&Bound<'_, PyAny>>,
    spacing: Option<[f64; 3]>,
) -> PyResult<()> {
    let volume = volume(arrays::image(array, "array")?, affine, spacing)?;
    py.detach(|| udas_volume::write_volume(&path, &volume)).map_err(raise)
}

/// Writes a mask as uint8, whole or not at all; the name's ending decides the format.
#[pyfunction]
#[pyo3(signature = (path, array, affine=None, spacing=None))]
pub fn write_labels(
    py: Python<'_>,
    path: PathBuf,
    array: &Bound<'_, PyAny>,
    affine: Option<&Bound<'_, PyAny>>,
    spacing: Option<[f64; 3]>,
) -> PyResult<()> {
    let affine = self::affine(affine, spacing)?;
    let labels =
        Image::from_array(arrays::labels(array, "array")?.view(), affine).map_err(raise)?;
    py.detach(|| udas_volume::write_labels(&path, &labels)).map_err(raise)
}

/// An array with its place in space.
pub fn volume(
    array: PyReadonlyArray3<'_, f32>,
    affine: Option<&Bound<'_, PyAny>>,
    spacing: Option<[f64; 3]>,
) -> PyResult<Volume> {
    let affine = self::affine(affine, spacing)?;
    Image::from_array(array.as_array(), affine).map_err(raise)
}
