//! Whether a training is finished, and what becomes of those that learn from one that is not.
mod common;

use common::{Bench, TINY};
use udas_record::{Convergence, Event, StopReason, read_events};

/// What a run recorded of its end, and why it ended.
fn measured(bench: &Bench, run: &str) -> (Convergence, StopReason) {
    let events = read_events(&bench.path(run)).unwrap();
    let measured = events.iter().find_map(|event| match event {
        Event::Convergence { measured, .. } => Some(*measured),
        _ => None,
    });
    let reason = events.iter().find_map(|event| match event {
        Event::Stop(stop) => Some(stop.reason),
        _ => None,
    });
    (measured.unwrap(), reason.unwrap())
}

/// On both tasks, one output channel and several.
#[test]
fn a_training_goes_on_until_it_has_converged() {
    let bench = Bench::new();
    for (task, domain) in [("head", "GE_3"), ("heart", "B")] {
        bench.succeed(&format!(
            "phantom --task {task} --out {task} --domain {domain} --subjects 2 --matrix 32"
        ));
        let data = format!("--data {task} --domain {domain} --batch-size 4");
        bench.succeed(&format!(
            "train {data} --augment none --filters 4 --lr 3e-3 --out {task}_src"
        ));
        let (end, reason) = measured(&bench, &format!("{task}_src"));
        assert_eq!(reason, StopReason::Converged, "{task}: {end:?}");
        assert!(end.is_sure() && end.held_out && end.dice > 0.7, "{task}: {end:?}");
        assert!(end.steps >= 1000 && end.steps < 20_000, "{task}: {end:?}");
        assert!(end.logit_scale.unwrap() > 1.5, "{task}: {end:?}");
        let model = udas_model::ModelFile::load(&bench.path(&format!("{task}_src")), None).unwrap();
        assert_eq!(model.info.convergence, Some(end), "the model's file says so too");
    }
}

#[test]
fn the_bound_of_an_endless_training_holds() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 2 --matrix 32");
    let line = "train --data ph --domain GE_3 --filters 2 --epochs auto --max-steps 30 --out src";
    let output = bench.run(line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for part in ["has not converged", "--max-steps 30", "held-out slices"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (end, reason) = measured(&bench, "src");
    assert_eq!(reason, StopReason::EpochsDone);
    assert!(!end.is_sure() && end.steps >= 30 && end.steps < 60, "{end:?}");
}

#[test]
fn what_is_not_ready_does_not_teach() {
    let bench = Bench::trained();
    let early = "adapt --model src --data ph --domain Siemens_15 --method early-features --batch-size 8 --epochs 1";
    bench.fail(
        &format!("{early} --out x"),
        4,
        &["hardly knows its own domain", "--epochs auto", "--unready warn"],
    );
    assert!(!bench.path("x").exists(), "refused before the work");
    bench.succeed(&format!("{early} --unready warn --out warned"));
    let warned = |run: &str| {
        let events = read_events(&bench.path(run)).unwrap();
        events.into_iter().any(|event| {
            matches!(event, Event::Warning { message } if message.contains("hardly knows its own domain"))
        })
    };
    assert!(warned("warned"));
    // Other methods warn, and so does a verdict.
    bench.succeed("adapt --model src --data ph --domain Siemens_15 --on-harm keep --out ad");
    assert!(warned("ad"));
    let judged = bench.run("judge --before src --after ad --data ph --domain Siemens_15");
    assert!(String::from_utf8_lossy(&judged.stderr).contains("hardly knows its own domain"));
}

#[test]
fn a_fold_is_held_out_and_the_published_schedule_holds_out_nothing_else() {
    let bench = Bench::new();
    bench.succeed("phantom --task head --out ph --domain GE_3 --subjects 3 --matrix 32");
    bench.succeed(&format!("train --data ph --domain GE_3 {TINY} --fold 0/3 --out fold"));
    let slices = |run: &str| measured(&bench, run).0.slices;
    let fold = slices("fold");
    bench.succeed(&format!("train --data ph --domain GE_3 {TINY} --preset paper --out paper"));
    let (paper, _) = measured(&bench, "paper");
    assert!(!paper.held_out && paper.slices > 2 * fold, "{paper:?}");
    let shown = bench.succeed("train --data ph --domain GE_3 --preset paper --out x --dry-run");
    for line in [
        "epochs = 50",
        "batch-size = 20",
        "augment = \"none\"",
        "hold-out = \"none\"",
        "lr = 0.001",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // A flag comes before the preset.
    let shown =
        bench.succeed("train --data ph --domain GE_3 --preset paper --epochs 7 --out x --dry-run");
    assert!(shown.contains("epochs = 7") && shown.contains("batch-size = 20"), "{shown}");
}
