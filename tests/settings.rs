//! Where settings come from: flags over a file over defaults, and what is refused before a run is made.
mod common;

use common::{Bench, TINY};

fn write(bench: &Bench, name: &str, text: &str) {
    std::fs::write(bench.path(name), text).unwrap();
}

/// The settings that a run was made with.
fn settings(bench: &Bench, run: &str) -> toml::Table {
    std::fs::read_to_string(bench.path(run).join("config.toml")).unwrap().parse().unwrap()
}

/// What a command that is not carried out says of itself.
#[track_caller]
fn plan(bench: &Bench, line: &str) -> String {
    let output = bench.run(&format!("{line} --dry-run --verbose"));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "udas {line}\n{message}");
    message
}

#[test]
fn a_dry_run_shows_settings_that_a_run_can_be_made_from() {
    let bench = Bench::trained();
    let line = "adapt --model src --data ph --domain Siemens_15 --method tent --out ad";
    let text = bench.succeed(&format!("{line} --dry-run"));
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["lr"].as_float(), Some(1e-3), "{text}");
    assert!(!bench.path("ad").exists());
    write(&bench, "a.toml", &text);
    let again = bench.succeed("adapt --config a.toml --out ad --dry-run");
    assert_eq!(again, text);
}

/// The options that a method would run with.
#[track_caller]
fn options(bench: &Bench, line: &str) -> String {
    let text = plan(bench, line);
    text.lines().find(|line| line.starts_with("options: ")).unwrap().to_owned()
}

#[test]
fn a_file_sets_what_flags_do_not() {
    let bench = Bench::trained();
    let file = "data = \"ph\"\ndomain = [\"GE_3\"]\nbatch_size = 3\nepochs = 1\nfilters = 4\n";
    write(&bench, "t.toml", file);
    bench.succeed("train --config t.toml --filters 2 --out run");
    let settings = settings(&bench, "run");
    for (name, value) in [("batch-size", 3), ("epochs", 1), ("filters", 2)] {
        assert_eq!(settings[name].as_integer(), Some(value), "{name}");
    }
}

#[test]
fn what_a_file_cannot_set_is_refused_by_name() {
    let bench = Bench::trained();
    let cases = [
        ("threads = 7", "`threads` cannot be set in a file"),
        ("device = \"cuda\"", "`device` cannot be set in a file"),
        ("quiet = true", "give --quiet instead"),
        ("verbose = true", "`verbose`"),
        ("json = true", "`json`"),
        ("resume = true", "`resume`"),
        ("dry-run = true", "`dry-run`"),
        ("dry_run = true", "give --dry-run instead"),
        ("config = \"other.toml\"", "`config`"),
        ("batchsize = 3", "`batchsize` is no option of this command"),
        ("batch_size = 3\nbatch-size = 4", "`batch-size` is given twice"),
        ("seed = 4\nepochs = \"5\"", "`epochs`: "),
    ];
    for command in [
        "train --data ph --domain GE_3",
        "head --model src --data ph --domain GE_3",
        "adapt --model src --data ph --domain Siemens_15 --method adabn",
    ] {
        for (entry, part) in cases {
            write(&bench, "c.toml", entry);
            bench.fail(&format!("{command} --config c.toml --out x"), 3, &["c.toml", part]);
            assert!(!bench.path("x").exists(), "{entry}");
        }
    }
    write(&bench, "c.toml", "preset = \"paper\"");
    bench.fail(
        "train --data ph --domain GE_3 --config c.toml --out x",
        3,
        &["`preset` cannot be set in a file", "--preset"],
    );
}

#[test]
fn a_runs_own_file_is_enough_for_another_and_to_go_on() {
    let bench = Bench::trained();
    bench.succeed(
        "adapt --model src --data ph --domain Siemens_15 --method early-features --unready warn --batch-size 8 --epochs 1 --out ad",
    );
    let weights = |run: &str| std::fs::read(bench.path(run).join("model.safetensors")).unwrap();
    for (command, run) in [("train", "src"), ("head", "src/head0"), ("adapt", "ad")] {
        bench.succeed(&format!("{command} --config {run}/config.toml --out again_{command}"));
        assert!(weights(run) == weights(&format!("again_{command}")), "{command}: other weights");
        // One that was cut off before its first epoch.
        std::fs::create_dir_all(bench.path(&format!("cut_{command}"))).unwrap();
        let config = format!("cut_{command}/config.toml");
        std::fs::copy(bench.path(run).join("config.toml"), bench.path(&config)).unwrap();
        bench.succeed(&format!("{command} --resume --out cut_{command}"));
        assert!(weights(run) == weights(&format!("cut_{command}")), "{command}: other weights");
        bench.succeed(&format!("{command} --resume --out {run}"));
    }
}

#[test]
fn what_neither_flags_nor_the_file_give_is_named() {
    let bench = Bench::trained();
    let cases = [
        ("train", "epochs = 1", "--data is missing"),
        ("train", "data = \"ph\"", "--domain is missing"),
        ("head", "epochs = 1", "--model is missing"),
        ("head", "model = \"src\"", "--data is missing"),
        ("head", "model = \"src\"\ndata = \"ph\"", "--domain is missing"),
        ("adapt", "images = [\"ph\"]", "--model is missing"),
        ("adapt", "model = \"src\"", "--images and --data are missing"),
        ("adapt", "model = \"src\"\ndata = \"ph\"", "--domain is missing"),
    ];
    for (command, file, part) in cases {
        write(&bench, "c.toml", file);
        bench.fail(&format!("{command} --config c.toml --out x"), 2, &[part]);
        bench.fail(&format!("{command} --out x"), 2, &["required"]);
    }
    assert!(!bench.path("x").exists());
}

#[test]
fn images_by_flag_stand_in_for_the_files() {
    let bench = Bench::trained();
    std::fs::rename(bench.path("ph/Original/Siemens_15"), bench.path("other")).unwrap();
    let line = "adapt --model src --method source-only --batch-size 8";
    write(&bench, "data.toml", "data = \"ph\"\ndomain = [\"GE_3\"]\nsubjects = \"1\"");
    bench.succeed(&format!("{line} --config data.toml --images other --out images"));
    let made = settings(&bench, "images");
    assert_eq!(made["images"].as_array().unwrap().len(), 1);
    assert!(!made.contains_key("data") && !made.contains_key("subjects"), "{made}");
    let record = std::fs::read_to_string(bench.path("images/events.jsonl")).unwrap();
    assert!(record.contains("other/") && !record.contains("ph/Original"), "{record}");

    write(&bench, "images.toml", "images = [\"other\"]");
    bench.succeed(&format!("{line} --config images.toml --data ph --domain GE_3 --out data"));
    let made = settings(&bench, "data");
    assert_eq!(made["data"].as_str(), Some("ph"));
    assert_eq!(made["images"].as_array().map(Vec::len), Some(0));

    write(&bench, "both.toml", "images = [\"other\"]\ndata = \"ph\"\ndomain = [\"GE_3\"]");
    bench.fail(
        &format!("{line} --config both.toml --out x"),
        2,
        &["--images", "--data", "keep one"],
    );
    bench.fail(
        &format!("{line} --config images.toml --domain GE_3 --out x"),
        2,
        &["--domain", "--data"],
    );
}

#[test]
fn subjects_and_folds_stand_in_for_each_other() {
    let bench = Bench::trained();
    for command in [format!("train {TINY}"), "head --model src --batch-size 8 --epochs 1".into()] {
        let name = command.split(' ').next().unwrap();
        let set = "data = \"ph\"\ndomain = [\"GE_3\"]\n";
        write(&bench, "fold.toml", &format!("{set}fold = \"0/2\""));
        let run = format!("{name}_subjects");
        bench.succeed(&format!("{command} --config fold.toml --subjects 1 --out {run}"));
        assert!(!settings(&bench, &run).contains_key("fold"));
        write(&bench, "subjects.toml", &format!("{set}subjects = \"1\""));
        let run = format!("{name}_fold");
        bench.succeed(&format!("{command} --config subjects.toml --fold 0/2 --out {run}"));
        assert!(!settings(&bench, &run).contains_key("subjects"));
    }
}

#[test]
fn another_method_does_not_get_the_options_of_the_files() {
    let bench = Bench::trained();
    let target = "--model src --data ph --domain Siemens_15 --unready warn";
    bench.succeed(&format!(
        "adapt {target} --method early-features --batch-size 8 --epochs 1 --lr 0.0002 --keep best-score --out ad"
    ));
    let own = "adapt --config ad/config.toml --out x";
    // The same method keeps them.
    let kept = options(&bench, own);
    assert!(kept.contains("\"learning_rate\":0.0002,") && kept.contains("\"epochs\":1,"), "{kept}");
    assert_eq!(options(&bench, &format!("{own} --method early-features")), kept);
    // Another has its own, or what flags say.
    for flags in ["--method tent", "--method early-consistency --lr 0.02"] {
        let fresh = options(&bench, &format!("adapt {target} {flags} --out x"));
        assert_eq!(options(&bench, &format!("{own} {flags}")), fresh);
    }
    let told = plan(&bench, &format!("{own} --method tent"));
    assert!(told.contains("because of --method") && told.contains("batch-size"), "{told}");
    // So has a preset.
    let fresh = format!("adapt {target} --method early-features --preset paper --out x");
    assert_eq!(options(&bench, &format!("{own} --preset paper")), options(&bench, &fresh));
    // Options without a method are for any.
    write(&bench, "lr.toml", "lr = 0.03");
    let any = options(&bench, &format!("adapt {target} --config lr.toml --method tent --out x"));
    assert!(any.contains("\"learning_rate\":0.03,"), "{any}");
    // A run that goes on keeps what it began with, whatever its preset says.
    bench.fail("adapt --config ad/config.toml --out ad", 2, &["--resume"]);
    assert_eq!(options(&bench, "adapt --resume --preset paper --out ad"), kept);
}

#[test]
fn epochs_in_a_file_are_asked_for_and_default_ones_are_not() {
    let bench = Bench::trained();
    let line = "adapt --method augmented-consistency --model src --data ph --domain Siemens_15 --batch-size 8 --out";
    // The score never changes so little.
    write(&bench, "e.toml", "epochs = 2\nstop-change = 1e-12");
    let output = bench.run(&format!("{line} asked --config e.toml"));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    assert!(message.contains("not converged after 2 epochs"), "{message}");
    // Five epochs are the method's own, and in the run's file because everything is.
    let remedy = ["not converged after 5 epochs", "--epochs N"];
    bench.fail(&format!("{line} own --stop-change 1e-12"), 4, &remedy);
    assert_eq!(settings(&bench, "own")["epochs"].as_integer(), Some(5));
    bench.fail("adapt --config own/config.toml --out again", 4, &remedy);
    // Gone on with by the run's own file, both end as they would have.
    for (run, code) in [("asked", 0), ("own", 4)] {
        let cut = bench.path(&format!("cut_{run}"));
        std::fs::create_dir_all(&cut).unwrap();
        std::fs::copy(bench.path(run).join("config.toml"), cut.join("config.toml")).unwrap();
        let output = bench.run(&format!("adapt --resume --out cut_{run}"));
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains("not converged"), "{message}");
    }
}

#[test]
fn a_preset_is_of_its_method() {
    let bench = Bench::trained();
    let target = "--model src --data ph --domain Siemens_15 --unready warn";
    let explicit = format!("adapt {target} --method early-features --preset paper --out x");
    let explicit = plan(&bench, &explicit);
    assert!(explicit.contains("early-features: "), "{explicit}");
    assert_eq!(plan(&bench, &format!("adapt {target} --preset paper --out x")), explicit);
    write(&bench, "p.toml", "preset = \"paper\"\n");
    assert_eq!(plan(&bench, &format!("adapt {target} --config p.toml --out x")), explicit);
    let lr = plan(&bench, &format!("adapt {target} --config p.toml --lr 0.5 --out x"));
    assert!(lr.contains("early-features: ") && lr.contains("\"learning_rate\":0.5,"), "{lr}");
    // Without it, the default is the method's that did best on real heads.
    let default = plan(&bench, &format!("adapt {target} --out x"));
    assert!(default.contains("match-source: "), "{default}");
    let other = plan(&bench, &format!("adapt {target} --intensity percentile --out x"));
    assert!(other.contains("augmented-consistency: "), "{other}");
    // A checkpoint of the published code keeps no histogram: that is said, and another method run.
    bench.succeed("convert src/model.safetensors bare.pth");
    let bare = plan(&bench, "adapt --model bare.pth --data ph --domain Siemens_15 --out x");
    assert!(bare.contains("bare.pth: keeps no histogram"), "{bare}");
    assert!(bare.contains("augmented-consistency: "), "{bare}");
    let both = format!("adapt {target} --method match-source --intensity percentile --out x");
    bench.fail(&both, 2, &["--method match-source", "leave out --intensity"]);
    let names = ["--preset paper", "--method early-features", "--method tent"];
    bench.fail(&format!("adapt {target} --preset paper --method tent --out x"), 2, &names);
    write(&bench, "m.toml", "method = \"tent\"\n");
    bench.fail(&format!("adapt {target} --config m.toml --preset paper --out x"), 2, &names);
    write(&bench, "m.toml", "method = \"tent\"\npreset = \"paper\"\n");
    bench.fail(&format!("adapt {target} --config m.toml --out x"), 2, &names);
    assert!(!bench.path("x").exists());
}

#[test]
fn options_out_of_range_are_refused_before_the_run_is_made() {
    let bench = Bench::trained();
    let both = [
        ("--lr=-1", "--lr -1"),
        ("--lr 0", "--lr 0"),
        ("--lr nan", "--lr NaN"),
        ("--lr inf", "--lr inf"),
        ("--batch-size 0", "--batch-size 0"),
        ("--epochs 0", "--epochs 0"),
    ];
    let training = [
        ("--filters 0", "--filters 0"),
        ("--filters 100000", "--filters 100000"),
        ("--keep best-score --hold-out none", "--validation-subjects"),
        ("--classes 1", "--classes"),
    ];
    let train = both.iter().chain(&training).map(|case| ("train", case));
    let head = both.iter().map(|case| ("head --model src", case));
    for (command, (flag, part)) in train.chain(head) {
        bench.fail(&format!("{command} --data ph --domain GE_3 {flag} --out x"), 2, &[part]);
        assert!(!bench.path("x").exists(), "{command} {flag}");
    }
    // From a file too.
    write(&bench, "c.toml", "lr = -1\n");
    bench.fail("train --data ph --domain GE_3 --config c.toml --out x", 2, &["--lr -1"]);
    assert!(!bench.path("x").exists());
    bench.succeed(&format!(
        "train --data ph --domain GE_3 {TINY} --subjects 1 --validation-subjects 2 --keep best-score --out x"
    ));
}

#[test]
fn a_run_goes_on_with_the_settings_it_began_with() {
    let bench = Bench::trained();
    let line = format!("train --data ph --domain GE_3 {TINY} --out going");
    bench.succeed(&line);
    std::fs::remove_file(bench.path("going/model.safetensors")).unwrap();
    bench.fail(&format!("{line} --seed 9 --resume"), 2, &["--seed is 9 now and was 0", "--out"]);
    bench.fail("train --resume --out going --lr 0.5", 2, &["--lr is 0.5 now and was"]);
    bench.succeed("train --resume --out going --epochs 2");
}
