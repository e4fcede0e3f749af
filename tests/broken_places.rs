//! A run whose folder is lost, cannot be written or has no more room ends with an error that names the file; its
//! last good state goes on to the same bits.
mod common;

use common::Bench;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use udas_nn::Checkpoint;
use udas_record::{Event, read_events};

fn phantom() -> Bench {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 1 --matrix 32");
    bench
}

fn train(epochs: usize) -> String {
    format!("train --data ph --domain GE_3 --filters 2 --batch-size 8 --epochs {epochs}")
}

/// An orderly end with `code`, the message holding all `parts`.
#[track_caller]
fn ends(output: &Output, code: i32, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in\n{message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

/// The same weights, and every epoch once, after one start.
#[track_caller]
fn same(whole: &Path, run: &Path) {
    let hash = |run: &Path| {
        let model = Checkpoint::load(run.join("model.safetensors")).unwrap();
        Checkpoint { metadata: None, ..model }.hash().unwrap()
    };
    assert_eq!(hash(whole), hash(run), "other weights");
    let losses = |run: &Path| -> Vec<(usize, u64)> {
        let of = |event| match event {
            Event::Epoch(epoch) => Some((epoch.epoch, epoch.loss.to_bits())),
            _ => None,
        };
        read_events(run).unwrap().into_iter().filter_map(of).collect()
    };
    assert_eq!(losses(whole), losses(run), "other records");
    assert!(matches!(read_events(run).unwrap()[0], Event::Start(_)), "no start");
}

/// Runs `line` into `run`, and does `harm` once the state of an epoch is saved.
fn harmed(bench: &Bench, line: &str, harm: impl FnOnce()) -> Output {
    let mut command = bench.command(&format!("{line} --out run"));
    let run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !bench.path("run/state.safetensors").exists() {
        assert!(Instant::now() < deadline, "no epoch has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    harm();
    run.wait_with_output().unwrap()
}

#[test]
fn a_folder_moved_away_goes_on_where_it_was_once_it_is_back() {
    let bench = phantom();
    let line = train(16);
    bench.succeed(&format!("{line} --out whole"));
    let (run, away) = (bench.path("run"), bench.path("away"));
    let output = harmed(&bench, &line, || std::fs::rename(&run, &away).unwrap());
    ends(&output, 1, &["run/state.safetensors", "cannot be written"]);
    assert!(!run.exists(), "the folder is not made anew behind its owner's back");
    std::fs::rename(&away, &run).unwrap();
    let output = bench.run(&format!("{line} --out run --resume"));
    ends(&output, 0, &["epoch 16/16"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("epoch 1/16"), "it began anew");
    same(&bench.path("whole"), &run);
}

#[test]
fn a_folder_that_is_removed_ends_the_run() {
    let bench = phantom();
    let run = bench.path("run");
    let output = harmed(&bench, &train(10_000), || {
        // The run may put a file there between the removals.
        while run.exists() {
            let _ = std::fs::remove_dir_all(&run);
        }
    });
    // Whichever of the state and the events is written next.
    ends(&output, 1, &["error: run/", "may the folder be written?"]);
    assert!(!run.exists());
}

#[test]
fn events_that_are_removed_end_the_run() {
    let bench = phantom();
    let events = bench.path("run/events.jsonl");
    let output = harmed(&bench, &train(10_000), || std::fs::remove_file(&events).unwrap());
    ends(&output, 1, &["run/events.jsonl", "removed"]);
    assert!(!events.exists());
}

/// Runs a shell script with mounts of its own in the bench's folder, or says why not.
fn with_mounts(bench: &Bench, script: &str) -> Option<Output> {
    let mounted = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script]).env("UDAS", env!("CARGO_BIN_EXE_udas"));
        command.current_dir(bench.folder.path()).output()
    };
    if mounted("mount -t tmpfs -o size=1m none /mnt").is_ok_and(|probe| probe.status.success()) {
        return Some(mounted(script).unwrap());
    }
    eprintln!("skipped: file systems cannot be mounted here");
    None
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_the_first_epoch() {
    let bench = phantom();
    let line = train(2);
    std::fs::write(bench.path("file"), "").unwrap();
    for out in ["file", "file/run"] {
        bench.fail(&format!("{line} --out {out}"), 3, &[out, "choose another --out"]);
    }
    // Read-only as a file system is, which holds for root too.
    let script = format!("mkdir ro && mount -t tmpfs -o ro none ro && exec $UDAS {line} --out ro");
    if let Some(output) = with_mounts(&bench, &script) {
        ends(&output, 3, &["ro: cannot be written", "Read-only", "choose another --out"]);
    }
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_refused_before_the_first_epoch() {
    use std::os::unix::fs::PermissionsExt;
    let bench = phantom();
    let folder = bench.path("ro");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    if std::fs::write(folder.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write into read-only folders (root)");
        return;
    }
    let parts = ["ro: cannot be written", "choose another --out"];
    bench.fail(&format!("{} --out ro", train(2)), 3, &parts);
    bench.fail(&format!("{} --out ro/run", train(2)), 3, &["ro/run", "choose another --out"]);
}

#[test]
fn a_full_disk_ends_the_run_and_with_more_room_it_goes_on() {
    let bench = phantom();
    for epochs in [1, 2] {
        bench.succeed(&format!("{} --out whole{epochs}", train(epochs)));
    }
    let model = std::fs::metadata(bench.path("whole1/model.safetensors")).unwrap().len();
    // Of a model and Adam's two moments, a state takes less than three models: one has room, and nothing more.
    let one_state = 3 * model / 1024;
    let cases = [
        (2, 8, "events.jsonl"),
        (2, 64, "state.safetensors"),
        (2, one_state, "state.safetensors"),
        (1, one_state, "model.safetensors"),
    ];
    for (number, (epochs, kib, file)) in cases.into_iter().enumerate() {
        let line = train(epochs);
        let script = format!(
            "mkdir -p disk && mount -t tmpfs -o size=8m none disk || exit 99
            head -c {}k /dev/zero >disk/else || exit 99
            $UDAS {line} --out disk/run; code=$?
            ls -A disk/run >left{number}
            rm disk/else
            $UDAS {line} --out disk/run --resume 2>again{number}
            cp -r disk/run run{number}
            exit $code",
            8 * 1024 - kib
        );
        let Some(output) = with_mounts(&bench, &script) else { return };
        ends(&output, 1, &[&format!("disk/run/{file}"), "No space left", "is there space"]);
        let left = std::fs::read_to_string(bench.path(&format!("left{number}"))).unwrap();
        assert!(!left.contains(".part"), "{kib} KiB: parts of files are left:\n{left}");
        let again = std::fs::read_to_string(bench.path(&format!("again{number}"))).unwrap();
        let anew = again.contains(&format!("epoch 1/{epochs}"));
        assert_eq!(
            anew,
            kib < one_state,
            "{kib} KiB: the state is used where there is one: {again}"
        );
        same(&bench.path(&format!("whole{epochs}")), &bench.path(&format!("run{number}")));
    }
}

/// Runs a shell script that mounts a disk of its own, and makes the file `mounted` once it has; or says why not.
fn with_image(bench: &Bench, script: &str) -> Option<Output> {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).env("UDAS", env!("CARGO_BIN_EXE_udas"));
    let output = command.current_dir(bench.folder.path()).output();
    // Not even `unshare`, or no file system to break.
    let output = output.ok().filter(|_| bench.path("mounted").exists());
    if output.is_none() {
        eprintln!("skipped: a disk that is lost takes root, loop devices and mkfs.ext4");
    }
    output
}

/// As a kernel does with a disk that fails: at once, whoever has files open.
#[test]
fn a_disk_that_turns_read_only_ends_the_run_and_once_repaired_it_goes_on() {
    let bench = phantom();
    let line = train(16);
    bench.succeed(&format!("{line} --out whole"));
    let script = format!(
        "truncate -s 32M image && mkfs.ext4 -q -F image && mkdir disk || exit 99
        mount -o loop,errors=remount-ro image disk || exit 99
        trigger=/sys/fs/ext4/$(basename \"$(losetup -n -O NAME -j image)\")/trigger_fs_error
        test -w $trigger && touch mounted || exit 99
        $UDAS {line} --out disk/run & run=$!
        # An epoch is recorded after its state is on the disk for good.
        while ! grep -qs '\"epoch\":2' disk/run/events.jsonl; do kill -0 $run || break; sleep 0.01; done
        echo 1 >$trigger
        wait $run; code=$?
        umount disk
        fsck.ext4 -fy image >fsck 2>&1
        mount -o loop image disk && $UDAS {line} --out disk/run --resume 2>again
        cp -r disk/run run; umount disk
        exit $code"
    );
    let Some(output) = with_image(&bench, &script) else { return };
    // What was about to be written may meet the error itself, what comes later a read-only file system.
    ends(&output, 1, &["error: disk/run/", "may the folder be written?"]);
    let again = std::fs::read_to_string(bench.path("again")).unwrap();
    assert!(!again.contains("epoch 1/16"), "it began anew:\n{again}");
    same(&bench.path("whole"), &bench.path("run"));
}

/// As a share on a network that is gone: whatever is looked up there is not found, while files that are open stay open.
#[test]
fn a_file_system_that_goes_away_ends_the_run_and_once_back_it_goes_on() {
    let bench = phantom();
    let line = train(16);
    bench.succeed(&format!("{line} --out whole"));
    let script = format!(
        "truncate -s 32M image && mkfs.ext4 -q -F image && mkdir disk || exit 99
        mount -o loop image disk && touch mounted || exit 99
        $UDAS {line} --out disk/run & run=$!
        while ! grep -qs '\"epoch\":2' disk/run/events.jsonl; do kill -0 $run || break; sleep 0.01; done
        umount -l disk
        wait $run; code=$?
        ls -A disk >left
        mount -o loop image disk && $UDAS {line} --out disk/run --resume 2>again
        cp -r disk/run run; umount disk
        exit $code"
    );
    let Some(output) = with_image(&bench, &script) else { return };
    ends(&output, 1, &["error: disk/run/", "may the folder be written?"]);
    let left = std::fs::read_to_string(bench.path("left")).unwrap();
    assert!(left.is_empty(), "written into the empty place: {left}");
    let again = std::fs::read_to_string(bench.path("again")).unwrap();
    assert!(!again.contains("epoch 1/16"), "it began anew:\n{again}");
    same(&bench.path("whole"), &bench.path("run"));
}

#[test]
fn every_command_says_that_the_disk_is_full_and_leaves_no_part_of_a_file() {
    let bench = phantom();
    bench.succeed(&format!("{} --out run", train(1)));
    bench.succeed(&format!("{} --seed 5 --out other", train(1)));
    let on = "--data ph --domain GE_3";
    bench.succeed(&format!("predict --model run {on} --out masks"));
    // Kibibytes that are free, a command, and the file that its message names.
    let cases = [
        (0, format!("predict --model run {on} --out disk/out"), "disk/out/predictions.json"),
        (4, format!("predict --model run {on} --out disk/out"), "_ge_3_"),
        (0, "report run --out disk/out".into(), "disk/out/index.html"),
        (0, "phantom --task head --out disk/out --domain GE_3 --subjects 1".into(), "disk/out"),
        (0, format!("evaluate --predictions masks {on} --out disk/s.json"), "disk/s.json"),
        (0, "convert run/model.safetensors disk/model.pth".into(), "disk/model.pth"),
        (0, format!("judge --before run --after other {on} --out disk/j.json"), "disk/j.json"),
    ];
    for (number, (room, line, file)) in cases.into_iter().enumerate() {
        let script = format!(
            "mkdir -p disk && mount -t tmpfs -o size=1m none disk || exit 99
            head -c {}k /dev/zero >disk/else
            $UDAS {line}; code=$?
            find disk -type f >left-{number}
            exit $code",
            1024 - room
        );
        let Some(output) = with_mounts(&bench, &script) else { return };
        let message = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(1 | 3)), "{line}: {code:?}\n{message}");
        for part in [file, "No space left"] {
            assert!(message.contains(part), "{line}: no {part:?} in\n{message}");
        }
        assert!(!message.contains("panicked"), "{line}: {message}");
        let left = std::fs::read_to_string(bench.path(&format!("left-{number}"))).unwrap();
        assert!(left.lines().all(|line| !line.ends_with(".part")), "{line} left\n{left}");
    }
}
