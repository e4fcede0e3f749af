//! A gzip stream of one or more members, with whatever bytes follow it left unread.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Reads members one after the other and verifies each checksum. What follows the last member and
/// is no member itself counts as padding: some tools align files to tape blocks.
pub(crate) struct Members<R> {
    current: Option<GzDecoder<R>>,
    first: bool,
}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { current: Some(GzDecoder::new(source)), first: true }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.current {
            match member.read(buffer) {
                Ok(0) => {
                    self.first = false;
                    self.current =
                        self.current.take().map(|done| GzDecoder::new(done.into_inner()));
                }
                Err(_) if !self.first && member.header().is_none() => self.current = None,
                result => return result,
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Members::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn members_are_joined_and_padding_is_ignored() {
        let mut file = [member(b"one "), member(b""), member(b"two")].concat();
        assert_eq!(inflate(&file).unwrap(), b"one two");
        for padding in [&[0u8; 512][..], b"\x1f", b"\x1f\x8bxx", b"tail"] {
            let length = file.len();
            file.extend_from_slice(padding);
            assert_eq!(inflate(&file).unwrap(), b"one two");
            file.truncate(length);
        }
    }

    #[test]
    fn cut_or_corrupt_members_are_errors() {
        let file = member(b"some voxels, some more voxels");
        for length in 0..file.len() {
            assert!(inflate(&file[..length]).is_err(), "cut to {length} bytes");
        }
        let mut corrupt = file.clone();
        let checksum = file.len() - 8;
        corrupt[checksum] ^= 1;
        assert!(inflate(&corrupt).is_err());
    }
}
