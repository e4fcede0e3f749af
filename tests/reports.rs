//! Inputs rebuilt from people's reports of other tools of this field: `docs/reliability.md` says which, and what came of each.
mod common;

use common::{Bench, TINY};
use std::path::Path;
use udas_nn::{Checkpoint, StateDict};
use udas_volume::{Affine, Labels, Volume, read, read_labels, write_labels, write_volume};

const SHAPE: [usize; 3] = [12, 10, 8];

fn message(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A ball of 900 in noise, written with one spacing.
fn write_ball(path: &Path, shape: [usize; 3]) -> Volume {
    let value = |offset: usize| {
        let index = [offset % shape[0], offset / shape[0] % shape[1], offset / shape[0] / shape[1]];
        let from_middle = |axis: usize| {
            let half = shape[axis] as f32 / 2.0;
            (index[axis] as f32 + 0.5 - half) / half
        };
        let squared: f32 = (0..3).map(|axis| from_middle(axis).powi(2)).sum();
        (if squared < 0.6 { 900.0 } else { 0.0 }) + (offset * 37 % 97) as f32
    };
    let data = (0..shape.iter().product()).map(value).collect();
    let volume = Volume::new(data, shape, Affine::from_spacing([2.0; 3])).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_volume(path, &volume).unwrap();
    volume
}

/// The ball's mask.
fn ball() -> Labels {
    let folder = tempfile::tempdir().unwrap();
    write_ball(&folder.path().join("a.nii"), SHAPE).map(|value| u8::from(value > 500.0))
}

fn write_mask(path: &Path, mask: &Labels) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_labels(path, mask).unwrap();
}

/// Puts bytes into an uncompressed NIfTI file's header.
fn edit(path: &Path, at: usize, bytes: &[u8]) {
    let mut file = std::fs::read(path).unwrap();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(path, file).unwrap();
}

/// Writes the mask's voxels as 32-bit floats times `factor`.
fn write_floats(path: &Path, mask: &Labels, factor: f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_volume(path, &mask.map(|label| f32::from(label) * factor)).unwrap();
}

const EVALUATE: &str = "evaluate --predictions p --labels l --out s.json";

#[test]
fn what_lies_in_a_files_place_is_named() {
    let bench = Bench::trained();
    write_ball(&bench.path("in/good.nii.gz"), SHAPE);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let page = format!("<!DOCTYPE html>\n<html><body>{}</body></html>", "Sign in. ".repeat(60));
    let annex = "/annex/objects/MD5E-s12345--4d7a.nii.gz\n";
    let cases = [
        ("lfs.nii.gz", pointer, "git lfs pull"),
        ("annex.nii", annex, "git annex get"),
        ("page.nii.gz", &page, "is a web page"),
        ("empty.nii.gz", "", "is empty"),
    ];
    for (name, text, _) in cases {
        std::fs::write(bench.path("in").join(name), text).unwrap();
    }
    let output = bench.run("predict --model src --images in --out out");
    assert_eq!(output.status.code(), Some(3));
    let said = message(&output);
    for (name, _, part) in cases {
        let line = said.lines().find(|line| line.contains(&format!("in/{name}: "))).unwrap();
        assert!(line.contains(part), "{line}");
    }
    assert!(bench.path("out/good.nii.gz").exists(), "one bad file does not stop the others");
    std::fs::remove_dir_all(bench.path("in")).unwrap();
    write_ball(&bench.path("in/good.nii.gz"), SHAPE);
    std::fs::write(bench.path("in/lfs.png"), pointer).unwrap();
    bench.fail("doctor in", 3, &["1 files cannot be used"]);
    for (name, text, part) in [
        ("model.safetensors", pointer, "git lfs pull"),
        ("model.pth", page.as_str(), "web page"),
        ("empty.pth", "", "is empty"),
    ] {
        std::fs::write(bench.path(name), text).unwrap();
        let line = format!("predict --model {name} --images in/good.nii.gz --out out");
        bench.fail(&line, 3, &[name, "not a checkpoint", part]);
    }
}

#[test]
fn scores_are_not_written_over_a_mask_or_a_model() {
    let bench = Bench::trained();
    for folder in ["p", "l"] {
        write_mask(&bench.path(&format!("{folder}/a.nii.gz")), &ball());
    }
    let mask = std::fs::read(bench.path("l/a.nii.gz")).unwrap();
    let model = std::fs::read(bench.path("src/model.safetensors")).unwrap();
    let on = "--data ph --domain GE_3";
    for line in [
        "evaluate --predictions p --labels l --out l/a.nii.gz".to_owned(),
        "evaluate --predictions p --labels l --out src/model.safetensors".to_owned(),
        format!("judge --before src --after src {on} --out src/model.safetensors"),
        format!("calibrate --model src {on} --out src/model.safetensors"),
    ] {
        bench.fail(&line, 2, &["--out names JSON"]);
    }
    assert!(std::fs::read(bench.path("l/a.nii.gz")).unwrap() == mask);
    assert!(std::fs::read(bench.path("src/model.safetensors")).unwrap() == model);
    bench.succeed(EVALUATE);
    bench.succeed("evaluate --predictions p --labels l --out scores");
}

#[test]
fn labels_that_went_through_floats_are_read_where_they_are_whole_and_else_refused() {
    let bench = Bench::new();
    write_mask(&bench.path("p/a.nii.gz"), &ball());
    let dice = || {
        let text = bench.succeed(EVALUATE);
        let line = text.lines().find(|line| line.contains(" dice ")).unwrap().to_owned();
        assert!(line.contains("1.0000"), "{line}");
    };
    write_floats(&bench.path("l/a.nii"), &ball(), 1.0);
    dice();
    // As float64 that was stored as int16 with a slope leaves them.
    write_floats(&bench.path("l/a.nii"), &ball(), 0.9999);
    dice();
    write_floats(&bench.path("l/a.nii"), &ball(), 0.9882);
    bench.fail(EVALUATE, 3, &["l/a.nii", "0.988", "whole numbers"]);
    // An image where a mask is meant.
    write_floats(&bench.path("l/a.nii"), &ball(), -1024.0);
    bench.fail(EVALUATE, 3, &["l/a.nii", "-1024", "whole numbers"]);
    // Values that are not consecutive are labels all the same.
    std::fs::remove_file(bench.path("l/a.nii")).unwrap();
    for folder in ["p", "l"] {
        write_mask(&bench.path(&format!("{folder}/a.nii.gz")), &ball().map(|label| 200 * label));
    }
    dice();
}

#[test]
fn directions_that_differ_by_rounding_are_one_grid_and_other_origins_are_not() {
    let bench = Bench::new();
    let mask = ball();
    let (sin, cos) = 0.016_625_f64.sin_cos();
    let turned = |error: f64, origin: f64| {
        Affine::from_rows([
            [-2.0 * cos, -2.0 * sin, error, origin],
            [2.0 * sin, -2.0 * cos, error, 215.311_721],
            [error, error, 2.0, 271.36],
        ])
    };
    let write = |path: &str, affine| {
        let mask = Labels::new(mask.data().to_vec(), mask.shape(), affine).unwrap();
        write_mask(&bench.path(path), &mask);
    };
    write("p/a.nii.gz", turned(0.0, -123.0));
    write("l/a.nii.gz", turned(2e-7, -123.0));
    assert!(bench.succeed(EVALUATE).contains("1 subjects"));
    write("l/a.nii.gz", turned(0.0, -124.51));
    bench.fail(EVALUATE, 3, &["different grids", "resample"]);
}

#[test]
fn checkpoints_of_other_tools_predict_what_the_network_predicts() {
    let bench = Bench::trained();
    write_ball(&bench.path("in/a.nii.gz"), SHAPE);
    let model = Checkpoint::load(bench.path("src/model.safetensors")).unwrap();
    let save = |name: &str, tensors: StateDict| {
        Checkpoint { tensors, metadata: None }.save(bench.path(name)).unwrap();
        format!(
            "predict --model {name} --images in --plane sagittal --intensity min-max --out out --overwrite"
        )
    };
    let mask = |line: &str| {
        bench.succeed(line);
        read_labels(&bench.path("out/a.nii.gz")).unwrap()
    };
    let whole = mask(&save("whole.pth", model.tensors.clone()));
    let is_counter = |name: &str| name.ends_with(".num_batches_tracked");
    let without = model.tensors.clone().into_iter().filter(|(name, _)| !is_counter(name)).collect();
    let listed = model.tensors.clone().into_iter().map(|(name, tensor)| match is_counter(&name) {
        true => (name, tensor.reshape(1).unwrap()),
        false => (name, tensor),
    });
    for (name, tensors) in [("without.pth", without), ("listed.pth", listed.collect())] {
        let same = mask(&save(name, tensors));
        assert!(same.data() == whole.data(), "{name}");
    }
    // Weights that overflow: numbers themselves, but nothing that comes of them is.
    let enormous = model.tensors.clone().into_iter().map(|(name, tensor)| {
        let is_weight = name.ends_with(".weight");
        (name, if is_weight { tensor.affine(1e20, 0.0).unwrap() } else { tensor })
    });
    let line = save("enormous.pth", enormous.collect());
    bench.fail(&line, 3, &["in/a.nii.gz", "no numbers"]);
    let mut broken = model.tensors.clone();
    let variance = broken["down1.0.running_var"].affine(0.0, -1.0).unwrap();
    broken.insert("down1.0.running_var".into(), variance);
    let line = save("broken.pth", broken);
    bench.fail(&line, 3, &["broken.pth", "down1.0.running_var", "below zero"]);
    // What another tool wrote behind the tensors.
    let mut bytes = std::fs::read(bench.path("src/model.safetensors")).unwrap();
    bytes.extend([0; 64]);
    std::fs::write(bench.path("longer.safetensors"), bytes).unwrap();
    let line = "predict --model longer.safetensors --images in --out out";
    bench.fail(line, 3, &["longer.safetensors", "bytes behind its tensors", "copy it again"]);
}

#[test]
fn a_training_without_a_labelled_pixel_is_said() {
    let bench = Bench::new();
    for name in ["a", "b"] {
        let place = |folder: &str| bench.path(&format!("set/x/{folder}/{name}.nii.gz"));
        write_ball(&place("images"), SHAPE);
        write_mask(&place("masks"), &ball().map(|_| 0));
    }
    let output = bench.run(&format!("train --data set --domain x {TINY} --out run"));
    let said = message(&output);
    assert!(output.status.success() && said.contains("no pixel of the slices"), "{said}");
    let events = std::fs::read_to_string(bench.path("run/events.jsonl")).unwrap();
    assert!(events.contains("udas doctor"), "{events}");
}

#[test]
fn volumes_of_one_slice_and_of_one_pixel_a_side_keep_their_grid() {
    let bench = Bench::trained();
    let shapes =
        [[1, 20, 16], [20, 1, 16], [20, 16, 1], [2, 2, 2], [3, 5, 7], [1, 1, 30], [60, 3, 3]];
    for shape in shapes {
        write_ball(&bench.path(&format!("in/{shape:?}.nii.gz").replace(", ", "x")), shape);
    }
    bench.succeed("predict --model src --images in --out out");
    for shape in shapes {
        let name = format!("{shape:?}.nii.gz").replace(", ", "x");
        assert_eq!(read_labels(&bench.path("out").join(name)).unwrap().shape(), shape);
    }
    // One volume of one slice adapts, with the statistics of a batch of one.
    bench.succeed(
        "adapt --model src --images in/[20x16x1].nii.gz --method adabn --unready warn --out ad",
    );
}

#[test]
fn names_with_dots_spaces_quotes_and_line_ends_stay_apart() {
    let bench = Bench::trained();
    let names = [
        "AG MRI 02.16.24",
        "abc.12345_67",
        "x.1",
        "x.2",
        "x.nii",
        "-dash",
        "%s{}",
        "a,b",
        "a\"q",
        "=1+1",
        "é",
    ];
    for name in names {
        write_ball(&bench.path("in").join(format!("{name}.nii.gz")), SHAPE);
        write_mask(&bench.path("l").join(format!("{name}.nii.gz")), &ball());
    }
    bench.succeed("predict --model src --images in --out out");
    for name in names {
        assert!(bench.path("out").join(format!("{name}.nii.gz")).exists(), "{name}");
    }
    bench.succeed("evaluate --predictions out --labels l --out s.json");
    let scores = udas_record::Evaluation::read(&bench.path("s.json")).unwrap();
    let mut found: Vec<_> =
        scores.subjects.iter().map(|subject| subject.subject.as_str()).collect();
    let mut expected = names.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let table = std::fs::read_to_string(bench.path("s.csv")).unwrap();
    assert!(table.contains("\n'=1+1,") && table.contains("\n'-dash,"), "{table}");
    assert!(table.contains("\n\"a,b\",") && table.contains("\n\"a\"\"q\","), "{table}");
}

#[test]
fn odd_headers_are_read_as_the_standard_says_or_refused_by_name() {
    let bench = Bench::trained();
    let plain = bench.path("plain.nii");
    let volume = write_ball(&plain, SHAPE);
    let nan = f32::NAN.to_le_bytes();
    let (pixdim, dim, slope, inter, qform, sform_z) = (76, 40, 112, 116, 252, 280 + 32);
    // A place in the header, what stands there, and what is said where it is refused.
    let cases: [(&str, usize, Vec<u8>, Option<&str>); 12] = [
        ("slope_nan", slope, nan.to_vec(), None),
        ("slope_infinite", slope, f32::INFINITY.to_le_bytes().to_vec(), None),
        ("intercept_nan", inter, nan.to_vec(), None),
        ("handedness_0", pixdim, 0f32.to_le_bytes().to_vec(), None),
        ("pixdim_other", pixdim + 4, 1f32.to_le_bytes().to_vec(), None),
        ("dim_negative", dim + 2, (-1i16).to_le_bytes().to_vec(), Some("-1 voxels")),
        ("dim_zero", dim + 2, 0i16.to_le_bytes().to_vec(), Some("0 voxels")),
        ("dims_9", dim, 9i16.to_le_bytes().to_vec(), Some("9 dimensions")),
        ("dims_enormous", dim + 2, [0xff, 0x7f].repeat(3), Some("the limit is")),
        ("sform_nan", sform_z + 8, nan.to_vec(), Some("not finite")),
        ("sform_zero", sform_z + 8, vec![0; 4], Some("singular")),
        ("no_form_and_spacing_0", qform, vec![0; 4], Some("voxel size along axis 2 is 0")),
    ];
    for (name, at, bytes, _) in &cases {
        let path = bench.path("in").join(format!("{name}.nii"));
        std::fs::create_dir_all(bench.path("in")).unwrap();
        std::fs::copy(&plain, &path).unwrap();
        edit(&path, *at, bytes);
        if name.starts_with("no_form") {
            edit(&path, pixdim + 12, &[0; 4]);
        }
    }
    let output = bench.run("predict --model src --images in --out out");
    let said = message(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for (name, _, _, refused) in &cases {
        let mask = bench.path("out").join(format!("{name}.nii.gz"));
        match refused {
            None => {
                let image = read(&bench.path("in").join(format!("{name}.nii"))).unwrap();
                assert!(image.data() == volume.data(), "{name}: other values");
                let mask = read_labels(&mask).unwrap();
                assert_eq!(mask.grid().difference(volume.grid()), None, "{name}");
            }
            Some(part) => {
                assert!(!mask.exists(), "{name}");
                let line =
                    said.lines().find(|line| line.contains(&format!("{name}.nii: "))).unwrap();
                assert!(line.contains(part), "{line}");
            }
        }
    }
}

#[test]
fn settings_of_other_encodings_are_read_or_named() {
    let bench = Bench::trained();
    let text = std::fs::read_to_string(bench.path("src/config.toml")).unwrap();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, bytes, refused) in [
        ("bom", [b"\xef\xbb\xbf", text.as_bytes()].concat(), None),
        ("crlf", text.replace('\n', "\r\n").into_bytes(), None),
        ("utf16", [b"\xff\xfe", &wide[..]].concat(), Some("save it as UTF-8")),
        ("latin1", [text.as_bytes(), b"# \xe9\n"].concat(), Some("save it as UTF-8")),
        ("comma", text.replace("epochs = 1", "epochs = 1,5").into_bytes(), Some("line ")),
    ] {
        std::fs::write(bench.path(&format!("{name}.toml")), bytes).unwrap();
        let line =
            format!("train --config {name}.toml --data ph --domain GE_3 --out {name} --dry-run");
        match refused {
            None => drop(bench.succeed(&line)),
            Some(part) => bench.fail(&line, 3, &[&format!("{name}.toml"), part]),
        }
    }
}

#[test]
fn images_that_lie_deeper_are_asked_for_by_a_pattern() {
    let bench = Bench::trained();
    write_ball(&bench.path("deep/one/a.nii.gz"), SHAPE);
    bench.fail(
        "predict --model src --images deep --out out",
        3,
        &["holds no images", "FOLDER/**/"],
    );
    bench.succeed("predict --model src --images deep/**/*.nii.gz --out out");
}
