//! Models: ours, and folders of nnU-Net.
use crate::volumes::volume;
use crate::{BadInput, UdasError, UsageError, arrays, raise, raise_of};
use candle_core::{DType, Device, Tensor};
use numpy::{IntoPyArray, PyArray3, PyArrayDyn, PyReadonlyArray3, PyReadonlyArrayDyn};
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::path::{Path, PathBuf};
use udas_data::{LabelUse, Plane, Preprocessing, VolumeSlices, expand};
use udas_model::{Description, ModelFile, Predictor, Provenance, probability_volumes};
use udas_nnunet::{Arithmetic, ModelFolder, Options, Probabilities, go_on};
use udas_volume::{Labels, Volume};

/// A segmentation network that knows how it sees volumes.
#[pyclass(frozen, module = "udas")]
pub struct Model {
    kind: Kind,
}

enum Kind {
    Ours(Box<Ours>),
    NnUNet(Box<udas_nnunet::Model>),
}

struct Ours {
    file: ModelFile,
    predictor: Predictor,
}

/// A mask, and a volume for each class beyond background where they were asked for.
type Made = (Labels, Vec<Volume>);

type Predicted<'py> = (Bound<'py, PyArray3<u8>>, Vec<Bound<'py, PyArray3<f32>>>);

impl Model {
    fn ours(file: ModelFile) -> PyResult<Self> {
        let network = file.network(&Device::Cpu).map_err(raise)?;
        let predictor = Predictor::new(network, &Device::Cpu);
        Ok(Self { kind: Kind::Ours(Box::new(Ours { file, predictor })) })
    }

    fn file(&self) -> PyResult<&ModelFile> {
        match &self.kind {
            Kind::Ours(own) => Ok(&own.file),
            Kind::NnUNet(_) => {
                let text = "a model folder of nnU-Net; `udas convert FOLDER/fold_0 weights.safetensors` takes its weights out";
                Err(UdasError::new_err(text))
            }
        }
    }
}

impl Ours {
    /// The way of the program: the volume as a file, its slices, the network, and back to the volume's own grid.
    fn by_slices(&self, image: &Volume, wanted: bool) -> PyResult<Made> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("image.nii");
        udas_volume::write_volume(&path, image).map_err(raise)?;
        self.by_file(&path, wanted).map_err(|error| {
            // The caller knows the argument, not the file.
            let shown = path.display().to_string();
            raise_of(error, |text| text.replace(&shown, ARRAY))
        })
    }

    fn by_file(&self, path: &Path, wanted: bool) -> udas_model::Result<Made> {
        let Self { file, predictor } = self;
        let subjects = expand(&[path.to_owned()], "target")?;
        let seen = file.info.preprocessing.clone();
        let slices = VolumeSlices::new(subjects, seen, LabelUse::Ignore, usize::MAX)?;
        let first = |mut labels: Vec<Labels>| labels.swap_remove(0);
        if !wanted {
            return Ok((first(predictor.labels(&slices, 0)?), Vec::new()));
        }
        let (labels, classes) = predictor.labels_and_probabilities(&slices, 0)?;
        let volumes =
            classes.iter().map(|class| Ok(probability_volumes(&slices, 0, class)?.swap_remove(0)));
        Ok((first(labels), volumes.collect::<udas_model::Result<_>>()?))
    }
}

#[pymethods]
impl Model {
    /// Reads a model: a run folder, .safetensors, .pth, or a model folder of nnU-Net. `plane` (sagittal, coronal, axial,
    /// stored) is what a .pth file does not say.
    #[staticmethod]
    #[pyo3(signature = (path, plane=None))]
    fn load(py: Python<'_>, path: PathBuf, plane: Option<&str>) -> PyResult<Self> {
        let inner = path.join("nnunet");
        let folder = [&path, &inner].into_iter().find(|path| ModelFolder::is_one(path));
        if let Some(folder) = folder {
            if plane.is_some() {
                return Err(UsageError::new_err(
                    "plane: the plans of an nnU-Net say it; leave it out",
                ));
            }
            let folder = ModelFolder::open(folder, &[]).map_err(raise)?;
            let model = py.detach(|| folder.load(Arithmetic::Exact)).map_err(raise)?;
            return Ok(Self { kind: Kind::NnUNet(Box::new(model)) });
        }
        let asked = plane;
        let plane = match plane {
            None | Some("sagittal") => Plane::Sagittal,
            Some("coronal") => Plane::Coronal,
            Some("axial") => Plane::Axial,
            Some("stored") => Plane::Stored,
            Some(other) => {
                let text = format!("plane {other:?}; give sagittal, coronal, axial or stored");
                return Err(UsageError::new_err(text));
            }
        };
        let assumed = Preprocessing::upright(plane);
        let file = py.detach(|| ModelFile::load(&path, Some(assumed))).map_err(raise)?;
        if file.info.description == Description::Own && asked.is_some() {
            return Err(UsageError::new_err("plane: the model's file says it; leave it out"));
        }
        if file.info.description == Description::Assumed && asked.is_none() {
            let text = c"the file does not say how volumes are prepared: sagittal slices are taken; give plane=";
            PyErr::warn(py, &py.get_type::<PyUserWarning>(), text, 1)?;
        }
        Self::ours(file)
    }

    /// Predicts a volume: `array` `[x, y, z]` of real numbers (computed with as float32), with its `affine` or the voxels'
    /// `spacing` in mm. Gives the mask, uint8 on the same grid, and with `probabilities` a list of float32 arrays, one a
    /// class beyond background. A model of nnU-Net of several channels takes a list of arrays.
    #[pyo3(signature = (array, affine=None, spacing=None, probabilities=false))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        array: &Bound<'py, PyAny>,
        affine: Option<&Bound<'py, PyAny>>,
        spacing: Option<[f64; 3]>,
        probabilities: bool,
    ) -> PyResult<Py<PyAny>> {
        let images = channels(array)?.into_iter().map(|array| volume(array, affine, spacing));
        let images = images.collect::<PyResult<Vec<_>>>()?;
        if affine.is_none() && spacing.is_none() {
            let text = c"neither affine nor spacing is given: voxels of 1 mm are assumed, and axes that lead to the right, the \
                         front and the top of the body; give affine= (of the image's file) or spacing=";
            PyErr::warn(py, &py.get_type::<PyUserWarning>(), text, 1)?;
        }
        let (labels, volumes) = py.detach(|| self.made(images, probabilities))?;
        let mask = PyArray3::from_owned_array(py, labels.into_array());
        if !probabilities {
            return Ok(mask.into_any().unbind());
        }
        let volumes: Vec<_> =
            volumes.into_iter().map(|v| PyArray3::from_owned_array(py, v.into_array())).collect();
        let both: Predicted<'py> = (mask, volumes);
        Ok(both.into_pyobject(py)?.into_any().unbind())
    }

    /// The weights as numpy arrays, by the names of the state dict.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for (name, tensor) in &self.file()?.state {
            match tensor.dtype() {
                DType::I64 => all.set_item(name, values::<i64>(py, tensor)?)?,
                _ => all.set_item(
                    name,
                    values::<f32>(py, &tensor.to_dtype(DType::F32).map_err(raise)?)?,
                )?,
            }
        }
        Ok(all)
    }

    /// The same model with other weights, such as `{k: v.numpy() for k, v in module.state_dict().items()}` of torch.
    fn with_state_dict(&self, state: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut file = self.file()?.clone();
        // What was known of the old weights is not known of these.
        file.info.provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            command: "with_state_dict".into(),
            base: Some(file.hash().map_err(raise)?),
            ..Provenance::default()
        };
        file.info.convergence = None;
        file.state.clear();
        for (name, value) in state.iter() {
            file.state.insert(name.extract()?, tensor(&value)?);
        }
        Self::ours(file)
    }

    /// Writes the model as a file of udas (.safetensors).
    fn save(&self, path: PathBuf) -> PyResult<()> {
        self.file()?.save(&path).map_err(raise)
    }

    /// What the model's file says of it, as JSON.
    fn info_json(&self) -> PyResult<String> {
        let text = match &self.kind {
            Kind::Ours(own) => serde_json::to_string(&own.file.info),
            Kind::NnUNet(model) => Ok(serde_json::json!({
                "configuration": model.configuration.name,
                "patch": model.configuration.patch,
                "folds": model.networks.len(),
            })
            .to_string()),
        };
        text.map_err(raise)
    }
}

impl Model {
    fn made(&self, mut images: Vec<Volume>, wanted: bool) -> PyResult<Made> {
        match &self.kind {
            Kind::Ours(own) => {
                if images.len() != 1 {
                    let text = format!("{} arrays for a model of one channel", images.len());
                    return Err(BadInput::new_err(text));
                }
                own.by_slices(&images.swap_remove(0), wanted)
            }
            Kind::NnUNet(model) => {
                let probabilities =
                    if wanted { Probabilities::Wanted } else { Probabilities::Unwanted };
                let options = Options { probabilities, ..Options::default() };
                let made = model.predict(images, ARRAY, options, &mut go_on).map_err(raise)?;
                Ok((made.labels, made.probabilities))
            }
        }
    }
}

/// What the argument with the voxels is called.
const ARRAY: &str = "array";

/// One array, or one a channel; a value that is no number is refused.
fn channels<'py>(value: &Bound<'py, PyAny>) -> PyResult<Vec<PyReadonlyArray3<'py, f32>>> {
    let arrays = if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let each = value.try_iter()?.enumerate();
        each.map(|(channel, array)| Ok((format!("{ARRAY}[{channel}]"), array?)))
            .collect::<PyResult<Vec<_>>>()?
    } else {
        vec![(ARRAY.to_owned(), value.clone())]
    };
    let finite = |(name, array): (String, Bound<'py, PyAny>)| {
        let array = arrays::image(&array, &name)?;
        let bad = array.as_array().iter().filter(|value| !value.is_finite()).count();
        if bad > 0 {
            let text = format!(
                "{name}: {bad} voxels are NaN or infinite as float32; replace them, for example by zero"
            );
            return Err(BadInput::new_err(text));
        }
        Ok(array)
    };
    arrays.into_iter().map(finite).collect()
}

fn values<'py, T: numpy::Element + candle_core::WithDType>(
    py: Python<'py>,
    tensor: &Tensor,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<T>()).map_err(raise)?;
    let array = numpy::ndarray::ArrayD::from_shape_vec(tensor.dims(), values).map_err(raise)?;
    Ok(array.into_pyarray(py))
}

/// float32, or int64 as counters are.
fn tensor(value: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    if let Ok(array) = value.extract::<PyReadonlyArrayDyn<'_, f32>>() {
        let array = array.as_array();
        let values: Vec<f32> = array.iter().copied().collect();
        return Tensor::from_vec(values, array.shape(), &Device::Cpu).map_err(raise);
    }
    let array = value.extract::<PyReadonlyArrayDyn<'_, i64>>().map_err(|_| {
        BadInput::new_err(
            "a state dict holds numpy arrays of float32 or int64; convert with .astype('float32')",
        )
    })?;
    let array = array.as_array();
    let values: Vec<i64> = array.iter().copied().collect();
    Tensor::from_vec(values, array.shape(), &Device::Cpu).map_err(raise)
}
