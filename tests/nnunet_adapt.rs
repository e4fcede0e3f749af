//! Model folders of nnU-Net adapted, judged and given heads by the program.
mod common;

use common::Bench;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use udas_adapt::Patch;
use udas_nn::StateDict;
use udas_nnunet::Checkpoint;

fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nnunet").join(kind)
}

fn adapt(kind: &str) -> String {
    let shown = golden(kind).display().to_string();
    format!("adapt --model {shown}/model --images {shown}/input --steps 2")
}

fn weights(fold: &Path) -> StateDict {
    Checkpoint::read(&fold.join("checkpoint_final.pth")).unwrap().state
}

fn hash(state: &StateDict) -> String {
    udas_nn::Checkpoint { tensors: state.clone(), metadata: None }.hash().unwrap()
}

/// Names of the parameters that differ.
fn moved(before: &StateDict, after: &StateDict) -> Vec<String> {
    let values = |tensor: &candle_core::Tensor| -> Vec<f64> {
        tensor.to_dtype(candle_core::DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let differ = |name: &&String| values(&before[*name]) != values(&after[*name]);
    before.keys().filter(differ).cloned().collect()
}

#[test]
fn methods_move_what_they_say_and_nothing_else() {
    let bench = Bench::new();
    for (kind, method, part) in [
        ("plain2d", "tent", ".norm."),
        ("plain3d", "tent", ".norm."),
        ("plain3d", "early-consistency", "encoder.stages.0."),
        ("resenc3d", "augmented-consistency", ""),
        ("channels2", "self-training", ""),
        ("regions", "self-training", ""),
        ("regions", "tent", ".norm."),
        ("batchnorm", "adabn", ".running_"),
    ] {
        let out = format!("{kind}-{method}");
        let line = format!("{} --method {method} --epochs 1 --out {out}", adapt(kind));
        bench.succeed(&line);
        let before = weights(&golden(kind).join("model/fold_0"));
        let after = weights(&bench.path(&format!("{out}/nnunet/fold_0")));
        let moved = moved(&before, &after);
        let known = |name: &&String| !name.ends_with("num_batches_tracked");
        let stray: Vec<_> =
            moved.iter().filter(known).filter(|name| !name.contains(part)).collect();
        assert!(!moved.is_empty() && stray.is_empty(), "{out}: {moved:?}");
        // The patch makes the adapted weights of the source's, to the bit.
        let patch = Patch::load(&bench.path(&format!("{out}/patch.safetensors"))).unwrap();
        assert_eq!(hash(&patch.apply(&before).unwrap()), hash(&after), "{out}");
    }
}

#[test]
fn folds_teach_each_other_and_the_result_predicts() {
    let bench = Bench::new();
    let line = format!("{} --epochs 1 --out run --json", adapt("folds3"));
    let told: serde_json::Value = serde_json::from_str(&bench.succeed(&line)).unwrap();
    assert_eq!(told["method"], "ensemble-distillation");
    assert!(told["verdict"].is_object(), "{told}");
    let settings = std::fs::read_to_string(bench.path("run/config.toml")).unwrap();
    assert!(settings.contains("fold_1") && settings.contains("fold_2"), "{settings}");
    let images = format!("--images {}/input", golden("folds3").display());
    bench.succeed(&format!("predict --model run {images} --out by_run"));
    bench.succeed(&format!("predict --model run/nnunet/fold_0 {images} --out by_fold"));
    let bytes = |folder: &str| std::fs::read(bench.path(&format!("{folder}/case.nii.gz"))).unwrap();
    assert!(bytes("by_run") == bytes("by_fold"));
    assert!(bench.succeed("verify run").contains("the same, to the bit"));
    // A fold that is named is the one that is adapted, by the others.
    let model = golden("folds3").join("model/fold_1");
    bench.succeed(&format!(
        "adapt --model {} {images} --steps 1 --epochs 1 --out two",
        model.display()
    ));
    assert!(bench.path("two/nnunet/fold_1/checkpoint_final.pth").is_file());
    // What taught is no evidence, unless nobody asks for it.
    let judge = format!("judge --before {} --after two {images}", model.display());
    assert!(bench.succeed(&judge).contains("verdict:"));
    let teacher = golden("folds3").join("model/fold_2");
    bench.fail(&format!("{judge} --peers {}", teacher.display()), 3, &["fold_2", "has taught"]);
}

#[test]
fn the_same_seed_gives_the_same_bits_with_any_number_of_threads() {
    let bench = Bench::new();
    for kind in ["plain2d", "resenc3d"] {
        let run = |name: &str, options: &str| {
            let line = format!(
                "{} --method self-training --epochs 1 {options} --out {kind}{name}",
                adapt(kind)
            );
            bench.succeed(&line);
            hash(&weights(&bench.path(&format!("{kind}{name}/nnunet/fold_0"))))
        };
        let one = run("one", "--threads 1");
        assert_eq!(one, run("two", "--threads 2"), "{kind}");
        // Cases that are forgotten are read again.
        assert_eq!(one, run("none", "--cache-gib 0"), "{kind}");
        assert_ne!(one, run("other", "--seed 1"), "{kind}");
    }
}

#[test]
fn a_run_that_was_cut_off_goes_on_to_the_same_bits() {
    let bench = Bench::new();
    let line = format!("{} --method augmented-consistency --epochs 30", adapt("plain2d"));
    bench.succeed(&format!("{line} --out whole"));
    let mut child = bench.command(&format!("{line} --out cut")).spawn().unwrap();
    let started = Instant::now();
    while !bench.path("cut/state.safetensors").exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "no epoch was done");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!bench.path("cut/nnunet").exists(), "it was done before it could be cut off");
    bench.fail(&format!("{line} --out cut"), 2, &["holds a run already", "--resume"]);
    bench.succeed("adapt --resume --out cut");
    let result = |run: &str| hash(&weights(&bench.path(&format!("{run}/nnunet/fold_0"))));
    assert_eq!(result("whole"), result("cut"));
    // A run that is done stays as it is, and other settings are refused.
    bench.succeed("adapt --resume --out cut");
    bench.fail("adapt --resume --out cut --steps 3", 2, &["--steps is 3 now and was 2"]);
}

/// Cases with labels as nnU-Net keeps its raw data: the masks that the model predicts.
fn raw_data(bench: &Bench, kind: &str, cases: &[&str]) {
    for folder in ["raw/imagesTr", "raw/labelsTr"] {
        std::fs::create_dir_all(bench.path(folder)).unwrap();
    }
    for case in cases {
        let image = format!("{case}_0000.nii.gz");
        let from = golden(kind).join("input").join(&image);
        std::fs::copy(from, bench.path("raw/imagesTr").join(&image)).unwrap();
        let from = golden(kind).join("expected").join(format!("{case}.nii.gz"));
        std::fs::copy(from, bench.path(&format!("raw/labelsTr/{case}.nii.gz"))).unwrap();
    }
}

#[test]
fn heads_learn_from_labelled_cases_and_early_features_follow() {
    for (kind, cases, level) in [("plain2d", &["casea", "caseb"][..], 1), ("plain3d", &["case"], 1)]
    {
        let bench = Bench::new();
        raw_data(&bench, kind, cases);
        let model = golden(kind).join("model");
        let head = format!(
            "head --model {} --data raw --domain raw --level {level} --epochs 3 --steps 4 --out head",
            model.display()
        );
        bench.succeed(&head);
        let line = format!("{} --method early-features", adapt(kind));
        // A head as it was drawn cannot teach.
        bench.succeed(
            &head
                .replace("--epochs 3", "--lr 1e-9 --epochs 1")
                .replace("--out head", "--out drawn"),
        );
        let ignorant = format!("{line} --head drawn --epochs 1 --out none");
        bench.fail(&ignorant, 4, &["does not know its own domain", "--unready warn"]);
        let line = format!("{line} --head head --unready warn");
        bench.succeed(&format!("{line} --epochs 1 --out run"));
        let before = weights(&model.join("fold_0"));
        let moved = moved(&before, &weights(&bench.path("run/nnunet/fold_0")));
        let early =
            |name: &String| (0..=level).any(|l| name.starts_with(&format!("encoder.stages.{l}.")));
        assert!(!moved.is_empty() && moved.iter().all(early), "{kind}: {moved:?}");
        bench.succeed(&format!(
            "{} --method conv-lora --head head --unready warn --epochs 1 --out lora",
            adapt(kind)
        ));
        bench.fail(&format!("{line} --level 0 --out other"), 3, &["level"]);
        let teacher = format!(
            "{} --method mean-teacher --source-data raw --source-domain raw --epochs 1 --out mt",
            adapt(kind)
        );
        bench.succeed(&teacher);
        assert!(!self::moved(&before, &weights(&bench.path("mt/nnunet/fold_0"))).is_empty());
    }
}

#[test]
fn a_calibration_predicts_scores_of_folders_and_is_found_beside_them() {
    for (kind, cases) in [("plain2d", &["casea", "caseb"][..]), ("plain3d", &["case"])] {
        let bench = Bench::new();
        raw_data(&bench, kind, cases);
        // A copy, since the calibration lies in it.
        let model = bench.path("model/fold_0");
        std::fs::create_dir_all(&model).unwrap();
        for file in ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"] {
            let from = golden(kind).join("model").join(file);
            std::fs::copy(from, bench.path("model").join(file)).unwrap();
        }
        let line = "calibrate --model model --data raw --domain raw --slices 2";
        bench.succeed(&format!("{line} --out model/fold_0/calibration.json"));
        let images = format!("--images {}/input", golden(kind).display());
        let adapt = format!("adapt --model model {images} --steps 2 --method self-training");
        // An adaptation that is rolled back has been judged too.
        bench.run(&format!("{adapt} --epochs 1 --out run"));
        let said = std::fs::read_to_string(bench.path("run/log.txt")).unwrap();
        assert!(said.contains("calibration.json") && said.contains("predicted Dice"), "{said}");
        assert!(!said.contains("Uncalibrated"), "{said}");
        let judge = format!("judge --before model --after run {images}");
        assert!(bench.succeed(&judge).contains("predicted Dice"), "{kind}");
        // By itself it is of this model alone.
        let other = golden(if kind == "plain2d" { "plain3d" } else { "plain2d" });
        let other = format!(
            "adapt --model {}/model --images {}/input --steps 1 --epochs 1 --out other",
            other.display(),
            other.display()
        );
        let named = format!("{other} --calibration model/fold_0/calibration.json");
        bench.fail(&named, 3, &["was made for another model"]);
        // The same weights under other plans see something else.
        let plans = std::fs::read_to_string(bench.path("model/plans.json")).unwrap();
        std::fs::write(bench.path("model/plans.json"), format!("{plans}\n")).unwrap();
        let named = format!("{judge} --calibration model/fold_0/calibration.json");
        bench.fail(&named, 3, &["other plans"]);
    }
}

#[test]
fn harm_is_rolled_back_to_the_source_where_that_is_asked_for() {
    let bench = Bench::new();
    let line = adapt("plain3d").replace("--steps 2", "--steps 5 --epochs 3 --lr 0.3 --seed 2");
    let line = format!("{line} --method augmented-consistency");
    bench.fail(&format!("{line} --on-harm rollback --out run"), 4, &["roll back", "rolled back"]);
    let source = weights(&golden("plain3d").join("model/fold_0"));
    let of = |folder: &str| weights(&bench.path(&format!("run/{folder}/fold_0")));
    assert_eq!(hash(&of("nnunet")), hash(&source));
    let patch = Patch::load(&bench.path("run/rejected-patch.safetensors")).unwrap();
    assert_eq!(hash(&patch.apply(&source).unwrap()), hash(&of("rejected")));
    assert_ne!(hash(&of("rejected")), hash(&source));
    // What is judged is what was rejected; the run's own folder is the source.
    let images = format!("--images {}/input", golden("plain3d").display());
    let judge = format!("judge --before {}/model {images}", golden("plain3d").display());
    assert!(bench.succeed(&format!("{judge} --after run")).contains("verdict: roll back"));
    bench.fail(&format!("{judge} --after run --exit-code"), 4, &["the verdict is not keep"]);
    bench.fail(&format!("{judge} --after run/nnunet"), 2, &["to the bit"]);
    assert!(bench.succeed("verify run").contains("the same, to the bit"));
    // Else it is a warning.
    bench.succeed(&format!("{line} --out kept"));
    let kept = weights(&bench.path("kept/nnunet/fold_0"));
    assert_eq!(hash(&kept), hash(&of("rejected")));
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let bench = Bench::new();
    let refused = |kind: &str, options: &str, code: i32, parts: &[&str]| {
        bench.fail(&format!("{} --out none {options}", adapt(kind)), code, parts);
    };
    refused("plain2d", "--method adabn", 3, &["adabn", "batch norm"]);
    refused("plain3d", "--method alpha-bn", 3, &["alpha-bn", "batch norm"]);
    refused("plain2d", "--method match-source", 2, &["match-source", "histogram"]);
    refused("plain2d", "--method entropy-prior", 2, &["entropy-prior", "class ratio"]);
    refused("plain2d", "--method fine-tune-all", 2, &["labels of the target"]);
    refused("plain2d", "--method ensemble-distillation", 2, &["no other folds", "--teachers"]);
    refused("plain2d", "--method early-features", 2, &["early head", "--head"]);
    refused("plain2d", "--method mean-teacher", 2, &["--source-data"]);
    refused("regions", "--method early-features", 3, &["regions", "overlap", "another method"]);
    refused("plain2d", "--method tent --plane axial", 2, &["--plane", "plans"]);
    let none = adapt("plain2d").replace("--steps 2", "--steps 0 --method tent --out none");
    bench.fail(&none, 2, &["--steps 0"]);
    let other = golden("ct").join("model");
    let teachers = format!("--method ensemble-distillation --teachers {}", other.display());
    refused("plain3d", &teachers, 3, &["--teachers", "ct/model"]);
    let own = golden("folds3").join("model/fold_0");
    let twin = format!("--method ensemble-distillation --teachers {}", own.display());
    refused("folds3", &twin, 3, &["is the model itself"]);
    assert!(!bench.path("none").exists());
    // Steps are of patches.
    bench.fail("adapt --model none.safetensors --images x --out y --steps 3", 2, &["--steps"]);
}
