//! Files of all kinds, good and bad: what is read comes back on its own grid, and what cannot be read is named with the remedy.
mod common;

use common::{Bench, TINY};
use udas_volume::{Affine, Labels, Volume, read, read_labels, write_labels, write_volume};

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
    let output = bench.run("predict --model src --images masks --out of_masks");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("as a mask does"), "{said}");
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
        &["--out", "give s.json"],
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
fn stored_slices_of_other_axes_are_said() {
    let bench = Bench::trained();
    bench.succeed(&format!("train --data ph --domain GE_3 --plane stored {TINY} --out stored"));
    let size = [16, 16, 16];
    for codes in ["RAS", "LPS"] {
        let affine = Affine::from_codes(codes, [4.0; 3]).unwrap();
        let values = (0..size.iter().product()).map(|v: usize| (v % 97) as f32).collect();
        let volume = Volume::new(values, size, affine).unwrap();
        write_volume(&bench.path(&format!("{codes}.nii.gz")), &volume).unwrap();
    }
    for (model, file, is_said) in
        [("stored", "RAS", false), ("stored", "LPS", true), ("src", "LPS", false)]
    {
        let line = format!("predict --model {model} --images {file}.nii.gz --out {model}-{file}");
        let message = String::from_utf8(bench.run(&line).stderr).unwrap();
        let said = message.contains("LPS.nii.gz: axes LPS") && message.contains("learned from RAS");
        assert_eq!(said, is_said, "{line}\n{message}");
    }
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
        2,
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
fn masks_of_two_models_do_not_mix_when_some_are_made_anew() {
    let bench = Bench::trained();
    bench.succeed(&format!("train --data ph --domain GE_3 {TINY} --seed 9 --out other"));
    let on = "--data ph --domain Siemens_15";
    bench.succeed(&format!("predict --model src {on} --probabilities --out out"));
    bench.fail(
        &format!("predict --model other {on} --subjects 1 --overwrite --out out"),
        2,
        &["is of another model", "choose another --out"],
    );
    let text = bench.succeed(&format!("predict --model other {on} --overwrite --out out"));
    assert!(text.contains("2 masks written"), "{text}");
    let left = std::fs::read_dir(bench.path("out")).unwrap();
    let left =
        left.filter(|entry| entry.as_ref().unwrap().path().ends_with("_prob.nii.gz")).count();
    assert_eq!(left, 0, "probabilities of the earlier model are gone");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_said() {
    let bench = Bench::trained();
    std::fs::create_dir(bench.path("links")).unwrap();
    std::os::unix::fs::symlink("annex/a", bench.path("links/a.nii.gz")).unwrap();
    bench.fail("doctor links", 3, &["1 files cannot be used"]);
    bench.fail("predict --model src --images links --out out", 3, &["links/a.nii.gz"]);
}

#[test]
fn doctor_says_what_training_would_refuse() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 4 --matrix 32");
    let masks = bench.path("ph/Silver-standard/GE_3");
    let mut names: Vec<_> =
        std::fs::read_dir(&masks).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(bench.succeed("doctor ph").contains("nothing is wrong"));
    std::fs::remove_file(&names[0]).unwrap();
    let odd = read_labels(&names[1]).unwrap();
    let mut values = odd.data().to_vec();
    values[0] = 2;
    write_labels(&names[1], &Labels::new(values, odd.shape(), odd.grid().affine).unwrap()).unwrap();
    let text = bench.succeed("doctor ph");
    for part in ["has no mask", "label 2 is in this mask alone"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_oracle_without_labels_is_refused_before_anything_is_read() {
    let bench = Bench::trained();
    let images = "ph/Original/Siemens_15";
    bench.fail(
        &format!("adapt --model src --images {images} --method fine-tune-all --out ad"),
        2,
        &["--data", "labels of the target"],
    );
}
