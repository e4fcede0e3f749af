//! TensorBoard event files: scalars and PNG pictures as TFRecords of the protobuf messages `Event` and
//! `Summary` (tensorflow/core/util/event.proto and framework/summary.proto), encoded by hand.
//!
//! ```
//! let mut log = udas_report::tensorboard::EventWriter::new(Vec::new(), 1_700_000_000.0)?;
//! log.scalar("adapt/loss", 1, 1_700_000_012.5, 0.31)?;
//! let bytes = log.into_inner();
//! // A record is its length, a checksum, the message and another checksum.
//! assert_eq!(bytes[0], 24);
//! # Ok::<(), std::io::Error>(())
//! ```
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use udas_record::{EpochRecord, Event, Phase};

use crate::{Error, Picture, Result};

/// Writes events one after the other. Times are seconds since 1970.
#[derive(Debug)]
pub struct EventWriter<W: Write> {
    out: W,
}

impl<W: Write> EventWriter<W> {
    /// Starts a file with the version that readers expect.
    ///
    /// # Errors
    /// Those of the writer, here and below.
    pub fn new(out: W, time: f64) -> io::Result<Self> {
        let mut writer = Self { out };
        let mut event = Message::default();
        event.double(1, time);
        event.bytes(3, b"brain.Event:2");
        writer.record(&event.0)?;
        Ok(writer)
    }

    /// A point of a curve. NaN is left to TensorBoard, which draws a triangle for it.
    #[allow(clippy::missing_errors_doc)]
    pub fn scalar(&mut self, tag: &str, step: u64, time: f64, value: f64) -> io::Result<()> {
        let mut summary = Message::default();
        summary.bytes(1, tag.as_bytes());
        summary.float(2, value as f32);
        self.summary(step, time, &summary)
    }

    /// A PNG picture of three channels.
    #[allow(clippy::missing_errors_doc)]
    pub fn image(
        &mut self,
        tag: &str,
        step: u64,
        time: f64,
        [width, height]: [usize; 2],
        png: &[u8],
    ) -> io::Result<()> {
        let mut image = Message::default();
        image.integer(1, height as u64);
        image.integer(2, width as u64);
        image.integer(3, 3);
        image.bytes(4, png);
        let mut value = Message::default();
        value.bytes(1, tag.as_bytes());
        value.bytes(4, &image.0);
        self.summary(step, time, &value)
    }

    /// The writer, with all bytes handed to it.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn summary(&mut self, step: u64, time: f64, value: &Message) -> io::Result<()> {
        let mut summary = Message::default();
        summary.bytes(1, &value.0);
        let mut event = Message::default();
        event.double(1, time);
        event.integer(2, step);
        event.bytes(5, &summary.0);
        self.record(&event.0)
    }

    /// A TFRecord: length, checksum of the length, data, checksum of the data; all little-endian.
    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        self.out.write_all(&length)?;
        self.out.write_all(&masked_crc(&length).to_le_bytes())?;
        self.out.write_all(data)?;
        self.out.write_all(&masked_crc(data).to_le_bytes())
    }
}

/// Writes the events of a run, and pictures with their tags, as a file that TensorBoard finds in the
/// folder. The file's name follows from the run's start, so that writing again replaces it.
///
/// # Errors
/// [`Error::Write`] names the file, [`Error::Picture`] a picture that cannot be encoded.
pub fn write_run(
    folder: &Path,
    events: &[Event],
    pictures: &[(String, Picture)],
) -> Result<PathBuf> {
    let start = events.iter().find_map(|event| match event {
        Event::Start(start) => Some(start.started_unix),
        _ => None,
    });
    let start = start.unwrap_or(0);
    let path = folder.join(format!("events.out.tfevents.{start:010}.udas"));
    let encoded: Result<Vec<_>> = pictures
        .iter()
        .map(|(tag, picture)| Ok((tag, [picture.width(), picture.height()], picture.png()?)))
        .collect();
    let encoded = encoded?;
    let write = || {
        fs::create_dir_all(folder)?;
        let mut log = EventWriter::new(BufWriter::new(File::create(&path)?), start as f64)?;
        let end = write_events(&mut log, events, start as f64)?;
        for (tag, size, png) in &encoded {
            log.image(tag, 0, end, *size, png)?;
        }
        log.into_inner().flush()
    };
    write().map_err(|source| Error::Write { path: path.clone(), source })?;
    Ok(path)
}

/// Writes the curves of a run; returns the time of the last point. Epochs carry no clock, so that their
/// times are the run's start (or that of its resumption) and the seconds since.
fn write_events<W: Write>(
    log: &mut EventWriter<W>,
    events: &[Event],
    start: f64,
) -> io::Result<f64> {
    let mut time = start;
    for event in events {
        match event {
            Event::Before { phase, score } => log.scalar(&tag(*phase, "score"), 0, time, *score)?,
            Event::Epoch(epoch) => {
                time += epoch.seconds;
                write_epoch(log, epoch, time)?;
            }
            Event::Resume(resumed) => time = time.max(resumed.started_unix as f64),
            Event::Start(_)
            | Event::Convergence { .. }
            | Event::Warning { .. }
            | Event::Verdict(_)
            | Event::Stop(_) => {}
        }
    }
    Ok(time)
}

fn write_epoch<W: Write>(
    log: &mut EventWriter<W>,
    epoch: &EpochRecord,
    time: f64,
) -> io::Result<()> {
    let memory = epoch.peak_memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
    let values = [
        ("loss", Some(epoch.loss)),
        ("score", epoch.score),
        ("learning_rate", Some(epoch.learning_rate)),
        ("slices_per_second", Some(epoch.slices_per_second)),
        ("peak_memory_mib", memory),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            log.scalar(&tag(epoch.phase, name), epoch.epoch as u64, time, value)?;
        }
    }
    Ok(())
}

fn tag(phase: Phase, name: &str) -> String {
    let phase = match phase {
        Phase::Source => "source",
        Phase::Head => "head",
        Phase::Adapt => "adapt",
    };
    format!("{phase}/{name}")
}

/// A protobuf message under construction: fields with their number and wire type.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn integer(&mut self, field: u8, value: u64) {
        self.0.push(field << 3);
        self.varint(value);
    }

    fn double(&mut self, field: u8, value: f64) {
        self.0.push(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u8, value: &[u8]) {
        self.0.push(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u8, value: f32) {
        self.0.push(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// CRC-32C, rotated and shifted as TFRecords ask, so that checksums of checksums stay good.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The Castagnoli polynomial, reflected.
// Indices are below 256 by the loop and by their type.
#[allow(clippy::indexing_slicing)]
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

#[allow(clippy::indexing_slicing)]
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize];
    !data.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_scalar_is_encoded_as_protobuf_says() {
        let mut log = EventWriter::new(Vec::new(), 0.0).unwrap();
        let version = log.out.len();
        log.scalar("a", 300, 0.0, 1.0).unwrap();
        let record = &log.out[version..];
        // time, step 300 as a varint, summary { value { tag "a", simple_value 1.0 } }
        let message = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[0x10, 0xac, 0x02],
            &[0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f],
        ]
        .concat();
        assert_eq!(record[..8], (message.len() as u64).to_le_bytes());
        assert_eq!(&record[12..record.len() - 4], message);
        assert_eq!(record[record.len() - 4..], masked_crc(&message).to_le_bytes());
    }
}
