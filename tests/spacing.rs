//! A voxel size that travels with the model: every command brings volumes to it, and masks come back on their own grid.
mod common;

use common::{Bench, TINY};
use udas_data::{Plane, Spacing};
use udas_model::ModelFile;
use udas_volume::{Affine, Volume, probe, read, read_labels, write_labels, write_volume};

/// Two scanners of other resolution, and a model of the finer one by the median of its pixels.
fn resampling() -> Bench {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out fine --domain GE_3 --subjects 2 --matrix 42");
    bench.succeed("phantom --task head --out coarse --domain Siemens_15 --subjects 2 --matrix 32");
    bench.succeed(&format!("train --data fine --domain GE_3 {TINY} --spacing median --out src"));
    bench
}

#[test]
fn a_new_scanner_is_brought_to_the_model_s_voxels_and_masks_come_back() {
    let bench = resampling();
    let files = |folder: &str| {
        let files = std::fs::read_dir(bench.path(folder)).unwrap();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    // The source's slices stay as they are: they have the median already.
    let own = probe(&files("fine/Original/GE_3")[0]).unwrap().grid.affine.spacing();
    let spacing = ModelFile::load(&bench.path("src"), None).unwrap().info.preprocessing.spacing;
    let Spacing::Slices { pixel_mm, between_mm: None } = spacing else { panic!("{spacing:?}") };
    assert!((pixel_mm[0] - own[2]).abs() < 1e-3 && (pixel_mm[1] - own[1]).abs() < 1e-3, "{own:?}");

    let on = "--data coarse --domain Siemens_15";
    let output = bench.run(&format!("predict --model src {on} --probabilities --out masks"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("finer detail"), "{said}");
    for image in files("coarse/Original/Siemens_15") {
        let name = image.file_name().unwrap().to_str().unwrap().to_owned();
        let mask = read_labels(&bench.path("masks").join(&name)).unwrap();
        let probability = bench.path("masks").join(name.replace(".nii", "_prob.nii"));
        let probability = read(&probability).unwrap();
        let grid = probe(&image).unwrap().grid;
        assert_eq!(mask.grid().difference(&grid), None);
        assert_eq!(probability.grid().difference(&grid), None);
        let more_probable: Vec<u8> =
            probability.data().iter().map(|&p| u8::from(p > 0.5)).collect();
        assert_eq!(mask.data(), more_probable);
    }
    bench.succeed(&format!("evaluate --predictions masks {on} --out masks/scores.json"));
    let text = bench.succeed("doctor coarse --model src");
    assert!(text.contains("finer detail") && text.contains("in training"), "{text}");

    bench.succeed(
        "head --model src --data fine --domain GE_3 --batch-size 8 --epochs 1 --out src/head0",
    );
    bench.succeed("calibrate --model src --data fine --domain GE_3 --slices 4 --shifted 1 --out src/calibration.json");
    for method in ["early-features --unready warn", "adabn"] {
        let out = &method[..5];
        let line = format!(
            "adapt --model src {on} --method {method} --batch-size 8 --epochs 1 --on-harm keep --out {out}"
        );
        let output = bench.run(&line);
        assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
        let events = std::fs::read_to_string(bench.path(out).join("events.jsonl")).unwrap();
        assert!(events.contains("finer detail"), "{events}");
        let adapted = ModelFile::load(&bench.path(out), None).unwrap();
        assert_eq!(adapted.info.preprocessing.spacing, spacing);
    }
    bench.succeed(&format!("judge --before src --after adabn {on}"));
}

#[test]
fn slices_may_be_brought_to_a_distance_too_and_nonsense_is_refused() {
    let bench = Bench::new();
    bench.succeed("phantom --task heart --out hearts --domain A B --subjects 2 --matrix 32");
    let line = format!("train --data hearts --domain A {TINY}");
    let output = bench.run(&format!("{line} --spacing 5,4.95 --out src"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("slices 4.95 mm apart"), "{said}");
    bench.succeed("predict --model src --data hearts --domain B --out masks");
    bench.succeed("evaluate --predictions masks --data hearts --domain B --out masks/scores.json");
    for wrong in ["0", "1,2,3", "some", "1,nan"] {
        bench.fail(&format!("{line} --spacing {wrong} --out x"), 2, &["--spacing", "median"]);
    }
    let parts = ["--spacing 0.0001", ".nii.gz", "larger spacing"];
    bench.fail(&format!("{line} --spacing 0.0001 --out x"), 2, &parts);
}

/// Runs of builds that knew no spacing go on as they began.
#[test]
fn a_run_without_a_word_of_spacing_goes_on() {
    let bench = Bench::trained();
    let config = bench.path("src/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let line = "spacing = \"native\"\n";
    assert!(text.contains(line), "{text}");
    std::fs::write(&config, text.replace(line, "")).unwrap();
    let path = bench.path("src/model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bench.succeed("train --resume --out src");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn thick_voxels_are_cut_across_and_older_runs_keep_their_plane() {
    let bench = Bench::new();
    for folder in ["images", "masks"] {
        std::fs::create_dir_all(bench.path("set/a").join(folder)).unwrap();
    }
    let affine = Affine::from_spacing([1.0, 1.0, 5.0]);
    for subject in 0..2 {
        let values = (0..16 * 16 * 6).map(|v| ((v * (7 + subject)) % 41) as f32).collect();
        let scan = Volume::new(values, [16, 16, 6], affine).unwrap();
        let name = format!("{subject}.nii.gz");
        write_volume(&bench.path("set/a/images").join(&name), &scan).unwrap();
        let mask = scan.map(|value| u8::from(value > 20.0));
        write_labels(&bench.path("set/a/masks").join(&name), &mask).unwrap();
    }
    let plane =
        |run: &str| ModelFile::load(&bench.path(run), None).unwrap().info.preprocessing.plane;
    let line = format!("train --data set --domain a {TINY}");
    let output = bench.run(&format!("{line} --out thick"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("slices: axial") && said.contains("5.0 times"), "{said}");
    assert_eq!(plane("thick"), Plane::Axial);
    bench.succeed(&format!("{line} --plane coronal --out asked"));
    assert_eq!(plane("asked"), Plane::Coronal);
    // An older build took sagittal slices, and did not write that down.
    let config = bench.path("thick/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("plane = \"axial\"\n", "")).unwrap();
    std::fs::remove_file(bench.path("thick/model.safetensors")).unwrap();
    bench.succeed("train --resume --out thick");
    assert_eq!(plane("thick"), Plane::Sagittal);
}
