//! Several source domains at once, structures drawn equally often, and averaged weights.
mod common;

use common::{Bench, TINY};
use udas_nn::Checkpoint;

fn weights(bench: &Bench, run: &str) -> String {
    let model = Checkpoint::load(bench.path(run).join("model.safetensors")).unwrap();
    Checkpoint { metadata: None, ..model }.hash().unwrap()
}

/// What the program says while it succeeds.
fn said(bench: &Bench, line: &str) -> String {
    let output = bench.run(line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "udas {line}\n{said}");
    said
}

fn text(bench: &Bench, path: &str) -> String {
    std::fs::read_to_string(bench.path(path)).unwrap()
}

/// Takes lines out of a run's settings, and its result, as if an older build had been cut off.
fn as_if_older(bench: &Bench, run: &str, without: &[&str]) {
    let config = format!("{run}/config.toml");
    let begun = text(bench, &config);
    let is_new = |line: &&str| without.iter().any(|name| line.starts_with(&format!("{name} = ")));
    assert_eq!(begun.lines().filter(is_new).count(), without.len(), "{begun}");
    let kept: Vec<_> = begun.lines().filter(|line| !is_new(line)).collect();
    std::fs::write(bench.path(&config), kept.join("\n") + "\n").unwrap();
    std::fs::remove_file(bench.path(run).join("model.safetensors")).unwrap();
}

#[test]
fn domains_are_seen_equally_often_and_older_runs_go_on_as_they_began() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 3 --matrix 32");
    // Three of one scanner, one of the other, none held out.
    let line =
        format!("train --data ph --domain GE_3 Siemens_15 --subjects 1-4 --hold-out none {TINY}");
    let told = said(&bench, &format!("{line} --out even"));
    let shown = told.lines().find(|line| line.starts_with("an epoch of")).unwrap();
    let numbers: Vec<usize> =
        shown.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    // "an epoch of 88 slices shows: GE_3 44 of 66, Siemens_15 44 of 22", digits of the names among them.
    let [count, _, first, of_first, _, second, of_second] = numbers[..] else { panic!("{shown}") };
    assert!(first.abs_diff(second) <= 1 && first + second == count, "{shown}");
    assert!(of_first > 2 * of_second && of_first + of_second == count, "{shown}");
    assert!(text(&bench, "even/config.toml").contains("balance = \"domains\""));
    assert!(text(&bench, "even/log.txt").contains(shown));
    assert!(!said(&bench, &format!("{line} --balance none --out pooled")).contains("an epoch of"));
    let pooled = weights(&bench, "pooled");
    assert_ne!(weights(&bench, "even"), pooled);
    as_if_older(&bench, "pooled", &["balance", "average", "plane", "spacing"]);
    bench.succeed("train --resume --out pooled");
    assert_eq!(weights(&bench, "pooled"), pooled);
    bench.fail(&format!("{line} --balance domains --order sequential --out x"), 2, &["--balance"]);

    let head =
        "head --model even --data ph --domain GE_3 Siemens_15 --batch-size 8 --epochs 1 --out head";
    assert!(said(&bench, head).contains("an epoch of"));
    assert!(text(&bench, "head/config.toml").contains("balance = \"domains\""));
}

#[test]
fn structures_are_seen_equally_often() {
    let bench = Bench::new();
    bench.succeed("phantom --task heart --out hearts --domain A B --subjects 1 --matrix 32");
    let line = format!("train --data hearts --domain A B {TINY} --hold-out none");
    let told = said(&bench, &format!("{line} --balance classes --out classes"));
    for part in ["class 1 ", "class 2 ", "class 3 "] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
    let told = said(&bench, &format!("{line} --balance both --out both"));
    assert!(told.contains("A class 1 ") && told.contains("B class 3 "), "{told}");
}

#[test]
fn a_training_may_end_with_an_average_of_its_weights() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 2 --matrix 32");
    let line = "train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs 2";
    for (out, more) in [("last", ""), ("same", "--average none"), ("mean", "--average ema:0.9")] {
        bench.succeed(&format!("{line} {more} --out {out}"));
    }
    assert_eq!(weights(&bench, "last"), weights(&bench, "same"));
    assert_ne!(weights(&bench, "last"), weights(&bench, "mean"));
    assert!(text(&bench, "mean/config.toml").contains("average = \"ema:0.9\""));
    assert!(
        bench.succeed("predict --model mean --data ph --domain GE_3 --out m").contains("2 masks")
    );
    bench.fail(&format!("{line} --average ema:1.5 --out x"), 2, &["ema:DECAY"]);
    bench.fail(&format!("{line} --average swa --out x"), 2, &["--average"]);
}
