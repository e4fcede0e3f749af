//! A machine for pickle that builds plain values and descriptions of tensors, and calls nothing.
//!
//! Values lie in one list and refer to each other by number: shared, cyclic and deeply nested ones cost no more
//! memory than the file has bytes, and nothing is walked recursively.
use super::global::Global;
pub(super) use super::global::{Foreign, Kind};
use std::collections::BTreeMap;

/// Number of a value.
pub(super) type Id = usize;

/// What a pickle builds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// None, a float, a set of hooks: nothing that a state dict is made of.
    Other,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(TensorPlace),
}

/// A run of numbers in a file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    pub kind: Kind,
    /// Name below `data/`.
    pub key: String,
}

/// Where a tensor's numbers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorPlace {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// The values of a pickle and which of them is its result.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    pub root: Id,
}

impl Pickle {
    /// Runs the program of a state dict.
    #[cfg(test)]
    pub fn run(bytes: &[u8]) -> Result<Self, String> {
        Self::run_with(bytes, Foreign::Refused)
    }

    /// Runs the program. The error says which instruction is wrong or not allowed.
    pub fn run_with(bytes: &[u8], foreign: Foreign) -> Result<Self, String> {
        let mut machine = Machine { left: bytes, foreign, ..Machine::default() };
        let root = loop {
            if let Some(root) = machine.step()? {
                break root;
            }
        };
        Ok(Self { values: machine.values, root })
    }

    pub fn get(&self, id: Id) -> Option<&Value> {
        self.values.get(id)
    }

    /// The dicts, lists and tuples right inside one of them, by key or by place.
    pub fn children(&self, id: Id) -> Vec<(String, Id)> {
        let is_container = |&id: &Id| {
            matches!(self.get(id), Some(Value::Dict(_) | Value::List(_) | Value::Tuple(_)))
        };
        match self.get(id) {
            Some(Value::List(items) | Value::Tuple(items)) => {
                let items = items.iter().copied().enumerate();
                items
                    .filter(|(_, id)| is_container(id))
                    .map(|(n, id)| (n.to_string(), id))
                    .collect()
            }
            _ => {
                let entries = self.entries(id).filter(|(_, id)| is_container(id));
                entries.map(|(name, id)| (name.to_owned(), id)).collect()
            }
        }
    }

    /// The entries of a dict under text keys.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let entries = match self.get(id) {
            Some(Value::Dict(entries)) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().filter_map(|&(key, value)| match self.get(key) {
            Some(Value::Text(text)) => Some((text.as_str(), value)),
            _ => None,
        })
    }
}

#[derive(Default)]
struct Machine<'a> {
    left: &'a [u8],
    foreign: Foreign,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

/// An instruction that wants something else than it finds.
fn unexpected(what: &str) -> String {
    format!("its pickle is damaged: {what}")
}

impl<'a> Machine<'a> {
    /// One instruction; the result, if it was the last one. Letters: Python's `pickletools`.
    fn step(&mut self) -> Result<Option<Id>, String> {
        match self.byte()? {
            b'.' => return self.pop().map(Some),
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 | 0x8f => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()));
            }
            0x8a => self.long()?,
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                self.text(length as usize)?;
            }
            0x8c => {
                let length = self.byte()?;
                self.text(length.into())?;
            }
            0x8d => {
                let length = self.length()?;
                self.text(length)?;
            }
            b'C' => {
                let length = self.byte()?;
                self.bytes(length.into())?;
            }
            b'B' => {
                let length = u32::from_le_bytes(self.array()?);
                self.bytes(length as usize)?;
            }
            0x8e | 0x96 => {
                let length = self.length()?;
                self.bytes(length)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => self.global_by_texts()?,
            other => return self.structure(other).map(|()| None),
        }
        Ok(None)
    }

    /// Instructions on values already there.
    fn structure(&mut self, code: u8) -> Result<(), String> {
        match code {
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let start = self.stack.len().checked_sub(count);
                let items = self.stack.split_off(start.ok_or_else(|| unexpected("a tuple"))?);
                self.push(Value::Tuple(items));
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&items)?));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(pairs(&items)?)?;
            }
            // Items of a set.
            0x90 => drop(self.pop_to_mark()?),
            0x91 => {
                self.pop_to_mark()?;
                self.push(Value::Other);
            }
            b'R' | 0x81 => self.reduce()?,
            b'Q' => self.storage()?,
            // The state of an object: a state dict's carries the versions of its modules.
            b'b' => drop(self.pop()?),
            _ => return self.memory(code),
        }
        Ok(())
    }

    /// Instructions that remember values.
    fn memory(&mut self, code: u8) -> Result<(), String> {
        match code {
            b'q' => {
                let slot = self.byte()?;
                self.remember(slot.into())
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.remember(slot)
            }
            0x94 => self.remember(self.memo.len() as u32),
            b'h' => {
                let slot = self.byte()?;
                self.recall(slot.into())
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.recall(slot)
            }
            code => {
                Err(format!("its pickle has the instruction {code:#04x}, which is not allowed"))
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, left) =
            self.left.split_at_checked(count).ok_or_else(|| unexpected("it is cut short"))?;
        self.left = left;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| unexpected("it is cut short"))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self.left.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or_else(|| unexpected("a name has no end"))?)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| unexpected("a name is no text"))
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = std::str::from_utf8(self.take(length)?);
        let text = text.map_err(|_| unexpected("a text is no UTF-8"))?.to_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    /// A whole number of any length, little-endian in two's complement.
    fn long(&mut self) -> Result<(), String> {
        let length = self.byte()?;
        let bytes = self.take(length.into())?;
        let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        if bytes.len() > wide.len() {
            return Err(unexpected("a number beyond 64 bits"));
        }
        wide.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
        self.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    /// A length of eight bytes, which must fit what is left.
    fn length(&mut self) -> Result<usize, String> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| unexpected("it is cut short"))
    }

    /// Raw bytes, of which no state dict is made.
    fn bytes(&mut self, length: usize) -> Result<(), String> {
        self.take(length)?;
        self.push(Value::Other);
        Ok(())
    }

    /// A name whose parts lie on the stack, as from protocol 4 on.
    fn global_by_texts(&mut self) -> Result<(), String> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (self.values.get(module), self.values.get(name)) {
            (Some(Value::Text(module)), Some(Value::Text(name))) => {
                let (module, name) = (module.clone(), name.clone());
                self.global(&module, &name)
            }
            _ => Err(unexpected("a name is no text")),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = Global::of(module, name, self.foreign)?;
        self.push(Value::Global(global));
        Ok(())
    }

    /// A call; of those that are allowed none is made, their outcome is described.
    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let value = match (self.values.get(callable), self.values.get(arguments)) {
            (Some(Value::Global(Global::OrderedDict)), Some(Value::Tuple(items)))
                if items.is_empty() =>
            {
                Value::Dict(Vec::new())
            }
            (Some(Value::Global(Global::Inert | Global::Opaque)), Some(Value::Tuple(_))) => {
                Value::Other
            }
            (Some(Value::Global(Global::RebuildTensor)), Some(Value::Tuple(items))) => {
                Value::Tensor(self.tensor(items).ok_or_else(|| unexpected("a tensor"))?)
            }
            (Some(Value::Global(Global::RebuildParameter)), Some(Value::Tuple(items))) => {
                match items.first().and_then(|&data| self.values.get(data)) {
                    Some(Value::Tensor(place)) => Value::Tensor(place.clone()),
                    _ => return Err(unexpected("a parameter")),
                }
            }
            _ => return Err("its pickle makes a call, which is not allowed".to_owned()),
        };
        self.push(value);
        Ok(())
    }

    /// Of `_rebuild_tensor_v2(storage, offset, shape, strides, ...)`.
    fn tensor(&self, items: &[Id]) -> Option<TensorPlace> {
        let [storage, offset, shape, strides, ..] = items else { return None };
        let Some(Value::Storage(storage)) = self.values.get(*storage) else { return None };
        let (shape, strides) = (self.sizes(*shape)?, self.sizes(*strides)?);
        let offset = self.size(*offset)?;
        let fit = shape.len() == strides.len();
        fit.then(|| TensorPlace { storage: storage.clone(), offset, shape, strides })
    }

    fn size(&self, id: Id) -> Option<usize> {
        match self.values.get(id) {
            Some(Value::Int(value)) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match self.values.get(id) {
            // More axes than any layer has would only serve to make much of few bytes.
            Some(Value::Tuple(items)) if items.len() <= 8 => {
                items.iter().map(|&item| self.size(item)).collect()
            }
            _ => None,
        }
    }

    /// Of `("storage", type, key, device, count)`.
    fn storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let storage = match self.values.get(id) {
            Some(Value::Tuple(items)) => match items[..] {
                [_, kind, key, ..] => match (self.values.get(kind), self.values.get(key)) {
                    (Some(Value::Global(Global::Storage(kind))), Some(Value::Text(key))) => {
                        Some(Storage { kind: *kind, key: key.clone() })
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        self.push(Value::Storage(storage.ok_or_else(|| unexpected("a storage"))?));
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        let above_mark = self.marks.last().is_none_or(|&mark| self.stack.len() > mark);
        let top = if above_mark { self.stack.pop() } else { None };
        top.ok_or_else(|| unexpected("a value is missing"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or_else(|| unexpected("a mark is missing"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&mut self) -> Option<&mut Value> {
        self.values.get_mut(*self.stack.last()?)
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        match self.top() {
            Some(Value::List(list)) => list.extend(items),
            Some(Value::Other) => {}
            _ => return Err(unexpected("a list is missing")),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<(Id, Id)>) -> Result<(), String> {
        match self.top() {
            Some(Value::Dict(entries)) => entries.extend(items),
            Some(Value::Other) => {}
            _ => return Err(unexpected("a dict is missing")),
        }
        Ok(())
    }

    fn remember(&mut self, slot: u32) -> Result<(), String> {
        let top = *self.stack.last().ok_or_else(|| unexpected("nothing to remember"))?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), String> {
        let id = *self.memo.get(&slot).ok_or_else(|| unexpected("nothing was remembered"))?;
        self.stack.push(id);
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(unexpected("a key has no value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_cyclic_and_deeply_nested_values_cost_their_bytes() {
        // Each tuple holds the last one twice: 2^40 leaves for who would copy them.
        let doubling = [b"K\x01q\x00".to_vec(), b"h\x00h\x00\x86q\x00".repeat(40), b".".to_vec()];
        assert_eq!(Pickle::run(&doubling.concat()).unwrap().values.len(), 41);
        let nested = [vec![b')'], vec![0x85; 1_000_000], vec![b'.']].concat();
        assert_eq!(Pickle::run(&nested).unwrap().values.len(), 1_000_001);
        // A list that holds itself.
        assert!(Pickle::run(b"]q\x00h\x00a.").is_ok());
    }

    #[test]
    fn calls_and_foreign_names_are_refused() {
        let error = Pickle::run(b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R.").unwrap_err();
        assert!(error.contains("os.system, which is not allowed"), "{error}");
        let error = Pickle::run(b"cabc\ndef\n)R.").unwrap_err();
        assert!(error.contains("abc.def, which is not allowed"), "{error}");
        let error = Pickle::run(b"X\x02\x00\x00\x00ls)R.").unwrap_err();
        assert!(error.contains("makes a call"), "{error}");
        assert!(Pickle::run(b"I1\n.").unwrap_err().contains("0x49"));
    }

    #[test]
    fn unknown_names_may_stand_for_nothing_but_not_for_programs() {
        let run = |bytes: &[u8]| Pickle::run_with(bytes, Foreign::Opaque);
        let pickle = run(b"cabc\nDef\n)R}X\x01\x00\x00\x00aK\x01sb.").unwrap();
        assert_eq!(pickle.get(pickle.root), Some(&Value::Other));
        for program in
            ["cos\nsystem\n.", "cbuiltins\neval\n.", "csubprocess\nrun\n.", "cposix\nsystem\n."]
        {
            let error = run(program.as_bytes()).unwrap_err();
            assert!(error.contains("it runs programs"), "{error}");
        }
    }

    #[test]
    fn numbers_of_any_length_are_read() {
        let value = |bytes: &[u8]| {
            let pickle = Pickle::run(bytes).unwrap();
            pickle.get(pickle.root).cloned()
        };
        assert_eq!(value(b"\x8a\x00."), Some(Value::Int(0)));
        assert_eq!(value(b"\x8a\x01\xff."), Some(Value::Int(-1)));
        assert_eq!(value(b"\x8a\x02\x00\x80."), Some(Value::Int(-32768)));
        assert_eq!(value(b"\x8a\x03\x00\x80\x00."), Some(Value::Int(32768)));
        assert!(Pickle::run(b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.").is_err());
    }

    #[test]
    fn programs_cut_anywhere_are_errors() {
        let whole = b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.";
        assert!(Pickle::run(whole).is_ok());
        for length in 0..whole.len() {
            assert!(Pickle::run(&whole[..length]).is_err(), "cut to {length}");
        }
    }
}
