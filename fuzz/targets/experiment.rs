//! The file of an experiment, of any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_study::Catalogue;

fuzz_target!(|bytes: &[u8]| {
    let path = udas_fuzz::file("own.toml", bytes);
    let _ = Catalogue::Stock.load(&path.to_string_lossy());
});
