//! The pickle instructions that state dicts are made of, read into plain data. Nothing is called: the few
//! functions that rebuild tensors are known by name, and any other is an error.
use std::collections::HashMap;

/// More axes than any tensor of a network has.
const MOST_AXES: usize = 8;
/// Longest name.
const LONGEST_NAME: usize = 4096;

/// Index of an object in the [`Pickle`]. Objects refer to each other by index and not by ownership, so that
/// neither sharing nor nesting costs memory or stack.
pub(super) type Id = usize;

/// What a pickle holds.
#[derive(Clone, Debug)]
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(String),
    Global(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What a persistent id names: `('storage', type, key, location, elements)`.
    Storage {
        kind: String,
        key: String,
    },
    Tensor(TensorRef),
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub(super) struct TensorRef {
    /// Type of the storage, `FloatStorage` for example.
    pub kind: String,
    /// Name of the storage's entry in the archive.
    pub key: String,
    /// In elements.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// In elements.
    pub strides: Vec<usize>,
}

/// The objects of one pickle.
pub(super) struct Pickle {
    objects: Vec<Object>,
}

type Result<T> = std::result::Result<T, String>;

impl Pickle {
    /// Reads a pickle. Gives its objects and the one it stands for.
    ///
    /// # Errors
    /// A sentence for the user: damaged, or more than a state dict.
    pub fn read(bytes: &[u8]) -> Result<(Self, Id)> {
        let mut machine = Machine {
            bytes,
            at: 0,
            pickle: Self { objects: Vec::new() },
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        let top = machine.pop()?;
        Ok((machine.pickle, top))
    }

    pub fn get(&self, id: Id) -> &Object {
        &self.objects[id]
    }

    fn text(&self, id: Id) -> Result<&str> {
        match self.get(id) {
            Object::Text(text) => Ok(text),
            other => Err(format!("a name is expected, not {other:?}")),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        let (Object::Tuple(items) | Object::List(items)) = self.get(id) else {
            return Err("a shape that is no tuple".into());
        };
        if items.len() > MOST_AXES {
            return Err(format!("a tensor of {} axes", items.len()));
        }
        items.iter().map(|item| self.size(*item)).collect()
    }

    fn size(&self, id: Id) -> Result<usize> {
        match self.get(id) {
            Object::Int(value) => usize::try_from(*value).map_err(|_| format!("a size of {value}")),
            other => Err(format!("a size is expected, not {other:?}")),
        }
    }

    /// What a call gives, for the few functions that state dicts call.
    fn call(&self, callable: Id, arguments: Id) -> Result<Object> {
        let Object::Global(name) = self.get(callable) else {
            return Err("it calls something that is no function".into());
        };
        let Object::Tuple(arguments) = self.get(arguments) else {
            return Err(format!("a call of {name} without arguments"));
        };
        match (name.as_str(), arguments.as_slice()) {
            ("collections.OrderedDict", []) => Ok(Object::Dict(Vec::new())),
            ("torch._utils._rebuild_tensor_v2", [storage, offset, shape, strides, ..]) => {
                let Object::Storage { kind, key } = self.get(*storage) else {
                    return Err("a tensor without storage".into());
                };
                Ok(Object::Tensor(TensorRef {
                    kind: kind.clone(),
                    key: key.clone(),
                    offset: self.size(*offset)?,
                    shape: self.sizes(*shape)?,
                    strides: self.sizes(*strides)?,
                }))
            }
            ("torch._utils._rebuild_parameter", [tensor, ..]) => Ok(self.get(*tensor).clone()),
            _ => Err(format!(
                "it calls {name}, which a state dict has no need of; nothing was executed"
            )),
        }
    }

    fn storage(&self, id: Id) -> Result<Object> {
        let Object::Tuple(parts) = self.get(id) else {
            return Err("a storage that is no tuple".into());
        };
        let [tag, kind, key, ..] = parts.as_slice() else {
            return Err("a storage with too few parts".into());
        };
        let Object::Global(kind) = self.get(*kind) else {
            return Err("a storage without type".into());
        };
        if self.text(*tag)? != "storage" {
            return Err("a persistent object that is no storage".into());
        }
        let kind = kind.strip_prefix("torch.").unwrap_or(kind).to_owned();
        Ok(Object::Storage { kind, key: self.text(*key)?.to_owned() })
    }
}

/// The stack machine that a pickle is a program for.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    pickle: Pickle,
    stack: Vec<Id>,
    /// Lengths of the stack where marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Carries out one instruction. False at the end.
    fn step(&mut self) -> Result<bool> {
        match self.byte()? {
            0x80 => {
                self.byte()?;
            }
            b'.' => return Ok(false),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Object::None),
            0x88 => self.push(Object::Bool(true)),
            0x89 => self.push(Object::Bool(false)),
            b'K' | b'M' | b'J' | b'G' | 0x8a => self.number()?,
            b'X' | 0x8c | b'c' => self.name()?,
            b')' => self.push(Object::Tuple(Vec::new())),
            b']' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            b't' | 0x85..=0x87 => self.tuple()?,
            b'a' | b'e' => self.append()?,
            b's' | b'u' => self.set_items()?,
            b'q' | b'r' | b'h' | b'j' => self.remember()?,
            b'Q' => {
                let id = self.pop()?;
                let storage = self.pickle.storage(id)?;
                self.push(storage);
            }
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let result = self.pickle.call(callable, arguments)?;
                self.push(result);
            }
            // State of an ordered dict: PyTorch keeps version numbers of the modules there.
            b'b' => {
                self.pop()?;
            }
            other => {
                return Err(format!("it has the instruction {other:#x}, which no state dict has"));
            }
        }
        Ok(true)
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let taken = &self.bytes[self.at..end.ok_or("it is cut short")?];
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned little-endian number of at most eight bytes.
    fn unsigned(&mut self, count: usize) -> Result<u64> {
        let bytes = self.take(count)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn push(&mut self, object: Object) {
        self.pickle.objects.push(object);
        self.stack.push(self.pickle.objects.len() - 1);
    }

    fn pop(&mut self) -> Result<Id> {
        self.stack.pop().ok_or_else(|| "its stack runs empty".into())
    }

    fn top(&mut self) -> Result<&mut Object> {
        let id = *self.stack.last().ok_or("its stack runs empty")?;
        Ok(&mut self.pickle.objects[id])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("a mark is missing")?))
    }

    /// The instruction just read.
    fn instruction(&self) -> u8 {
        self.bytes[self.at - 1]
    }

    fn number(&mut self) -> Result<()> {
        let value = match self.instruction() {
            b'K' => self.unsigned(1)? as i64,
            b'M' => self.unsigned(2)? as i64,
            b'J' => i64::from(self.unsigned(4)? as u32 as i32),
            b'G' => {
                self.take(8)?;
                self.push(Object::Float);
                return Ok(());
            }
            _ => {
                let count = usize::from(self.byte()?);
                if count > 8 {
                    return Err(format!("it has a number of {count} bytes"));
                }
                // Shifts the sign up to the top and back down again.
                let unused = 64 - 8 * count as u32;
                let value = self.unsigned(count)? as i64;
                value.checked_shl(unused).unwrap_or(0).checked_shr(unused).unwrap_or(0)
            }
        };
        self.push(Object::Int(value));
        Ok(())
    }

    fn name(&mut self) -> Result<()> {
        let count = match self.instruction() {
            b'X' => self.unsigned(4)? as usize,
            0x8c => usize::from(self.byte()?),
            _ => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Object::Global(format!("{module}.{name}")));
                return Ok(());
            }
        };
        if count > LONGEST_NAME {
            return Err(format!("a name of {count} bytes"));
        }
        let text = std::str::from_utf8(self.take(count)?).map_err(|_| "a name that is no text")?;
        let text = text.to_owned();
        self.push(Object::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let rest = &rest[..rest.len().min(LONGEST_NAME)];
        let count = rest.iter().position(|byte| *byte == b'\n').ok_or("it is cut short")?;
        let line = String::from_utf8_lossy(self.take(count)?).trim_end().to_owned();
        self.take(1)?;
        Ok(line)
    }

    fn tuple(&mut self) -> Result<()> {
        let items = match self.instruction() {
            b't' => self.pop_to_mark()?,
            code => {
                let count = usize::from(code - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or("its stack runs empty")?;
                self.stack.split_off(start)
            }
        };
        self.push(Object::Tuple(items));
        Ok(())
    }

    fn append(&mut self) -> Result<()> {
        let items =
            if self.instruction() == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
        match self.top()? {
            Object::List(list) => list.extend(items),
            other => return Err(format!("it appends to {other:?}")),
        }
        Ok(())
    }

    fn set_items(&mut self) -> Result<()> {
        let items = if self.instruction() == b's' {
            let (value, key) = (self.pop()?, self.pop()?);
            vec![key, value]
        } else {
            self.pop_to_mark()?
        };
        match self.top()? {
            Object::Dict(dict) => {
                dict.extend(items.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)));
            }
            other => return Err(format!("it sets items of {other:?}")),
        }
        Ok(())
    }

    fn remember(&mut self) -> Result<()> {
        let instruction = self.instruction();
        let size = if matches!(instruction, b'q' | b'h') { 1 } else { 4 };
        let key = self.unsigned(size)? as u32;
        if matches!(instruction, b'q' | b'r') {
            let top = *self.stack.last().ok_or("its stack runs empty")?;
            self.memo.insert(key, top);
        } else {
            let id = *self.memo.get(&key).ok_or("it recalls what it has not remembered")?;
            self.stack.push(id);
        }
        Ok(())
    }
}
