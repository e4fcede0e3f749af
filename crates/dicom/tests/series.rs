//! Series in: both kinds of files, any names, any direction; and what makes no volume is refused by name.
mod common;

use common::{SHAPE, files, folder, oblique, refusal, straight, voxels, write};
use udas_dicom::{DataSet, Export, Kind, Modality, Remark, Series, Tag};

const KINDS: [Kind; 2] = [Kind::SingleFrame, Kind::MultiFrame];

fn assert_near(one: [[f64; 4]; 3], two: [[f64; 4]; 3]) {
    for (a, b) in one.iter().flatten().zip(two.iter().flatten()) {
        assert!((a - b).abs() < 1e-9, "{one:?} {two:?}");
    }
}

#[test]
fn a_volume_comes_back_whatever_the_names_of_its_files() {
    for kind in KINDS {
        let files = files(kind, straight());
        assert_eq!(files.len(), if kind == Kind::SingleFrame { SHAPE[2] } else { 1 });
        let folder = folder(&files);
        let series = Series::open(folder.path()).unwrap();
        assert_eq!(series.shape(), SHAPE);
        assert_eq!(series.affine(), straight());
        assert_eq!(series.voxels().unwrap(), voxels());
        assert_eq!(series.remarks(), []);
        let slices = series.paths();
        assert_eq!(slices.len(), files.len());
        if kind == Kind::SingleFrame {
            let ends: Vec<_> = slices.iter().map(|path| path.display().to_string()).collect();
            assert!(ends.iter().enumerate().all(|(at, end)| end.ends_with(&format!("-{at}"))));
        }
    }
}

#[test]
fn oblique_series_keep_their_direction() {
    for kind in KINDS {
        let folder = folder(&files(kind, oblique()));
        let series = Series::open(folder.path()).unwrap();
        assert_near(series.affine(), oblique());
        assert_eq!(series.voxels().unwrap(), voxels());
    }
}

#[test]
fn spacing_is_that_of_positions_and_not_the_thickness() {
    let mut files = files(Kind::SingleFrame, straight());
    for file in &mut files {
        file.data.set_decimals(Tag::SLICE_THICKNESS, &[5.0]);
    }
    let folder = folder(&files);
    assert_eq!(Series::open(folder.path()).unwrap().affine(), straight());
}

#[test]
fn each_slice_has_its_own_slope_and_intercept() {
    let expected = |slice: usize| 0.5 * (slice + 1) as f32;
    let mut single = files(Kind::SingleFrame, straight());
    let mut multi = files(Kind::MultiFrame, straight());
    let set = |data: &mut DataSet, slice: usize| {
        data.set_decimals(Tag::RESCALE_SLOPE, &[expected(slice).into()]);
        data.set_decimals(Tag::RESCALE_INTERCEPT, &[-(slice as f64)]);
    };
    single.iter_mut().enumerate().for_each(|(slice, file)| set(&mut file.data, slice));
    let groups = multi[0].data.items_mut(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    for (slice, groups) in groups.iter_mut().enumerate() {
        let mut values = DataSet::default();
        set(&mut values, slice);
        groups.set_items(Tag::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![values]);
    }
    for files in [single, multi] {
        let folder = folder(&files);
        let read = Series::open(folder.path()).unwrap().voxels().unwrap();
        let pixels = SHAPE[0] * SHAPE[1];
        for (index, (read, stored)) in read.iter().zip(voxels()).enumerate() {
            let slice = index / pixels;
            assert_eq!(*read, stored * expected(slice) - slice as f32);
        }
    }
}

#[test]
fn unsigned_and_eight_bit_pixels_are_read_as_such() {
    let mut files = files(Kind::SingleFrame, straight());
    for file in &mut files {
        file.data.set_u16(Tag::PIXEL_REPRESENTATION, 0);
    }
    let read = Series::open(folder(&files).path()).unwrap().voxels().unwrap();
    assert_eq!(read[0], 65_336.0);
    for file in &mut files {
        let bytes = [(Tag::BITS_ALLOCATED, 8), (Tag::BITS_STORED, 8), (Tag::HIGH_BIT, 7)];
        bytes.into_iter().for_each(|(tag, number)| file.data.set_u16(tag, number));
        file.pixels = (0..35).map(|v| 7 * v).collect();
    }
    let read = Series::open(folder(&files).path()).unwrap().voxels().unwrap();
    assert_eq!(read[..4], [0.0, 7.0, 14.0, 21.0]);
    assert_eq!(read.len(), SHAPE.iter().product());
}

#[test]
fn intensities_that_are_no_whole_numbers_come_within_half_a_step() {
    let voxels: Vec<f32> = (0..210).map(|v| (v as f32 * 0.37).sin() * 1000.0).collect();
    let step = 2000.0 / 65_535.0;
    let export = Export {
        voxels: &voxels,
        shape: SHAPE,
        affine: straight(),
        kind: Kind::SingleFrame,
        modality: Modality::Ct,
        patient: "X",
        seed: "s",
    };
    let read = Series::open(folder(&export.files()).path()).unwrap().voxels().unwrap();
    assert!(read.iter().zip(&voxels).all(|(a, b)| (a - b).abs() <= 0.51 * step));
}

#[test]
fn what_is_no_image_is_passed_over_and_counted() {
    let folder = folder(&files(Kind::SingleFrame, straight()));
    let mut report = DataSet::default();
    report.set_text(Tag::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.88.11");
    std::fs::write(folder.path().join("report"), udas_dicom::encode(&report, None)).unwrap();
    std::fs::write(folder.path().join("DICOMDIR"), udas_dicom::encode(&report, None)).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "none").unwrap();
    std::fs::write(folder.path().join(".hidden"), "none").unwrap();
    assert!(udas_dicom::is_series(folder.path()));
    let series = Series::open(folder.path()).unwrap();
    assert_eq!(series.remarks(), [Remark::PassedOver { files: 3 }]);
    assert_eq!(series.voxels().unwrap(), voxels());
}

#[test]
fn folders_of_other_files_are_no_series() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!udas_dicom::is_series(folder.path()));
    let error = Series::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds no images of CT or MR"), "{error}");
    std::fs::write(folder.path().join("a.dcm"), vec![0; 4000]).unwrap();
    assert!(!udas_dicom::is_series(folder.path()));
    // NIfTI files beside a series were taken before series were.
    write(folder.path(), &files(Kind::SingleFrame, straight()));
    assert!(udas_dicom::is_series(folder.path()));
    std::fs::write(folder.path().join("scan.nii.gz"), "x").unwrap();
    assert!(!udas_dicom::is_series(folder.path()));
}

#[test]
fn inverted_grey_values_are_said_and_kept() {
    let mut files = files(Kind::SingleFrame, straight());
    for file in &mut files {
        file.data.set_text(Tag::PHOTOMETRIC_INTERPRETATION, "MONOCHROME1");
    }
    let folder = folder(&files);
    let series = Series::open(folder.path()).unwrap();
    assert_eq!(series.remarks(), [Remark::Inverted]);
    assert_eq!(series.voxels().unwrap(), voxels());
}

#[test]
fn one_slice_takes_its_thickness() {
    let mut files = files(Kind::SingleFrame, straight());
    files.truncate(1);
    let folder = folder(&files);
    let series = Series::open(folder.path()).unwrap();
    assert_eq!(series.remarks(), [Remark::OneSlice]);
    assert_eq!(series.affine(), straight());
    assert_eq!(series.shape(), [SHAPE[0], SHAPE[1], 1]);
}

#[test]
fn several_series_are_listed_and_one_can_be_named() {
    let folder = folder(&files(Kind::SingleFrame, straight()));
    let other: Vec<f32> = voxels().iter().map(|v| -v).collect();
    let (affine, kind, modality) = (oblique(), Kind::MultiFrame, Modality::Ct);
    let export =
        Export { voxels: &other, shape: SHAPE, affine, kind, modality, patient: "X", seed: "two" };
    std::fs::write(folder.path().join("ct"), export.files()[0].encode()).unwrap();
    let error = Series::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds 2 series") && error.contains("6 slices of 7x5"), "{error}");
    assert!(error.contains("(CT, number 1") && error.contains("(MR, number 1"), "{error}");
    assert!(!error.contains("Made up"), "{error}");
    let hash = |word: &str| {
        let end = error.find(word).unwrap() - 1;
        error[end - 8..end].to_owned()
    };
    for (hash, expected) in [(hash("(CT"), other), (hash("(MR"), voxels())] {
        let name = format!("{}@{hash}", folder.path().display());
        let series = Series::open(name.as_ref()).unwrap();
        assert_eq!(series.hash(), hash);
        assert!(udas_dicom::is_series(name.as_ref()));
        assert_eq!(series.voxels().unwrap(), expected);
    }
    let unknown = format!("{}@00000000", folder.path().display());
    let error = Series::open(unknown.as_ref()).unwrap_err().to_string();
    assert!(error.contains("holds 2 series"), "{error}");
}

#[test]
fn a_file_of_all_slices_can_be_named_and_a_slice_cannot() {
    let folder = folder(&files(Kind::MultiFrame, straight()));
    let path = Series::open(folder.path()).unwrap().paths().remove(0);
    assert_eq!(Series::open(&path).unwrap().voxels().unwrap(), voxels());
    let folder = common::folder(&files(Kind::SingleFrame, straight()));
    let path = Series::open(folder.path()).unwrap().paths().remove(0);
    let error = Series::open(&path).unwrap_err().to_string();
    assert!(error.contains("one slice of a series") && error.contains("folder"), "{error}");
}

#[test]
fn a_tilted_gantry_is_refused() {
    let mut affine = straight();
    affine[1][2] = 2.5 * 10f64.to_radians().tan();
    for kind in KINDS {
        let error = refusal(&files(kind, affine));
        assert!(error.contains("10.0 degrees") && error.contains("gantry tilt"), "{error}");
    }
}

#[test]
fn missing_doubled_and_uneven_slices_are_refused_with_their_files() {
    let mut missing = files(Kind::SingleFrame, straight());
    missing.remove(2);
    let error = refusal(&missing);
    assert!(error.contains("missing slices: 1 between"), "{error}");
    assert!(error.contains("-1") && error.contains("-2"), "{error}");

    let mut doubled = files(Kind::SingleFrame, straight());
    let again = ["copy", "again"].map(|uid| {
        let mut file = files(Kind::SingleFrame, straight()).remove(3);
        file.data.set_text(Tag::SOP_INSTANCE_UID, uid);
        file
    });
    doubled.extend(again);
    let error = refusal(&doubled);
    assert!(error.contains("doubled slices: 2 of 8"), "{error}");

    let mut uneven = files(Kind::SingleFrame, straight());
    uneven[3].data.set_decimals(Tag::IMAGE_POSITION_PATIENT, &[10.0, -20.0, 30.0 + 3.4 * 2.5]);
    let error = refusal(&uneven);
    assert!(error.contains("uneven spacing") && error.contains("1.000 mm"), "{error}");

    // Rounding in the last written digit is none of it.
    let mut rounded = files(Kind::SingleFrame, straight());
    rounded[3].data.set_decimals(Tag::IMAGE_POSITION_PATIENT, &[10.0, -20.0, 37.55]);
    assert!(Series::open(folder(&rounded).path()).is_ok());
}

#[test]
fn frames_of_several_times_are_refused() {
    let mut multi = files(Kind::MultiFrame, straight());
    let groups = multi[0].data.items_mut(Tag::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    let first = groups[0].clone();
    groups[1] = first;
    let error = refusal(&multi);
    assert!(error.contains("doubled slices") && error.contains("frame 1 of"), "{error}");
}

#[test]
fn what_is_no_grey_volume_is_refused() {
    let changed = |change: &dyn Fn(&mut DataSet)| {
        let mut files = files(Kind::SingleFrame, straight());
        change(&mut files[2].data);
        refusal(&files)
    };
    type Change = &'static dyn Fn(&mut DataSet);
    let cases: [(&str, Change); 10] = [
        ("localizer", &|d| d.set_text(Tag::IMAGE_TYPE, "ORIGINAL\\PRIMARY\\LOCALIZER")),
        ("in colour", &|d| d.set_text(Tag::PHOTOMETRIC_INTERPRETATION, "RGB")),
        ("in colour", &|d| d.set_u16(Tag::SAMPLES_PER_PIXEL, 3)),
        ("mixed orientations", &|d| {
            d.set_decimals(Tag::IMAGE_ORIENTATION_PATIENT, &[0.0, 1.0, 0.0, -1.0, 0.0, 0.0]);
        }),
        ("mixed pixel spacings", &|d| d.set_decimals(Tag::PIXEL_SPACING, &[0.75, 0.6])),
        ("mixed sizes", &|d| {
            d.set_u16(Tag::ROWS, 7);
            d.set_u16(Tag::COLUMNS, 5);
        }),
        ("position", &|d| d.remove(Tag::IMAGE_POSITION_PATIENT)),
        ("pixel spacing", &|d| d.set_decimals(Tag::PIXEL_SPACING, &[0.75, 0.0])),
        ("Modality LUT", &|d| d.set_items(Tag::MODALITY_LUT_SEQUENCE, vec![DataSet::default()])),
        ("slope 0", &|d| d.set_decimals(Tag::RESCALE_SLOPE, &[0.0])),
    ];
    for (word, change) in cases {
        let error = changed(change);
        assert!(error.contains(word), "{word}: {error}");
        assert!(!error.contains("DOE"), "{error}");
        assert!(error.contains("; "), "a remedy: {error}");
    }
}

#[test]
fn enhanced_files_that_contradict_themselves_are_refused() {
    let mut multi = files(Kind::MultiFrame, straight());
    multi[0].data.set_text(Tag::NUMBER_OF_FRAMES, "5");
    assert!(refusal(&multi).contains("says of 6 frames"));
    let mut multi = files(Kind::MultiFrame, straight());
    multi[0].data.remove(Tag::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    assert!(refusal(&multi).contains("orientation"));
    let mut single = files(Kind::SingleFrame, straight());
    single[0].data.set_text(Tag::NUMBER_OF_FRAMES, "3");
    assert!(refusal(&single).contains("has 3 frames"));
}
