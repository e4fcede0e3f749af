//! A NIfTI file (either version) of any bytes, read in every way there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_volume::{probe, read, read_frames, read_labels, write_volume};

fuzz_target!(|bytes: &[u8]| {
    let path = udas_fuzz::file("scan.nii", bytes);
    let probed = probe(&path);
    if let Ok(volume) = read(&path) {
        let probed = probed.expect("what can be read can be probed");
        assert_eq!(*volume.grid(), probed.grid);
        assert!(volume.affine().is_invertible());
        let (ras, orientation) = volume.to_ras();
        let back = ras.from_ras(&orientation).expect("a reorientation can be undone");
        assert_eq!(back.grid(), volume.grid());
        // A result keeps its input's version and place.
        let out = udas_fuzz::folder().join("out.nii");
        write_volume(&out, &volume).expect("what can be read can be written");
        let written = probe(&out).expect("what we wrote can be read");
        assert_eq!(written.grid.difference(volume.grid()), None);
        assert_eq!(written.header.version(), volume.header().version());
    }
    let _ = read_labels(&path);
    let _ = read_frames(&path, &[1, 0]);
});
