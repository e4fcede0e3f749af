//! Checkpoints in files: `.safetensors` with one metadata entry, and PyTorch's `.pth`.
use crate::wrapper::{Taken, without_prefix};
use crate::{Error, Result, pth};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

/// Tensors by state-dict name, in name order.
pub type StateDict = BTreeMap<String, Tensor>;

/// The one metadata entry of our `.safetensors` files. (The format's metadata is an unordered map;
/// with a single entry the same model is always the same bytes.)
const METADATA_KEY: &str = "udas";

/// A state dict with what its maker wrote beside it.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The tensors, on the CPU.
    pub tensors: StateDict,
    /// JSON text; absent in files of other makers.
    pub metadata: Option<String>,
}

impl Checkpoint {
    /// Reads `.safetensors` or `.pth`, told apart by content.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Checkpoint`], both with the path.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::load_network(path.as_ref(), &[])?.0)
    }

    /// Reads a network that other makers may have wrapped: the tensors under any key, and without the one prefix of
    /// their names, with what was taken. A network is known by one of the `marks`, names that it has for certain.
    ///
    /// # Errors
    /// As of [`Self::load`]; and where there are several networks, which are named.
    pub fn load_network(path: &Path, marks: &[&str]) -> Result<(Self, Taken)> {
        let (checkpoint, mut taken) = Self::read(path, marks)?;
        let Self { tensors, metadata } = checkpoint;
        // Files that describe themselves are ours, and so are their names.
        let tensors = match metadata {
            Some(_) => tensors,
            None => without_prefix(tensors, marks, &mut taken).map_err(|reason| {
                damaged(path, &format!("{reason}; save the one that is meant alone"))
            })?,
        };
        Ok((Self { tensors, metadata }, taken))
    }

    fn read(path: &Path, marks: &[&str]) -> Result<(Self, Taken)> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut magic = [0; 4];
        let mut file = std::fs::File::open(path).map_err(io)?;
        let read = file.read(&mut magic).map_err(io)?;
        if magic[..read] == *b"PK\x03\x04" {
            let (tensors, taken) = pth::load(path, marks)?;
            return Ok((Self { tensors, metadata: None }, taken));
        }
        // A pickle's first opcodes; the first byte alone begins one in 32 .safetensors files too.
        if magic[..read] == [0x80, 0x02, 0x8a, 0x0a] {
            return Err(damaged(
                path,
                "it is a .pth file of PyTorch before 1.6; load it in PyTorch and save it again",
            ));
        }
        let bytes = std::fs::read(path).map_err(io)?;
        let checkpoint = Self::from_bytes(&bytes).map_err(|error| match error {
            Error::Checkpoint { .. } if matches!(magic, [0x80, 2..=5, ..]) => damaged(
                path,
                "it is a pickle and no archive, as of PyTorch before 1.6; load it in PyTorch and save its \
                 state_dict again",
            ),
            Error::Checkpoint { reason, .. } => match udas_files::stand_in(path) {
                Some(found) => damaged(
                    path,
                    &format!("not a checkpoint: it {}; {}", found.what, found.remedy),
                ),
                None => damaged(path, &reason),
            },
            other => other,
        })?;
        Ok((checkpoint, Taken::default()))
    }

    /// Reads the bytes of a `.safetensors` file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] without a path.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        use safetensors::SafeTensorError::MetadataIncompleteBuffer;
        let wrong = |error: safetensors::SafeTensorError| {
            let reason = match error {
                MetadataIncompleteBuffer => {
                    "not a checkpoint as its header describes it: cut short, or with bytes behind its tensors; copy it \
                     again, or load it where it was made and save it again"
                        .to_owned()
                }
                error => format!(
                    "not a checkpoint (.safetensors or .pth), or cut short: {error}; copy it again, or give the file \
                     that holds the weights"
                ),
            };
            damaged(Path::new(""), &reason)
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
        let metadata =
            header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)).cloned();
        let file = SafeTensors::deserialize(bytes).map_err(wrong)?;
        let mut tensors = StateDict::new();
        for (name, view) in file.iter() {
            tensors.insert(name.to_owned(), read_view(name, &view)?);
        }
        Ok(Self { tensors, metadata })
    }

    /// The bytes of a `.safetensors` file; the same for the same content.
    ///
    /// # Errors
    /// When a tensor has a type other than f32, i64 and u8.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut held = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            held.push((name.as_str(), tensor.dims().to_vec(), raw_bytes(name, tensor)?));
        }
        let views = held
            .iter()
            .map(|(name, shape, (dtype, bytes))| {
                Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        let metadata =
            self.metadata.clone().map(|text| HashMap::from([(METADATA_KEY.to_owned(), text)]));
        views
            .and_then(|views| safetensors::serialize(views, metadata))
            .map_err(|error| damaged(Path::new(""), &error.to_string()))
    }

    /// Writes the file whole or not at all; `.pth` by extension (metadata is lost there), else
    /// `.safetensors`.
    ///
    /// # Errors
    /// [`Error::Write`] with the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let is_pth = path.extension().is_some_and(|extension| extension == "pth");
        let bytes = if is_pth { pth::to_bytes(&self.tensors)? } else { self.to_bytes()? };
        udas_files::write_whole(path, &bytes)
            .map_err(|reason| Error::Write { path: path.to_owned(), reason })
    }

    /// SHA-256 over names, shapes and values, as hexadecimal text: the same for the same tensors,
    /// whatever file they came from.
    ///
    /// # Errors
    /// When a tensor has a type other than f32, i64 and u8.
    pub fn hash(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        for (name, tensor) in &self.tensors {
            let (dtype, bytes) = raw_bytes(name, tensor)?;
            hasher.update(format!("{name} {dtype:?} {:?}\n", tensor.dims()));
            hasher.update(bytes);
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason: reason.to_owned() }
}

fn read_view(name: &str, view: &TensorView) -> Result<Tensor> {
    let (shape, data, cpu) = (view.shape(), view.data(), &Device::Cpu);
    let tensor = match view.dtype() {
        Dtype::F32 => Tensor::from_vec(words(data, f32::from_le_bytes), shape, cpu)?,
        Dtype::F64 => {
            Tensor::from_vec(words(data, f64::from_le_bytes), shape, cpu)?.to_dtype(DType::F32)?
        }
        Dtype::I64 => Tensor::from_vec(words(data, i64::from_le_bytes), shape, cpu)?,
        Dtype::U8 | Dtype::BOOL => Tensor::from_vec(data.to_vec(), shape, cpu)?,
        other => {
            let reason = format!(
                "entry `{name}` has type {other:?}; save the network in float32 (`model.float()`)"
            );
            return Err(damaged(Path::new(""), &reason));
        }
    };
    Ok(tensor)
}

fn words<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

/// Little-endian values of a tensor and their type.
pub(crate) fn raw_bytes(name: &str, tensor: &Tensor) -> Result<(Dtype, Vec<u8>)> {
    let flat = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F32 => {
            (Dtype::F32, flat.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect())
        }
        DType::I64 => {
            (Dtype::I64, flat.to_vec1::<i64>()?.into_iter().flat_map(i64::to_le_bytes).collect())
        }
        DType::U8 => (Dtype::U8, flat.to_vec1::<u8>()?),
        other => {
            let reason = format!("entry `{name}` has type {other:?}; f32, i64 and u8 are written");
            return Err(damaged(Path::new(""), &reason));
        }
    })
}
