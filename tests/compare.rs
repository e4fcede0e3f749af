//! `udas compare` on the smallest experiments: killed at random moments, on data of the user's, with one subject, planned
//! only.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use udas_record::Experiment;

const PROGRAM: &str = env!("CARGO_BIN_EXE_udas");

fn experiments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/experiments")
}

fn compare(experiment: &str, out: &Path, more: &[&str]) -> Command {
    compare_in_size("tiny", experiment, out, more)
}

fn compare_in_size(preset: &str, experiment: &str, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["compare", experiment, "--preset", preset, "--experiments"]);
    command.arg(experiments()).arg("--out").arg(out).args(more);
    command
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn run_well(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    said(&output)
}

fn read(out: &Path, experiment: &str, name: &str) -> String {
    fs::read_to_string(out.join(experiment).join(name)).unwrap()
}

/// What the report knows, with the files that its pictures are drawn from.
fn reported(out: &Path, experiment: &str) -> Experiment {
    Experiment::read(&out.join(experiment).join("report/results.json")).unwrap()
}

fn pictures(out: &Path, experiment: &str) -> usize {
    read(out, experiment, "report/index.html").matches("src=\"data:image/png;base64,").count()
}

/// How many times the program is killed; `UDAS_KILLS` asks for more.
fn kills_asked() -> u32 {
    std::env::var("UDAS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// Moments that are random, and the same in every run of the test.
struct Moments(u64);

impl Moments {
    /// Uniform below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

/// Kills one process, or everything that it has started as well.
fn kill(child: &mut Child, with_children: bool) {
    let process = child.id().to_string();
    let target = if with_children { format!("-{process}") } else { process };
    let killed = Command::new("kill").args(["-KILL", "--", &target]).status().unwrap();
    assert!(killed.success());
    child.wait().unwrap();
}

#[test]
fn killed_at_random_moments_it_comes_to_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = folder.path().join("undisturbed");
    let start = Instant::now();
    run_well(compare("tiny", &undisturbed, &[]));
    // Other tests run beside it.
    let whole = start.elapsed().min(Duration::from_secs(20));

    let mut moments = Moments(1);
    let mut kills = 0;
    let mut round = 0;
    while kills < kills_asked() {
        round += 1;
        let out = folder.path().join(format!("disturbed-{round}"));
        // Until a call ends before its kill: then the table is there, and the next round begins from nothing.
        loop {
            let mut command = compare("tiny", &out, &[]);
            command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let wait = 20 + moments.below(whole.as_millis() as u64 * 2 / 3);
            let moment = Instant::now() + Duration::from_millis(wait);
            while child.try_wait().unwrap().is_none() && Instant::now() < moment {
                sleep(Duration::from_millis(5));
            }
            if child.try_wait().unwrap().is_some() {
                break;
            }
            kill(&mut child, moments.below(2) == 0);
            kills += 1;
            if kills >= kills_asked() {
                break;
            }
        }
        run_well(compare("tiny", &out, &[]));
        for name in ["table.txt", "results.csv"] {
            assert_eq!(read(&out, "tiny", name), read(&undisturbed, "tiny", name), "{name}");
        }
    }
    println!("{kills} kills in {round} runs of {:.1} s", whole.as_secs_f64());
}

#[test]
fn nothing_is_run_twice_and_a_dry_run_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let plan = run_well(compare("tiny", &out, &["--dry-run"]));
    assert!(plan.contains("to run") && plan.contains("udas train"), "{plan}");
    assert!(!out.exists(), "a dry run wrote something");
    let first = run_well(compare("tiny", &out, &[]));
    assert!(first.contains("start  tiny/source/seed-0") && first.contains("± "), "{first}");
    // Whether sources and heads had converged comes before what methods made of them.
    assert!(first.contains("source model, GE_3, seed 0: "), "{first}");
    assert!(first.contains("early head, level 0, GE_3, seed 1: "), "{first}");
    let page = read(&out, "tiny", "report/index.html");
    assert!(
        page.contains("What the methods start from") && page.contains("does not know the task")
    );
    assert_eq!(reported(&out, "tiny").ingredients.len(), 4);
    let again = run_well(compare("tiny", &out, &[]));
    assert!(!again.contains("start "), "{again}");
    let plan = run_well(compare("tiny", &out, &["--dry-run"]));
    assert!(!plan.contains("to run"), "{plan}");
}

#[test]
fn the_user_s_trees_run_through_in_both_layouts() {
    let folder = tempfile::tempdir().unwrap();
    for (experiment, task) in [("tiny", "head"), ("tiny-hearts", "heart")] {
        let data = folder.path().join("data").join(experiment);
        let mut phantom = Command::new(PROGRAM);
        phantom.args(["phantom", "--task", task, "--subjects", "2", "--matrix", "32", "--out"]);
        phantom.arg(&data);
        run_well(phantom);
    }
    let data = folder.path().join("data");
    let out = folder.path().join("out");
    run_well(compare("all", &out, &["--data", data.to_str().unwrap()]));
    for (experiment, shown) in [("tiny", 4), ("tiny-hearts", 6)] {
        assert_eq!(pictures(&out, experiment), shown, "{experiment}");
        let reported = reported(&out, experiment);
        let domains: BTreeSet<&str> =
            reported.histograms.iter().map(|histogram| histogram.domain.as_str()).collect();
        assert_eq!((domains.len(), reported.histograms.len()), (3, 3), "{domains:?}");
        let volumes: Vec<_> = reported.outcomes.iter().flat_map(|o| &o.volumes).collect();
        assert!(!volumes.is_empty());
        for files in volumes {
            let image = files.image.as_ref().unwrap();
            assert!(Path::new(image).starts_with(&data) && files.truth.is_some(), "{files:?}");
            let frame = files.subject.split_once("_frame").map(|(_, frame)| frame.parse().unwrap());
            assert_eq!(files.frame, frame, "{files:?}");
        }
    }
    // One experiment's tree may be named itself; another tree is another plan.
    let one = data.join("tiny");
    let plan = run_well(compare("tiny", &out, &["--data", one.to_str().unwrap(), "--dry-run"]));
    assert!(!plan.contains("to run"), "{plan}");
    fs::write(one.join("note.txt"), "a file more").unwrap();
    let plan = run_well(compare("tiny", &out, &["--data", one.to_str().unwrap(), "--dry-run"]));
    assert!(plan.contains("to run"), "{plan}");
}

#[test]
fn one_subject_is_enough_to_adapt() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = run_well(compare("tiny-hearts", &out, &["--one-shot"]));
    assert!(text.contains("± standard deviation"), "{text}");
    // All subjects are scored, whatever was seen.
    let scores = read(&out, "tiny-hearts", "score/early-features-level-0/A/seed-0/scores.json");
    assert_eq!(scores.matches("\"subject\"").count() % 2, 0, "{scores}");
}

#[test]
fn who_is_scored_need_not_be_who_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    run_well(compare_in_size("parted", "tiny-hearts", &out, &[]));
    let reported = reported(&out, "tiny-hearts");
    for outcome in &reported.outcomes {
        let second = |subject: &String| subject.contains("0002_frame");
        assert!(outcome.subjects.len() == 2 && outcome.subjects.iter().all(second), "{outcome}");
    }
    let drawn: Vec<_> = reported.outcomes.iter().flat_map(|outcome| &outcome.volumes).collect();
    assert_eq!((drawn.len(), pictures(&out, "tiny-hearts")), (4, 4), "{drawn:?}");
}

#[test]
fn a_method_that_fails_takes_nothing_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = compare_in_size("failing", "tiny-hearts", &out, &[]).output().unwrap();
    let text = said(&output);
    assert!(!output.status.success() && text.contains("2 jobs failed"), "{text}");
    let reported = reported(&out, "tiny-hearts");
    let methods: BTreeSet<&str> = reported.outcomes.iter().map(|o| o.method.as_str()).collect();
    assert_eq!(methods, BTreeSet::from(["early-features-level-0", "source-only"]));
    assert!(read(&out, "tiny-hearts", "table.txt").contains("early features"));
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (experiment, more, reason) in [
        ("none", &[][..], "no experiment `none`"),
        ("all", &["--data", "."], "name one experiment"),
        ("tiny", &["--preset", "huge"], "cannot be used multiple times"),
        ("tiny", &["--data", "no/such/folder"], "no/such/folder"),
        ("tiny", &["--source", "GE_15", "--target", "GE_15"], "is a target too"),
    ] {
        let output = compare(experiment, &out, more).output().unwrap();
        let text = said(&output);
        assert!(!output.status.success() && text.contains(reason), "{reason}: {text}");
    }
    assert!(!out.exists());
}

/// Programs that do as Slurm's would, at once: an array's jobs run one after the other, and the queue is empty then.
fn stub_of_slurm(folder: &Path) {
    let sbatch = "#!/bin/sh\n\
        for word; do case $word in --array=0-*) last=${word#--array=0-};; esac; script=$word; done\n\
        for task in $(seq 0 \"${last%%%*}\"); do SLURM_ARRAY_TASK_ID=$task sh \"$script\" >&2; done\n\
        echo \"$$\"\n";
    for (name, text) in [("sbatch", sbatch), ("squeue", "#!/bin/sh\n")] {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn arrays_of_slurm_come_to_the_table_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    stub_of_slurm(folder.path());
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    run_well(compare_in_size("parted", "tiny-hearts", &here, &[]));
    let on_slurm = || {
        let options = ["--executor", "slurm", "--jobs", "2"];
        let mut command = compare_in_size("parted", "tiny-hearts", &there, &options);
        command.env("PATH", &path);
        run_well(command)
    };
    let first = on_slurm();
    assert!(
        first.contains("submitted") && first.contains("1 source jobs of tiny-hearts"),
        "{first}"
    );
    assert_eq!(read(&there, "tiny-hearts", "table.txt"), read(&here, "tiny-hearts", "table.txt"));
    let again = on_slurm();
    assert!(!again.contains("submitted"), "{again}");
}
