//! Reading: the known elements of a file up to its pixel data, and where that lies.
//!
//! The file is hostile until proven otherwise. No length that it states is allocated: values grow as their bytes come.
//! Elements that are not known are passed over, and sequences end at a fixed depth.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::DeflateDecoder;

use crate::dataset::{DataSet, Value};
use crate::syntax::{self, Storage, Syntax};
use crate::tag::{Tag, Vr, vr_of};
use crate::{Error, Result};

/// More bytes of one value than this are refused: what is read is short, and text in 16-bit lengths is not longer.
const MAX_VALUE: u64 = 65_534;
/// Sequences within sequences; functional groups go four deep.
const MAX_DEPTH: usize = 16;
/// Items that are kept of a file: functional groups have some ten a frame.
const MAX_ITEMS: usize = 1 << 21;
/// Bytes of the group that says how the rest is stored; a few hundred in fact.
const MAX_META: u64 = 1 << 16;
/// Deflate cannot compress better than this (zlib's documentation, "Maximum Compression Factor").
pub(crate) const MAX_INFLATION: u64 = 1032;
const PREAMBLE: usize = 128;

/// A file whose elements have been read as far as its pixels.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) path: PathBuf,
    pub(crate) data: DataSet,
    pub(crate) syntax: Syntax,
    pub(crate) pixels: Option<PixelData>,
    /// Bytes of the file.
    pub(crate) length: u64,
}

/// Where a file's pixels lie, in bytes of the stream that [`Stream::open`] gives.
#[derive(Debug)]
pub(crate) enum PixelData {
    Native {
        start: u64,
        length: u64,
    },
    /// Compressed: the offset table in bytes from the first fragment's header on, and each fragment's place and length.
    Fragments {
        offsets: Vec<u32>,
        fragments: Vec<(u64, u64)>,
    },
}

/// Whether a file has the mark of DICOM's file format.
pub(crate) fn has_mark(path: &Path) -> bool {
    let mut start = [0; PREAMBLE + 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start.ends_with(b"DICM")
}

/// Reads a file's elements up to its pixels.
pub(crate) fn parse(path: &Path) -> Result<Parsed> {
    let (mut stream, syntax, length) = Stream::open(path)?;
    let mut parser = Parser { stream: &mut stream, items: 0, pixels: None };
    let end = parser.stream.end;
    let mut data = DataSet::default();
    parser.elements(&mut data, syntax.storage, Ends::With(end), 0, Keep::Yes)?;
    let pixels = parser.pixels;
    Ok(Parsed { path: path.into(), data, syntax, pixels, length })
}

/// The class of a file's object, by its first elements alone.
pub(crate) fn class_of(path: &Path) -> Option<String> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let (meta, _) = read_meta(&mut file, path).ok()?;
    meta.text(Tag(0x0002_0002))
}

/// The elements of group 2, and the bytes read so far.
fn read_meta(file: &mut BufReader<File>, path: &Path) -> Result<(DataSet, u64)> {
    let short = |_| Error::damaged(path, "is cut short in its first group");
    let mut start = [0; PREAMBLE + 4 + 12];
    file.read_exact(&mut start).map_err(short)?;
    let (before, group_length) = start.split_at(PREAMBLE + 4);
    if !before.ends_with(b"DICM") {
        return Err(Error::damaged(path, "is not a DICOM file (it has no mark DICM)"));
    }
    let length = match group_length {
        [2, 0, 0, 0, b'U', b'L', 4, 0, a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => return Err(Error::damaged(path, "does not say how long its first group is")),
    };
    if u64::from(length) > MAX_META {
        let problem = format!("states {length} bytes of file meta information");
        return Err(Error::damaged(path, problem));
    }
    let mut bytes = Vec::new();
    file.take(length.into()).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    if bytes.len() as u64 != u64::from(length) {
        return Err(Error::damaged(path, "is cut short in its first group"));
    }
    let consumed = start.len() as u64 + u64::from(length);
    let mut stream = Stream {
        path: path.into(),
        reader: Reader::Bytes(Cursor::new(bytes)),
        position: 0,
        end: length.into(),
    };
    let mut parser = Parser { stream: &mut stream, items: 0, pixels: None };
    let mut meta = DataSet::default();
    parser.elements(&mut meta, Storage::EXPLICIT, Ends::With(length.into()), 0, Keep::Meta)?;
    Ok((meta, consumed))
}

enum Reader {
    File(BufReader<File>),
    Deflated(Box<BufReader<DeflateDecoder<BufReader<File>>>>),
    Bytes(Cursor<Vec<u8>>),
}

/// The bytes of a file, inflated where its syntax says so. Positions count the bytes of what is read here.
pub(crate) struct Stream {
    path: PathBuf,
    reader: Reader,
    position: u64,
    /// Bytes there can be at most.
    end: u64,
}

impl Stream {
    /// A file after its meta information, how it goes on, and the file's length.
    pub(crate) fn open(path: &Path) -> Result<(Self, Syntax, u64)> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(Error::refused(path, "is not a file", "name a DICOM file"));
        }
        let length = metadata.len();
        let mut file = BufReader::with_capacity(1 << 14, file);
        let (meta, position) = read_meta(&mut file, path)?;
        let uid = meta
            .text(Tag::TRANSFER_SYNTAX_UID)
            .ok_or_else(|| Error::damaged(path, "does not say its transfer syntax"))?;
        let syntax = syntax::of(&uid, path)?;
        let stream = if syntax.deflated {
            let end = length.saturating_mul(MAX_INFLATION);
            let reader = Reader::Deflated(Box::new(BufReader::new(DeflateDecoder::new(file))));
            Self { path: path.into(), reader, position: 0, end }
        } else {
            Self { path: path.into(), reader: Reader::File(file), position, end: length }
        };
        Ok((stream, syntax, length))
    }

    fn reader(&mut self) -> &mut dyn BufRead {
        match &mut self.reader {
            Reader::File(reader) => reader,
            Reader::Deflated(reader) => reader,
            Reader::Bytes(reader) => reader,
        }
    }

    fn short(&self) -> Error {
        Error::damaged(&self.path, format!("is cut short after {} bytes", self.position))
    }

    fn failed(&self, error: io::Error) -> Error {
        match (error.kind(), &self.reader) {
            (io::ErrorKind::UnexpectedEof, _) => self.short(),
            (_, Reader::Deflated(_)) => Error::damaged(&self.path, "is not deflated as it says"),
            _ => Error::io(&self.path, error),
        }
    }

    fn exact<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader().read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Whether nothing follows.
    fn is_at_end(&mut self) -> Result<bool> {
        let ended = self.reader().fill_buf().map(<[u8]>::is_empty);
        ended.map_err(|error| self.failed(error))
    }

    /// So many bytes; the vector grows as they come.
    pub(crate) fn bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.reader().take(length).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(error))?;
        self.position += bytes.len() as u64;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(self.short()) }
    }

    pub(crate) fn skip(&mut self, length: u64) -> Result<()> {
        if length > self.end.saturating_sub(self.position) {
            return Err(self.short());
        }
        let skipped = match (&mut self.reader, i64::try_from(length)) {
            (Reader::File(reader), Ok(step)) => reader.seek_relative(step).map(|()| length),
            (Reader::Deflated(reader), _) => io::copy(&mut reader.take(length), &mut io::sink()),
            (Reader::Bytes(reader), _) => io::copy(&mut reader.take(length), &mut io::sink()),
            (Reader::File(_), Err(_)) => Ok(0),
        };
        let skipped = skipped.map_err(|error| self.failed(error))?;
        self.position += skipped;
        if skipped == length { Ok(()) } else { Err(self.short()) }
    }

    /// Goes forward to a place that was found before.
    pub(crate) fn advance_to(&mut self, place: u64) -> Result<()> {
        let step = place.checked_sub(self.position);
        step.ok_or_else(|| Error::damaged(&self.path, "has changed while it was read"))
            .and_then(|step| self.skip(step))
    }
}

/// Where a data set ends.
#[derive(Clone, Copy)]
enum Ends {
    /// At this position.
    With(u64),
    /// With a delimiter, which comes before this position.
    Delimited(u64),
}

impl Ends {
    fn limit(self) -> u64 {
        match self {
            Self::With(end) | Self::Delimited(end) => end,
        }
    }
}

/// Which elements are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
    /// All of group 2, which is not in the dictionary.
    Meta,
}

struct Parser<'a> {
    stream: &'a mut Stream,
    items: usize,
    pixels: Option<PixelData>,
}

/// The length that stands for "until a delimiter".
const UNDEFINED: u32 = u32::MAX;

impl Parser<'_> {
    fn damaged(&self, problem: impl Into<String>) -> Error {
        Error::damaged(&self.stream.path, problem)
    }

    fn u16(&mut self, storage: Storage) -> Result<u16> {
        let bytes = self.stream.exact()?;
        Ok(if storage.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self, storage: Storage) -> Result<u32> {
        let bytes = self.stream.exact()?;
        Ok(if storage.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn tag(&mut self, storage: Storage) -> Result<Tag> {
        let group = self.u16(storage)?;
        Ok(Tag(u32::from(group) << 16 | u32::from(self.u16(storage)?)))
    }

    /// The elements of a data set. The outermost one ends at its pixels.
    fn elements(
        &mut self,
        data: &mut DataSet,
        storage: Storage,
        ends: Ends,
        depth: usize,
        keep: Keep,
    ) -> Result<()> {
        let limit = ends.limit();
        loop {
            match ends {
                Ends::With(end) if self.stream.position == end => return Ok(()),
                _ if self.stream.position >= limit => {
                    return Err(self.damaged("has items or values longer than what holds them"));
                }
                Ends::With(_) if depth == 0 && self.stream.is_at_end()? => return Ok(()),
                _ => {}
            }
            let tag = self.tag(storage)?;
            if tag == Tag::ITEM_DELIMITATION {
                self.u32(storage)?;
                match ends {
                    Ends::Delimited(_) => return Ok(()),
                    Ends::With(_) => return Err(self.damaged("ends an item that has not begun")),
                }
            }
            let (vr, length) = self.vr_and_length(tag, storage)?;
            if tag == Tag::PIXEL_DATA {
                let pixels = self.pixel_data(length, limit)?;
                if depth == 0 {
                    self.pixels = Some(pixels);
                    return Ok(());
                }
                continue; // An icon's.
            }
            self.element(data, tag, vr, length, storage, limit, depth, keep)?;
        }
    }

    fn vr_and_length(&mut self, tag: Tag, storage: Storage) -> Result<(Vr, u32)> {
        let known = vr_of(tag);
        if !storage.explicit {
            return Ok((known.unwrap_or(Vr::UNKNOWN), self.u32(storage)?));
        }
        let vr = Vr(self.stream.exact()?);
        if !vr.0.iter().all(u8::is_ascii_uppercase) {
            let problem = format!("has no valid element at byte {}", self.stream.position);
            return Err(self.damaged(problem));
        }
        let length = if vr.is_long() {
            self.u16(storage)?;
            self.u32(storage)?
        } else {
            self.u16(storage)?.into()
        };
        Ok((vr, length))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what an element is, where it stands, what is kept"
    )]
    fn element(
        &mut self,
        data: &mut DataSet,
        tag: Tag,
        vr: Vr,
        length: u32,
        storage: Storage,
        limit: u64,
        depth: usize,
        keep: Keep,
    ) -> Result<()> {
        let known = vr_of(tag);
        let wanted = keep == Keep::Yes && known.is_some() || keep == Keep::Meta;
        let is_sequence = vr == Vr::SEQUENCE || (vr == Vr::UNKNOWN && known == Some(Vr::SEQUENCE));
        let end = self.stream.position.saturating_add(length.into());
        if length != UNDEFINED && end > limit {
            return Err(self.damaged(format!(
                "states {length} bytes for the element {:08X}, more than are left",
                tag.0
            )));
        }
        if length == UNDEFINED || (is_sequence && wanted) {
            // A sequence in a value of unknown kind is in the implicit syntax (PS3.5, 6.2.2).
            let storage = if vr == Vr::UNKNOWN { Storage::IMPLICIT } else { storage };
            let ends = if length == UNDEFINED { Ends::Delimited(limit) } else { Ends::With(end) };
            let keep = if wanted && is_sequence { keep } else { Keep::No };
            let items = self.sequence(storage, ends, depth + 1, keep)?;
            if keep != Keep::No {
                data.set_items(tag, items);
            }
            return Ok(());
        }
        if !wanted {
            return self.stream.skip(length.into());
        }
        if u64::from(length) > MAX_VALUE {
            return Err(self.damaged(format!("has a value of {length} bytes for {:08X}", tag.0)));
        }
        let mut bytes = self.stream.bytes(length.into())?;
        let vr = if vr == Vr::UNKNOWN { known.unwrap_or(vr) } else { vr };
        if storage.big_endian {
            // Tags are pairs of 16-bit numbers.
            bytes.chunks_exact_mut(vr.width()).for_each(<[u8]>::reverse);
        }
        data.insert(tag, vr, Value::Bytes(bytes));
        Ok(())
    }

    fn sequence(
        &mut self,
        storage: Storage,
        ends: Ends,
        depth: usize,
        keep: Keep,
    ) -> Result<Vec<DataSet>> {
        if depth > MAX_DEPTH {
            return Err(self.damaged(format!("has sequences more than {MAX_DEPTH} deep")));
        }
        let mut items = Vec::new();
        loop {
            match ends {
                Ends::With(end) if self.stream.position == end => return Ok(items),
                _ if self.stream.position >= ends.limit() => {
                    return Err(self.damaged("has items longer than their sequence"));
                }
                _ => {}
            }
            let tag = self.tag(storage)?;
            let length = self.u32(storage)?;
            match (tag, ends) {
                (Tag::SEQUENCE_DELIMITATION, Ends::Delimited(_)) => return Ok(items),
                (Tag::ITEM, _) => {}
                _ => return Err(self.damaged("has something else than items in a sequence")),
            }
            let end = self.stream.position.saturating_add(length.into());
            let inner = if length == UNDEFINED {
                Ends::Delimited(ends.limit())
            } else if end <= ends.limit() {
                Ends::With(end)
            } else {
                return Err(self.damaged("has an item longer than its sequence"));
            };
            self.items += 1;
            if self.items > MAX_ITEMS {
                return Err(self.damaged(format!("has more than {MAX_ITEMS} items")));
            }
            let mut item = DataSet::default();
            self.elements(&mut item, storage, inner, depth, keep)?;
            if keep != Keep::No {
                items.push(item);
            }
        }
    }

    /// Where pixels lie; compressed ones are walked through.
    fn pixel_data(&mut self, length: u32, limit: u64) -> Result<PixelData> {
        let start = self.stream.position;
        if length != UNDEFINED {
            let length = u64::from(length);
            if length > limit.saturating_sub(start) {
                return Err(self.damaged(format!(
                    "states {length} bytes of pixels and holds {}: it is cut short",
                    limit.saturating_sub(start)
                )));
            }
            // Of a deflated file this says whether the bytes are there.
            self.stream.skip(length)?;
            return Ok(PixelData::Native { start, length });
        }
        let (mut offsets, mut fragments) = (None, Vec::new());
        loop {
            // Compressed pixels are always explicit and little-endian (PS3.5, A.4).
            let tag = self.tag(Storage::EXPLICIT)?;
            let length = u64::from(self.u32(Storage::EXPLICIT)?);
            match tag {
                Tag::SEQUENCE_DELIMITATION => break,
                Tag::ITEM if length <= limit.saturating_sub(self.stream.position) => {}
                _ => return Err(self.damaged("is cut short in its compressed pixels")),
            }
            if offsets.is_none() {
                let table = self.stream.bytes(length)?;
                let number = |chunk: &[u8]| chunk.try_into().map(u32::from_le_bytes).ok();
                offsets = Some(table.chunks_exact(4).filter_map(number).collect());
                continue;
            }
            fragments.push((self.stream.position, length));
            self.stream.skip(length)?;
        }
        Ok(PixelData::Fragments { offsets: offsets.unwrap_or_default(), fragments })
    }
}
