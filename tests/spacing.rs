//! A voxel size that travels with the model: every command brings volumes to it, and masks come back on their own grid.
mod common;

use common::{Bench, TINY};
use udas_data::Spacing;
use udas_model::ModelFile;
use udas_volume::{probe, read, read_labels};

/// Two scanners of other resolution, and a model of the finer one by the median of its pixels.
fn resampling() -> Bench {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out fine --domain GE_3 --subjects 2 --matrix 48");
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
    bench.fail(&format!("{line} --spacing 0.0001 --out x"), 3, &["larger spacing"]);
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
