//! Broken and hostile NIfTI files: each ends quickly in the error that names the file and the remedy.

mod common;

use std::time::{Duration, Instant};

use common::{File, gzip};
use udas_volume::{Version, read};

/// Bytes of a file, and what its error must say.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = File::counting;
    let with = |change: &dyn Fn(&mut File)| {
        let mut file = good();
        change(&mut file);
        file.bytes()
    };
    let dim = |dim: [i16; 8]| with(&|file| file.dim = dim);
    let whole = good().bytes();
    let bomb = |[x, y, z]: [i16; 3], bytes: usize| {
        let header = with(&|file| file.dim = [3, x, y, z, 1, 1, 1, 1]);
        gzip(&[&header[..352], &vec![0; bytes]].concat())
    };
    vec![
        ("empty.nii", vec![], "cut short"),
        ("text.nii", b"not a volume at all".repeat(30), "not a NIfTI file"),
        ("header_only.nii", good().header(), "cut short"),
        ("half_header.nii", whole[..200].to_vec(), "cut short"),
        ("one_byte_short.nii", whole[..whole.len() - 1].to_vec(), "cut short"),
        ("empty.nii.gz", gzip(&[]), "cut short"),
        ("one_byte_short.nii.gz", gzip(&whole[..whole.len() - 1]), "cut short"),
        ("cut.nii.gz", gzip(&whole)[..90].to_vec(), "cut short"),
        (
            "no_checksum.nii.gz",
            {
                let z = gzip(&whole);
                z[..z.len() - 8].to_vec()
            },
            "cut short",
        ),
        (
            "checksum.nii.gz",
            {
                let mut z = gzip(&whole);
                let at = z.len() - 6;
                z[at] ^= 1;
                z
            },
            "corrupt",
        ),
        (
            "garbled.nii.gz",
            {
                let mut z = gzip(&whole);
                z[14..60].fill(0xff);
                z
            },
            "corrupt",
        ),
        ("called_nifti2.nii", [with(&|f| f.size = 540), vec![0; 200]].concat(), "no NIfTI-2 magic"),
        ("analyze.nii", with(&|f| f.magic = [0; 4]), "left from right"),
        ("magic.nii", with(&|f| f.magic = *b"abc\0"), "magic"),
        ("pair_header.nii", with(&|f| f.magic = *b"ni1\0"), "pair"),
        ("rank_0.nii", dim([0, 2, 3, 4, 1, 1, 1, 1]), "0 dimensions"),
        ("rank_9.nii", dim([9, 2, 3, 4, 1, 1, 1, 1]), "9 dimensions"),
        ("negative.nii", dim([3, 2, -3, 4, 1, 1, 1, 1]), "-3 voxels along axis 1"),
        ("zero.nii", dim([3, 2, 0, 4, 1, 1, 1, 1]), "0 voxels along axis 1"),
        ("vector.nii", dim([5, 2, 2, 2, 1, 3, 1, 1]), "four dimensions"),
        ("huge.nii", dim([3, 32767, 32767, 32767, 1, 1, 1, 1]), "the limit is"),
        ("huge.nii.gz", gzip(&dim([3, 32767, 32767, 32767, 1, 1, 1, 1])), "the limit is"),
        ("long.nii", dim([4, 1000, 1000, 1000, 32767, 1, 1, 1]), "header needs"),
        ("long.nii.gz", gzip(&dim([3, 1000, 1000, 1000, 1, 1, 1, 1])), "header needs"),
        // 2 MB of voxels are promised, 1 MB of zeros is there; 40 GB would be refused unread.
        ("bomb.nii.gz", bomb([1000, 1000, 1], 1_000_000), "cut short"),
        ("bigger_bomb.nii.gz", bomb([1000, 1000, 1000], 1_000_000), "header needs"),
        ("complex.nii", with(&|f| f.datatype = 32), "complex voxels"),
        ("rgb.nii", with(&|f| f.datatype = 128), "colour voxels"),
        ("bits.nii", with(&|f| f.datatype = 1), "1-bit"),
        ("datatype.nii", with(&|f| f.datatype = 77), "datatype code 77"),
        ("offset_nan.nii", with(&|f| f.offset = f32::NAN), "first voxel at byte NaN"),
        ("offset_huge.nii", with(&|f| f.offset = 1e30), "first voxel at byte"),
        ("offset_far.nii", with(&|f| f.offset = 9e8), "header needs"),
        ("offset_negative.nii", with(&|f| f.offset = -352.0), "first voxel at byte"),
        ("offset_low.nii", with(&|f| f.offset = 100.0), "first voxel at byte"),
        (
            "spacing_zero.nii",
            with(&|f| {
                f.sform_code = 0;
                f.pixdim[2] = 0.0;
            }),
            "voxel size along axis 1 is 0",
        ),
        (
            "spacing_negative.nii",
            with(&|f| {
                f.sform_code = 0;
                f.pixdim[1] = -1.0;
            }),
            "voxel size along axis 0 is -1",
        ),
        (
            "spacing_nan.nii",
            with(&|f| {
                f.sform_code = 0;
                f.pixdim[3] = f32::NAN;
            }),
            "voxel size along axis 2 is NaN",
        ),
        ("sform_zero.nii", with(&|f| f.srow = [[0.0; 4]; 3]), "singular"),
        ("sform_nan.nii", with(&|f| f.srow[1][1] = f32::NAN), "singular or not finite"),
        ("sform_flat.nii", with(&|f| f.srow[2] = [1.0, 0.0, 0.0, 0.0]), "singular"),
        (
            "quaternion_nan.nii",
            with(&|f| {
                f.sform_code = 0;
                f.qform_code = 1;
                f.quatern[0] = f32::NAN;
            }),
            "not finite",
        ),
        ("frames.nii", dim([4, 2, 3, 2, 2, 1, 1, 1]), "2 frames"),
        ("scan.dcm", whole.clone(), "no mark DICM"),
    ]
}

/// The same of NIfTI-2, whose sizes and offset have 64 bits.
fn cases_of_two() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let two = || File::counting().of(Version::Two);
    let with = |at: usize, field: &[u8]| {
        let mut bytes = two().bytes();
        bytes[at..at + field.len()].copy_from_slice(field);
        bytes
    };
    let number = |at: usize, value: i64| with(at, &value.to_le_bytes());
    let axis = |axis: usize| 16 + 8 * axis;
    let whole = two().bytes();
    vec![
        ("two_half.nii", whole[..400].to_vec(), "cut short"),
        ("two_short.nii", whole[..whole.len() - 1].to_vec(), "header needs 592 bytes"),
        ("two_short.nii.gz", gzip(&whole[..whole.len() - 1]), "cut short"),
        ("two_magic_of_one.nii", with(4, b"n+1\0"), "no NIfTI-2 magic"),
        ("two_no_magic.nii", with(4, &[0; 8]), "no NIfTI-2 magic"),
        ("two_as_text.nii", with(8, b"\n\x1a\n\0"), "changed on its way"),
        ("two_pair.nii", with(4, b"ni2"), "pair"),
        ("two_huge.nii", number(axis(1), 1 << 62), "the limit is"),
        ("two_huge.nii.gz", gzip(&number(axis(3), i64::MAX)), "the limit is"),
        ("two_rank.nii", number(axis(0), 1 << 62), "4611686018427387904 dimensions"),
        ("two_negative.nii", number(axis(2), -3), "-3 voxels along axis 1"),
        ("two_least.nii", number(axis(2), i64::MIN), "-9223372036854775808 voxels along axis 1"),
        ("two_zero.nii", number(axis(2), 0), "0 voxels along axis 1"),
        (
            "two_frames.nii",
            [&with(16, &4i64.to_le_bytes())[..axis(4)], &i64::MAX.to_le_bytes(), &whole[axis(5)..]]
                .concat(),
            "header needs",
        ),
        ("two_offset_low.nii", number(168, 352), "first voxel at byte 352"),
        ("two_offset_negative.nii", number(168, -1), "first voxel at byte -1"),
        ("two_offset_far.nii", number(168, 1 << 62), "first voxel at byte 4611686018427387904"),
        ("two_offset_beyond.nii", number(168, 4096), "header needs 4144 bytes"),
        ("two_datatype.nii", with(12, &77i16.to_le_bytes()), "datatype code 77"),
        ("two_sform.nii", with(400, &f64::NAN.to_le_bytes()), "singular or not finite"),
        ("two_far.nii", with(400, &1e300f64.to_le_bytes()), "singular or not finite"),
    ]
}

#[test]
fn each_names_the_file_and_the_problem_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in cases().into_iter().chain(cases_of_two()) {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let start = Instant::now();
        let message = read(&path).expect_err(name).to_string();
        assert!(message.contains(name) && message.contains(expected), "{name}: {message}");
        assert!(start.elapsed() < Duration::from_secs(1), "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn absent_files_folders_and_missing_partners_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.nii");
    assert!(read(&absent).unwrap_err().to_string().contains("absent.nii"));
    let named_folder = folder.path().join("folder.nii");
    std::fs::create_dir(&named_folder).unwrap();
    assert!(read(&named_folder).unwrap_err().to_string().contains("folder.nii"));
    let header = folder.path().join("alone.hdr");
    std::fs::write(&header, File { magic: *b"ni1\0", ..File::counting() }.header()).unwrap();
    assert!(read(&header).unwrap_err().to_string().contains("alone.img"));
}
