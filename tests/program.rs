//! The program from synthetic volumes to a report, and what it says to bad input.
mod common;

use common::{Bench, TINY};

#[test]
fn from_a_phantom_to_a_report() {
    let bench = Bench::trained();
    bench.succeed(
        "adapt --model src --data ph --domain Siemens_15 --method early-features --unready warn --batch-size 8 --epochs 1 --out ad",
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
    // What is warned of depends on what so small a network has learned.
    let kinds = events.lines().map(|line| &line[..line.find(',').unwrap()]);
    let kinds: Vec<_> = kinds.filter(|kind| !kind.contains("warning")).collect();
    let expected = ["start", "before", "epoch", "verdict", "stop"]
        .map(|kind| format!("{{\"event\":\"{kind}\""));
    assert_eq!(kinds, expected);
}

/// Histogram matching moves no weight: what it changes is how volumes are seen.
#[test]
fn another_sight_of_volumes_is_not_the_same_run() {
    let bench = Bench::trained();
    bench.succeed("adapt --model src --data ph --domain Siemens_15 --method match-source --on-harm keep --out ad");
    assert!(bench.succeed("verify ad").contains("the same, to the bit"));
    let path = bench.path("ad/model.safetensors");
    let mut model = udas_model::ModelFile::load(&path, None).unwrap();
    model.info.preprocessing.intensity = udas_data::Intensity::MinMax;
    model.save(&path).unwrap();
    let output = bench.run("verify ad");
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("not the same") && text.contains("done to volumes"), "{text}");
}

/// One view is the prediction as it is, several are a mean, and a folder's masks are all of one kind.
#[test]
fn several_views_are_recorded_and_not_mixed() {
    let bench = Bench::trained();
    let line = "predict --data ph --domain Siemens_15 --probabilities --model";
    let predictions = |model: &str, more: &str, out: &str| {
        bench.succeed(&format!("{line} {model} {more} --out {out}"));
        let files = std::fs::read_dir(bench.path(out)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().unwrap() == "gz").collect();
        files.sort();
        assert_eq!(files.len(), 4, "a mask and a probability for each of two subjects");
        files.iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    let mark =
        |out: &str| std::fs::read_to_string(bench.path(out).join("predictions.json")).unwrap();
    let one = predictions("src", "", "one");
    assert!(one == predictions("src", "--views 1", "one_said") && !mark("one").contains("views"));
    let four = predictions("src", "--views 4", "four");
    assert!(four != one && four == predictions("src", "--views 4 --threads 1", "four_again"));
    assert!(mark("four").contains("\"count\": 4"), "{}", mark("four"));
    bench.fail(&format!("{line} src --out four"), 2, &["another way", "--views"]);
    predictions("src", "--views 3 --overwrite", "four");

    for count in ["0", "16"] {
        let parts = ["--views", count, "give 1 to 15"];
        bench.fail(&format!("{line} src --views {count} --out x"), 2, &parts);
    }
    bench.fail(&format!("{line} src --views some --out x"), 2, &["--views"]);
    bench.fail(&format!("{line} src --mirrored --out x"), 2, &["--views 2"]);
    let parts = ["--mirrored", "left to right", "leave it out"];
    bench.fail(&format!("{line} src --views 2 --mirrored --out x"), 2, &parts);
    bench.succeed(&format!("train --data ph --domain GE_3 {TINY} --plane axial --out axial"));
    let plain = predictions("axial", "--views 2", "axial_two");
    assert!(plain != predictions("axial", "--views 2 --mirrored", "axial_mirrored"));
}

/// Re-estimated statistics are of all slices, fewer than a batch or not.
#[test]
fn adabn_sees_every_slice() {
    let bench = Bench::trained();
    for size in [8, 1000] {
        bench.succeed(&format!(
            "adapt --model src --data ph --domain Siemens_15 --method adabn --on-harm keep --batch-size {size} --out b{size}"
        ));
    }
    let mean = |run: &str| {
        let model = udas_model::ModelFile::load(&bench.path(run), None).unwrap();
        model.state["init_path.2.conv_path.0.bn.running_mean"].to_vec1::<f32>().unwrap()
    };
    // The first layer's input does not depend on the batch: nor do its statistics.
    for (a, b) in mean("b8").into_iter().zip(mean("b1000")) {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1e-3), "{a} {b}");
    }
}

/// Paths as they were given lead nowhere from another folder.
#[test]
fn a_run_is_understood_from_another_folder() {
    let bench = Bench::trained();
    bench.succeed(&format!("train --data ph --domain GE_3 {TINY} --seed 5 --out other"));
    bench.succeed(
        "adapt --model src --data ph --domain Siemens_15 --method tent --batch-size 8 --epochs 1 --peers other --out ad",
    );
    bench.succeed("predict --model ad --data ph --domain Siemens_15 --out ad/after");
    let elsewhere = tempfile::tempdir().unwrap();
    // What has the same name there is something else.
    let other = bench.command(
        "phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 2 --matrix 32 --seed 9",
    );
    assert!({ other }.current_dir(elsewhere.path()).status().unwrap().success());
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
    let judge = "judge --data ph --domain Siemens_15 --before src";
    bench.fail(&format!("{judge} --after src"), 2, &["--after src", "to the bit"]);
    // Statistics can only be re-estimated: nothing to train, so the verdict alone decides the exit code.
    bench.succeed(
        "adapt --model src --data ph --domain Siemens_15 --method adabn --batch-size 8 --on-harm keep --out ad",
    );
    // A folder that is not there is made, before the work.
    let text = bench.succeed(&format!("{judge} --after ad --out new/folder/judgement.json"));
    assert!(bench.path("new/folder/judgement.json").is_file());
    assert!(text.contains("verdict: ") && text.contains("predicted Dice"), "{text}");
    let output = bench.run(&format!("{judge} --after ad --exit-code"));
    let code = if text.contains("verdict: keep") { 0 } else { 4 };
    assert_eq!(output.status.code(), Some(code), "{text}");
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
fn other_trainings_teach_and_are_no_evidence_afterwards() {
    let bench = Bench::trained();
    for (seed, more) in [(1, ""), (2, ""), (3, "--intensity percentile")] {
        let line =
            format!("train --data ph --domain GE_3 {TINY} --seed {seed} {more} --out s{seed}");
        bench.succeed(&line);
    }
    let on = "--data ph --domain Siemens_15";
    let line = format!("adapt --model src {on} --batch-size 8 --epochs 1 --on-harm keep --out ed");
    let distil = format!("{line} --method ensemble-distillation");
    bench.fail(&distil, 2, &["--teachers MODEL"]);
    bench.fail(&format!("{distil} --teachers src s1"), 3, &["--teachers src", "the model itself"]);
    bench.fail(&format!("{distil} --teachers s1 s3"), 3, &["--teachers s3", "in another way"]);
    bench.fail(&format!("{line} --method tent --teachers s1"), 2, &["no --teachers"]);
    let asked = format!("{distil} --teachers s1 s2 --peers s2");
    bench.fail(&asked, 3, &["--peers s2", "has taught", "no evidence"]);
    // Named, they say which method is meant.
    bench.succeed(&format!("{line} --teachers s1 s2"));
    assert!(bench.succeed("verify ed").contains("the same, to the bit"));
    bench.succeed("adapt --config ed/config.toml --method tent --epochs 1 --out tent");
    let events = std::fs::read_to_string(bench.path("ed/events.jsonl")).unwrap();
    assert_eq!(events.matches("\"role\":\"teacher\"").count(), 2, "{events}");
    let judge = format!("judge --before src --after ed {on} --peers s2");
    bench.fail(&judge, 3, &["--peers s2", "has taught"]);
    bench.succeed(&format!("judge --before src --after ed {on}"));

    // Together they predict, and a folder is either theirs or the model's.
    bench.fail(&format!("predict --model src {on} --ensemble s3 --out m"), 3, &["--ensemble s3"]);
    bench.succeed(&format!("predict --model src {on} --ensemble s1 s2 --out m"));
    bench.succeed(&format!("predict --model src {on} --ensemble s2 s1 --out m"));
    bench.fail(&format!("predict --model src {on} --out m"), 2, &["another model"]);
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
    // Two masks, their list, and the mark of their model.
    assert_eq!(files(), 4);
    let text = bench.succeed(&format!("{line} --overlays --probabilities"));
    assert!(text.contains("2 masks written") && files() == 8, "{text}: {}", files());
    let text = bench.succeed(&format!("{line} --overlays"));
    assert!(text.contains("2 were there"), "{text}");
    // What lies beside the masks is not scored, whatever it is called.
    let text = bench.succeed(
        "evaluate --predictions masks --labels ph/Silver-standard/Siemens_15 --out s.json",
    );
    assert!(text.contains("2 subjects"), "{text}");
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

/// The page over HTTP, on this machine alone, until the program is told to end.
#[test]
fn a_report_is_served_and_refreshes() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::Stdio;
    let bench = Bench::trained();
    bench.succeed("adapt --model src --data ph --domain Siemens_15 --method adabn --out ad");
    let mut server = bench
        .command("report ad --out page --serve 0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let address = url.trim().trim_start_matches("http://").trim_end_matches('/');
    assert!(address.starts_with("127.0.0.1:"), "{url}");
    let mut visit = std::net::TcpStream::connect(address).unwrap();
    visit.write_all(b"GET / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    visit.read_to_string(&mut answer).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Refresh: 10"), "{answer:.300}");
    assert!(answer.contains("<html") && answer.contains("adabn"));
}

/// A page to show outside the house: no names, no paths.
#[test]
fn an_anonymous_report_names_nobody() {
    let bench = Bench::trained();
    bench.succeed("adapt --model src --data ph --domain Siemens_15 --method adabn --out ad");
    bench.succeed("predict --model ad --data ph --domain Siemens_15 --out ad/after");
    bench.succeed(
        "evaluate --predictions ad/after --data ph --domain Siemens_15 --out ad/scores.json",
    );
    bench.succeed("report ad --out page --anonymous");
    let subject = std::fs::read_dir(bench.path("ph/Original/Siemens_15")).unwrap().next();
    let name = subject.unwrap().unwrap().file_name().into_string().unwrap();
    let stem = name.split('.').next().unwrap();
    for file in ["index.html", "results.json", "results.csv"] {
        let text = std::fs::read_to_string(bench.path("page").join(file)).unwrap();
        assert!(!text.contains(stem) && !text.contains("ph/"), "{file} names {stem}");
        assert!(text.contains("subject-"), "{file}");
    }
}
