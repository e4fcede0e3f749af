//! What is written is read back the same, here and by another reader, on the input's own grid.

mod common;

use common::File;
use nifti::{NiftiObject, ReaderOptions};
use udas_volume::{
    Affine, Labels, Version, Volume, probe, read, read_frames, read_labels, write_frames,
    write_labels, write_volume,
};

#[test]
fn a_mask_keeps_the_scan_s_geometry_codes_units_and_description() {
    let folder = tempfile::tempdir().unwrap();
    let mut file =
        File { qform_code: 1, sform_code: 4, units: 10, slope: 0.35, ..File::counting() };
    file.pixdim = [-1.0, 2.0, 1.5, 1.25, 0.0, 0.0, 0.0, 0.0];
    file.quatern = [0.1, 0.7, -0.2];
    file.srow = [[0.1, 0.2, 1.9, -70.3], [-1.2, 0.3, 0.1, 31.7], [0.2, -1.8, 0.4, 12.9]];
    let path = file.write(folder.path(), "scan.nii");
    let scan = read(&path).unwrap();
    let mask = scan.map(|value| u8::from(value > 4.0));
    for name in ["mask.nii", "mask.nii.gz"] {
        let out = folder.path().join(name);
        write_labels(&out, &mask).unwrap();
        let back = read_labels(&out).unwrap();
        assert_eq!((back.data(), back.grid()), (mask.data(), scan.grid()));
        // From units to the end, only the display window may differ.
        let (ours, theirs) = (back.header().bytes(), scan.header().bytes());
        assert_eq!(ours[76..108], theirs[76..108], "pixdim");
        assert_eq!(ours[123], theirs[123], "units");
        assert_eq!(ours[132..344], theirs[132..344], "description, codes and forms");
    }
}

#[test]
fn another_reader_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let affine =
        Affine::from_codes("LPS", [1.0, 2.0, 3.0]).unwrap().with_origin([90.0, 126.0, -72.0]);
    let values: Vec<f32> = (0..24).map(|v| v as f32 * 0.1 - 1.0).collect();
    let mut volume = Volume::new(values.clone(), [2, 3, 4], affine).unwrap();
    volume.header_mut().set_description("made in memory");
    let path = folder.path().join("volume.nii.gz");
    write_volume(&path, &volume).unwrap();

    let object = ReaderOptions::new().read_file(&path).unwrap();
    let header = object.header();
    assert_eq!(header.dim().unwrap(), [2, 3, 4]);
    assert_eq!((header.datatype, header.bitpix, header.vox_offset), (16, 32, 352.0));
    assert_eq!(header.pixdim[..4], [1.0, 1.0, 2.0, 3.0]);
    assert_eq!((header.sform_code, header.qform_code, header.xyzt_units), (1, 1, 2));
    assert_eq!(header.srow_y, [0.0, -2.0, 0.0, 126.0]);
    assert_eq!((header.quatern_b, header.quatern_c, header.quatern_d), (0.0, 0.0, 1.0));
    let raw: Vec<f32> = object
        .into_volume()
        .into_raw_data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(raw, values);

    let back = read(&path).unwrap();
    assert_eq!(back, Volume::with_header(values, *volume.grid(), back.header().clone()).unwrap());
    assert!(back.header().warnings().is_empty());
}

#[test]
fn a_changed_grid_is_written_to_both_forms() {
    let folder = tempfile::tempdir().unwrap();
    let file = File { qform_code: 2, sform_code: 0, ..File::counting() };
    let scan = read(&file.write(folder.path(), "scan.nii")).unwrap();
    let turned =
        Affine::from_rows([[0.8, -0.6, 0.0, 1.0], [0.6, 0.8, 0.0, 2.0], [0.0, 0.0, -2.0, 3.0]]);
    let grid = udas_volume::Grid { shape: scan.shape(), affine: turned };
    let moved = Volume::with_header(scan.data().to_vec(), grid, scan.header().clone()).unwrap();
    let path = folder.path().join("moved.nii");
    write_volume(&path, &moved).unwrap();
    let back = read(&path).unwrap();
    assert!(back.affine().max_difference(&turned) < 1e-6);
    // No warning: qform and sform say the same.
    assert!(back.header().warnings().is_empty());
    assert_eq!((back.header().qform_code(), back.header().sform_code()), (2, 2));
}

#[test]
fn what_cannot_be_written_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let labels = Labels::new(vec![0; 8], [2, 2, 2], Affine::from_spacing([1.0; 3])).unwrap();
    for (name, expected) in [
        ("mask.hdr", "write .nii or .nii.gz"),
        ("mask.jpg", "write .png instead"),
        ("mask.png", "2 slices; write .nii.gz"),
        ("mask.mha", "unknown file name extension"),
        ("absent/mask.nii", "absent/mask.nii"),
    ] {
        let message = write_labels(&folder.path().join(name), &labels).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn what_is_computed_of_an_image_says_nothing_of_whom_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let affine = Affine::from_codes("LPS", [1.0, 2.0, 3.0]).unwrap();
    let mut scan = Volume::new(vec![0.5; 8], [2, 2, 2], affine).unwrap();
    scan.header_mut().set_description("Jane Doe 1950-01-01");
    let path = folder.path().join("scan.nii");
    write_volume(&path, &scan).unwrap();
    // intent_code (a t-test), intent_name and aux_file, which the interface does not set.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[68] = 3;
    bytes[228..232].copy_from_slice(b"Jane");
    bytes[328..332].copy_from_slice(b"Jane");
    std::fs::write(&path, bytes).unwrap();
    let scan = read(&path).unwrap();
    let labels = Labels::with_header(vec![1; 8], *scan.grid(), scan.header().of_result()).unwrap();
    write_labels(&path, &labels).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(4).any(|text| text == b"Jane") && bytes[68] == 0);
    let back = read_labels(&path).unwrap();
    assert_eq!((back.grid(), back.header().description()), (scan.grid(), String::new()));
}

#[test]
fn what_nifti_1_has_no_room_for_becomes_nifti_2() {
    let folder = tempfile::tempdir().unwrap();
    let affine =
        Affine::from_codes("LPS", [0.1, 2.0, 3.0]).unwrap().with_origin([1.0 / 3.0, 126.0, -72.0]);
    let data: Vec<u8> = (0..40000).map(|v| (v % 7) as u8).collect();
    let mut long = Labels::new(data, [40000, 1, 1], affine).unwrap();
    long.header_mut().set_description("longer than 32767");
    for name in ["long.nii", "long.nii.gz"] {
        let path = folder.path().join(name);
        write_labels(&path, &long).unwrap();
        let back = read_labels(&path).unwrap();
        assert_eq!(back.header().version(), Version::Two);
        assert_eq!(back.header().description(), "longer than 32767");
        // The affine comes back whole: it is stored in 64-bit floats.
        assert_eq!((back.data(), back.grid()), (long.data(), long.grid()));
        assert!(back.header().warnings().is_empty());
    }
    let frame = Volume::new(vec![1.0], [1, 1, 1], affine).unwrap();
    let path = folder.path().join("frames.nii");
    write_frames(&path, &vec![frame; 33000], 40.0).unwrap();
    let probed = probe(&path).unwrap();
    assert_eq!((probed.frames, probed.header.version()), (33000, Version::Two));
    assert_eq!(read_frames(&path, &[32999]).unwrap()[0].data(), [1.0]);
}

#[test]
fn a_mask_of_a_nifti_2_scan_is_nifti_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = File { qform_code: 1, sform_code: 4, units: 10, ..File::counting() };
    let one = read(&file.write(folder.path(), "one.nii")).unwrap();
    let two = read(&file.of(Version::Two).write(folder.path(), "two.nii.gz")).unwrap();
    assert_eq!((one.data(), one.grid()), (two.data(), two.grid()));
    assert_eq!([&one, &two].map(|scan| scan.header().version()), [Version::One, Version::Two]);
    let path = folder.path().join("mask.nii.gz");
    write_labels(&path, &two.map(|value| u8::from(value > 4.0))).unwrap();
    let mask = read_labels(&path).unwrap();
    assert_eq!((mask.header().version(), mask.grid()), (Version::Two, two.grid()));
    let header = mask.header();
    assert_eq!((header.qform_code(), header.sform_code()), (1, 4));
    assert_eq!(header.description(), "written by a test");
    assert!(two.header().to_nifti().unwrap_err().to_string().contains("NIfTI-2"));
}
