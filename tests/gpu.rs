//! In builds for an NVIDIA GPU (`--features cuda` or `cudnn`): every command gives there what it gives on the CPU.
mod common;

use common::Bench;
use serde_json::Value;

/// What a figure of the GPU may differ by.
const WITHIN: f64 = 1e-3;

/// Whether there is anything to test here.
fn is_there() -> bool {
    if !cfg!(feature = "cuda") {
        println!("skipped: this build is not for a GPU; build it with --features cuda");
        return false;
    }
    if let Err(error) = candle_core::Device::new_cuda(0) {
        println!("skipped: {error}");
        return false;
    }
    true
}

/// Loss and score of every epoch of a run, and of the score before it.
fn figures(bench: &Bench, run: &str) -> Vec<(String, f64)> {
    let text = std::fs::read_to_string(bench.path(run).join("events.jsonl")).unwrap();
    let mut figures = Vec::new();
    for event in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        for name in ["loss", "score"] {
            if let Some(value) = event[name].as_f64() {
                figures.push((format!("{run}: {name} {}", event["epoch"]), value));
            }
        }
    }
    figures
}

#[track_caller]
fn assert_near(cpu: &[(String, f64)], gpu: &[(String, f64)]) {
    assert_eq!(cpu.len(), gpu.len(), "{cpu:?}\n{gpu:?}");
    assert!(!cpu.is_empty());
    for ((name, cpu), (_, gpu)) in cpu.iter().zip(gpu) {
        assert!((cpu - gpu).abs() < WITHIN, "{name}: {cpu} on the CPU, {gpu} on the GPU");
    }
}

/// Every number of a JSON document with its path.
fn numbers(value: &Value, path: &str, found: &mut Vec<(String, f64)>) {
    match value {
        Value::Number(number) => found.push((path.to_owned(), number.as_f64().unwrap())),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(i, item)| numbers(item, &format!("{path}/{i}"), found));
        }
        Value::Object(entries) => {
            entries.iter().for_each(|(key, item)| numbers(item, &format!("{path}/{key}"), found));
        }
        _ => {}
    }
}

/// The run `name` made on both devices by `line`, in which `{}` stands for the folder.
fn both(bench: &Bench, name: &str, line: &str) {
    let [cpu, gpu] = ["cpu", "cuda"].map(|device| {
        let run = format!("{name}-{device}");
        bench.succeed(&format!("{} --device {device}", line.replace("{}", &run)));
        figures(bench, &run)
    });
    assert_near(&cpu, &gpu);
}

#[test]
fn every_command_gives_on_a_gpu_what_it_gives_on_the_cpu() {
    if !is_there() {
        return;
    }
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 4 --matrix 32");
    let schedule = "--data ph --domain GE_3 --filters 4 --batch-size 4";
    bench.succeed(&format!("train {schedule} --epochs 25 --out src"));
    for level in [0, 1] {
        let head = "--data ph --domain GE_3 --batch-size 4 --epochs 10";
        bench.succeed(&format!("head --model src {head} --level {level} --out src/head{level}"));
    }
    both(&bench, "train", &format!("train {schedule} --epochs 2 --out {{}}"));
    both(
        &bench,
        "head",
        "head --model src --data ph --domain GE_3 --batch-size 4 --epochs 2 --level 1 --out {}",
    );
    let target = "--data ph --domain Siemens_15 --batch-size 4 --epochs 2 --keep last";
    for method in [
        "early-features --head src/head0 --unready warn",
        "early-features --head src/head1 --unready warn",
        "adabn",
        "tent",
        "self-training",
        "augmented-consistency",
        "conv-lora",
        "mean-teacher --source-data ph --source-domain GE_3",
    ] {
        let name = method.replace([' ', '/'], "_");
        let line = format!("adapt --model src {target} --method {method} --out {{}}");
        if method == "adabn" {
            for device in ["cpu", "cuda"] {
                let line = line.replace(" --batch-size 4 --epochs 2 --keep last", "");
                let line = line.replace("{}", &format!("{name}-{device}"));
                bench.succeed(&format!("{line} --device {device}"));
            }
            continue;
        }
        both(&bench, &name, &line);
    }
    for model in ["src", "adabn-cpu", "tent-cpu"] {
        let [cpu, gpu] = ["cpu", "cuda"].map(|device| {
            let out = format!("masks-{model}-{device}");
            bench.succeed(&format!(
                "predict --model {model} --data ph --domain Siemens_15 --probabilities --out {out} --device {device}"
            ));
            let entries = std::fs::read_dir(bench.path(&out)).unwrap();
            let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            files.retain(|file| file.to_string_lossy().ends_with("_prob.nii.gz"));
            files.sort();
            assert_eq!(files.len(), 4, "{out}");
            let values = |file| udas_volume::read(file).unwrap().into_data();
            files.iter().flat_map(|file| values(file)).collect::<Vec<f32>>()
        });
        assert_eq!(cpu.len(), gpu.len());
        let odd = cpu.iter().zip(&gpu).filter(|(a, b)| f64::from((*a - *b).abs()) > WITHIN).count();
        assert!(odd == 0, "{model}: {odd} of {} probabilities differ", cpu.len());
    }
    let [cpu, gpu] = ["cpu", "cuda"].map(|device| {
        let calibration = format!("calibration-{device}.json");
        bench.succeed(&format!(
            "calibrate --model src --data ph --domain GE_3 --shifted 2 --out {calibration} --device {device}"
        ));
        let judged = bench.succeed(&format!(
            "judge --before src --after adabn-cpu --data ph --domain Siemens_15 --calibration {calibration} \
             --json --device {device}"
        ));
        let mut found = Vec::new();
        numbers(&serde_json::from_str(&judged).unwrap(), "judge", &mut found);
        found
    });
    assert_near(&cpu, &gpu);
}
