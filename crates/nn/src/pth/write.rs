//! Writing: the few pickle instructions that an ordered dict of tensors needs, in a stored zip.
use crate::checkpoint::raw_bytes;
use crate::{Error, Result, StateDict};
use safetensors::tensor::Dtype;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

/// The bytes of a `.pth` file that `torch.load(..., weights_only=True)` reads.
pub(crate) fn to_bytes(tensors: &StateDict) -> Result<Vec<u8>> {
    let mut pickle = Pickle::new();
    let mut blobs = Vec::with_capacity(tensors.len());
    for (index, (name, tensor)) in tensors.iter().enumerate() {
        let (dtype, bytes) = raw_bytes(name, tensor)?;
        pickle.tensor(name, index, dtype, tensor.dims(), tensor.elem_count());
        blobs.push(bytes);
    }
    let archive = || -> zip::result::ZipResult<Vec<u8>> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        // PyTorch wants the entries stored, not compressed.
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut add = |name: String, bytes: &[u8]| {
            zip.start_file(name, options)?;
            zip.write_all(bytes).map_err(zip::result::ZipError::from)
        };
        add("archive/data.pkl".into(), &pickle.finish())?;
        add("archive/byteorder".into(), b"little")?;
        for (index, bytes) in blobs.iter().enumerate() {
            add(format!("archive/data/{index}"), bytes)?;
        }
        add("archive/version".into(), b"3\n")?;
        Ok(zip.finish()?.into_inner())
    };
    archive().map_err(|error| Error::Checkpoint {
        path: Default::default(),
        reason: format!("cannot be written as a zip archive: {error}"),
    })
}

/// A writer of pickle protocol 2, for one ordered dict of tensors.
struct Pickle(Vec<u8>);

impl Pickle {
    fn new() -> Self {
        let mut this = Self(vec![0x80, 2]);
        this.global("collections", "OrderedDict");
        this.0.extend(b")R("); // empty tuple, call, mark
        this
    }

    /// `name: torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`
    fn tensor(&mut self, name: &str, key: usize, dtype: Dtype, shape: &[usize], count: usize) {
        self.text(name);
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.0.push(b'(');
        self.0.push(b'(');
        self.text("storage");
        let storage = match dtype {
            Dtype::I64 => "LongStorage",
            Dtype::U8 => "ByteStorage",
            _ => "FloatStorage",
        };
        self.global("torch", storage);
        self.text(&key.to_string());
        self.text("cpu");
        self.integer(count);
        self.0.extend(b"tQ"); // tuple, persistent id
        self.integer(0);
        self.tuple(shape);
        self.tuple(&row_major_strides(shape));
        self.0.push(0x89); // False
        self.global("collections", "OrderedDict");
        self.0.extend(b")RtR");
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend(b"u."); // set items, stop
        self.0
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.bytes());
    }

    fn integer(&mut self, value: usize) {
        self.0.push(b'J');
        self.0.extend((value as i32).to_le_bytes());
    }

    fn tuple(&mut self, values: &[usize]) {
        self.0.push(b'(');
        for value in values {
            self.integer(*value);
        }
        self.0.push(b't');
    }
}

fn row_major_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}
