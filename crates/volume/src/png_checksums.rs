//! Checksums of a PNG's chunks: the decoder stops at the last row and so overlooks a damaged one.

use std::io::{self, BufRead, Read};

use flate2::Crc;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Whether every chunk up to the end mark is whole; true of files that are no PNG.
///
/// A chunk is its length, a name, that many bytes, and a CRC over name and bytes (PNG specification, 5.3).
pub(crate) fn are_right(file: &mut impl BufRead) -> io::Result<bool> {
    let mut signature = [0; 8];
    if file.read_exact(&mut signature).is_err() || signature != SIGNATURE {
        return Ok(true);
    }
    loop {
        let mut start = [0; 8];
        file.read_exact(&mut start)?;
        let [a, b, c, d, name @ ..] = start;
        let mut crc = Crc::new();
        crc.update(&name);
        let mut bytes = file.take(u32::from_be_bytes([a, b, c, d]).into());
        loop {
            let buffer = bytes.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            crc.update(buffer);
            let used = buffer.len();
            bytes.consume(used);
        }
        let mut expected = [0; 4];
        file.read_exact(&mut expected)?;
        if u32::from_be_bytes(expected) != crc.sum() {
            return Ok(false);
        }
        if name == *b"IEND" {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], bytes: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(bytes);
        let length = (bytes.len() as u32).to_be_bytes();
        [&length[..], name, bytes, &crc.sum().to_be_bytes()].concat()
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_chunk_is_noticed() {
        let chunks = [chunk(b"IHDR", b"size"), chunk(b"IDAT", b"pixels"), chunk(b"IEND", b"")];
        let file = [&SIGNATURE[..], &chunks.concat()].concat();
        assert!(are_right(&mut &file[..]).unwrap());
        // The CRC that everyone knows, of IEND without bytes.
        assert_eq!(file[file.len() - 4..], [0xae, 0x42, 0x60, 0x82]);
        for byte in SIGNATURE.len()..file.len() {
            let mut damaged = file.clone();
            damaged[byte] ^= 4;
            assert!(!matches!(are_right(&mut &damaged[..]), Ok(true)), "byte {byte}");
        }
        assert!(are_right(&mut &file[..file.len() - 1]).is_err());
        assert!(are_right(&mut &b"II\x2a\0"[..]).unwrap());
    }
}
