//! A DICOM file of any bytes: alone, and as the only slice of a folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use udas_dicom::Series;

fuzz_target!(|bytes: &[u8]| {
    let folder = udas_fuzz::folder().join("series");
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let path = folder.join("slice.dcm");
    std::fs::write(&path, bytes).expect("the temporary folder can be written");
    for path in [&path, &folder] {
        if let Ok(series) = Series::open(path) {
            let [columns, rows, slices] = series.shape();
            assert!(series.affine().iter().flatten().all(|value| value.is_finite()));
            if let Ok(voxels) = series.voxels() {
                assert_eq!(voxels.len(), columns * rows * slices);
            }
        }
    }
});
