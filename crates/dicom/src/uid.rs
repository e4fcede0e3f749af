//! Unique identifiers that follow from what they name, so that the same work gives the same identifier.

use sha2::{Digest, Sha256};

/// An identifier made of the hash of some parts, of the form that needs no registration (PS3.5, B.2): `2.25.` and a
/// number of 128 bits.
pub(crate) fn of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    // Version 8 and variant of RFC 9562: a UUID whose bits follow from a hash.
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0F | 0x80;
    *variant = *variant & 0x3F | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn identifiers_are_valid_and_differ_by_parts() {
        let one = of(&[b"ab", b"c"]);
        assert_ne!(one, of(&[b"a", b"bc"]));
        assert_eq!(one, of(&[b"ab", b"c"]));
        let number = one.strip_prefix("2.25.").unwrap();
        assert!(one.len() <= 64 && !number.starts_with('0'));
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()));
    }
}
