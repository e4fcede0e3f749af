//! DICOM: series as other programs write them, segmentations as other programs read them, the program on series as on the
//! equal NIfTI files, and no word of the patient in what it leaves.
mod common;

use common::{Bench, TINY, golden};
use serde_json::Value;
use std::path::{Path, PathBuf};
use udas_dicom::{Moment, Segmentation, Series};
use udas_volume::{
    Labels, Volume, read, read_labels, read_labels_on, write_labels, write_series, write_volume,
};

fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(golden("dicom").join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn series_of_other_programs_hold_what_numpy_says() {
    for (name, expected) in expected("expected.json").as_object().unwrap() {
        let volume = read(&golden("dicom").join(name)).unwrap();
        let shape: Vec<f64> = volume.shape().iter().map(|&side| side as f64).collect();
        assert_eq!(shape, numbers(&expected["shape"]), "{name}");
        let values = numbers(&expected["values"]);
        assert_eq!(values.len(), volume.data().len());
        let within = expected["within"].as_f64().unwrap_or(0.0);
        for (index, (own, other)) in volume.data().iter().zip(&values).enumerate() {
            let apart = (f64::from(*own) - other).abs();
            assert!(apart <= within, "{name}: voxel {index}: {own} in place of {other}");
        }
        for (own, other) in
            volume.affine().rows().iter().zip(expected["affine"].as_array().unwrap())
        {
            for (own, other) in own.iter().zip(numbers(other)) {
                assert!((own - other).abs() < 1e-5, "{name}: {own} {other}");
            }
        }
    }
}

/// Two classes, slices without them, and a segment that is nowhere.
fn labels(voxels: usize) -> Vec<u8> {
    let slice = voxels / 4;
    let label = |index: usize| match (index / slice, index % 7) {
        (0, _) => 0,
        (1, 0..=2) => 1,
        (2, 3) => 2,
        (2 | 3, 4) => 1,
        _ => 0,
    };
    (0..voxels).map(label).collect()
}

fn segmentation(source: &str) -> Vec<u8> {
    let series = Series::open(&golden("dicom").join(source)).unwrap();
    let segments = ["left-ventricle", "Myocardium", "something"].map(String::from);
    let at = Moment::of_unix(1_700_000_000);
    let segmentation = Segmentation { segments: &segments, made_by: "hash", version: "1", at };
    segmentation.encode(&series, &labels(series.shape().iter().product())).unwrap()
}

#[test]
fn segmentations_are_those_that_highdicom_and_pydicom_have_read() {
    for (name, source) in [("seg_single.dcm", "explicit"), ("seg_multi.dcm", "enhanced")] {
        let path = golden("dicom").join(name);
        let bytes = segmentation(source);
        if std::env::var_os("UDAS_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &bytes).unwrap();
            continue;
        }
        let expected = expected("seg_expected.json");
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{name}: read_seg.py has read another file"
        );
        let read: Vec<u8> = numbers(&expected[name]["labels"]).iter().map(|&v| v as u8).collect();
        assert_eq!(read, labels(read.len()), "{name}");
        let codes: Vec<&Value> =
            expected[name]["segments"].as_array().unwrap().iter().map(|s| &s["type"][0]).collect();
        assert_eq!(codes, ["87878005", "74281007", "91723000"]);
        let marked = read.iter().filter(|&&label| label > 0).count();
        for by in ["volume_marked", "marked_by_pydicom"] {
            assert_eq!(expected[name][by], marked, "{name}: {by}");
        }
        // Slices without a segment have no frame: one of the first class is, in three slices, the second in one.
        assert_eq!(expected[name]["frames_by_pydicom"], 4);
        // The patient is the series', without which an archive cannot file it.
        assert_eq!(expected[name]["patient"], "Müller^Jörg");
    }
}

#[test]
fn own_segmentations_are_read_on_the_grid_of_their_series() {
    for (name, source) in [("seg_single.dcm", "explicit"), ("seg_multi.dcm", "enhanced")] {
        let path = golden("dicom").join(name);
        let image = read(&golden("dicom").join(source)).unwrap();
        let own = read_labels(&path).unwrap();
        // The first slice has no segment, and so no frame.
        assert_eq!(own.shape()[2] + 1, image.shape()[2]);
        let placed = read_labels_on(&path, image.grid()).unwrap();
        assert_eq!(
            (placed.data(), placed.grid()),
            (&labels(placed.data().len())[..], image.grid())
        );
        // On the same voxels in other axes: of a NIfTI file in right, anterior, superior.
        let (ras, orientation) = image.to_ras();
        let turned = read_labels_on(&path, ras.grid()).unwrap();
        assert_eq!(turned.from_ras(&orientation).unwrap().data(), placed.data());
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("DICOM SEG") && error.contains("as a mask"), "{error}");
    }
}

#[test]
fn segmentations_of_highdicom_are_read() {
    let expected = expected("highdicom_seg.json");
    for (name, case) in expected.as_object().unwrap() {
        let image = read(&golden("dicom").join(case["source"].as_str().unwrap())).unwrap();
        let placed = read_labels_on(&golden("dicom").join(name), image.grid()).unwrap();
        let labels: Vec<u8> = numbers(&case["labels"]).iter().map(|&label| label as u8).collect();
        assert_eq!(placed.data(), labels, "{name}");
    }
    let error = read_labels(&golden("dicom/highdicom_overlap.dcm")).unwrap_err().to_string();
    assert!(error.contains("overlap") && error.contains("a file of its own"), "{error}");
}

#[test]
fn the_program_takes_segmentations_for_masks() {
    let bench = Bench::new();
    for folder in ["seg", "nifti", "labels", "images", "both"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
    }
    let image = read(&golden("dicom/explicit")).unwrap();
    for case in ["a", "b", "c"] {
        let seg = golden("dicom/highdicom_binary.dcm");
        std::fs::copy(&seg, bench.path(&format!("seg/{case}.dcm"))).unwrap();
        // As `predict --dicom-seg` leaves them: the mask counts once.
        std::fs::copy(&seg, bench.path(&format!("both/{case}.dcm"))).unwrap();
        let mask = read_labels_on(&seg, image.grid()).unwrap();
        let (image, mask) = (image.to_ras().0, mask.to_ras().0);
        for folder in ["nifti", "labels", "both"] {
            write_labels(&bench.path(&format!("{folder}/{case}.nii.gz")), &mask).unwrap();
        }
        write_volume(&bench.path(&format!("images/{case}.nii.gz")), &image).unwrap();
    }
    let scores = |line: &str| {
        bench.succeed(&format!("evaluate {line} --out scores.json"));
        let text = std::fs::read_to_string(bench.path("scores.csv")).unwrap();
        assert_eq!(text.lines().count(), 7, "{text}");
        text
    };
    let plain = scores("--predictions nifti --labels labels");
    assert!(plain.lines().nth(1).unwrap().starts_with("a,1,1,"), "{plain}");
    for line in [
        "--predictions seg --labels labels",
        "--predictions nifti --labels seg",
        "--predictions both --labels labels",
    ] {
        assert_eq!(scores(line), plain, "{line}");
    }
    let judged = |line: &str| {
        bench.succeed(&format!("judge {line} --out judged.json"));
        std::fs::read_to_string(bench.path("judged.csv")).unwrap()
    };
    let plain = judged("--masks nifti --others labels");
    assert_eq!(judged("--masks seg --others labels"), plain);
    assert_eq!(judged("--masks nifti --others seg"), plain);
    assert_eq!(judged("--masks seg --others seg --images images"), plain);
    bench.succeed("judge --masks seg");
    // Of another image.
    let moved = image.to_ras().0;
    let affine = moved.affine().with_origin([500.0, 0.0, 0.0]);
    let moved = Labels::new(vec![1; moved.data().len()], moved.shape(), affine).unwrap();
    write_labels(&bench.path("labels/a.nii.gz"), &moved).unwrap();
    bench.fail(
        "evaluate --predictions seg --labels labels --out s.json",
        3,
        &["a.dcm", "the image"],
    );
}

#[test]
fn a_volume_goes_to_a_series_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let volume = read(&golden("dicom/enhanced")).unwrap();
    let nifti = folder.path().join("a.nii.gz");
    write_volume(&nifti, &volume).unwrap();
    let volume = read(&nifti).unwrap();
    let series = folder.path().join("series");
    write_series(&series, &volume, "DOE^JANE", "a").unwrap();
    // Names that say nothing of the order.
    for (index, entry) in std::fs::read_dir(&series).unwrap().enumerate() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, series.join(format!("{}-x", (index * 3 + 1) % 4))).unwrap();
    }
    let back = read(&series).unwrap();
    assert_eq!(back.data(), volume.data());
    assert!(back.grid().difference(volume.grid()).is_none());
    assert!(back.affine().max_difference(volume.affine()) < 1e-6);
}

const PATIENT: &str = "SECRET^PERSON";

/// Every image of a tree of NIfTI files as a series of a patient, in a tree of the same names; masks as they are.
fn as_series(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".nii.gz") else {
            if path.is_dir() {
                as_series(&path, &to.join(name));
            }
            continue;
        };
        if stem.ends_with("_ss") {
            std::fs::copy(&path, to.join(&name)).unwrap();
        } else {
            let volume: Volume = read(&path).unwrap();
            write_series(&to.join(stem), &volume, PATIENT, stem).unwrap();
            // As NIfTI once more, since 16 bits do not hold all that floats do.
            write_volume(&path, &read(&to.join(stem)).unwrap()).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The patient's words are in none of the files below folders, nor in their names.
fn assert_no_patient(bench: &Bench, folders: &[&str]) {
    for path in folders.iter().flat_map(|folder| files(&bench.path(folder))) {
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|ending| ending == "gz") {
            let mut inflated = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(bytes.as_slice());
            std::io::Read::read_to_end(&mut reader, &mut inflated).unwrap();
            bytes = inflated;
        }
        for word in ["SECRET", "19000101"] {
            let holds = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!holds, "{} holds {word}", path.display());
            assert!(!path.to_string_lossy().contains(word), "{}", path.display());
        }
    }
}

#[test]
fn the_program_does_with_series_what_it_does_with_the_equal_files() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 2 --matrix 32");
    as_series(&bench.path("ph"), &bench.path("dc"));
    let mut said = String::new();
    let mut run = |line: &str| {
        let output = bench.run(line);
        let text =
            [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out).into_owned());
        assert!(output.status.success(), "{line}\n{}", text[1]);
        said += &text.concat();
        text.concat()
    };
    // Training on series: the same network as on files.
    for (set, out) in [("ph", "src"), ("dc", "src_dc")] {
        run(&format!("train --data {set} --domain GE_3 {TINY} --out {out}"));
    }
    let weights =
        |out: &str| udas_model::ModelFile::load(&bench.path(out), None).unwrap().hash().unwrap();
    assert_eq!(weights("src"), weights("src_dc"));
    for (set, ending, out) in [("ph", "*.nii.gz", "masks"), ("dc", "*", "masks_dc")] {
        let seg = if set == "dc" { "--dicom-seg --segments brain" } else { "" };
        let images = format!("{set}/Original/Siemens_15/{ending}");
        run(&format!("predict --model src --images {images} --out {out} {seg}"));
        run(&format!("doctor {set}/Original/Siemens_15"));
    }
    let images: Vec<PathBuf> = files(&bench.path("masks"))
        .into_iter()
        .filter(|p| p.to_string_lossy().ends_with(".nii.gz"))
        .collect();
    assert_eq!(images.len(), 2);
    for path in images {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (file, series): (Labels, Labels) = (
            read_labels(&path).unwrap(),
            read_labels(&bench.path("masks_dc").join(&name)).unwrap(),
        );
        // Bits are the same; slices may come in the other order along an axis, as orientation says.
        let [file, series] = [file, series].map(|labels| labels.to_ras().0);
        assert!(file.data() == series.data(), "{name}");
        assert!(file.grid().difference(series.grid()).is_none());
        let stem = name.strip_suffix(".nii.gz").unwrap();
        assert!(Segmentation::is_own(&bench.path("masks_dc").join(format!("{stem}.dcm"))));
    }
    // Again: nothing is to be done, and other contents are seen.
    let again = "predict --model src --images dc/Original/Siemens_15/* --out masks_dc --dicom-seg --segments brain";
    assert!(run(again).contains("0 masks written, 2 were there"));
    run(
        "adapt --model src --images dc/Original/Siemens_15/* --method tent --epochs 1 --batch-size 8 --unready warn --out ad",
    );
    run("judge --before src --after ad --images dc/Original/Siemens_15/*");
    run("evaluate --predictions masks_dc --labels ph/Silver-standard/Siemens_15 --out scores.json");
    run("report src_dc ad --out page");
    run("judge --masks masks_dc --images dc/Original/Siemens_15/* --page quality");
    assert!(!said.contains("SECRET") && !said.contains("19000101"), "{said}");
    // The segmentations hold the patient, by the standard and on request.
    for path in files(&bench.path("masks_dc")) {
        if path.extension().is_some_and(|ending| ending == "dcm") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_no_patient(&bench, &["src_dc", "ad", "masks_dc", "page", "quality"]);
    let scores = std::fs::read_to_string(bench.path("scores.csv")).unwrap();
    assert!(!scores.contains("SECRET"));
}

#[test]
fn series_that_are_no_volume_are_refused_by_the_program_and_named_by_doctor() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --dicom --out ph --domain GE_3 --subjects 1 --matrix 32");
    bench.fail("phantom --task heart --dicom --out x", 2, &["cines", "--dicom"]);
    let series =
        std::fs::read_dir(bench.path("ph/Original/GE_3")).unwrap().next().unwrap().unwrap().path();
    let name = series.file_name().unwrap().to_string_lossy().into_owned();
    bench.succeed(&format!("doctor ph/Original/GE_3/{name}"));
    assert!(bench.succeed("doctor ph").contains("1 files"));
    std::fs::remove_file(series.join("IM0004.dcm")).unwrap();
    let output = bench.run("doctor ph");
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("missing slices: 1 between IM0003.dcm and IM0005.dcm"), "{text}");
    bench.fail(
        &format!("train --data ph --domain GE_3 {TINY} --out src"),
        3,
        &["missing slices", "export"],
    );
}
