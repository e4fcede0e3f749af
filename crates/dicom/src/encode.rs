//! Writing: data elements as a file of the explicit little-endian syntax.

use crate::dataset::{DataSet, Value};
use crate::syntax;
use crate::tag::{Tag, Vr, vr_of};

/// Names this program as the writer of a file (PS3.7, D.3.3.2); of the form that any UUID may be used in.
const IMPLEMENTATION: &str = "2.25.160216041602160416021604160216041602160";

/// The bytes of a file. `pixels` are little-endian; none where there is no pixel data.
pub fn encode(data: &DataSet, pixels: Option<&[u8]>) -> Vec<u8> {
    encode_in(data, pixels.map(Pixels::Native), syntax::EXPLICIT)
}

/// Pixel data of a file to be written.
pub enum Pixels<'a> {
    /// As it is.
    Native(&'a [u8]),
    /// Compressed, a fragment a frame.
    Fragments(&'a [Vec<u8>]),
}

/// The bytes of a file with compressed pixel data of the given transfer syntax, whose data elements are explicit and
/// little-endian.
pub fn encode_in(data: &DataSet, pixels: Option<Pixels<'_>>, transfer_syntax: &str) -> Vec<u8> {
    let text = |tag| data.text(tag).unwrap_or_default();
    let mut meta = Vec::new();
    element(&mut meta, Tag(0x0002_0001), Vr(*b"OB"), &[0, 1]);
    let named = [
        (0x0002_0002, text(Tag::SOP_CLASS_UID)),
        (0x0002_0003, text(Tag::SOP_INSTANCE_UID)),
        (Tag::TRANSFER_SYNTAX_UID.0, transfer_syntax.to_owned()),
        (0x0002_0012, IMPLEMENTATION.to_owned()),
    ];
    for (tag, value) in named {
        element(&mut meta, Tag(tag), Vr(*b"UI"), value.as_bytes());
    }
    let mut out = vec![0; 128];
    out.extend_from_slice(b"DICM");
    element(&mut out, Tag(0x0002_0000), Vr(*b"UL"), &(meta.len() as u32).to_le_bytes());
    out.extend(meta);
    elements(&mut out, data);
    match pixels {
        None => {}
        Some(Pixels::Native(pixels)) => {
            let is_bytes = data.count(Tag::BITS_ALLOCATED).is_some_and(|bits| bits <= 8);
            let vr = if is_bytes { Vr(*b"OB") } else { Vr(*b"OW") };
            element(&mut out, Tag::PIXEL_DATA, vr, pixels);
        }
        Some(Pixels::Fragments(fragments)) => {
            header(&mut out, Tag::PIXEL_DATA, Vr(*b"OB"), u32::MAX);
            item(&mut out, &[]); // no offset table
            fragments.iter().for_each(|fragment| item(&mut out, fragment));
            put_tag(&mut out, Tag::SEQUENCE_DELIMITATION);
            out.extend_from_slice(&[0; 4]);
        }
    }
    out
}

fn elements(out: &mut Vec<u8>, data: &DataSet) {
    for (tag, own) in data.iter() {
        match &own.value {
            Value::Bytes(bytes) => element(out, *tag, own.vr, bytes),
            Value::Items(items) => {
                let mut inner = Vec::new();
                for data in items {
                    let mut bytes = Vec::new();
                    elements(&mut bytes, data);
                    item(&mut inner, &bytes);
                }
                element(out, *tag, Vr::SEQUENCE, &inner);
            }
        }
    }
}

fn item(out: &mut Vec<u8>, bytes: &[u8]) {
    put_tag(out, Tag::ITEM);
    out.extend_from_slice(&((bytes.len() + bytes.len() % 2) as u32).to_le_bytes());
    out.extend_from_slice(bytes);
    out.extend((bytes.len() % 2 == 1).then_some(0));
}

fn put_tag(out: &mut Vec<u8>, tag: Tag) {
    out.extend_from_slice(&(tag.group() as u16).to_le_bytes());
    out.extend_from_slice(&(tag.0 as u16).to_le_bytes());
}

fn header(out: &mut Vec<u8>, tag: Tag, vr: Vr, length: u32) {
    put_tag(out, tag);
    out.extend_from_slice(&vr.0);
    if vr.is_long() {
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&length.to_le_bytes());
    } else {
        out.extend_from_slice(&(length as u16).to_le_bytes());
    }
}

fn element(out: &mut Vec<u8>, tag: Tag, vr: Vr, bytes: &[u8]) {
    let vr = if vr == Vr::UNKNOWN { vr_of(tag).unwrap_or(vr) } else { vr };
    header(out, tag, vr, (bytes.len() + bytes.len() % 2) as u32);
    out.extend_from_slice(bytes);
    out.extend((bytes.len() % 2 == 1).then(|| vr.padding()));
}
