//! What a TIFF holds besides its first picture; pixels are decoded elsewhere.
//!
//! A TIFF starts with its byte order, 42 and the place of the first directory: an entry count, 12 bytes an entry (tag,
//! type, count, value or its place), and the place of the next directory or 0 (TIFF 6.0, section 2). A BigTIFF has 43,
//! 8-byte counts and places, and 20 bytes an entry.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::{Error, Result};

/// Text about the picture; ImageJ writes the size of a stack here.
const IMAGE_DESCRIPTION: u16 = 270;
/// Slices of a volume in one directory (SGI's extension).
const IMAGE_DEPTH: u16 = 32997;
/// MetaMorph's list of planes; its count is theirs.
const UIC_PLANES: u16 = 33629;
/// ImageJ's sizes come first in its description.
const DESCRIPTION_BYTES: u64 = 4096;

/// What a file is by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No TIFF.
    Other,
    /// TIFF 6.0.
    Classic,
    /// With places of 8 bytes.
    Big,
}

/// Refuses a TIFF of several pages or slices, of which only the first would be read, and leaves the file at its start.
/// Other files pass.
pub(crate) fn check(file: &mut BufReader<File>, path: &Path) -> Result<Kind> {
    let directory = Directory::read(file);
    file.rewind().map_err(|source| Error::io(path, source))?;
    let Some(directory) = directory else { return Ok(Kind::Other) };
    let refuse = |problem: String| {
        Err(Error::unsupported(path, problem, "save one file a page, or a NIfTI volume"))
    };
    if directory.next != 0 {
        return refuse("is a TIFF of several pages".to_owned());
    }
    match directory.slices() {
        0 | 1 => Ok(directory.kind),
        slices => refuse(format!("is a TIFF stack of {slices} pictures in one page")),
    }
}

/// What the first directory says.
struct Directory {
    kind: Kind,
    next: u64,
    description: String,
    depth: u64,
    planes: u64,
}

/// Numbers in the file's byte order.
struct Source<'a> {
    file: &'a mut BufReader<File>,
    little: bool,
}

impl Directory {
    fn read(file: &mut BufReader<File>) -> Option<Self> {
        let mut magic = [0; 4];
        file.read_exact(&mut magic).ok()?;
        let (little, kind) = match magic {
            [b'I', b'I', 42, 0] => (true, Kind::Classic),
            [b'M', b'M', 0, 42] => (false, Kind::Classic),
            [b'I', b'I', 43, 0] => (true, Kind::Big),
            [b'M', b'M', 0, 43] => (false, Kind::Big),
            _ => return None,
        };
        let mut source = Source { file, little };
        if kind == Kind::Big {
            // Bytes of a place, and 0.
            source.number(4)?;
        }
        let place = source.place(kind)?;
        source.file.seek(SeekFrom::Start(place)).ok()?;
        let count = if kind == Kind::Big { source.number(8)? } else { source.number(2)? };
        let (mut depth, mut planes, mut description) = (1, 1, None);
        for _ in 0..count {
            let (tag, field, count) =
                (source.number(2)? as u16, source.number(2)?, source.place(kind)?);
            let value = source.value(kind, field)?;
            match tag {
                IMAGE_DESCRIPTION => description = Some((value, count)),
                IMAGE_DEPTH => depth = value,
                UIC_PLANES => planes = count,
                _ => {}
            }
        }
        let next = source.place(kind)?;
        let description = description.and_then(|(place, count)| source.text(place, count));
        Some(Self { kind, next, description: description.unwrap_or_default(), depth, planes })
    }

    /// Pictures in the first page.
    fn slices(&self) -> u64 {
        let is_imagej = self.description.starts_with("ImageJ=");
        let size = |line: &str| {
            let (key, value) = line.split_once('=')?;
            let counts = ["images", "slices", "frames", "channels"].contains(&key.trim());
            if counts { value.trim().parse().ok() } else { None }
        };
        let named = self.description.lines().filter(|_| is_imagej).filter_map(size).max();
        self.depth.max(self.planes).max(named.unwrap_or(1))
    }
}

impl Source<'_> {
    /// An unsigned number of up to 8 bytes.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let mut buffer = [0; 8];
        let field = buffer.get_mut(..bytes)?;
        self.file.read_exact(field).ok()?;
        if !self.little {
            field.reverse();
        }
        Some(u64::from_le_bytes(buffer))
    }

    fn place(&mut self, kind: Kind) -> Option<u64> {
        self.number(if kind == Kind::Big { 8 } else { 4 })
    }

    /// An entry's value, or its place: a short number lies at the field's start.
    fn value(&mut self, kind: Kind, field: u64) -> Option<u64> {
        const SHORT: u64 = 3;
        const LONG: u64 = 4;
        let whole = if kind == Kind::Big { 8 } else { 4 };
        let width = match field {
            SHORT => 2,
            LONG => 4,
            _ => whole,
        };
        let value = self.number(width)?;
        self.number(whole - width)?;
        Some(value)
    }

    /// The start of a text of `count` bytes, which lies elsewhere unless it is a short one without sizes.
    fn text(&mut self, place: u64, count: u64) -> Option<String> {
        self.file.seek(SeekFrom::Start(place)).ok()?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(count.min(DESCRIPTION_BYTES)).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}
