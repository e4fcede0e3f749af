//! A run killed at any moment goes on to the same bits, with every epoch once.
mod common;

use common::Bench;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use udas_nn::Checkpoint;
use udas_record::{Event, read_events};

/// Kills of each command; `UDAS_KILLS` asks for more.
fn kills() -> u32 {
    std::env::var("UDAS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// Runs `line` undisturbed into `whole`, then into `cut` with kills at times spread over its length, and
/// compares.
fn survives_kills(bench: &Bench, line: &str, name: &str) {
    let started = Instant::now();
    bench.succeed(&format!("{line} --out {name}_whole"));
    let mut length = started.elapsed();
    let cut = format!("{name}_cut");
    let mut killed = 0;
    for attempt in 1..=10 * kills() {
        if killed == kills() {
            break;
        }
        // Multiples of the golden section fall everywhere, and in no order that a run could depend on.
        let moment = length.mul_f64((f64::from(attempt) * 0.618_033_988_75).fract());
        let started = Instant::now();
        let mut child = bench
            .command(&go_on(bench, line, &cut))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ended = None;
        while ended.is_none() && started.elapsed() < moment {
            std::thread::sleep(Duration::from_millis(2));
            ended = child.try_wait().unwrap();
        }
        if ended.is_some() {
            // It got to its end: the next one begins anew, on a machine that is faster now.
            length = length.min(started.elapsed());
            std::fs::remove_dir_all(bench.path(&cut)).unwrap();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
    }
    assert!(killed > 0, "no run lived long enough to be killed");
    bench.succeed(&go_on(bench, line, &cut));
    let hash = |run: &str| {
        let model = Checkpoint::load(bench.path(run).join("model.safetensors")).unwrap();
        Checkpoint { metadata: None, ..model }.hash().unwrap()
    };
    assert_eq!(hash(&format!("{name}_whole")), hash(&cut), "{name}: other weights");
    let course = |run: &str| -> Vec<(usize, u64, Option<u64>)> {
        let events = read_events(&bench.path(run)).unwrap();
        let of = |event: Event| match event {
            Event::Before { score, .. } => Some((0, 0, Some(score.to_bits()))),
            Event::Epoch(e) => Some((e.epoch, e.loss.to_bits(), e.score.map(f64::to_bits))),
            _ => None,
        };
        events.into_iter().filter_map(of).collect()
    };
    assert_eq!(course(&format!("{name}_whole")), course(&cut), "{name}: other records");
}

/// The command that begins a run, or goes on with it where it has begun.
fn go_on(bench: &Bench, line: &str, out: &str) -> String {
    let begun = bench.path(out).join("config.toml").exists();
    format!("{line} --out {out} {}", if begun { "--resume" } else { "" })
}

#[test]
fn train_head_and_adapt_go_on_to_the_same_bits() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 Siemens_15 --subjects 2 --matrix 32");
    let tiny = "--batch-size 8 --epochs 3";
    survives_kills(&bench, &format!("train --data ph --domain GE_3 --filters 2 {tiny}"), "src");
    survives_kills(
        &bench,
        &format!("head --model src_whole --data ph --domain GE_3 {tiny}"),
        "head",
    );
    survives_kills(
        &bench,
        &format!(
            "adapt --model src_whole --head head_whole --data ph --domain Siemens_15 --method early-features --unready warn {tiny} --stop-change 0"
        ),
        "ad",
    );
}

#[test]
fn fewer_epochs_than_are_done_are_refused() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 1 --matrix 32");
    let line = "train --data ph --domain GE_3 --filters 2 --batch-size 8 --out run";
    let mut run = bench.command(&format!("{line} --epochs 10000")).spawn().unwrap();
    let done = || read_events(&bench.path("run")).unwrap_or_default();
    while done().iter().filter(|event| matches!(event, Event::Epoch(_))).count() < 3 {
        assert!(run.try_wait().unwrap().is_none(), "the run has ended");
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    bench.fail(&format!("{line} --epochs 2 --resume"), 2, &["--epochs 2", "are done already"]);
}

#[test]
fn a_folder_in_use_is_refused() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 2 --matrix 48");
    let line = "train --data ph --domain GE_3 --filters 4 --batch-size 8 --epochs 500 --out run";
    let mut first =
        bench.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !bench.path("run/config.toml").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    bench.fail(&format!("{line} --resume"), 2, &["in use by another run"]);
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn bits_do_not_depend_on_threads() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 1 --matrix 48");
    let hash = |threads: usize| {
        bench.succeed(&format!(
            "train --data ph --domain GE_3 --filters 4 --batch-size 8 --epochs 1 --threads {threads} --out t{threads}"
        ));
        Checkpoint::load(bench.path(&format!("t{threads}/model.safetensors")))
            .unwrap()
            .hash()
            .unwrap()
    };
    let one = hash(1);
    for threads in [2, 4, 8] {
        assert_eq!(one, hash(threads), "{threads} threads");
    }
}

#[test]
fn a_calibration_goes_on_to_the_same_bits() {
    let bench = Bench::trained();
    let line = "calibrate --model src --data ph --domain GE_3 --slices 8 --shifted 2 --out";
    let mut run = bench.command(&format!("{line} cut.json")).spawn().unwrap();
    while !bench.path("cut.json.unfinished").exists() {
        assert!(run.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    // What belongs to another calibration is not gone on with, and that is said.
    let left = bench.path("cut.json.unfinished");
    std::fs::copy(&left, bench.path("other.json.unfinished")).unwrap();
    let output = bench.run(&format!("{line} other.json --seed 7"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("begins anew"), "{said}");
    let output = bench.run(&format!("{line} cut.json"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("goes on from"), "{said}");
    assert!(!bench.path("cut.json.unfinished").exists());
    bench.succeed(&format!("{line} whole.json"));
    let bytes = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert_eq!(bytes("cut.json"), bytes("whole.json"));
}

/// A batch system sends SIGTERM and gives some seconds: the run ends in order, and goes on to the same bits.
#[cfg(unix)]
#[test]
fn sigterm_ends_a_run_in_order() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 1 --matrix 32");
    let line = "train --data ph --domain GE_3 --filters 2 --batch-size 4 --epochs 60";
    let begin = bench.command(&format!("{line} --out cut")).stderr(Stdio::piped()).spawn();
    let run = begin.unwrap();
    let epochs = || {
        let events = read_events(&bench.path("cut")).unwrap_or_default();
        events.iter().filter(|event| matches!(event, Event::Epoch(_))).count()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while epochs() < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let sent = Instant::now();
    let signalled = Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(sent.elapsed() < Duration::from_secs(10), "it took {:?}", sent.elapsed());
    assert!(!output.status.success() && said.contains("--resume"), "{said}");
    assert!((2..60).contains(&epochs()), "{} epochs", epochs());
    bench.succeed(&format!("{line} --out cut --resume"));
    bench.succeed(&format!("{line} --out whole"));
    let hash = |run: &str| {
        Checkpoint::load(bench.path(run).join("model.safetensors")).unwrap().hash().unwrap()
    };
    assert_eq!(hash("cut"), hash("whole"));
}

/// Whether this process was started with SIGHUP ignored, where the system says it.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 == 1)
}

/// A terminal that closes sends SIGHUP; a clock that jumps leaves files of the future and of long ago. Neither loses anything.
#[cfg(unix)]
#[test]
fn a_closed_terminal_and_a_clock_that_jumps_lose_nothing() {
    if is_hangup_ignored() {
        eprintln!(
            "skipped: SIGHUP is ignored here, as below nohup, and so it is by what is started from here"
        );
        return;
    }
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 1 --matrix 32");
    let line = "train --data ph --domain GE_3 --filters 2 --batch-size 4 --epochs 60";
    let begin = bench.command(&format!("{line} --out cut")).stderr(Stdio::piped()).spawn();
    let mut run = begin.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !bench.path("cut/state.safetensors").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-HUP", &run.id().to_string()]).status().unwrap().success());
    assert!(!run.wait().unwrap().success());
    let year = Duration::from_secs(365 * 24 * 3600);
    let times = [std::time::UNIX_EPOCH, std::time::SystemTime::now() + 70 * year];
    for (number, entry) in std::fs::read_dir(bench.path("cut")).unwrap().enumerate() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(times[number % 2]).unwrap();
    }
    let output = bench.run(&format!("{line} --out cut --resume"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("epoch 1/60"), "{said}");
    bench.succeed(&format!("{line} --out whole"));
    let hash = |run: &str| {
        Checkpoint::load(bench.path(run).join("model.safetensors")).unwrap().hash().unwrap()
    };
    assert_eq!(hash("cut"), hash("whole"));
}
