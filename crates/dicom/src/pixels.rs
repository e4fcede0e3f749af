//! Pixels of a frame: stored bits to numbers, whether as they are, run-length encoded or as JPEG.

use std::path::Path;

use crate::jpeg;
use crate::parse::{MAX_INFLATION, Parsed, PixelData, Stream};
use crate::syntax::Compression;
use crate::tag::Tag;
use crate::{Error, Result};

/// How the pixels of a file's frames are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Bytes a pixel.
    width: usize,
    stored: u32,
    high: u32,
    signed: bool,
    pub(crate) inverted: bool,
    big_endian: bool,
}

const GREY_REMEDY: &str = "give the series that the scanner reconstructed, in grey values";

impl Layout {
    /// Checks that frames are grey values of 8 or 16 bits, and as many as the file's pixel data can hold.
    pub(crate) fn of(file: &Parsed, frames: usize) -> Result<Self> {
        let (path, data) = (&file.path, &file.data);
        let number = |tag, name| {
            let count = data.count(tag).and_then(|count| usize::try_from(count).ok());
            count.ok_or_else(|| Error::damaged(path, format!("does not say its {name}")))
        };
        let photometric = data.text(Tag::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        let samples = data.count(Tag::SAMPLES_PER_PIXEL).unwrap_or(1);
        if samples != 1 || !photometric.starts_with("MONOCHROME") {
            let shown: String =
                photometric.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect();
            let problem = format!("is in colour ({shown}, {samples} samples a pixel)");
            return Err(Error::refused(path, problem, GREY_REMEDY));
        }
        let (rows, columns) = (number(Tag::ROWS, "rows")?, number(Tag::COLUMNS, "columns")?);
        let allocated = number(Tag::BITS_ALLOCATED, "bits a pixel")?;
        let stored = data.count(Tag::BITS_STORED).unwrap_or(allocated as u32);
        let high = data.count(Tag::HIGH_BIT).unwrap_or(stored.saturating_sub(1));
        let width = match allocated {
            8 => 1,
            16 => 2,
            _ => {
                let problem = format!("has {allocated} bits a pixel; 8 and 16 are read");
                return Err(Error::refused(path, problem, GREY_REMEDY));
            }
        };
        let fits = stored >= 1 && high < allocated as u32 && high + 1 >= stored;
        if rows == 0 || columns == 0 || !fits {
            let problem = format!(
                "states {columns}x{rows} pixels of {stored} bits up to bit {high} in {allocated}"
            );
            return Err(Error::damaged(path, problem));
        }
        let layout = Self {
            rows,
            columns,
            width,
            stored,
            high,
            signed: data.count(Tag::PIXEL_REPRESENTATION) == Some(1),
            inverted: photometric == "MONOCHROME1",
            big_endian: file.syntax.storage.big_endian,
        };
        layout.check_length(file, frames)?;
        Ok(layout)
    }

    pub(crate) fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Bits that a pixel takes, whether used or not.
    pub(crate) fn allocated(&self) -> u32 {
        8 * self.width as u32
    }

    /// The same for numbers of so many bits, as a codestream has them, the highest of which is the sign. Where they reach up to the
    /// file's high bit, they are its words.
    pub(crate) fn narrowed(self, bits: u32) -> Self {
        if bits > self.high {
            return self;
        }
        Self { stored: self.stored.min(bits), high: bits - 1, ..self }
    }

    fn frame_bytes(&self) -> u64 {
        (self.pixels() * self.width) as u64
    }

    fn check_length(&self, file: &Parsed, frames: usize) -> Result<()> {
        let wanted = u128::from(self.frame_bytes()) * frames as u128;
        let (there, most) = match &file.pixels {
            None => (0, 0),
            Some(PixelData::Native { length, .. }) => (*length, u128::from(*length)),
            Some(PixelData::Fragments { fragments, .. }) => {
                let there = fragments.iter().map(|(_, length)| length).sum();
                // No coding that is read packs tighter than deflate can.
                (there, u128::from(file.length) * u128::from(MAX_INFLATION))
            }
        };
        if wanted > most {
            let problem = format!(
                "holds {there} bytes of pixels; {frames} frames of {}x{} need {wanted}",
                self.columns, self.rows
            );
            return Err(Error::damaged(&file.path, problem));
        }
        Ok(())
    }

    /// The number in a pixel's bits.
    pub(crate) fn number(&self, bits: u16) -> i32 {
        let value = (u32::from(bits) >> (self.high + 1 - self.stored)) & ((1 << self.stored) - 1);
        if self.signed && value >> (self.stored - 1) == 1 {
            value as i32 - (1 << self.stored)
        } else {
            value as i32
        }
    }

    /// The numbers of one frame's bytes.
    fn numbers(&self, bytes: &[u8], big_endian: bool) -> Vec<i32> {
        match self.width {
            1 => bytes.iter().map(|&byte| self.number(byte.into())).collect(),
            _ => {
                let pair = |pair: &[u8]| <[u8; 2]>::try_from(pair).unwrap_or_default();
                let of = |bytes: [u8; 2]| match big_endian {
                    true => u16::from_be_bytes(bytes),
                    false => u16::from_le_bytes(bytes),
                };
                bytes.chunks_exact(2).map(|bytes| self.number(of(pair(bytes)))).collect()
            }
        }
    }
}

/// Reads all frames of a file in their order, each as numbers row by row.
pub(crate) fn frames(
    file: &Parsed,
    layout: &Layout,
    count: usize,
    mut on_frame: impl FnMut(usize, Vec<i32>) -> Result<()>,
) -> Result<()> {
    let (mut stream, syntax, _) = Stream::open(&file.path)?;
    if syntax != file.syntax {
        return Err(Error::damaged(&file.path, "has changed while it was read"));
    }
    match &file.pixels {
        None => Err(Error::damaged(&file.path, "holds no pixels")),
        Some(PixelData::Native { start, .. }) => {
            stream.advance_to(*start)?;
            for frame in 0..count {
                let bytes = stream.bytes(layout.frame_bytes())?;
                on_frame(frame, layout.numbers(&bytes, layout.big_endian))?;
            }
            Ok(())
        }
        Some(PixelData::Fragments { offsets, fragments }) => {
            for (frame, parts) in parts_of(offsets, fragments, count, &file.path)?.enumerate() {
                let mut bytes = Vec::new();
                for &(place, length) in parts {
                    stream.advance_to(place)?;
                    bytes.extend(stream.bytes(length)?);
                }
                let numbers = match syntax.compression {
                    Compression::Rle => run_lengths(&bytes, layout),
                    Compression::Jpeg => jpeg::baseline_or_lossless(&bytes, layout),
                    Compression::Jpeg2000 => jpeg::jpeg_2000(&bytes, layout),
                    Compression::Native => Err("are compressed, and the file says not how".into()),
                };
                let numbers = numbers.map_err(|problem| {
                    let problem = format!("its pixels (frame {}) {problem}", frame + 1);
                    Error::damaged(&file.path, problem)
                })?;
                on_frame(frame, numbers)?;
            }
            Ok(())
        }
    }
}

/// The fragments of each frame.
fn parts_of<'a>(
    offsets: &[u32],
    fragments: &'a [(u64, u64)],
    frames: usize,
    path: &Path,
) -> Result<impl Iterator<Item = &'a [(u64, u64)]>> {
    let first = fragments.first().map_or(0, |(place, _)| place - 8);
    let begins: Vec<usize> = if fragments.len() == frames {
        (0..frames).collect()
    } else if frames == 1 {
        vec![0]
    } else {
        // An offset leads to a fragment's header, eight bytes before it, and counts from the first header.
        let at = |offset: &u32| {
            let place = first + 8 + u64::from(*offset);
            fragments.binary_search_by_key(&place, |(place, _)| *place).ok()
        };
        offsets.iter().map_while(at).collect()
    };
    let is_rising = begins.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if begins.len() != frames || !is_rising || fragments.is_empty() {
        let problem = format!(
            "has {} compressed fragments and {frames} frames, and does not say which belong together",
            fragments.len()
        );
        return Err(Error::damaged(path, problem));
    }
    let ends: Vec<usize> = begins.iter().skip(1).copied().chain([fragments.len()]).collect();
    let part = |(begin, end): (usize, usize)| fragments.get(begin..end).unwrap_or_default();
    Ok(begins.into_iter().zip(ends).map(part))
}

/// The numbers of a frame that is stored by runs (PS3.5, annex G): the bytes of all pixels, the high ones first.
fn run_lengths(bytes: &[u8], layout: &Layout) -> Result<Vec<i32>, String> {
    let field = |index: usize| -> Option<u32> {
        bytes.get(4 * index..4 * index + 4)?.try_into().map(u32::from_le_bytes).ok()
    };
    let segments = field(0).ok_or("are cut short")? as usize;
    if segments != layout.width {
        return Err(format!("come in {segments} segments where {} are due", layout.width));
    }
    let mut words = vec![0u16; layout.pixels()];
    for segment in 0..segments {
        let offset = |index: usize| field(index + 1).map(|offset| offset as usize);
        let begin = offset(segment).ok_or("are cut short")?;
        let end = if segment + 1 < segments { offset(segment + 1) } else { Some(bytes.len()) };
        let packed = bytes.get(begin..end.unwrap_or(0)).ok_or("have segments out of place")?;
        let mut words = words.iter_mut();
        unpack(packed, |byte| {
            words.next().map(|word| *word = *word << 8 | u16::from(byte)).is_some()
        });
        if words.next().is_some() {
            return Err("are cut short".into());
        }
    }
    Ok(words.into_iter().map(|word| layout.number(word)).collect())
}

/// Gives out the bytes of runs until the receiver has had enough.
fn unpack(packed: &[u8], mut give: impl FnMut(u8) -> bool) {
    let mut rest = packed.iter().copied();
    while let Some(control) = rest.next() {
        let (literal, repeated) = match control {
            0..=127 => (usize::from(control) + 1, 0),
            128 => (0, 0),
            129..=255 => (0, 257 - usize::from(control)),
        };
        for byte in rest.by_ref().take(literal) {
            if !give(byte) {
                return;
            }
        }
        if repeated > 0 {
            let Some(byte) = rest.next() else { return };
            if !(0..repeated).all(|_| give(byte)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_unpack_as_the_standard_s_table_says() {
        // The example of Apple's Technical Note 1023, on which the encoding rests.
        let packed = [
            0xFE, 0xAA, 0x02, 0x80, 0x00, 0x2A, 0xFD, 0xAA, 0x03, 0x80, 0x00, 0x2A, 0x22, 0xF7,
            0xAA,
        ];
        let mut bytes = Vec::new();
        unpack(&packed, |byte| {
            bytes.push(byte);
            true
        });
        let mut expected = vec![0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A];
        expected.extend([0xAA, 0xAA, 0xAA, 0xAA, 0x80, 0x00, 0x2A, 0x22]);
        expected.extend([0xAA; 10]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn bits_become_numbers() {
        let layout = Layout {
            rows: 1,
            columns: 1,
            width: 2,
            stored: 12,
            high: 11,
            signed: true,
            inverted: false,
            big_endian: false,
        };
        assert_eq!(
            [0x0000, 0x07FF, 0x0800, 0x0FFF].map(|b| layout.number(b)),
            [0, 2047, -2048, -1]
        );
        // Bits above those stored are not the pixel's.
        assert_eq!(layout.number(0xF001), 1);
        let unsigned = Layout { signed: false, high: 15, ..layout };
        assert_eq!(unsigned.number(0xFFF0), 4095);
        // Numbers of a codestream: fewer bits than the file says, and as many, whatever the file says of their place.
        assert_eq!([0x1F, 0x20, 0x3F].map(|b| layout.narrowed(6).number(b)), [31, -32, -1]);
        assert_eq!(Layout { high: 15, ..layout }.narrowed(12).number(0x0FFB), -5);
        assert_eq!(layout.narrowed(16).number(0x0FFB), -5);
        let whole = Layout { signed: true, stored: 16, high: 15, ..layout };
        assert_eq!(whole.number(0x8000), -32768);
    }
}
