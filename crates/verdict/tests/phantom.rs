//! Judging on the phantom: a small network that has learned, and pairs of models whose order is known.
use candle_core::{Device, Tensor};
use std::sync::Arc;
use udas_data::{
    BatchPlan, DataSet, LabelUse, Labelled, LabelledBatches, LastBatch, Order, Padding,
    Preprocessing, Subject, VolumeSlices,
};
use udas_model::{ModelFile, ModelInfo, Provenance};
use udas_network::{Shape, Task};
use udas_nn::{Adam, AdamConfig};
use udas_phantom::{PhantomConfig, Task as PhantomTask, generate};
use udas_record::Decision;
use udas_train::{Batches, Objective, SourceBatches, SourceTraining};
use udas_unet::UNet;
use udas_verdict::{
    Basis, CalibrateConfig, Calibrating, Case, Damage, FAMILY, Judgement, Measurements, Signal,
    calibrate, judge,
};

const CPU: Device = Device::Cpu;

struct Bench {
    _folder: tempfile::TempDir,
    model: ModelFile,
    subjects: Vec<Subject>,
}

/// Heads of one scanner, and a network of two filters that has learned from them for a while.
fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let config = PhantomConfig {
        task: PhantomTask::Head,
        out: folder.path().to_owned(),
        domains: vec!["GE_3".into()],
        subjects_per_domain: 3,
        matrix: 32,
        seed: 1,
        format: udas_phantom::Format::Nifti,
    };
    generate(&config, &|_| {}).unwrap();
    let subjects = DataSet::open(folder.path()).unwrap().subjects("GE_3").unwrap();
    let padding = Padding::Square { multiple: 8 };
    let preprocessing = Preprocessing { padding, ..Preprocessing::CC359 };
    let shape = Shape { filters: 2, outputs: 1 };
    let mut training = SourceTraining::new(Box::new(UNet::random(shape, 3, &CPU).unwrap()));
    train(&mut training, &subjects, &preprocessing);
    let info =
        ModelInfo::new(training.network().spec().clone(), preprocessing, Provenance::default());
    let state = training.network().parameters().state().unwrap();
    Bench { _folder: folder, model: ModelFile { state, info }, subjects }
}

fn train(training: &mut SourceTraining, subjects: &[Subject], preprocessing: &Preprocessing) {
    let labels = LabelUse::Require { classes: 2 };
    let slices =
        VolumeSlices::new(subjects.to_vec(), preprocessing.clone(), labels, usize::MAX).unwrap();
    let plan =
        BatchPlan { order: Order::Shuffled { seed: 1 }, batch_size: 8, last: LastBatch::Drop };
    let batches = LabelledBatches::new(Labelled::new(Arc::new(slices)), plan).unwrap();
    let batches = SourceBatches::new(batches, Task::Binary, CPU);
    let mut adam = Adam::new(training.trainable(), AdamConfig::new(1e-2)).unwrap();
    for epoch in 0..10 {
        for batch in batches.epoch(epoch).unwrap() {
            let loss = training.loss(&batch.unwrap()).unwrap();
            adam.step(&loss.backward().unwrap()).unwrap();
        }
    }
}

/// The model with every logit this low: all background.
fn silent(model: &ModelFile) -> ModelFile {
    let mut model = model.clone();
    let bias = Tensor::new(&[-50f32], &CPU).unwrap();
    model.state.insert("out_path.2.bias".into(), bias);
    model
}

fn damaged(model: &ModelFile, damage: Damage) -> ModelFile {
    let network = model.network(&CPU).unwrap();
    let state = damage.apply(&*network, 99).unwrap().unwrap();
    ModelFile { state, info: model.info.clone() }
}

fn case<'a>(before: &'a ModelFile, after: &'a ModelFile) -> Case<'a> {
    Case { before, after, peers: &[], calibration: None }
}

#[track_caller]
fn expect(judgement: &Judgement, decision: Decision) {
    assert_eq!(judgement.decision, decision, "{:#?}", judgement.reasons);
    assert!(!judgement.reasons.is_empty());
}

#[test]
fn harm_is_rolled_back_and_no_change_is_kept() {
    let Bench { _folder, model, subjects } = bench();
    let config = CalibrateConfig { slices: 8, subjects: 2, seed: 5, shifts: FAMILY.to_vec() };
    let mut steps = Vec::new();
    let calibration =
        calibrate(&model, &[], &subjects, &CPU, &config, &mut |done, of| steps.push((done, of)))
            .unwrap();
    assert_eq!(steps.len(), 42);

    // Left after a few shifts and gone on with, from a file, it comes to the same.
    let begin = || Calibrating::new(&model, &[], &subjects, &CPU, &config).unwrap();
    let mut cut = begin();
    (0..3).for_each(|_| assert!(cut.measure_next(&mut || ()).unwrap()));
    let file = serde_json::to_vec(cut.measured()).unwrap();
    let earlier: Measurements = serde_json::from_slice(&file).unwrap();
    assert_eq!(earlier.steps(), 6);
    let other = CalibrateConfig { seed: 6, ..config.clone() };
    let mut other = Calibrating::new(&model, &[], &subjects, &CPU, &other).unwrap();
    assert!(!other.go_on_from(earlier.clone()), "another seed is another calibration");
    let mut whole = begin();
    assert!(whole.go_on_from(earlier));
    while whole.measure_next(&mut || ()).unwrap() {}
    assert_eq!(whole.finish().unwrap(), calibration);
    assert_eq!(steps.last(), Some(&(42, 42)));
    let source: Vec<_> = calibration
        .rows
        .iter()
        .filter(|row| row.shift == "source" && row.model == "as it is")
        .collect();
    assert_eq!(source.len(), 2);
    assert!(source.iter().all(|row| row.dice > 0.6), "the network has not learned: {source:?}");

    for calibration in [None, Some(&calibration)] {
        let judged = |after: &ModelFile| {
            judge(&Case { calibration, ..case(&model, after) }, &subjects, &CPU, &mut |_| {})
                .unwrap()
        };
        let same = judged(&model);
        expect(&same, Decision::Keep);
        assert_eq!(same.subjects.len(), 3);
        let verdict = same.verdict();
        let expected = if calibration.is_some() { 3 } else { 0 };
        assert_eq!(verdict.predictions.len(), expected);
        assert_eq!(same.basis == Basis::Calibrated, calibration.is_some());
        expect(&judged(&silent(&model)), Decision::RollBack);
    }
    // Noise of this strength is not among the damages that were calibrated with.
    let noisy = damaged(&model, Damage::Noise(1.0));
    let calibration = Some(&calibration);
    let noise = Case { calibration, ..case(&model, &noisy) };
    let judgement = judge(&noise, &subjects, &CPU, &mut |_| {}).unwrap();
    assert_ne!(judgement.decision, Decision::Keep, "{:#?}", judgement.reasons);

    let other = Case { calibration, ..case(&noisy, &model) };
    let error = judge(&other, &subjects, &CPU, &mut |_| {});
    assert!(error.unwrap_err().to_string().contains("another model"));
    let none = judge(&case(&model, &model), &[], &CPU, &mut |_| {});
    assert!(none.unwrap_err().to_string().contains("no subjects"));
}

#[test]
fn judging_does_not_open_labels() {
    let Bench { _folder, model, mut subjects } = bench();
    for subject in &mut subjects {
        subject.labels = Some("gone.nii.gz".into());
    }
    let judgement = judge(&case(&model, &model), &subjects, &CPU, &mut |_| {});
    expect(&judgement.unwrap(), Decision::Keep);
}

#[test]
fn other_trainings_are_asked() {
    let Bench { _folder, model, subjects } = bench();
    let (like, unlike) = (damaged(&model, Damage::Noise(0.01)), silent(&model));
    let peers = [like];
    let judged = |after: &ModelFile| {
        let case = Case { peers: &peers, ..case(&model, after) };
        let judgement = judge(&case, &subjects, &CPU, &mut |_| {}).unwrap();
        assert!(judgement.reasons.iter().any(|text| text.contains("1 other training")));
        let subject = judgement.subjects[0].clone();
        [subject.before, subject.after].map(|measured| measured.signals[&Signal::PeerAgreement])
    };
    let [before, after] = judged(&unlike);
    assert!(before > 0.8 && after == 0.0, "{before} {after}");
    assert_eq!(judged(&model), [before; 2]);
}

#[test]
fn a_calibration_learns_what_other_trainings_say_and_does_without() {
    let Bench { _folder, model, subjects } = bench();
    let peers = [damaged(&model, Damage::Noise(0.05))];
    let config = CalibrateConfig { slices: 4, subjects: 2, seed: 5, shifts: FAMILY[..6].to_vec() };
    let calibration = calibrate(&model, &peers, &subjects, &CPU, &config, &mut |_, _| {}).unwrap();
    let asked = |calibration: &udas_verdict::Calibration| {
        calibration.columns.iter().any(|column| column.signal == Signal::PeerAgreement)
    };
    assert!(asked(&calibration));
    assert!(!asked(&calibration.with_peers(&[]).unwrap()));
    // Every shift was adapted to, by one method after another.
    let adapted = |name: &str| calibration.rows.iter().filter(|row| row.model == name).count();
    let counts = ["tent", "self-training", "augmented-consistency"].map(adapted);
    assert_eq!(counts, [4, 4, 4], "the model knows no class ratio, which entropy-prior needs");
    assert!(calibration.rows.iter().filter(|row| row.model == "tent").any(|r| r.agreement < 1.0));

    let noisy = damaged(&model, Damage::Noise(1.0));
    for peers in [&peers[..], &[]] {
        let case = Case { peers, calibration: Some(&calibration), ..case(&model, &noisy) };
        let judgement = judge(&case, &subjects, &CPU, &mut |_| {}).unwrap();
        assert_ne!(judgement.decision, Decision::Keep, "{:#?}", judgement.reasons);
        let signals = &judgement.subjects[0].after.signals;
        assert_eq!(signals.contains_key(&Signal::PeerAgreement), !peers.is_empty());
    }
    let strangers = [noisy];
    let case = Case { peers: &strangers, calibration: Some(&calibration), ..case(&model, &model) };
    let error = judge(&case, &subjects, &CPU, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("other peers"), "{error}");

    let mut unfit = model.clone();
    unfit.info.preprocessing.padding = Padding::Square { multiple: 16 };
    let error = calibrate(&model, &[unfit], &subjects, &CPU, &config, &mut |_, _| {});
    assert!(error.unwrap_err().to_string().contains("differ in their seeds alone"));
}
