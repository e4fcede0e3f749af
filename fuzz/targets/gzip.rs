//! A gzip stream: any bytes behind the magic number, or a file cut into members with bytes behind them.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use udas_volume::read;

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (kind, at, bytes) = input;
    if kind % 2 == 0 {
        let raw = [&[0x1f, 0x8b][..], bytes].concat();
        let _ = read(&udas_fuzz::file("scan.nii.gz", &raw));
        return;
    }
    // Members, the second perhaps empty, and a tail that is none.
    let (first, second) = bytes.split_at(usize::from(at).min(bytes.len()));
    let mut stream = [member(first), member(second)].concat();
    stream.extend(std::iter::repeat_n(kind, usize::from(kind / 2)));
    let whole = read(&udas_fuzz::file("scan.nii", bytes));
    let inflated = read(&udas_fuzz::file("scan.nii.gz", &stream));
    if let Ok(whole) = whole {
        let inflated = inflated.expect("members hold what the plain file holds");
        assert_eq!(whole.grid(), inflated.grid());
    }
});

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}
