//! A PyTorch file: any bytes behind the zip's magic number, or a whole zip around any pickle.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use udas_nn::Checkpoint;
use zip::write::SimpleFileOptions;

fuzz_target!(|input: (bool, &[u8])| {
    let (raw, bytes) = input;
    let file = if raw { [b"PK\x03\x04", bytes].concat() } else { archive(bytes) };
    let _ = Checkpoint::load(udas_fuzz::file("model.pth", &file));
});

fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("data.pkl", pickle), ("data/0", &[0; 64])] {
        zip.start_file(format!("archive/{name}"), options).expect("memory can be written");
        zip.write_all(bytes).expect("memory can be written");
    }
    zip.finish().expect("memory can be written").into_inner()
}
