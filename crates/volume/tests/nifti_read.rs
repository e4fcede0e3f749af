//! NIfTI files of every kind, read back to the values and places they were written with.

mod common;

use common::{File, Order, gzip, write};
use proptest::prelude::*;
use udas_volume::{
    Affine, Version, Volume, Warning, probe, read, read_frames, read_labels, write_volume,
};

/// One datatype: its NIfTI code, its width, and a value as bytes.
type Datatype = (i16, usize, fn(f64) -> Vec<u8>);

const DATATYPES: [Datatype; 10] = [
    (2, 1, |v| (v as u8).to_le_bytes().to_vec()),
    (256, 1, |v| (v as i8).to_le_bytes().to_vec()),
    (4, 2, |v| (v as i16).to_le_bytes().to_vec()),
    (512, 2, |v| (v as u16).to_le_bytes().to_vec()),
    (8, 4, |v| (v as i32).to_le_bytes().to_vec()),
    (768, 4, |v| (v as u32).to_le_bytes().to_vec()),
    (1024, 8, |v| (v as i64).to_le_bytes().to_vec()),
    (1280, 8, |v| (v as u64).to_le_bytes().to_vec()),
    (16, 4, |v| (v as f32).to_le_bytes().to_vec()),
    (64, 8, |v| v.to_le_bytes().to_vec()),
];

#[test]
fn every_datatype_order_and_scaling_gives_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f64> = (0..24).map(|v| f64::from(v * 5)).collect();
    let scalings =
        [(1.0, 0.0), (0.0, 7.0), (f32::NAN, f32::NAN), (0.35, 0.0), (-2.5, 100.0), (1.0, -8.0)];
    let versions = [Version::One, Version::Two];
    let orders = [Order::Little, Order::Big];
    for (code, width, encode) in DATATYPES {
        for (order, version) in orders.into_iter().flat_map(|o| versions.map(|v| (o, v))) {
            for (slope, inter) in scalings {
                let mut file = File {
                    order,
                    datatype: code,
                    bits: 8 * width as i16,
                    slope,
                    inter,
                    ..File::counting()
                };
                file = file.of(version);
                file.voxels = values.iter().flat_map(|&v| encode(v)).collect();
                if order == Order::Big {
                    file.voxels.chunks_mut(width).for_each(<[u8]>::reverse);
                }
                let volume = read(&file.write(folder.path(), "scan.nii.gz")).unwrap();
                let scaled = slope != 0.0 && slope.is_finite();
                let (a, b) = if scaled { (f64::from(slope), f64::from(inter)) } else { (1.0, 0.0) };
                let expected: Vec<f32> = values.iter().map(|v| (v * a + b) as f32).collect();
                assert_eq!(volume.data(), expected, "datatype {code}, {order:?}, slope {slope}");
                assert_eq!(volume.shape(), [2, 3, 4]);
                assert_eq!(volume.header().description(), "written by a test");
                assert!(volume.header().warnings().is_empty());
            }
        }
    }
}

#[test]
fn large_integers_are_scaled_before_they_are_rounded() {
    let folder = tempfile::tempdir().unwrap();
    let (slope, inter) = (0.5, -1e9);
    let mut file = File { datatype: 8, bits: 32, slope, inter, ..File::new([1, 1, 1], &[]) };
    file.voxels = 2_000_000_003i32.to_le_bytes().to_vec();
    assert_eq!(read(&file.write(folder.path(), "scan.nii")).unwrap().data(), [1.5]);
}

#[test]
fn one_frame_in_four_dimensions_is_a_volume_and_more_are_read_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::counting();
    file.dim = [4, 2, 3, 4, 1, 1, 1, 1];
    assert_eq!(read(&file.write(folder.path(), "one.nii")).unwrap().shape(), [2, 3, 4]);

    file.dim = [4, 2, 2, 2, 3, 1, 1, 1];
    for name in ["cine.nii", "cine.nii.gz"] {
        let path = file.write(folder.path(), name);
        assert_eq!(probe(&path).unwrap().frames, 3);
        let frames = read_frames(&path, &[2, 0, 2]).unwrap();
        let firsts: Vec<f32> = frames.iter().map(|frame| frame.data()[0]).collect();
        assert_eq!(firsts, [16.0, 0.0, 16.0]);
        assert!(read(&path).unwrap_err().to_string().contains("3 frames"));
        assert!(read_frames(&path, &[3]).unwrap_err().to_string().contains("frame number 3"));
    }
}

#[test]
fn pairs_are_read_by_either_name() {
    let folder = tempfile::tempdir().unwrap();
    let pair = File { magic: *b"ni1\0", offset: 0.0, ..File::counting() };
    for (hdr, img) in [("a.hdr", "a.img"), ("b.hdr.gz", "b.img.gz"), ("C.HDR", "C.IMG")] {
        let header = write(folder.path(), hdr, &pair.header());
        let image = write(folder.path(), img, &pair.voxels);
        for path in [header, image] {
            assert_eq!(read(&path).unwrap().data()[23], 23.0);
        }
    }
}

#[test]
fn gzip_by_content_several_members_and_trailing_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = File::counting().bytes();
    let (head, tail) = bytes.split_at(360);
    let padded = [gzip(&bytes), vec![0; 100]].concat();
    let longer = [&bytes[..], &[9; 50]].concat();
    // A bomb is inflated no further than the header says.
    let bomb = gzip(&[&bytes[..], &vec![0; 1 << 26]].concat());
    let files = [
        ("bomb.nii.gz", bomb),
        ("members.nii.gz", [gzip(head), gzip(tail)].concat()),
        ("padded.nii.gz", padded),
        ("misnamed.nii", gzip(&bytes)),
        ("misnamed.nii.gz", bytes.clone()),
        ("longer.nii", longer.clone()),
        ("longer.nii.gz", gzip(&longer)),
    ];
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        assert_eq!(read(&path).unwrap().data()[23], 23.0, "{name}");
    }
}

#[test]
fn extensions_before_the_voxels_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let file = File { offset: 416.0, ..File::counting() };
    for name in ["scan.nii", "scan.nii.gz"] {
        assert_eq!(read(&file.write(folder.path(), name)).unwrap().data()[5], 5.0);
    }
}

#[test]
fn the_sform_goes_before_the_qform_and_the_qform_before_voxel_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File { pixdim: [-1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0], ..File::counting() };
    file.srow = [[0.0, 0.0, 1.5, 10.0], [-1.5, 0.0, 0.0, 20.0], [0.0, 1.5, 0.0, 30.0]];
    file.qoffset = [5.0, 6.0, 7.0];
    let mut affine = |q, s| {
        (file.qform_code, file.sform_code) = (q, s);
        let volume = read(&file.write(folder.path(), "scan.nii")).unwrap();
        (*volume.affine(), volume.orientation(), volume.header().warnings().to_vec())
    };
    let (both, codes, warnings) = affine(1, 2);
    assert_eq!((both.spacing(), codes.as_str()), ([1.5; 3], "PSR"));
    assert!(matches!(warnings[..], [Warning::QformSform { distance_mm }] if distance_mm > 20.0));

    let (qform, codes, warnings) = affine(1, 0);
    let expected = Affine::from_spacing([2.0, 3.0, -4.0]).with_origin([5.0, 6.0, 7.0]);
    assert_eq!((qform, codes.as_str(), warnings.len()), (expected, "RAI", 0));

    let (neither, _, warnings) = affine(0, 0);
    assert_eq!(neither, Affine::from_spacing([2.0, 3.0, 4.0]));
    assert_eq!(warnings, [Warning::NoOrientation]);
}

#[test]
fn micrometres_become_millimetres() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File { units: 3, ..File::counting() };
    (0..3).for_each(|axis| file.srow[axis][axis] = 50.0);
    let volume = read(&file.write(folder.path(), "mouse.nii")).unwrap();
    assert!((volume.spacing()[0] - 0.05).abs() < 1e-12);
    assert_eq!(volume.header().warnings(), [Warning::Units]);
}

#[test]
fn a_missing_voxel_size_is_tolerated_only_where_nothing_depends_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File { qform_code: 1, sform_code: 0, ..File::new([6, 4, 1], &[0; 24]) };
    file.pixdim[3] = 0.0;
    assert_eq!(read(&file.write(folder.path(), "slice.nii")).unwrap().spacing(), [1.0; 3]);

    let mut file = File::counting();
    file.pixdim[3] = 0.0;
    let volume = read(&file.write(folder.path(), "sform.nii")).unwrap();
    assert_eq!(volume.header().warnings(), [Warning::VoxelSizes]);
}

#[test]
fn whole_numbers_in_any_datatype_are_labels() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File { datatype: 64, bits: 64, ..File::new([2, 2, 1], &[]) };
    file.voxels = [0.0f64, 3.0, 255.0, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let labels = read_labels(&file.write(folder.path(), "mask.nii")).unwrap();
    assert_eq!(labels.data(), [0, 3, 255, 1]);

    let scaled = File { slope: 1.0 / 255.0, ..File::new([2, 1, 1], &[0, 255]) };
    assert_eq!(read_labels(&scaled.write(folder.path(), "scaled.nii")).unwrap().data(), [0, 1]);

    for bad in [0.5f64, -1.0, 256.0, f64::NAN] {
        file.voxels = [0.0, 1.0, bad, 2.0].iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        let message = read_labels(&file.write(folder.path(), "bad.nii")).unwrap_err().to_string();
        assert!(message.contains("bad.nii: voxel [0, 1, 0] holds"), "{message}");
    }
}

#[test]
fn non_finite_voxels_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File { datatype: 16, bits: 32, ..File::new([2, 2, 1], &[]) };
    file.voxels =
        [1.0, f32::NAN, f32::INFINITY, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = file.write(folder.path(), "scan.nii");
    let message = read(&path).unwrap().check_finite(&path).unwrap_err().to_string();
    assert!(message.contains("scan.nii: 2 voxels are NaN or infinite; replace"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever the header says, of either version, reading it ends in a volume or an error, never in a panic; and a
    /// volume that could be read is written to the same voxels, place and version.
    #[test]
    fn no_header_panics(
        changes in prop::collection::vec((0usize..540, any::<u8>()), 0..6),
        is_two in any::<bool>(),
        cut in 0usize..800,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let version = if is_two { Version::Two } else { Version::One };
        let mut bytes = File::counting().of(version).bytes();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.max(1));
        for name in ["scan.nii", "scan.nii.gz", "scan.hdr"] {
            let path = write(folder.path(), name, &bytes);
            let _ = read_labels(&path);
            // What is read does not depend on the name; writing syncs a file, which takes time.
            let scan = if name == "scan.nii" { read(&path).ok() } else { None };
            if let Some(scan) = scan {
                let out = folder.path().join("out.nii");
                write_volume(&out, &scan).unwrap();
                let back = read(&out).unwrap();
                let bits = |scan: &Volume| scan.data().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&back), bits(&scan));
                prop_assert_eq!(back.grid().difference(scan.grid()), None);
                prop_assert_eq!(back.header().version(), scan.header().version());
            }
        }
    }
}
