//! A picture of any bytes: PNG, TIFF or JPEG by content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_volume::{probe, read, read_labels};

fuzz_target!(|bytes: &[u8]| {
    let path = udas_fuzz::file("scan.png", bytes);
    let probed = probe(&path);
    if let Ok(volume) = read(&path) {
        assert_eq!(volume.shape(), probed.expect("what can be read can be probed").grid.shape);
    }
    let _ = read_labels(&path);
});
