//! Transfer syntaxes: how elements are stored, and how pixels are compressed.

use std::path::Path;

use crate::{Error, Result};

pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// How the elements of a data set are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) explicit: bool,
    pub(crate) big_endian: bool,
}

impl Storage {
    pub(crate) const IMPLICIT: Self = Self { explicit: false, big_endian: false };
    pub(crate) const EXPLICIT: Self = Self { explicit: true, big_endian: false };
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Native,
    Rle,
    Jpeg,
    Jpeg2000,
}

/// How a file is to be read after its meta information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) storage: Storage,
    /// Whether all of it is deflated.
    pub(crate) deflated: bool,
    pub(crate) compression: Compression,
}

const REMEDY: &str =
    "decompress it first, for example with `gdcmconv --raw IN OUT` or `dcmdjpeg IN OUT`";

/// Pixel data that is not read, by the beginnings of the syntaxes' identifiers.
const UNREAD: [(&str, &str); 6] = [
    ("1.2.840.10008.1.2.4.80", "JPEG-LS"),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS"),
    ("1.2.840.10008.1.2.4.10", "MPEG video"),
    ("1.2.840.10008.1.2.4.11", "JPEG XL"),
    ("1.2.840.10008.1.2.4.", "a form of JPEG that is not read"),
    ("", "an unknown transfer syntax"),
];

pub(crate) fn of(uid: &str, path: &Path) -> Result<Syntax> {
    let explicit =
        |compression| Syntax { storage: Storage::EXPLICIT, deflated: false, compression };
    Ok(match uid {
        "1.2.840.10008.1.2" => {
            Syntax { storage: Storage::IMPLICIT, ..explicit(Compression::Native) }
        }
        EXPLICIT => explicit(Compression::Native),
        "1.2.840.10008.1.2.2" => {
            let storage = Storage { explicit: true, big_endian: true };
            Syntax { storage, ..explicit(Compression::Native) }
        }
        "1.2.840.10008.1.2.1.99" => Syntax { deflated: true, ..explicit(Compression::Native) },
        "1.2.840.10008.1.2.5" => explicit(Compression::Rle),
        // Baseline, extended, lossless of any predictor, and of the first one.
        "1.2.840.10008.1.2.4.50"
        | "1.2.840.10008.1.2.4.51"
        | "1.2.840.10008.1.2.4.57"
        | "1.2.840.10008.1.2.4.70" => explicit(Compression::Jpeg),
        // Without loss, and of either kind; then the same in its high-throughput coding.
        "1.2.840.10008.1.2.4.90"
        | "1.2.840.10008.1.2.4.91"
        | "1.2.840.10008.1.2.4.201"
        | "1.2.840.10008.1.2.4.202"
        | "1.2.840.10008.1.2.4.203" => explicit(Compression::Jpeg2000),
        _ => {
            let found = UNREAD.iter().find(|(beginning, _)| uid.starts_with(beginning));
            let name = found.map_or("unknown", |(_, name)| name);
            let shown: String = uid.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
            let problem = format!("its pixels are stored as {name} ({shown}), which is not read");
            return Err(Error::refused(path, problem, REMEDY));
        }
    })
}
