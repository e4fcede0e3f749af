//! A safetensors file of any bytes, taken as a network and as an early head.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_model::ModelFile;

fuzz_target!(|bytes: &[u8]| {
    let path = udas_fuzz::file("model.safetensors", bytes);
    let _ = udas_nn::Checkpoint::load(&path).map(|checkpoint| checkpoint.hash());
    let _ = ModelFile::load(&path, None);
});
