//! A `.pth` file of a training program, opened: its tensors one by one, its notes, and a copy with other numbers.
use super::read::Archive;
use super::unpickle::{Foreign, Id, Kind, Pickle, TensorPlace, Value};
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// A `.pth` file whose pickle has been read; of its tensors, only those asked for are.
///
/// Objects of the program's own are values that nothing is known of: none is made, nothing is called.
pub struct PthFile {
    path: PathBuf,
    archive: Archive,
    pickle: Pickle,
}

impl PthFile {
    /// Opens a file and reads its pickle.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Checkpoint`], both with the path.
    pub fn open(path: &Path) -> Result<Self> {
        let file =
            File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let mut archive = Archive::open(file).map_err(|reason| wrong(path, &reason))?;
        let pickle = archive.pickle(Foreign::Opaque).map_err(|reason| wrong(path, &reason))?;
        Ok(Self { path: path.to_owned(), archive, pickle })
    }

    /// The text under keys of nested dicts.
    pub fn text(&self, keys: &[&str]) -> Option<&str> {
        match self.pickle.get(self.find(keys)?) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The whole numbers of the tuple or list under keys of nested dicts; none where there is something else.
    pub fn numbers(&self, keys: &[&str]) -> Option<Vec<i64>> {
        let number = |id: &Id| match self.pickle.get(*id) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        match self.pickle.get(self.find(keys)?) {
            Some(Value::Tuple(items) | Value::List(items)) => items.iter().map(number).collect(),
            _ => None,
        }
    }

    /// Names of the tensors right inside the dict under keys of nested dicts, in the file's order.
    pub fn names(&self, keys: &[&str]) -> Vec<String> {
        let Some(dict) = self.find(keys) else { return Vec::new() };
        let is_tensor = |id: Id| matches!(self.pickle.get(id), Some(Value::Tensor(_)));
        let tensors = self.pickle.entries(dict).filter(|(_, id)| is_tensor(*id));
        tensors.map(|(name, _)| name.to_owned()).collect()
    }

    /// Reads a tensor of the dict under keys of nested dicts.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where there is none, or its numbers are not all there.
    pub fn tensor(&mut self, keys: &[&str], name: &str) -> Result<Tensor> {
        let place = self.place(keys, name)?.clone();
        self.archive.tensor(name, &place).map_err(|reason| wrong(&self.path, &reason))
    }

    /// Writes a copy in which tensors of one dict have other numbers; whole or not at all. All else, names that share
    /// a record too, stays as it is.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where a tensor is missing, of another shape or type, or two that share a record differ;
    /// [`Error::Write`].
    pub fn write_with(
        &mut self,
        keys: &[&str],
        tensors: &BTreeMap<String, Tensor>,
        to: &Path,
    ) -> Result<()> {
        let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, tensor) in tensors {
            let place = self.place(keys, name)?.clone();
            let bytes = bytes_for(&place, tensor)?
                .ok_or_else(|| wrong(&self.path, &format!("{name} has another shape or type")))?;
            let record = format!("{}data/{}", self.archive.folder, place.storage.key);
            let length = self.archive.zip.by_name(&record).map(|entry| entry.size());
            let known = records.get(&record);
            if length.ok() != Some(bytes.len() as u64) || known.is_some_and(|known| *known != bytes)
            {
                let reason = format!("{name} shares its numbers with another entry");
                return Err(wrong(&self.path, &reason));
            }
            records.insert(record, bytes);
        }
        udas_files::write_whole_with(to, |file| self.copy(&records, file))
            .map_err(|reason| Error::Write { path: to.to_owned(), reason })
    }

    fn copy(
        &mut self,
        records: &BTreeMap<String, Vec<u8>>,
        file: &mut BufWriter<File>,
    ) -> std::io::Result<()> {
        let mut zip = zip::ZipWriter::new(file);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for index in 0..self.archive.zip.len() {
            let entry = self.archive.zip.by_index_raw(index).map_err(std::io::Error::other)?;
            let name = entry.name().map_err(std::io::Error::other)?.into_owned();
            match records.get(&name) {
                None => zip.raw_copy_file(entry).map_err(std::io::Error::other)?,
                Some(bytes) => {
                    zip.start_file(name, options).map_err(std::io::Error::other)?;
                    zip.write_all(bytes)?;
                }
            }
        }
        zip.finish().map(drop).map_err(std::io::Error::other)
    }

    fn find(&self, keys: &[&str]) -> Option<Id> {
        keys.iter().try_fold(self.pickle.root, |id, key| {
            // Of a key that is there twice, Python keeps the later value.
            self.pickle.entries(id).filter(|(name, _)| name == key).last().map(|(_, id)| id)
        })
    }

    fn place(&self, keys: &[&str], name: &str) -> Result<&TensorPlace> {
        let id = self.find(&[keys, &[name]].concat());
        match id.and_then(|id| self.pickle.get(id)) {
            Some(Value::Tensor(place)) => Ok(place),
            _ => Err(wrong(&self.path, &format!("it has no tensor {name}"))),
        }
    }
}

fn wrong(path: &Path, reason: &str) -> Error {
    let reason = format!(
        "cannot be read as a PyTorch checkpoint ({reason}); copy the file again, or save the training again"
    );
    Error::Checkpoint { path: path.to_owned(), reason }
}

/// The bytes of a tensor that takes the place of another; none where shape or type forbid it.
fn bytes_for(place: &TensorPlace, tensor: &Tensor) -> Result<Option<Vec<u8>>> {
    let row_major = place.shape.iter().rev().scan(1, |stride, &n| {
        let this = *stride;
        *stride *= n;
        Some(this)
    });
    let mut expected: Vec<usize> = row_major.collect();
    expected.reverse();
    let moved = place.shape.iter().zip(&place.strides).zip(&expected);
    let is_whole = moved.into_iter().all(|((&n, stride), expected)| n == 1 || stride == expected);
    if tensor.dims() != place.shape || !is_whole || place.offset != 0 {
        return Ok(None);
    }
    let flat = tensor.flatten_all()?;
    Ok(match (place.storage.kind, tensor.dtype()) {
        (Kind::F32, DType::F32) => {
            Some(flat.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect())
        }
        (Kind::I64, DType::I64) => {
            Some(flat.to_vec1::<i64>()?.into_iter().flat_map(i64::to_le_bytes).collect())
        }
        _ => None,
    })
}
