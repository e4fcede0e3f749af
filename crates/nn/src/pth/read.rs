//! Reading: the archive's pickle, then one storage entry for each tensor.
use super::pickle::{Object, Pickle, TensorRef};
use crate::{Error, Result, StateDict};
use candle_core::{DType, Device, Tensor};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// A state dict's pickle holds names and shapes alone.
const LARGEST_PICKLE: u64 = 64 << 20;

/// Tensors may share storages, but not so that a small file fills the memory.
const LARGEST_SHARE: u64 = 16;

type Archive = ZipArchive<BufReader<File>>;

/// Reads a `.pth` file: a flat state dict, or one under the key `state_dict`.
pub(crate) fn load(path: &Path) -> Result<StateDict> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    read(file).map_err(|reason| Error::Checkpoint {
        path: path.to_owned(),
        reason: format!(
            "cannot be read as a PyTorch state dict: {reason}; save it with \
             torch.save(model.state_dict(), ...)"
        ),
    })
}

fn read(file: File) -> std::result::Result<StateDict, String> {
    let len = file.metadata().map_err(|error| error.to_string())?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| error.to_string())?;
    let names = (0..archive.len()).filter_map(|index| archive.name_for_index(index));
    let names = names.filter_map(|name| Some(name.ok()?.into_owned()));
    let pickle = names.into_iter().find(|name| name.ends_with("data.pkl"));
    let pickle = pickle.ok_or("the archive has no data.pkl")?;
    let folder = pickle.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    let bytes = entry(&mut archive, &pickle, LARGEST_PICKLE)?;
    let order = format!("{folder}byteorder");
    if archive.index_for_name(&order).is_some() && entry(&mut archive, &order, 16)? != b"little" {
        return Err("its numbers are big-endian".into());
    }
    let (pickle, top) = Pickle::read(&bytes)?;
    let mut tensors = StateDict::new();
    let mut bytes = 0;
    for (name, tensor) in tensor_refs(&pickle, top)? {
        let found = read_tensor(&mut archive, &folder, tensor, len);
        let found = found.map_err(|reason| format!("`{name}`: {reason}"))?;
        bytes += (found.elem_count() * found.dtype().size_in_bytes()) as u64;
        if bytes > LARGEST_SHARE * len {
            return Err(format!("its tensors are more than {LARGEST_SHARE} times the file"));
        }
        tensors.insert(name.to_owned(), found);
    }
    if tensors.is_empty() {
        return Err("it holds no tensors".into());
    }
    Ok(tensors)
}

/// A small entry, whole.
fn entry(archive: &mut Archive, name: &str, limit: u64) -> std::result::Result<Vec<u8>, String> {
    let file = archive.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 > limit {
        return Err(format!("{name} has more than {limit} bytes"));
    }
    Ok(bytes)
}

/// The tensors of the dict, or of the dict that is its `state_dict`.
fn tensor_refs(
    pickle: &Pickle,
    top: usize,
) -> std::result::Result<Vec<(&str, &TensorRef)>, String> {
    let Object::Dict(items) = pickle.get(top) else { return Err("it is no dict".into()) };
    let of = |items: &[(usize, usize)]| -> Vec<(&str, &TensorRef)> {
        let named =
            items.iter().filter_map(|(key, value)| match (pickle.get(*key), pickle.get(*value)) {
                (Object::Text(name), Object::Tensor(tensor)) => Some((name.as_str(), tensor)),
                _ => None,
            });
        named.collect()
    };
    let nested =
        items.iter().find_map(|(key, value)| match (pickle.get(*key), pickle.get(*value)) {
            (Object::Text(name), Object::Dict(items)) if name == "state_dict" => Some(items),
            _ => None,
        });
    let tensors = of(items);
    Ok(if tensors.is_empty() { nested.map(|items| of(items)).unwrap_or_default() } else { tensors })
}

/// Values of a storage in the order of the tensor; of any strides. Halves and doubles become f32.
fn read_tensor(
    archive: &mut Archive,
    folder: &str,
    tensor: &TensorRef,
    file_len: u64,
) -> std::result::Result<Tensor, String> {
    let dtype = match tensor.kind.as_str() {
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "ByteStorage" | "BoolStorage" => DType::U8,
        other => return Err(format!("values of type {other} are not read")),
    };
    let size = dtype.size_in_bytes();
    let name = format!("{folder}data/{}", tensor.key);
    let mut file = archive.by_name(&name).map_err(|error| format!("{name}: {error}"))?;
    if file.compression() != CompressionMethod::Stored || file.size() > file_len {
        return Err(format!("{name} is compressed, or larger than the file"));
    }
    let places = places(tensor, file.size() as usize / size)?;
    let mut storage = Vec::with_capacity(file.size() as usize);
    file.read_to_end(&mut storage).map_err(|error| format!("{name}: {error}"))?;
    let mut bytes = Vec::with_capacity(places.len() * size);
    for place in places {
        let value = storage.get(place * size..(place + 1) * size);
        bytes.extend_from_slice(value.ok_or_else(|| format!("{name} is cut short"))?);
    }
    let read = Tensor::from_raw_buffer(&bytes, dtype, &tensor.shape, &Device::Cpu);
    let kept = if size == 1 || dtype == DType::I64 { dtype } else { DType::F32 };
    read.and_then(|tensor| tensor.to_dtype(kept)).map_err(|error| error.to_string())
}

/// Where each value of a tensor stands in its storage of `held` values.
fn places(tensor: &TensorRef, held: usize) -> std::result::Result<Vec<usize>, String> {
    let TensorRef { shape, strides, offset, .. } = tensor;
    let wrong = || format!("shape {shape:?} does not fit a storage of {held} values");
    if shape.len() != strides.len() {
        return Err(format!("{} axes with {} strides", shape.len(), strides.len()));
    }
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    let count = count.filter(|count| *count <= held).ok_or_else(wrong)?;
    let reach = shape.iter().zip(strides).try_fold(*offset, |end, (size, stride)| {
        end.checked_add(size.saturating_sub(1).checked_mul(*stride)?)
    });
    if count > 0 && reach.is_none_or(|last| last >= held) {
        return Err(wrong());
    }
    let place = |index: usize| {
        let mut rest = index;
        shape.iter().zip(strides).rev().fold(*offset, |place, (size, stride)| {
            let along = rest % size;
            rest /= size;
            place + along * stride
        })
    };
    Ok((0..count).map(place).collect())
}
