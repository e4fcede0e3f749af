//! Faults of the kinds that people report of such tools: silent confusions first, then misleading messages.
mod common;

use common::{Bench, TINY};
use std::path::Path;
use std::process::Stdio;
use udas_model::ModelFile;
use udas_volume::{Affine, Grid, Labels, Volume, read, read_labels, write_labels, write_volume};

fn message(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes volumes whose content depends on `seed`.
fn write_scans(folder: &Path, names: &[&str], shape: [usize; 3], seed: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for (number, name) in names.iter().enumerate() {
        let value = |offset: usize| ((offset * 37 + number * 11 + seed * 5) % 97) as f32;
        let data = (0..shape.iter().product()).map(value).collect();
        let volume = Volume::new(data, shape, Affine::from_spacing([2.0; 3])).unwrap();
        write_volume(&folder.join(name), &volume).unwrap();
    }
}

/// A mask whose voxels at these places have labels.
fn write_mask(path: &Path, affine: Affine, voxels: &[([usize; 3], u8)]) {
    let shape = [12, 12, 12];
    let mut data = vec![0; 12 * 12 * 12];
    for ([x, y, z], label) in voxels {
        data[x + 12 * (y + 12 * z)] = *label;
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_labels(path, &Labels::new(data, shape, affine).unwrap()).unwrap();
}

fn cube() -> Affine {
    Affine::from_spacing([1.0; 3])
}

const INSIDE: [([usize; 3], u8); 3] = [([3, 3, 3], 1), ([4, 3, 3], 1), ([4, 4, 3], 1)];

#[test]
fn programs_that_write_into_one_folder_do_not_disturb_each_other() {
    let bench = Bench::trained();
    let names: Vec<String> = (1..=8).map(|n| format!("s{n}.nii.gz")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    write_scans(&bench.path("in"), &names, [16, 16, 4], 0);
    // What a writer that was killed has left.
    std::fs::create_dir(bench.path("out")).unwrap();
    std::fs::write(bench.path("out/.s1.nii.gz.x1y2z3.part"), "").unwrap();
    // Parts of the list, and one of them twice.
    let parts = ["1-2", "3-4", "5-6", "7-8", "7-8"];
    let started = parts.map(|part| {
        let line = format!("predict --model src --images in --subjects {part} --out out");
        bench.command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in started {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
    }
    let list = std::fs::read_to_string(bench.path("out/masks.jsonl")).unwrap();
    for name in names {
        assert!(read_labels(&bench.path("out").join(name)).is_ok(), "{name}");
        assert!(list.contains(&format!("\"mask\":\"{name}\"")), "{list}");
    }
    let left = std::fs::read_dir(bench.path("out")).unwrap();
    let left =
        left.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(left.count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_to_read_what_is_said_ends_no_run() {
    let bench = Bench::trained();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let line = format!("train --data ph --domain GE_3 {TINY} --out full");
    let status = bench.command(&line).stderr(full()).status().unwrap();
    assert!(status.success(), "{status}");
    let log = std::fs::read_to_string(bench.path("full/log.txt")).unwrap();
    assert!(log.contains("training on 2 subjects") && log.contains("epoch 1/1"), "{log}");

    let line = format!("train --data ph --domain GE_3 {TINY} --out piped");
    let mut child =
        bench.command(&line).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(std::fs::read_to_string(bench.path("piped/log.txt")).unwrap().contains("epoch 1/1"));

    // Whoever reads has enough after a line, as `udas ... | head -1`.
    for line in ["methods", "doctor ph/Original/GE_3", "--json doctor ph/Original/GE_3"] {
        let mut child = bench.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        drop(child.as_mut().unwrap().stdout.take());
        let output = child.unwrap().wait_with_output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{line}: {}", output.status);
        assert!(!message(&output).contains("panicked"), "{line}: {}", message(&output));
    }
    for line in [
        "methods",
        "doctor ph/Original/GE_3",
        "predict --model src --data ph --domain GE_3 --out p",
    ] {
        let status = bench.command(line).stderr(full()).stdout(full()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{line}");
        let output = bench.command(line).stdout(full()).output().unwrap();
        assert!(message(&output).contains("standard output cannot be written"), "{line}");
    }
    // An error that cannot be said is one all the same.
    let status = bench.command("doctor nowhere").stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn sheared_masks_are_refused_by_name_and_said_by_the_doctor() {
    let bench = Bench::new();
    let (sin, cos) = 20f64.to_radians().sin_cos();
    let tilted = Affine::from_rows([
        [1.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 3.0 * sin, 0.0],
        [0.0, 0.0, 3.0 * cos, 0.0],
    ]);
    write_mask(&bench.path("p/a.nii.gz"), tilted, &[([5, 5, 5], 1)]);
    write_mask(&bench.path("l/a.nii.gz"), tilted, &[([5, 10, 10], 1)]);
    let line = "evaluate --predictions p --labels l --out s.json";
    bench.fail(line, 3, &["sheared by 20.0 degrees", "a.nii.gz", "resample"]);
    let said = bench.succeed("doctor l");
    assert!(said.contains("sheared by 20.0 degrees"), "{said}");
}

#[test]
fn the_image_beside_its_mask_is_not_scored_as_the_truth() {
    let bench = Bench::new();
    write_mask(&bench.path("p/s1.nii.gz"), cube(), &INSIDE);
    write_mask(&bench.path("l/s1_gt.nii.gz"), cube(), &INSIDE);
    write_scans(&bench.path("l"), &["s1.nii.gz"], [12, 12, 12], 0);
    let line = "evaluate --predictions p --labels l --out s.json";
    let text = bench.succeed(line);
    assert!(text.contains("1.0000"), "{text}");
    assert!(message(&bench.run(line)).contains("1 images lie among the labels"));
    write_mask(&bench.path("l/s1_seg.nii.gz"), cube(), &INSIDE);
    bench.fail(line, 3, &["s1_gt.nii.gz", "s1_seg.nii.gz", "move all but one"]);
}

#[test]
fn values_that_only_one_side_has_are_warned_of() {
    let bench = Bench::new();
    write_mask(&bench.path("p/a.nii.gz"), cube(), &INSIDE);
    write_mask(&bench.path("l/a.nii.gz"), cube(), &INSIDE.map(|(at, _)| (at, 255)));
    let line = "evaluate --predictions p --labels l --out s.json";
    let said = message(&bench.run(line));
    assert!(said.contains("the values 0 1, labels 0 255"), "{said}");
    write_mask(&bench.path("l/a.nii.gz"), cube(), &INSIDE);
    let said = message(&bench.run(line));
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn subjects_named_as_what_lies_beside_masks_are_scored() {
    let bench = Bench::new();
    for name in ["a", "a_prob", "a_prob1", "a_overlay"] {
        write_mask(&bench.path("l").join(format!("{name}.nii.gz")), cube(), &INSIDE);
        let half = if name == "a" { &INSIDE[..] } else { &INSIDE[..1] };
        write_mask(&bench.path("p").join(format!("{name}.nii.gz")), cube(), half);
    }
    let text = bench.succeed("evaluate --predictions p --labels l --out s.json");
    assert!(text.contains("4 subjects"), "{text}");
}

#[test]
fn what_a_mask_was_made_of_is_known_by_content() {
    let bench = Bench::trained();
    let place = bench.path("in");
    write_scans(&place, &["a.nii.gz", "b.nii.gz"], [16, 16, 4], 0);
    let line = "predict --model src --images in --out out";
    bench.succeed(line);
    let touched = std::fs::File::options().write(true).open(place.join("a.nii.gz")).unwrap();
    touched
        .set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(60))
        .unwrap();
    let text = bench.succeed(line);
    assert!(text.contains("0 masks written, 2 were there"), "a time stamp says nothing: {text}");
    // Replaced by an older file, of another shape.
    write_scans(&place, &["a.nii.gz"], [24, 16, 6], 3);
    let old = std::fs::File::options().write(true).open(place.join("a.nii.gz")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let output = bench.run(line);
    assert!(message(&output).contains("a.nii.gz: has other content"), "{}", message(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 masks written, 1 were there"));
    assert_eq!(read_labels(&bench.path("out/a.nii.gz")).unwrap().shape(), [24, 16, 6]);
    // The same files elsewhere are the same.
    std::fs::rename(&place, bench.path("moved")).unwrap();
    let text = bench.succeed("predict --model src --images moved --out out");
    assert!(text.contains("2 were there"), "{text}");
    // Another cohort of the same names is not.
    write_scans(&bench.path("cohort"), &["a.nii.gz", "c.nii.gz"], [16, 16, 4], 7);
    let before = std::fs::read(bench.path("out/a.nii.gz")).unwrap();
    let other = "predict --model src --images cohort --out out";
    bench.fail(other, 3, &["mask of another image of this name", "choose another --out"]);
    assert_eq!(std::fs::read(bench.path("out/a.nii.gz")).unwrap(), before);
    assert!(bench.path("out/c.nii.gz").exists(), "the others are made");
    bench.succeed(&format!("{other} --overwrite"));
    assert_ne!(std::fs::read(bench.path("out/a.nii.gz")).unwrap(), before);
    // A line that was cut short is of a mask that was not finished: it is made again.
    let list = bench.path("out/masks.jsonl");
    let text = std::fs::read_to_string(&list).unwrap();
    let whole =
        text.lines().filter(|line| !line.contains("c.nii.gz")).map(|line| format!("{line}\n"));
    std::fs::write(&list, whole.collect::<String>() + "{\"mask\":\"c.nii.gz\",\"im").unwrap();
    let text = bench.succeed(other);
    assert!(text.contains("1 masks written, 1 were there"), "{text}");
    assert!(bench.succeed(other).contains("2 were there"));
}

#[test]
fn masks_of_builds_that_kept_no_list_stay_where_they_fit() {
    let bench = Bench::trained();
    write_scans(&bench.path("in"), &["a.nii.gz", "b.nii.gz"], [16, 16, 4], 0);
    let line = "predict --model src --images in --out out";
    bench.succeed(line);
    std::fs::remove_file(bench.path("out/masks.jsonl")).unwrap();
    let mark = bench.path("out/predictions.json");
    let text =
        std::fs::read_to_string(&mark).unwrap().replace("\"listed\": true", "\"listed\": false");
    std::fs::write(&mark, text).unwrap();
    write_scans(&bench.path("in"), &["b.nii.gz"], [20, 16, 4], 0);
    let text = bench.succeed(line);
    assert!(text.contains("1 masks written, 1 were there"), "{text}");
    assert_eq!(read(&bench.path("out/b.nii.gz")).unwrap().shape(), [20, 16, 4]);
}

#[test]
fn numbers_are_names_where_subjects_are_named_by_numbers() {
    let bench = Bench::new();
    for number in 3..=12 {
        let name = format!("{number:03}.nii.gz");
        write_scans(&bench.path("set/scanner/images"), &[&name], [12, 12, 12], number);
        write_mask(
            &bench.path("set/scanner/masks").join(&name),
            Affine::from_spacing([2.0; 3]),
            &INSIDE,
        );
    }
    let line = |list: &str| {
        format!("train --data set --domain scanner {TINY} --subjects {list} --dry-run --out x")
    };
    let said = message(&bench.run(&line("003-005")));
    assert!(said.contains("3 of 10 subjects: 003, 004, 005"), "{said}");
    bench.fail(&line("1-3"), 3, &["numbers are names"]);
    // A domain named twice has its subjects once.
    let twice = format!("train --data set --domain scanner scanner {TINY} --dry-run --out x");
    let said = message(&bench.run(&twice));
    assert!(said.contains("training on 9 subjects"), "{said}");
    assert!(said.contains("held out: 008 ("), "one of ten is held out: {said}");
}

#[test]
fn a_runs_own_settings_lead_to_the_runs_own_data() {
    let bench = Bench::new();
    let phantom = "phantom --task head --domain GE_3 --subjects 2 --matrix 32";
    for project in ["one", "two"] {
        std::fs::create_dir(bench.path(project)).unwrap();
        let seed = if project == "one" { 1 } else { 2 };
        bench.succeed(&format!("{phantom} --seed {seed} --out {project}/ph"));
    }
    let there = |line: &str| {
        let output = bench.command(line).current_dir(bench.path("one")).output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
    };
    there(&format!("train --data ph --domain GE_3 {TINY} --out run"));
    let here = |line: &str| bench.command(line).current_dir(bench.path("two")).output().unwrap();
    let output = here("train --config ../one/run/config.toml --out run");
    assert!(output.status.success(), "{}", message(&output));
    let events = std::fs::read_to_string(bench.path("two/run/events.jsonl")).unwrap();
    assert!(events.contains("one/ph") && !events.contains("\"path\":\"ph/"), "{events}");
    // Where the data are gone, what lies here under their name is not theirs.
    std::fs::rename(bench.path("one/ph"), bench.path("one/away")).unwrap();
    let output = here("train --config ../one/run/config.toml --out again");
    assert_eq!(output.status.code(), Some(3));
    assert!(message(&output).contains("`data` is ph") && message(&output).contains("--data"));
    let output = here("train --config ../one/run/config.toml --data ph --out again");
    assert!(output.status.success(), "{}", message(&output));
    // A copy of the settings under another name leads there too.
    std::fs::rename(bench.path("one/away"), bench.path("one/ph")).unwrap();
    std::fs::copy(bench.path("one/run/config.toml"), bench.path("two/mine.toml")).unwrap();
    let output = here("train --config mine.toml --out copied");
    assert!(output.status.success(), "{}", message(&output));
    let events = std::fs::read_to_string(bench.path("two/copied/events.jsonl")).unwrap();
    assert!(events.contains("one/ph") && !events.contains("\"path\":\"ph/"), "{events}");
}

#[cfg(target_os = "linux")]
#[test]
fn paths_that_are_not_utf8_work_or_are_refused_before_the_work() {
    use std::os::unix::ffi::OsStringExt;
    let bench = Bench::trained();
    let odd = std::ffi::OsString::from_vec(b"sc\xe4ns".to_vec());
    let folder = bench.folder.path().join(&odd);
    write_scans(&folder, &["a.nii.gz"], [16, 16, 4], 0);
    let mut command = bench.command("predict --model src --json --images");
    let output = command.arg(&odd).arg("--out").arg(&odd).arg("x").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", message(&output));
    let out = std::ffi::OsString::from_vec(b"m\xe4sks".to_vec());
    let mut command = bench.command("predict --model src --json --images");
    let output = command.arg(&odd).arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", message(&output));
    assert!(bench.folder.path().join(&out).join("a.nii.gz").exists());
    let mut command = bench.command(&format!("train --domain GE_3 {TINY} --out run --data"));
    let output = command.arg(&odd).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(message(&output).contains("--data") && message(&output).contains("UTF-8"));
    assert!(!bench.path("run").exists());
}

#[test]
fn contrast_that_is_lost_is_refused_and_hot_voxels_are_said() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("set/scanner/images")).unwrap();
    let shape = [16, 16, 16];
    let write = |name: &str, value: fn(usize) -> f32| {
        let data = (0..4096).map(value).collect();
        let volume = Volume::new(data, shape, cube()).unwrap();
        write_volume(&bench.path("set/scanner/images").join(name), &volume).unwrap();
        let mask = volume.map(|value| u8::from(value > 0.0));
        std::fs::create_dir_all(bench.path("set/scanner/masks")).unwrap();
        write_labels(&bench.path("set/scanner/masks").join(name), &mask).unwrap();
    };
    write("hot.nii.gz", |i| if i == 2000 { 3e7 } else { (i % 300) as f32 });
    let said = bench.succeed("doctor set");
    assert!(said.contains("hot voxels") && said.contains("hot.nii.gz"), "{said}");
    write("sparse.nii.gz", |i| if i % 600 == 0 { 500.0 } else { 0.0 });
    let line = format!("train --data set --domain scanner {TINY} --intensity percentile --out run");
    bench.fail(&line, 3, &["sparse.nii.gz", "--intensity percentile", "one value"]);
}

#[test]
fn masks_among_images_of_other_names_are_left_out() {
    let bench = Bench::trained();
    write_scans(&bench.path("brats"), &["b1_t1.nii.gz", "b1_flair.nii.gz"], [12, 12, 12], 0);
    write_mask(&bench.path("brats/b1_seg.nii.gz"), Affine::from_spacing([2.0; 3]), &INSIDE);
    let output = bench.run("predict --model src --images brats --out out");
    assert!(message(&output).contains("b1_seg.nii.gz: looks like a mask"), "{}", message(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 masks written"));
    assert!(!bench.path("out/b1_seg.nii.gz").exists());
}

#[test]
fn colour_pictures_are_said_once() {
    let bench = Bench::trained();
    std::fs::create_dir(bench.path("pictures")).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        let pixels: Vec<u8> = (0..32 * 32 * 3).map(|i| (i % 251) as u8).collect();
        udas_volume::write_rgb_png(&bench.path("pictures").join(name), &pixels, 32, 32).unwrap();
    }
    let said = message(&bench.run("predict --model src --images pictures --out out"));
    assert_eq!(said.matches("colour picture").count(), 1, "{said}");
    let said = bench.succeed("doctor pictures");
    assert_eq!(said.matches("colour picture").count(), 1, "{said}");
}

#[test]
fn causes_are_named_before_the_work() {
    let bench = Bench::trained();
    let train = format!("train --data ph --domain GE_3 {TINY} --out run");
    bench.fail(&format!("{train} --seed 9223372036854775808"), 2, &["--seed 9223372036854775808"]);
    assert!(!bench.path("run").exists());
    // The mask of a name that systems just allow has a longer one.
    let name = "n".repeat(250) + ".nii";
    write_scans(&bench.path("long"), &[&name], [16, 16, 4], 0);
    bench.fail("predict --model src --images long --out out", 3, &["too long", "rename"]);
    let name = "n".repeat(248) + ".nii.gz";
    write_scans(&bench.path("fits"), &[&name], [16, 16, 4], 0);
    bench.succeed("predict --model src --images fits --out out");
    // A mask beside an image of another ending would be the next call's image.
    write_scans(&bench.path("plain"), &["s1.nii"], [16, 16, 4], 0);
    let line = "predict --model src --images plain/s1.nii --out plain";
    bench.fail(line, 2, &["plain", "choose another --out"]);
    // Two predictions of one subject are not chosen between.
    write_mask(&bench.path("p/s1.nii"), cube(), &INSIDE);
    write_mask(&bench.path("p/s1.nii.gz"), cube(), &INSIDE);
    write_mask(&bench.path("set/x/masks/s1.nii.gz"), cube(), &INSIDE);
    write_scans(&bench.path("set/x/images"), &["s1.nii.gz"], [12, 12, 12], 0);
    let line = "evaluate --predictions p --data set --domain x --out s.json";
    bench.fail(line, 3, &["s1.nii ", "s1.nii.gz", "both named s1"]);
    std::fs::remove_file(bench.path("p/s1.nii.gz")).unwrap();
    let grid = Grid { shape: [12; 3], affine: Affine::from_spacing([2.0; 3]) };
    let mask = Labels::new(vec![1; 1728], grid.shape, grid.affine).unwrap();
    write_labels(&bench.path("p/s1.nii"), &mask).unwrap();
    write_labels(&bench.path("set/x/masks/s1.nii.gz"), &mask).unwrap();
    assert!(bench.succeed(line).contains("1 subjects"));
    // Far more threads than cores.
    let output = bench.run("predict --model src --images plain --out many --threads 2000");
    assert!(output.status.success() && message(&output).contains("--threads 2000"));
}

#[test]
fn a_single_voxel_is_no_volume_to_anybody() {
    let bench = Bench::trained();
    write_scans(&bench.path("dot"), &["a.nii.gz"], [1, 1, 1], 0);
    bench.fail("doctor dot", 3, &["1 files cannot be used"]);
    bench.fail("predict --model src --images dot --out out", 3, &["a.nii.gz", "every voxel"]);
}

#[test]
fn wrapped_checkpoints_are_read_and_what_was_taken_is_said() {
    let bench = Bench::trained();
    let model = udas_nn::Checkpoint::load(bench.path("src/model.safetensors")).unwrap();
    let entries = model.tensors.len();
    let renamed = |name: &dyn Fn(&str) -> String| -> udas_nn::StateDict {
        model.tensors.iter().map(|(old, tensor)| (name(old), tensor.clone())).collect()
    };
    let save = |tensors| {
        udas_nn::Checkpoint { tensors, metadata: None }.save(bench.path("wrapped.pth")).unwrap();
    };
    // Submodules that were wrapped one by one.
    for infix in ["_orig_mod.", "_fsdp_wrapped_module."] {
        save(renamed(&|name| name.replacen('.', &format!(".{infix}"), 1)));
        let output = bench.run("convert wrapped.pth plain.safetensors");
        assert!(message(&output).contains(&format!("`{infix}`")), "{}", message(&output));
        let same = udas_nn::Checkpoint::load(bench.path("plain.safetensors")).unwrap();
        assert_eq!(same.hash().unwrap(), model.hash().unwrap());
    }
    // A part of a network, and what is none.
    let mut part = renamed(&|name| name.to_owned());
    part.retain(|name, _| !name.starts_with("out_path"));
    save(part);
    bench.fail("convert wrapped.pth part.safetensors", 3, &["wrapped.pth", "missing"]);
    save(renamed(&|name| name.to_owned()).into_iter().take(1).collect());
    bench.fail("convert wrapped.pth part.safetensors", 3, &["wrapped.pth", "missing"]);
    assert!(!bench.path("part.safetensors").exists());
    for prefix in ["module.", "model.", "_orig_mod.", "module._orig_mod.", "net/"] {
        save(renamed(&|name| format!("{prefix}{name}")));
        let output = bench.run("convert wrapped.pth plain.safetensors");
        assert!(message(&output).contains(&format!("`{prefix}`")), "{}", message(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("{entries} entries")), "{text}");
        let same = udas_nn::Checkpoint::load(bench.path("plain.safetensors")).unwrap();
        assert_eq!(same.hash().unwrap(), model.hash().unwrap());
        let line = "predict --model wrapped.pth --data ph --domain GE_3 --plane sagittal --intensity min-max";
        bench.succeed(&format!("{line} --out out --overwrite"));
    }
    let before = std::fs::read(bench.path("wrapped.pth")).unwrap();
    bench.fail("convert wrapped.pth ./wrapped.pth", 2, &["is read, and not written over"]);
    assert_eq!(std::fs::read(bench.path("wrapped.pth")).unwrap(), before);
}

#[test]
fn a_prediction_is_not_its_own_label_and_an_image_is_none() {
    let bench = Bench::trained();
    bench.succeed("predict --model src --data ph --domain GE_3 --out masks");
    let itself = "evaluate --predictions masks --labels masks --out s.json";
    bench.fail(itself, 2, &["prediction and label at once"]);
    std::fs::create_dir(bench.path("labels")).unwrap();
    for entry in std::fs::read_dir(bench.path("ph/Original/GE_3")).unwrap() {
        let image = entry.unwrap().path();
        let name = image.file_name().unwrap().to_str().unwrap().to_owned();
        std::fs::copy(&image, bench.path("labels").join(&name)).unwrap();
        let mask = name.replace(".nii", "_myReader.nii");
        std::fs::copy(bench.path("masks").join(&name), bench.path("labels").join(mask)).unwrap();
    }
    let output = bench.run("evaluate --predictions masks --labels labels --out s.json");
    assert!(output.status.success(), "{}", message(&output));
    assert!(message(&output).contains("2 images lie among the labels"), "{}", message(&output));
}

#[test]
fn options_that_a_method_does_not_look_at_are_refused() {
    let bench = Bench::trained();
    let line = "adapt --model src --data ph --domain Siemens_15 --method adabn --out a --dry-run";
    bench.succeed(line);
    for option in ["--head src/head0", "--source-data ph --source-domain GE_3"] {
        let name = option.split(' ').next().unwrap();
        bench.fail(&format!("{line} {option}"), 2, &["adabn does not use", name]);
    }
}

/// A model that finds nothing says so, and points to what explains it.
#[test]
fn empty_masks_are_named() {
    let bench = Bench::trained();
    let path = bench.path("src/model.safetensors");
    let mut model = ModelFile::load(&path, None).unwrap();
    let bias = model.state.get_mut("out_path.2.bias").unwrap();
    *bias = (bias.zeros_like().unwrap() - 100.0).unwrap();
    model.save(&path).unwrap();
    let output = bench.run("predict --model src --data ph --domain Siemens_15 --out masks --json");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for part in ["2 of 2 masks are empty", "PH4001", "udas doctor"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let results: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results["empty"].as_array().map(Vec::len), Some(2));
}

#[test]
fn paths_near_the_images_are_answered_with_theirs() {
    let bench = Bench::trained();
    let say = |images: &str| format!("predict --model src --images {images} --out x");
    // A domain's folder, and the data set around it.
    write_scans(&bench.path("B/elderly_a/images"), &["s1.nii.gz"], [12, 12, 12], 0);
    write_mask(&bench.path("B/elderly_a/masks/s1.nii.gz"), cube(), &INSIDE);
    let named = "--data B --domain elderly_a";
    bench.fail(&say("B/elderly_a"), 3, &["give B/elderly_a/images, or the data set", named]);
    bench.fail(&say("B"), 3, &["is a data set", "--data B --domain NAME, of elderly_a"]);
    bench.fail(&say("ph"), 3, &["--data ph --domain NAME, of GE_3, Siemens_15"]);
    let parts = ["both named s1", "give the images alone, B/elderly_a/images"];
    bench.fail(&say("B/elderly_a/**/*.nii.gz"), 3, &parts);
    bench.succeed(&say("B/elderly_a/images"));
    // Slices of DICOM series, and folders of series.
    let volume = read(&bench.path("B/elderly_a/images/s1.nii.gz")).unwrap();
    for name in ["S1", "S2"] {
        std::fs::create_dir_all(bench.path("dcm/patient")).unwrap();
        udas_volume::write_series(&bench.path(&format!("dcm/patient/{name}")), &volume, "X", name)
            .unwrap();
    }
    let files = |name: &str| {
        let folder = std::fs::read_dir(bench.path(&format!("dcm/patient/{name}"))).unwrap();
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    let both = format!("{} {}", files("S1"), files("S2"));
    let output = bench.run(&say(&both));
    let said = message(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("is one slice of a DICOM series") && said.contains("patient/S2"),
        "{said}"
    );
    // An error and its remedy, however many slices there are; so small a network is warned of.
    let told = |said: &str| said.lines().filter(|line| !line.starts_with("warning:")).count();
    assert_eq!(told(&said), 2, "{said}");
    assert_eq!(told(&message(&bench.run(&say(&files("S1"))))), 2);
    bench.fail(
        &say("dcm/patient/S1/*.dcm"),
        3,
        &["give the folder of the DICOM series, dcm/patient/S1"],
    );
    bench.fail(
        &say("dcm"),
        3,
        &["folders of its DICOM series, such as dcm/patient/S1", "\"dcm/*/*\""],
    );
    bench.succeed("predict --model src --images dcm/*/* --out series");
    bench.succeed("predict --model src --images dcm/patient --out same");
}

#[test]
fn a_patch_is_no_model_and_scores_are_no_results() {
    let bench = Bench::trained();
    let to = "--data ph --domain Siemens_15";
    let line = format!("--json adapt --model src {to} --method adabn --on-harm keep --out ad");
    let printed: serde_json::Value = serde_json::from_str(&bench.succeed(&line)).unwrap();
    // What is printed has hyphens; the events keep their names, by which earlier versions read them.
    assert!(printed["verdict"]["check-first"].is_array(), "{printed}");
    assert!(printed["verdict"].get("check_first").is_none(), "{printed}");
    let events = std::fs::read_to_string(bench.path("ad/events.jsonl")).unwrap();
    assert!(events.contains("\"check_first\""), "{events}");
    for line in ["predict -m ad/patch.safetensors", "adapt --model ad/patch.safetensors"] {
        let parts = ["is a patch", "its run, ad,", "--patch ad/patch.safetensors"];
        bench.fail(&format!("{line} {to} --out x"), 3, &parts);
    }
    bench.succeed(&format!("predict -m ad {to} -o masks"));
    bench.succeed(&format!("predict -m src --patch ad/patch.safetensors {to} --out patched"));
    bench.succeed(&format!("evaluate --predictions masks {to} -o nn_scores.json"));
    bench.fail("report nn_scores.json -o p", 3, &["scores of `udas evaluate`", "as scores.json"]);
    bench.succeed(&format!("judge --before src --after ad {to} -o judged.json"));
    bench.fail("report judged.json -o p", 3, &["a judgement of `udas judge`", "judgement.json"]);
    bench.succeed("man -o pages");
    bench.succeed("man others");
    for folder in ["pages", "others"] {
        assert!(bench.path(folder).join("udas-adapt.1").is_file());
    }
    bench.fail("man", 2, &["DIR"]);
}

#[test]
fn slips_on_the_command_line_are_answered_with_what_was_meant() {
    let bench = Bench::trained();
    let to = "--data ph --domain Siemens_15 --out x";
    let adapt = format!("adapt --model src {to}");
    bench.fail(&format!("{adapt} --method adabnn"), 2, &["a similar value exists: 'adabn'"]);
    bench.fail(
        &format!("{adapt} --method tent --lr -1"),
        2,
        &["option `lr`: -1 is not a positive number"],
    );
    bench.fail(
        &format!("train --data ph --domain GE_3 {TINY} --out x --lr -0.1"),
        2,
        &["--lr -0.1: give a positive number"],
    );
    bench.fail(
        "predict --model src scan.nii.gz --out x",
        2,
        &["'scan.nii.gz'", "give images with -i"],
    );
    bench.fail("judge", 2, &["--before", "--after", "--masks"]);
    bench.fail("judge --before src", 2, &["--after is missing"]);
    bench.fail("judge --after src", 2, &["--before is missing"]);
    for command in ["train", "head --model src", "predict --model src", "adapt --model src"] {
        let line = format!("{command} --data ph --out x");
        bench.fail(&line, 2, &["--domain is missing", "ph has GE_3, Siemens_15"]);
    }
    let line = "evaluate --predictions p --data ph --out s.json";
    bench.fail(line, 2, &["--domain is missing", "ph has GE_3, Siemens_15"]);
    let help = bench.succeed("adapt --help");
    assert!(help.contains("nyul"), "{help}");
}

/// Hearts whose files have lost their voxel sizes are cut into strips by the usual plane.
#[test]
fn slices_that_are_strips_get_a_word() {
    let bench = Bench::new();
    let shape = [40, 40, 8];
    write_scans(&bench.path("d/B/images"), &["a.nii.gz", "b.nii.gz"], shape, 1);
    std::fs::create_dir_all(bench.path("d/B/masks")).unwrap();
    for name in ["a.nii.gz", "b.nii.gz"] {
        let image = read(&bench.path("d/B/images").join(name)).unwrap();
        let labels = image.map(|value| u8::from(value > 0.5));
        write_labels(&bench.path("d/B/masks").join(name), &labels).unwrap();
    }
    let line = format!("train --data d --domain B --hold-out none {TINY} --out src --dry-run");
    let said = |line: &str| {
        let output = bench.run(line);
        assert!(output.status.success(), "{}", message(&output));
        message(&output)
    };
    assert!(said(&line).contains("thin strips"), "{}", said(&line));
    let across = said(&format!("{line} --plane axial"));
    assert!(!across.contains("thin strips"), "{across}");
}
