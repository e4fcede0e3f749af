//! Reading: the archive's pickle says where the tensors are, its other files hold their numbers.
use super::unpickle::{Foreign, Kind, Pickle, Storage, TensorPlace, Value};
use crate::wrapper::{self, Taken};
use crate::{Error, StateDict};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// Tensors may overlap in their storages, as tied weights do; more than this many times the file's bytes only
/// serves to fill memory.
const MAX_SHARING: u64 = 16;

/// Keys that lead to a network; nested further, a pickle only serves to take time.
const MAX_KEYS: usize = 8;

/// Reads a `.pth` file: a flat state dict, or the one that lies under any keys of other dicts.
pub(crate) fn load(path: &Path, marks: &[&str]) -> crate::Result<(StateDict, Taken)> {
    let wrong = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason: format!(
            "cannot be read as a PyTorch state dict ({reason}); save it with \
             torch.save(model.float().state_dict(), ...)"
        ),
    };
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut archive = Archive::open(file).map_err(wrong)?;
    let pickle = archive.pickle(Foreign::Refused).map_err(wrong)?;
    let (places, taken) = places(&pickle, marks).map_err(wrong)?;
    let mut tensors = StateDict::new();
    for (name, place) in places {
        tensors.insert(name.to_owned(), archive.tensor(name, place).map_err(wrong)?);
    }
    Ok((tensors, taken))
}

type Places<'a> = Vec<(&'a str, &'a TensorPlace)>;

/// The tensors of the dict that holds the network, and the keys that led there.
fn places<'a>(pickle: &'a Pickle, marks: &[&str]) -> Result<(Places<'a>, Taken), String> {
    let mut dicts: Vec<(Vec<String>, Places)> = Vec::new();
    // Dicts may lie in each other in circles.
    let mut seen = BTreeSet::from([pickle.root]);
    let mut left = VecDeque::from([(Vec::new(), pickle.root)]);
    while let Some((keys, dict)) = left.pop_front() {
        let mut places = Vec::new();
        for (name, id) in pickle.entries(dict) {
            if let Some(Value::Tensor(place)) = pickle.get(id) {
                places.push((name, place));
            }
        }
        for (name, id) in pickle.children(dict) {
            if keys.len() < MAX_KEYS && seen.insert(id) {
                left.push_back(([&keys[..], &[name]].concat(), id));
            }
        }
        if !places.is_empty() {
            dicts.push((keys, places));
        }
    }
    let top: Vec<&str> = pickle.entries(pickle.root).map(|(name, _)| name).collect();
    if dicts.is_empty() {
        let keys =
            if top.is_empty() { String::new() } else { format!(" under {}", top.join(", ")) };
        return Err(format!("it holds no tensors{keys}"));
    }
    let named = |(keys, places): &(Vec<String>, Places<'a>)| {
        (keys.clone(), places.iter().map(|(name, _)| *name).collect())
    };
    let chosen = wrapper::choose(&dicts.iter().map(named).collect::<Vec<_>>(), marks)?;
    let (wrapper, places) = dicts.swap_remove(chosen);
    let is_left = |name: &&&str| match wrapper.first() {
        Some(first) => first != **name,
        None => !places.iter().any(|(place, _)| place == *name),
    };
    let left = top.iter().filter(is_left).map(|name| (*name).to_owned()).collect();
    let taken = Taken { wrapper, left, ..Taken::default() };
    Ok((places, taken))
}

pub(super) struct Archive {
    pub zip: ZipArchive<BufReader<File>>,
    /// The file's bytes: no entry holds more, as PyTorch does not compress.
    length: u64,
    /// Bytes of tensors that may still be made.
    allowance: u64,
    /// Folder of the pickle, with its slash.
    pub folder: String,
    storages: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    pub fn open(file: File) -> Result<Self, String> {
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| error.to_string())?;
        let mut folder = None;
        for index in 0..zip.len() {
            let Some(Ok(name)) = zip.name_for_index(index) else { continue };
            if let Some(start) = name.strip_suffix("data.pkl") {
                folder = Some(start.to_owned());
                break;
            }
        }
        let folder = folder.ok_or("it has no data.pkl")?;
        let allowance = length.saturating_mul(MAX_SHARING);
        Ok(Self { zip, length, allowance, folder, storages: BTreeMap::new() })
    }

    fn entry(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let wrong = |error: String| format!("its entry {name}: {error}");
        let entry = self.zip.by_name(name).map_err(|error| wrong(error.to_string()))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(wrong("it is compressed, as PyTorch's are not".into()));
        }
        let mut bytes = Vec::new();
        entry
            .take(self.length)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(bytes)
    }

    pub fn pickle(&mut self, foreign: Foreign) -> Result<Pickle, String> {
        let order = format!("{}byteorder", self.folder);
        if self.zip.index_for_name(&order).is_some() && self.entry(&order)?.starts_with(b"big") {
            return Err("its numbers are big-endian".into());
        }
        let program = self.entry(&format!("{}data.pkl", self.folder))?;
        Pickle::run_with(&program, foreign)
    }

    pub fn tensor(&mut self, name: &str, place: &TensorPlace) -> Result<Tensor, String> {
        let TensorPlace { storage: Storage { kind, key }, offset, shape, strides } = place;
        let outside = || format!("the entry {name} is larger than its storage");
        let count = shape.iter().try_fold(1usize, |count, &n| count.checked_mul(n));
        let count = count.ok_or_else(outside)?;
        let bytes = (count as u64).checked_mul(kind.width() as u64);
        self.allowance = bytes
            .and_then(|bytes| self.allowance.checked_sub(bytes))
            .ok_or_else(|| format!("its tensors are {MAX_SHARING} times as large as the file"))?;
        if !self.storages.contains_key(key) {
            let bytes = self.entry(&format!("{}data/{key}", self.folder))?;
            self.storages.insert(key.clone(), bytes);
        }
        let storage = self.storages.get(key).ok_or_else(outside)?;
        let bytes = gather(storage, kind.width(), *offset, shape, strides).ok_or_else(outside)?;
        kind.tensor(&bytes, shape).map_err(|error| error.to_string())
    }
}

/// The bytes of a strided view, row by row; `None` where it reaches out of its storage.
fn gather(
    storage: &[u8],
    width: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
) -> Option<Vec<u8>> {
    let count = shape.iter().product::<usize>();
    let mut bytes = Vec::with_capacity(count * width);
    let mut index = vec![0usize; shape.len()];
    for _ in 0..count {
        let mut at = offset;
        for (&i, &stride) in index.iter().zip(strides) {
            at = at.checked_add(i.checked_mul(stride)?)?;
        }
        let start = at.checked_mul(width)?;
        bytes.extend_from_slice(storage.get(start..start.checked_add(width)?)?);
        for (i, &size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    Some(bytes)
}

impl Kind {
    /// Bytes a number.
    const fn width(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
            Self::U8 => 1,
        }
    }

    /// Doubles and halves become float32, as in `.safetensors` files.
    fn tensor(self, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
        let cpu = &Device::Cpu;
        match self {
            Self::F16 => {
                Tensor::from_raw_buffer(bytes, DType::F16, shape, cpu)?.to_dtype(DType::F32)
            }
            Self::F32 => Tensor::from_vec(words(bytes, f32::from_le_bytes), shape, cpu),
            Self::F64 => {
                let narrow = |word| f64::from_le_bytes(word) as f32;
                Tensor::from_vec(words(bytes, narrow), shape, cpu)
            }
            Self::I64 => Tensor::from_vec(words(bytes, i64::from_le_bytes), shape, cpu),
            Self::U8 => Tensor::from_vec(bytes.to_vec(), shape, cpu),
        }
    }
}

fn words<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_views_are_gathered_and_those_outside_are_not() {
        let storage: Vec<u8> = (0..12).collect();
        // The transposed 3x4 matrix, its second column, and one number repeated.
        let transposed = gather(&storage, 1, 0, &[4, 3], &[1, 4]).unwrap();
        assert_eq!(transposed, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(gather(&storage, 1, 1, &[3], &[4]).unwrap(), [1, 5, 9]);
        assert_eq!(gather(&storage, 2, 1, &[2, 2], &[0, 0]).unwrap(), [2, 3, 2, 3, 2, 3, 2, 3]);
        assert_eq!(gather(&storage, 4, 0, &[], &[]).unwrap(), [0, 1, 2, 3]);
        assert!(gather(&storage, 1, 0, &[13], &[1]).is_none());
        assert!(gather(&storage, 8, 1, &[1], &[1]).is_none());
        assert!(gather(&storage, 1, usize::MAX, &[2], &[1]).is_none());
        assert!(gather(&storage, 1, 0, &[2], &[usize::MAX]).is_none());
    }
}
