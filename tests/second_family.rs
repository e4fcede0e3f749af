//! A family of networks that no crate knows goes the whole way: trained, given a head, adapted by every method that
//! applies, judged, predicted; the others say why not.
mod two_level;

use candle_core::{Device, Tensor};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use two_level::TwoLevel;
use udas_adapt::{
    METHODS, Method, Model, Options, OracleBatches, Requirement, Run, TargetBatch, TargetBatches,
};
use udas_data::{
    BatchPlan, DataSet, LabelUse, Labelled, LabelledBatches, LastBatch, Order, Padding,
    Preprocessing, Subject, Unlabelled, UnlabelledBatches, VolumeSlices,
};
use udas_model::{HeadFile, HeadInfo, ModelFile, ModelInfo, Predictor, Provenance, register};
use udas_network::{EarlyHead, Family, Network, Shape, Task};
use udas_nn::{AdamConfig, StateDict};
use udas_phantom::{PhantomConfig, Task as PhantomTask, generate};
use udas_record::Phase;
use udas_train::{
    Batches, Fit, FitConfig, HeadTraining, Keep, Objective, Silent, SourceBatches, SourceTraining,
    StopRule, fit, mean_score,
};
use udas_verdict::{CalibrateConfig, Case, Signal, calibrate, judge};

const CPU: Device = Device::Cpu;
const SHAPE: Shape = Shape { filters: 4, outputs: 1 };
const ORDER: BatchPlan =
    BatchPlan { order: Order::Shuffled { seed: 1 }, batch_size: 8, last: LastBatch::Drop };
static GO_ON: AtomicBool = AtomicBool::new(false);

fn preprocessing() -> Preprocessing {
    Preprocessing { padding: Padding::Square { multiple: 2 }, ..Preprocessing::CC359 }
}

/// Two scanners of three heads each.
struct Bench {
    folder: tempfile::TempDir,
    source: Vec<Subject>,
    target: Vec<Subject>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let domains = ["GE_3", "Siemens_15"].map(str::to_owned);
        let config = PhantomConfig {
            task: PhantomTask::Head,
            out: folder.path().join("ph"),
            domains: domains.to_vec(),
            subjects_per_domain: 3,
            matrix: 32,
            seed: 1,
            format: udas_phantom::Format::Nifti,
        };
        generate(&config, &|_| {}).unwrap();
        let set = DataSet::open(&config.out).unwrap();
        let [source, target] = domains.map(|domain| set.subjects(&domain).unwrap());
        Self { folder, source, target }
    }
}

fn slices(subjects: &[Subject], labels: LabelUse) -> Arc<VolumeSlices> {
    Arc::new(VolumeSlices::new(subjects.to_vec(), preprocessing(), labels, usize::MAX).unwrap())
}

fn labelled(subjects: &[Subject]) -> SourceBatches {
    let slices = Labelled::new(slices(subjects, LabelUse::Require { classes: 2 }));
    SourceBatches::new(LabelledBatches::new(slices, ORDER).unwrap(), Task::Binary, CPU)
}

fn unlabelled(subjects: &[Subject]) -> TargetBatches {
    let slices = Unlabelled::new(slices(subjects, LabelUse::Ignore));
    TargetBatches::new(UnlabelledBatches::new(slices, ORDER).unwrap(), CPU)
}

fn train<O: Objective<Batch = udas_train::LabelledBatch>>(objective: &mut O, on: &SourceBatches) {
    let config = FitConfig {
        phase: Phase::Source,
        adam: AdamConfig::new(1e-2),
        epochs: 12,
        stop: StopRule::Never,
        keep: Keep::Last,
        average: None,
    };
    let fitting = Fit {
        train: on,
        check: None,
        config: &config,
        observer: &mut Silent,
        interrupt: &GO_ON,
        resume: None,
    };
    fit(objective, fitting).unwrap();
}

fn trained(bench: &Bench, seed: u64) -> ModelFile {
    let batches = labelled(&bench.source);
    let mut training = SourceTraining::new(TwoLevel.random(SHAPE, seed, &CPU).unwrap());
    train(&mut training, &batches);
    let dice = mean_score(&training, &batches).unwrap().value;
    assert!(dice > 0.8, "the network has not learned: Dice {dice}");
    let spec = training.network().spec().clone();
    let info = ModelInfo::new(spec, preprocessing(), Provenance::default());
    ModelFile { state: training.network().parameters().state().unwrap(), info }
}

/// The head at the deepest stage, from its file.
fn head(bench: &Bench, model: &ModelFile) -> HeadFile {
    let spec = &model.info.network;
    let head = EarlyHead::random(spec, 1, 2, &CPU).unwrap();
    let mut training = HeadTraining::new(model.network(&CPU).unwrap(), head);
    let batches = labelled(&bench.source);
    train(&mut training, &batches);
    let dice = mean_score(&training, &batches).unwrap().value;
    assert!(dice > 0.6, "the head has not learned: Dice {dice}");
    let state = training.head().parameters().state().unwrap();
    let info = HeadInfo::new(spec.clone(), 1, model.hash().unwrap(), Provenance::default());
    let path = bench.folder.path().join("head.safetensors");
    HeadFile { state, info }.save(&path).unwrap();
    HeadFile::load(&path, spec).unwrap()
}

fn adapt(
    method: &dyn Method,
    bench: &Bench,
    model: &Model,
    teachers: &[Arc<dyn Network>],
) -> udas_adapt::Result<StateDict> {
    let oracle = method.about().needs.contains(&Requirement::TargetLabels);
    let plain = unlabelled(&bench.target);
    let target: Box<dyn Batches<TargetBatch>> = if oracle {
        Box::new(OracleBatches(labelled(&bench.target)))
    } else {
        Box::new(unlabelled(&bench.target))
    };
    let source = labelled(&bench.source);
    let options = Options { level: 1, epochs: 1, ..method.options() };
    let run = Run {
        target: &*target,
        check: &plain,
        source: Some(&source),
        teachers,
        class_ratio: Some(vec![0.2]),
        device: CPU,
        seed: 3,
        observer: &mut Silent,
        interrupt: &GO_ON,
        resume: None,
    };
    Ok(method.adapt(model, &options, run)?.state)
}

/// What every method does to it: the names of those that move weights, and the refusals.
fn outcomes(bench: &Bench, file: &ModelFile) -> (Vec<&'static str>, Vec<String>) {
    let head = Some(head(bench, file).state);
    let model = Model { network: file.network(&CPU).unwrap().into(), head };
    let teachers = [TwoLevel.random(SHAPE, 9, &CPU).unwrap().into()];
    let (mut moved, mut refused) = (Vec::new(), Vec::new());
    for method in METHODS {
        match adapt(*method, bench, &model, &teachers) {
            Ok(state) if differ(&state, &file.state) => moved.push(method.name()),
            Ok(_) => {}
            Err(error) => refused.push(error.to_string()),
        }
    }
    (moved, refused)
}

fn differ(a: &StateDict, b: &StateDict) -> bool {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(a.keys().eq(b.keys()));
    a.iter().any(|(name, tensor)| values(tensor) != values(&b[name]))
}

#[test]
fn a_family_from_outside_goes_the_whole_way() {
    register(&TwoLevel);
    let bench = Bench::new();
    let path = bench.folder.path().join("model.safetensors");
    trained(&bench, 1).save(&path).unwrap();
    let model = ModelFile::load(&path, None).unwrap();
    assert_eq!(model.info.network, TwoLevel.spec(SHAPE));

    let (moved, refused) = outcomes(&bench, &model);
    let still = ["source-only", "match-source", "adabn", "alpha-bn"];
    let expected: Vec<_> =
        METHODS.iter().map(|method| method.name()).filter(|name| !still.contains(name)).collect();
    assert_eq!(moved, expected);
    assert_eq!(refused.len(), 2, "{refused:?}");
    for name in ["adabn", "alpha-bn"] {
        let wanted = format!("method `{name}` needs a network with batch norm");
        assert!(refused.iter().any(|text| text.contains(&wanted)), "{refused:?}");
    }

    let config = CalibrateConfig {
        slices: 8,
        subjects: 2,
        seed: 5,
        shifts: udas_verdict::FAMILY[..4].to_vec(),
    };
    let calibration = calibrate(&model, &[], &bench.source, &CPU, &config, &mut |_, _| {}).unwrap();
    let names: Vec<_> = calibration.rows.iter().map(|row| row.model.as_str()).collect();
    assert!(names.contains(&"logits plus 2") && !names.contains(&"batch norm re-estimated"));
    let other = trained(&bench, 2);
    let case = Case { before: &model, after: &other, peers: &[], calibration: Some(&calibration) };
    let judgement = judge(&case, &bench.target, &CPU, &mut |_| {}).unwrap();
    let signals = &judgement.subjects[0].after.signals;
    assert!(signals.contains_key(&Signal::FlipConsistency));
    for absent in [Signal::NormAgreement, Signal::NormDistance] {
        assert!(!signals.contains_key(&absent), "{absent:?} is of batch norm");
    }

    let predictor = Predictor::new(model.network(&CPU).unwrap(), &CPU);
    let slices = slices(&bench.source, LabelUse::Ignore);
    let labels = predictor.labels(&slices, 0).unwrap();
    assert!(labels[0].data().contains(&1));
}
