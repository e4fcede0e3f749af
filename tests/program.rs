//! The program from synthetic volumes to a report, and what it says to bad input.
mod common;

use common::{Bench, TINY};
use udas_volume::{Affine, Labels, Volume, read, read_labels, write_labels, write_volume};

#[test]
fn from_a_phantom_to_a_report() {
    let bench = Bench::trained();
    bench.succeed(
        "adapt --model src --data ph --domain Siemens_15 --method early-features --batch-size 8 --epochs 1 --out ad",
    );
    let models = [("src", "before", "scores_before"), ("ad", "after", "scores")];
    for (model, name, scores) in models {
        bench.succeed(&format!(
            "predict --model {model} --data ph --domain Siemens_15 --out ad/{name} --overlays"
        ));
        let table = bench.succeed(&format!(
            "evaluate --predictions ad/{name} --data ph --domain Siemens_15 --out ad/{scores}.json"
        ));
        assert!(table.contains("surface_dice_1mm"), "{table}");
        assert!(bench.path(&format!("ad/{scores}.csv")).is_file());
    }
    bench.succeed("report ad --out rep --figures");
    let page = std::fs::read_to_string(bench.path("rep/index.html")).unwrap();
    assert!(page.contains("early-features") || page.contains("early features"));
    assert!(page.contains("as the network sees them"), "both domains' intensities are shown");
    assert!(bench.path("rep/results.csv").is_file());
    // Asked again on a volume of its own, it is that verdict that counts.
    let checked = || -> Vec<String> {
        let results = udas_record::Experiment::read(&bench.path("rep/results.json")).unwrap();
        results.outcomes[0].verdict.clone().unwrap().check_first
    };
    assert_eq!(checked().len(), 2);
    bench.succeed(
        "judge --before src --after ad --data ph --domain Siemens_15 --subjects 1 --out ad/judgement.json",
    );
    bench.succeed("report ad --out rep");
    assert_eq!(checked().len(), 1);
    let verdict = bench.succeed("verify ad");
    assert!(verdict.contains("the same, to the bit"), "{verdict}");
    let events = std::fs::read_to_string(bench.path("ad/events.jsonl")).unwrap();
    let kinds: Vec<_> = events.lines().map(|line| &line[..line.find(',').unwrap()]).collect();
    let expected = ["start", "before", "epoch", "verdict", "stop"]
        .map(|kind| format!("{{\"event\":\"{kind}\""));
    assert_eq!(kinds, expected);
}

/// Paths as they were given lead nowhere from another folder.
#[test]
fn a_run_is_understood_from_another_folder() {
    let bench = Bench::trained();
    bench.succeed(
        "adapt --model src --data ph --domain Siemens_15 --method tent --batch-size 8 --epochs 1 --out ad",
    );
    bench.succeed("predict --model ad --data ph --domain Siemens_15 --out ad/after");
    let elsewhere = tempfile::tempdir().unwrap();
    let run = bench.path("ad").display().to_string();
    let there = |line: &str| {
        let output = bench.command(line).current_dir(elsewhere.path()).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "udas {line}\n{message}");
        String::from_utf8(output.stdout).unwrap() + &message
    };
    let text = there(&format!("verify {run}"));
    assert!(text.contains("the same, to the bit"), "{text}");
    let text = there(&format!("report {run} --out page"));
    assert!(!text.contains("warning"), "{text}");
    let page = std::fs::read_to_string(elsewhere.path().join("page/index.html")).unwrap();
    assert!(page.contains("as the network sees them"), "histograms of both domains");
    let text = there(&format!("adapt --resume --out {run}"));
    assert!(text.contains("is done already"), "{text}");

    // Cut off before its first epoch, it goes on from there.
    for name in ["model.safetensors", "patch.safetensors"] {
        std::fs::remove_file(bench.path("ad").join(name)).unwrap();
    }
    there(&format!("adapt --resume --out {run}"));
    assert!(bench.path("ad/model.safetensors").is_file());
}

#[test]
fn a_calibration_beside_the_model_serves_judge_and_adapt() {
    let bench = Bench::trained();
    bench.succeed(
        "calibrate --model src --data ph --domain GE_3 --slices 4 --shifted 1 --out src/calibration.json",
    );
    // A folder that is not there is made, before the work.
    let text = bench.succeed(
        "judge --before src --after src --data ph --domain Siemens_15 --out new/folder/judgement.json",
    );
    assert!(bench.path("new/folder/judgement.json").is_file());
    assert!(text.contains("verdict: keep") && text.contains("predicted Dice"), "{text}");
    // Statistics can only be re-estimated: nothing to train, so the verdict alone decides the exit code.
    bench.succeed(
        "adapt --model src --data ph --domain Siemens_15 --method adabn --batch-size 8 --on-harm keep --out ad",
    );
    let events = std::fs::read_to_string(bench.path("ad/events.jsonl")).unwrap();
    assert!(events.contains("\"decision\""), "{events}");
    bench.succeed(
        "train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --seed 5 --out other",
    );
    bench.fail(
        "judge --before other --after src --data ph --domain GE_3 --calibration src/calibration.json",
        3,
        &["another model", "udas calibrate"],
    );
}

/// A normalisation that makes everything bright: the segmented volume vanishes or explodes, whatever the weights.
#[test]
fn harm_is_rolled_back_to_the_source_model_as_it_was() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 2 --matrix 32");
    bench.succeed("train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 4 --out src");
    bench.fail(
        "adapt --model src --data ph --domain Siemens_15 --method source-only --intensity percentile:0,0.5 \
         --on-harm rollback --out ad",
        4,
        &["rolled back", "rejected.safetensors"],
    );
    let bytes = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert_eq!(bytes("ad/model.safetensors"), bytes("src/model.safetensors"));
    assert_ne!(bytes("ad/rejected.safetensors"), bytes("src/model.safetensors"));
    assert!(bench.path("ad/rejected-patch.safetensors").exists());
    assert!(!bench.path("ad/patch.safetensors").exists(), "nobody applies it by mistake");
    // The page says it too.
    bench.succeed("report ad --out page");
    let page = std::fs::read_to_string(bench.path("page/index.html")).unwrap();
    assert!(page.contains("roll back to the source model") && page.contains("was rolled back"));
    // Asked again, by a script that did not look, it says the same.
    bench.fail("adapt --resume --out ad", 4, &["is done already", "rolled back"]);
}

#[test]
fn a_calibration_that_does_not_fit_is_refused_before_the_work() {
    let bench = Bench::trained();
    let line = "adapt --model src --data ph --domain Siemens_15 --method adabn --batch-size 8 --dry-run --out ad";
    let named = |file: &str| format!("{line} --calibration {file}");
    bench.fail(&named("none.json"), 3, &["none.json", "udas calibrate"]);
    bench.succeed(
        "calibrate --model src --data ph --domain GE_3 --slices 4 --shifted 1 --out c.json",
    );
    bench.succeed(&named("c.json"));
    bench.succeed(
        "train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --seed 5 --out other",
    );
    bench.fail(
        &named("c.json").replace("--model src", "--model other"),
        3,
        &["c.json", "another model"],
    );
    bench.succeed(
        "calibrate --model src --peers other --data ph --domain GE_3 --slices 4 --shifted 1 --out p.json",
    );
    for peers in ["", "--peers other"] {
        bench.succeed(&format!("{} {peers}", named("p.json")));
    }
    bench.succeed(
        "train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --seed 6 --out third",
    );
    bench.fail(&format!("{} --peers third", named("p.json")), 3, &["other peers", "give the same"]);
    // One that merely lies beside the model is no reason to stop.
    std::fs::write(bench.path("src/calibration.json"), "{}").unwrap();
    bench.succeed(line);
}

#[test]
fn a_run_that_is_done_is_not_taken_for_another() {
    let bench = Bench::trained();
    let adabn = "adapt --model src --data ph --domain Siemens_15 --method adabn --batch-size 8 --on-harm keep";
    bench.succeed(&format!("{adabn} --out ad"));
    let again = |line: &str| format!("{line} --out ad --resume");
    bench.succeed(&again(adabn));
    for (old, new, part) in [
        ("--method adabn", "--method tent", "--method"),
        ("Siemens_15", "GE_3", "--domain"),
        ("--batch-size 8", "--batch-size 4", "--batch-size"),
    ] {
        let line = again(adabn).replace(old, new);
        bench.fail(&line, 2, &[part, "choose another --out"]);
    }
    bench.succeed(
        "train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --seed 5 --out other",
    );
    let line = again(adabn).replace("--model src", "--model other");
    bench.fail(&line, 2, &["other/model.safetensors", "give the same model"]);
}

#[test]
fn what_failed_before_its_first_epoch_can_be_put_right() {
    let bench = Bench::trained();
    let line = "train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --out run";
    let mask = bench.path("ph/Silver-standard/GE_3");
    let mask = std::fs::read_dir(mask).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&mask).unwrap();
    std::fs::write(&mask, &good[..good.len() / 2]).unwrap();
    assert!(!bench.run(line).status.success());
    std::fs::write(&mask, &good).unwrap();
    bench.succeed(line);
    bench.fail(line, 2, &["holds a run already"]);
    bench.fail(
        "adapt --model src --data ph --domain Siemens_15 --method mean-teacher --out mt",
        2,
        &["--source-data DIR"],
    );
    assert!(!bench.path("mt").exists());
}

#[test]
fn images_are_not_overwritten_and_masks_among_them_are_left_out() {
    let bench = Bench::trained();
    bench.succeed("predict --model src --data ph --domain GE_3 --out masks");
    std::fs::create_dir(bench.path("mix")).unwrap();
    for entry in std::fs::read_dir(bench.path("ph/Original/GE_3")).unwrap() {
        let image = entry.unwrap().path();
        let name = image.file_name().unwrap().to_str().unwrap().to_owned();
        std::fs::copy(&image, bench.path("mix").join(&name)).unwrap();
        let mask = name.replace(".nii", "_seg.nii");
        std::fs::copy(bench.path("masks").join(&name), bench.path("mix").join(mask)).unwrap();
    }
    let output = bench.run("predict --model src --images mix --out out");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("_seg.nii.gz: looks like a mask") && said.contains("2 such files"),
        "{said}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 masks written"));
    let read = || {
        let mut files: Vec<_> =
            std::fs::read_dir(bench.path("mix")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    let before = read();
    for line in ["--out mix", "--out mix --overwrite", "--out out/../mix --overwrite"] {
        let line = format!("predict --model src --images mix {line}");
        bench.fail(&line, 2, &["is an image that is read", "choose another --out"]);
    }
    assert_eq!(before, read());
}

#[test]
fn a_checkpoint_that_does_not_describe_itself_is_said_to_and_can_be_described() {
    let bench = Bench::trained();
    bench.succeed("train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --plane axial --intensity z-score --out za");
    bench.succeed("convert za/model.safetensors za.pth");
    let on = "--images ph/Original/GE_3";
    let guessed = bench.run(&format!("predict --model za.pth {on} --out guessed"));
    let said = String::from_utf8_lossy(&guessed.stderr).into_owned();
    for part in
        ["za.pth: does not say how volumes are prepared", "sagittal", "min-max", "udas convert"]
    {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    let sight = "--plane axial --intensity z-score";
    bench.succeed(&format!("convert za.pth described.safetensors {sight}"));
    bench.succeed(&format!("predict --model za.pth {on} {sight} --out by_flags"));
    let output = bench.run(&format!("predict --model described.safetensors {on} --out described"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("does not say"), "{said}");
    let masks = |folder: &str| {
        let mut names: Vec<_> =
            std::fs::read_dir(bench.path(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        names.retain(|path| path.to_string_lossy().ends_with(".nii.gz"));
        names.sort();
        names.into_iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    assert!(masks("by_flags") == masks("described") && masks("guessed") != masks("described"));
}

#[test]
fn models_that_are_judged_are_no_peers_and_before_comes_before_after() {
    let bench = Bench::trained();
    bench.succeed("adapt --model src --data ph --domain Siemens_15 --method adabn --batch-size 8 --on-harm keep --out ad");
    let on = "--data ph --domain Siemens_15";
    for peer in ["src", "ad"] {
        let line = format!("judge --before src --after ad {on} --peers {peer}");
        bench.fail(&line, 3, &[peer, "no other training"]);
    }
    bench.succeed("train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 1 --plane axial --out axial");
    let line = format!("judge --before src --after ad {on} --peers axial");
    bench.fail(&line, 3, &["--peers axial", "other slices"]);
    let line = format!("judge --before ad --after src {on}");
    bench.fail(&line, 2, &["was adapted from src", "exchange"]);
}

#[test]
fn predictions_that_are_not_there_are_not_scored() {
    let bench = Bench::trained();
    bench.fail(
        "evaluate --predictions nothing --labels ph/Silver-standard/GE_3 --out e.json",
        3,
        &["nothing: holds no predictions"],
    );
    bench.succeed("predict --model src --data ph --domain GE_3 --out masks");
    let text = bench.succeed(
        "evaluate --predictions masks --labels ph/Silver-standard/GE_3 --subjects 2 --out e.json",
    );
    assert!(text.starts_with("1 subjects"), "{text}");
}

#[test]
fn subjects_of_one_name_in_two_domains_are_not_mixed_up() {
    let bench = Bench::trained();
    let from = std::fs::read_dir(bench.path("ph/Original/GE_3")).unwrap().next().unwrap().unwrap();
    for domain in ["A", "B"] {
        std::fs::create_dir_all(bench.path(&format!("two/{domain}/images"))).unwrap();
        std::fs::copy(from.path(), bench.path(&format!("two/{domain}/images/01.nii.gz"))).unwrap();
    }
    let parts = ["two/A/images/01.nii.gz", "two/B/images/01.nii.gz", "one --domain"];
    bench.fail("predict --model src --data two --domain A B --out masks", 3, &parts);
    bench.fail("evaluate --predictions masks --data two --domain A B --out s.json", 3, &parts);
    bench.succeed("predict --model src --data two --domain A --out masks");
    bench.fail(
        "evaluate --predictions masks --data two --domain A --out s.csv",
        2,
        &["--out", "scores.json"],
    );
    bench.fail("evaluate --predictions masks --data two --domain A --out s.json", 3, &["no label"]);
}

#[test]
fn the_doctor_tells_what_is_wrong_with_a_data_set() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 1 --matrix 32");
    let folder = bench.path("ph/Original/GE_3");
    let scan = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    std::fs::create_dir(folder.join("copy")).unwrap();
    std::fs::copy(scan.path(), folder.join("copy").join(scan.file_name())).unwrap();
    bench.fail("doctor ph", 3, &["copy/PH", "both named", "rename or remove"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    let mut methods =
        bench.command("methods").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(methods.stdout.take());
    assert!(methods.wait().unwrap().success());
}

#[test]
fn what_is_asked_for_later_is_added() {
    let bench = Bench::trained();
    let line = "predict --model src --data ph --domain Siemens_15 --out masks";
    bench.succeed(line);
    let files = || std::fs::read_dir(bench.path("masks")).unwrap().count();
    assert_eq!(files(), 3);
    let text = bench.succeed(&format!("{line} --overlays --probabilities"));
    assert!(text.contains("2 masks written") && files() == 7, "{text}: {}", files());
    let text = bench.succeed(&format!("{line} --overlays"));
    assert!(text.contains("2 were there"), "{text}");
    // What lies beside the masks is not scored, whatever it is called.
    let text = bench.succeed(
        "evaluate --predictions masks --labels ph/Silver-standard/Siemens_15 --out s.json",
    );
    assert!(text.contains("2 subjects"), "{text}");
}

#[test]
fn a_header_without_orientation_is_said_and_recorded() {
    let bench = Bench::trained();
    let name =
        std::fs::read_dir(bench.path("ph/Original/Siemens_15")).unwrap().next().unwrap().unwrap();
    let volume = read(&name.path()).unwrap();
    write_volume(&bench.path("plain.nii"), &volume).unwrap();
    let mut bytes = std::fs::read(bench.path("plain.nii")).unwrap();
    // qform_code and sform_code.
    bytes[252..256].fill(0);
    std::fs::write(bench.path("plain.nii"), bytes).unwrap();
    let line = "adapt --model src --images plain.nii --method adabn --batch-size 8 --out ad";
    let message = bench.run(line).stderr;
    let message = String::from_utf8_lossy(&message);
    assert!(message.contains("plain.nii: "), "{message}");
    let events = std::fs::read_to_string(bench.path("ad/events.jsonl")).unwrap();
    assert!(events.contains("\"event\":\"warning\""), "{events}");
}

#[test]
fn a_result_that_cannot_be_written_is_refused_before_the_work() {
    let bench = Bench::trained();
    std::fs::write(bench.path("file"), "").unwrap();
    bench.fail(
        "calibrate --model src --data ph --domain GE_3 --out file/calibration.json",
        3,
        &["file/calibration.json", "choose another --out"],
    );
}

#[test]
fn every_order_size_and_kind_comes_back_on_its_own_grid() {
    let bench = Bench::trained();
    std::fs::create_dir_all(bench.path("images")).unwrap();
    let size = [19, 21, 13];
    for codes in ["RAS", "PSR", "LPS"] {
        let affine =
            Affine::from_codes(codes, [2.0, 2.0, 2.0]).unwrap().with_origin([5.0, -3.0, 7.0]);
        let values = (0..size.iter().product()).map(|v: usize| (v % 97) as f32).collect();
        let volume = Volume::new(values, size, affine).unwrap();
        write_volume(&bench.path(&format!("images/{codes}.nii.gz")), &volume).unwrap();
    }
    bench.succeed("predict --model src --images images --out out --probabilities");
    for codes in ["RAS", "PSR", "LPS"] {
        let image = read(&bench.path(&format!("images/{codes}.nii.gz"))).unwrap();
        let mask = read_labels(&bench.path(&format!("out/{codes}.nii.gz"))).unwrap();
        assert_eq!(image.grid().difference(mask.grid()), None);
        let probabilities = read(&bench.path(&format!("out/{codes}_prob.nii.gz"))).unwrap();
        for (label, p) in mask.data().iter().zip(probabilities.data()) {
            assert_eq!(*label == 1, *p > 0.5);
        }
    }
    // Again: everything is there.
    let again = bench.succeed("predict --model src --images images --out out");
    assert!(again.contains("3 were there"), "{again}");
    bench.fail("predict --model src/head0 --images images --out out2", 3, &["early head"]);
}

#[test]
fn folders_of_pictures_are_predicted_as_pictures() {
    let bench = Bench::trained();
    std::fs::create_dir_all(bench.path("png")).unwrap();
    for name in ["a", "b"] {
        let affine = Affine::from_codes("RPS", [1.0; 3]).unwrap();
        let grey =
            Labels::new((0..20 * 30).map(|v| (v % 251) as u8).collect(), [20, 30, 1], affine)
                .unwrap();
        write_labels(&bench.path(&format!("png/{name}.png")), &grey).unwrap();
    }
    bench.succeed("predict --model src --images png --out out");
    let mask = read_labels(&bench.path("out/a.png")).unwrap();
    assert_eq!(mask.shape(), [20, 30, 1]);
}

#[test]
fn bad_input_is_named_with_its_remedy() {
    let bench = Bench::trained();
    bench.fail("train --data ph --domain GE_7 --out x", 3, &["GE_7", "GE_3, Siemens_15"]);
    std::fs::create_dir_all(bench.path("empty")).unwrap();
    bench.fail("train --data empty --domain a --out x", 3, &["empty", "holds no images"]);
    bench.fail("predict --model src --images empty --out x", 3, &["empty", "holds no images"]);
    bench.fail("predict --model gone --images ph --out x", 3, &["gone"]);
    bench.fail(
        "adapt --model src --data ph --domain Siemens_15 --method early-features --level 2 --out x",
        3,
        &["udas head", "--level 2"],
    );
    bench.fail(
        "adapt --model src --head src/head0 --data ph --domain Siemens_15 --method early-features --level 1 --out x",
        3,
        &["level 0", "--level 0"],
    );
    bench.fail(
        "adapt --model src --data ph --domain Siemens_15 --method magic --out x",
        2,
        &["magic", "early-features"],
    );
    bench.fail(&format!("train --data ph --domain GE_3 {TINY} --out src"), 2, &["--resume"]);
    bench.fail("train --data ph --domain GE_3 --subjects 1-9 --out x", 3, &["1-9", "1 to 2"]);

    // A volume with NaN among good ones: the others are predicted, it is named.
    std::fs::create_dir_all(bench.path("images")).unwrap();
    let volume = |value: f32| {
        let mut values: Vec<f32> = (0..480).map(|v| v as f32).collect();
        values[77] = value;
        Volume::new(values, [6, 8, 10], Affine::from_spacing([1.0; 3])).unwrap()
    };
    write_volume(&bench.path("images/good.nii.gz"), &volume(1.0)).unwrap();
    write_volume(&bench.path("images/nan.nii.gz"), &volume(f32::NAN)).unwrap();
    bench.fail("predict --model src --images images --out out", 3, &["nan.nii.gz", "NaN"]);
    assert!(bench.path("out/good.nii.gz").is_file());

    // A mask on another grid, and labels outside the classes.
    for folder in ["set/a/images", "set/a/masks", "masks"] {
        std::fs::create_dir_all(bench.path(folder)).unwrap();
    }
    write_volume(&bench.path("set/a/images/s.nii.gz"), &volume(1.0)).unwrap();
    let mask = volume(1.0).map(|value| u8::from(value > 200.0));
    let moved =
        Labels::new(mask.data().to_vec(), [6, 10, 8], Affine::from_spacing([1.0; 3])).unwrap();
    write_labels(&bench.path("set/a/masks/s.nii.gz"), &moved).unwrap();
    bench.fail("train --data set --domain a --out x", 3, &["s.nii.gz", "6x8x10", "6x10x8"]);
    write_labels(&bench.path("set/a/masks/s.nii.gz"), &mask.map(|label| 7 * label)).unwrap();
    bench.fail(
        "train --data set --domain a --filters 2 --batch-size 4 --out x2",
        3,
        &["label 7", "0 to 1"],
    );
    write_labels(&bench.path("masks/good.nii.gz"), &moved).unwrap();
    bench.fail(
        "evaluate --predictions out --labels masks --out e.json",
        3,
        &["good.nii.gz", "different grids"],
    );
    write_volume(&bench.path("images/good.nii"), &volume(1.0)).unwrap();
    bench.fail(
        "predict --model src --images images --out out3",
        3,
        &["good.nii", "good.nii.gz", "rename"],
    );
}

#[test]
fn help_shows_an_example_of_every_command() {
    let bench = Bench::new();
    for command in [
        "phantom",
        "doctor",
        "train",
        "head",
        "adapt",
        "predict",
        "calibrate",
        "judge",
        "evaluate",
        "convert",
        "methods",
        "verify",
        "report",
    ] {
        let help = bench.succeed(&format!("{command} --help"));
        assert!(help.contains(&format!("udas {command}")), "{command}: {help}");
    }
    assert!(bench.succeed("methods").lines().count() >= 5);
}
