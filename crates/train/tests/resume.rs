//! A training that is interrupted after any epoch, or within one, goes on to the same bits.
mod common;

use common::*;
use std::sync::atomic::{AtomicBool, Ordering};
use udas_record::StopReason;
use udas_train::{
    Ema, Fit, FitConfig, FitSummary, Keep, Objective, Observer, Silent, Snapshot, SourceTraining,
    fit,
};

const EPOCHS: usize = 4;
/// The last step's weights, not averaged.
const LAST: (Keep, Option<Ema>) = (Keep::Last, None);

fn run(
    objective: &mut SourceTraining,
    epochs: usize,
    (keep, average): (Keep, Option<Ema>),
    observer: &mut dyn Observer,
    interrupt: &AtomicBool,
    resume: Option<Snapshot>,
) -> FitSummary {
    let config = FitConfig { average, ..config(epochs, keep) };
    let batches = Turning::discs();
    let (train, check) = (&batches, Some(&batches as _));
    fit(objective, Fit { train, check, config: &config, observer, interrupt, resume }).unwrap()
}

/// What must not depend on interruptions: everything but times and memory.
fn course(summary: &FitSummary) -> Vec<String> {
    let figures = summary.epochs.iter().map(|record| {
        let bits = [Some(record.loss), record.score, record.score_change];
        format!("{} {:?}", record.epoch, bits.map(|figure| figure.map(f64::to_bits)))
    });
    let rest = format!("{:?} {:?} {:?}", summary.reason, summary.before, summary.collapse);
    figures.chain([rest]).collect()
}

#[test]
fn resumed_after_each_epoch_it_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let ema = Some(Ema { decay: 0.9 });
    let ways = [LAST, (Keep::BestScore, None), (Keep::Last, ema), (Keep::BestScore, ema)];
    for (number, keep) in ways.into_iter().enumerate() {
        let (mut noted, mut undisturbed) = (Noted::default(), training(1));
        let summary = run(&mut undisturbed, EPOCHS, keep, &mut noted, &GO_ON, None);
        let expected = bits(&undisturbed.state().unwrap());
        assert_eq!(noted.snapshots.len(), EPOCHS);
        for (epoch, snapshot) in noted.snapshots.iter().enumerate() {
            // Through a file, as after the end of a process; the network starts from other weights.
            let path = folder.path().join(format!("{number}_{epoch}.safetensors"));
            snapshot.save(&path).unwrap();
            let mut resumed = training(2);
            let snapshot = Snapshot::load(&path).unwrap();
            let again = run(&mut resumed, EPOCHS, keep, &mut Silent, &GO_ON, Some(snapshot));
            assert_eq!(bits(&resumed.state().unwrap()), expected, "{keep:?}, epoch {}", epoch + 1);
            assert_eq!(course(&again), course(&summary), "{keep:?}, epoch {}", epoch + 1);
        }
    }
}

/// Interrupts in the middle of an epoch.
struct Impatient<'a> {
    noted: Noted,
    interrupt: &'a AtomicBool,
    epoch: usize,
}

impl Observer for Impatient<'_> {
    fn step(&mut self, epoch: usize, step: usize, _: usize, _: f32) {
        if epoch == self.epoch && step == 2 {
            self.interrupt.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(
        &mut self,
        record: &udas_record::EpochRecord,
        snapshot: &Snapshot,
    ) -> udas_train::Result<()> {
        self.noted.epoch(record, snapshot)
    }
}

#[test]
fn an_interrupted_epoch_is_undone() {
    let mut undisturbed = training(1);
    run(&mut undisturbed, EPOCHS, LAST, &mut Silent, &GO_ON, None);
    for epoch in [1, 3] {
        let interrupt = AtomicBool::new(false);
        let mut observer = Impatient { noted: Noted::default(), interrupt: &interrupt, epoch };
        let mut objective = training(1);
        let start = bits(&objective.state().unwrap());
        let summary = run(&mut objective, EPOCHS, LAST, &mut observer, &interrupt, None);
        assert_eq!(summary.reason, StopReason::Interrupted);
        assert_eq!(summary.epochs.len(), epoch - 1);
        let kept = bits(&objective.state().unwrap());
        let Some(snapshot) = observer.noted.snapshots.pop() else {
            assert_eq!(kept, start, "nothing was done");
            continue;
        };
        assert_eq!(kept, bits(&snapshot.objective));
        let mut resumed = training(3);
        run(&mut resumed, EPOCHS, LAST, &mut Silent, &GO_ON, Some(snapshot));
        assert_eq!(bits(&resumed.state().unwrap()), bits(&undisturbed.state().unwrap()));
    }
}

#[test]
fn more_epochs_can_be_asked_for_on_resume() {
    let (mut noted, mut first) = (Noted::default(), training(1));
    run(&mut first, 2, LAST, &mut noted, &GO_ON, None);
    let mut longer = training(1);
    run(&mut longer, EPOCHS, LAST, &mut Silent, &GO_ON, None);
    let mut resumed = training(2);
    run(&mut resumed, EPOCHS, LAST, &mut Silent, &GO_ON, noted.snapshots.pop());
    assert_eq!(bits(&resumed.state().unwrap()), bits(&longer.state().unwrap()));
}

#[test]
fn a_snapshot_of_another_training_is_refused() {
    let (mut noted, mut other) = (Noted::default(), training(1));
    run(&mut other, 1, LAST, &mut noted, &GO_ON, None);
    let mut snapshot = noted.snapshots.pop().unwrap();
    snapshot.optimiser.remove("first.init_path.0.weight");
    let (batches, config) = (Turning::discs(), config(2, Keep::Last));
    let fitting = Fit {
        train: &batches,
        check: None,
        config: &config,
        observer: &mut Silent,
        interrupt: &GO_ON,
        resume: Some(snapshot),
    };
    let error = fit(&mut training(1), fitting).unwrap_err().to_string();
    assert!(error.contains("first.init_path.0.weight"), "{error}");
}
