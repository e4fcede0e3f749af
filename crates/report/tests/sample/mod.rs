//! Invented results, for tests and for the sample page. No number here was measured on anything.
#![allow(dead_code)]

use udas_record::{
    Better, Class, Convergence, DataSet, Decision, EpochRecord, Experiment, Histogram, Ingredient,
    Input, Machine, MeasuredScore, MethodDescription, MethodKind, MetricDescription, Origin,
    Outcome, Phase, PredictedScore, Provenance, Published, ScoreColumn, StopReason, Verdict,
};
use udas_report::{Case, Picture, Pictures, Plane, before_after, cases};
use udas_volume::{Affine, Labels, Volume};

/// Which pairs of domains there are.
#[derive(Clone, Copy)]
pub enum Pairs {
    /// From the first domain to all others.
    OneSource,
    /// From every domain to every other one.
    All,
}

const DOMAINS: [&str; 6] =
    ["GE 3 T", "GE 1.5 T", "Philips 1.5 T", "Philips 3 T", "Siemens 1.5 T", "Siemens 3 T"];
/// Name, title, kind, invented effect and its spread, idea.
const METHODS: [(&str, &str, MethodKind, f64, f64, &str); 9] = [
    ("source-only", "Source model", MethodKind::Baseline, 0.0, 0.0, "No adaptation."),
    (
        "percentile",
        "Percentile 1–99 normalisation",
        MethodKind::SourceSide,
        0.05,
        0.03,
        "Intensities scaled by percentiles, in training and at the target.",
    ),
    (
        "augmented",
        "Intensity augmentation",
        MethodKind::SourceSide,
        0.11,
        0.03,
        "Random contrast, bias field and noise while the source model is trained.",
    ),
    (
        "ada-bn",
        "AdaBN",
        MethodKind::Adaptation,
        0.004,
        0.02,
        "Batch-norm statistics are estimated again on the target.",
    ),
    (
        "early-features-0",
        "Early features, level 0",
        MethodKind::Adaptation,
        -0.06,
        0.08,
        "The first stage learns from the network's own soft predictions.",
    ),
    (
        "early-features-1",
        "Early features, level 1",
        MethodKind::Adaptation,
        -0.02,
        0.06,
        "The first two stages learn from the network's own soft predictions.",
    ),
    (
        "self-training",
        "Self-training, soft",
        MethodKind::Adaptation,
        -0.004,
        0.02,
        "All layers learn from their own soft predictions.",
    ),
    (
        "tent",
        "TENT",
        MethodKind::Adaptation,
        -0.14,
        0.10,
        "Batch-norm scale and shift minimise the entropy of the prediction.",
    ),
    (
        "oracle-all",
        "Fine-tuning, 4 labelled subjects",
        MethodKind::Oracle,
        0.14,
        0.02,
        "All layers learn from target labels; a bound.",
    ),
];

/// Numbers that look random and are always the same.
pub struct Noise(u64);

impl Noise {
    pub fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64) / f64::from(1u32 << 31)
    }

    /// About standard normal.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// An experiment on all domains and methods.
pub fn experiment(pairs: Pairs, seeds: u64, subjects: usize) -> Experiment {
    let mut noise = Noise(7);
    let sources = match pairs {
        Pairs::OneSource => &DOMAINS[..1],
        Pairs::All => &DOMAINS[..],
    };
    let mut outcomes = Vec::new();
    for source in sources {
        for target in DOMAINS.iter().filter(|target| *target != source) {
            let base: Vec<f64> = (0..subjects).map(|_| 0.79 + 0.05 * noise.normal()).collect();
            for method in METHODS {
                for seed in 0..seeds {
                    outcomes.push(outcome(source, target, method, seed, &base, &mut noise));
                }
            }
        }
    }
    Experiment {
        title: "Sample page: does adapting the first layers help on another scanner?".into(),
        question:
            "Does adaptation of early features improve brain masks on scanners that the source \
                   model has not seen?"
                .into(),
        focus: Some("early-features-0".into()),
        data: DataSet {
            name: "invented numbers".into(),
            origin: Origin::Synthetic,
            description:
                "Every score, curve and picture on this page was invented to show the page \
                          itself. It says nothing about any method."
                    .into(),
            classes: vec![Class { label: "1".into(), name: "brain".into() }],
        },
        metrics: metrics(),
        methods: METHODS
            .map(|(name, title, kind, _, _, idea)| MethodDescription {
                name: name.into(),
                title: title.into(),
                kind,
                idea: idea.into(),
            })
            .to_vec(),
        ingredients: ingredients(),
        outcomes,
        histograms: histograms(&mut noise),
        published: published(),
        provenance: provenance(),
    }
}

fn metrics() -> Vec<MetricDescription> {
    let metric = |name: &str, title: &str, better, smallest_change, unit: &str| MetricDescription {
        name: name.into(),
        title: title.into(),
        better,
        smallest_change,
        unit: unit.into(),
    };
    vec![
        metric("surface_dice_1mm", "surface Dice at 1 mm", Better::Higher, 0.01, ""),
        metric("hausdorff_95_mm", "Hausdorff, 95th percentile", Better::Lower, 0.1, "mm"),
    ]
}

fn outcome(
    source: &str,
    target: &str,
    (method, _, kind, effect, spread, _): (&str, &str, MethodKind, f64, f64, &str),
    seed: u64,
    base: &[f64],
    noise: &mut Noise,
) -> Outcome {
    let shift = if target == "Philips 3 T" { 0.10 } else { 0.0 };
    let scores: Vec<f64> = base
        .iter()
        .map(|b| {
            let change = effect * (1.0 + 0.3 * noise.normal()) + spread * noise.normal();
            let gain = if kind == MethodKind::Baseline { 0.0 } else { change + shift * 0.9 };
            (b - shift + gain + 0.003 * noise.normal()).clamp(0.02, 0.995)
        })
        .collect();
    let before: Vec<f64> = base.iter().map(|b| b - shift).collect();
    let column = |metric: &str, map: &dyn Fn(f64) -> f64, truth: bool| ScoreColumn {
        class: "1".into(),
        metric: metric.into(),
        before: before.iter().map(|b| Some(map(*b))).collect(),
        after: scores
            .iter()
            .zip(&before)
            .map(|(a, b)| Some(map(if truth { *b } else { *a })))
            .collect(),
    };
    let trains = kind == MethodKind::Adaptation && method != "ada-bn";
    let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    Outcome {
        source: source.into(),
        target: target.into(),
        method: method.into(),
        seed,
        run: None,
        subjects: (0..base.len())
            .map(|i| format!("{}-{i:03}", target.replace([' ', '.'], "")))
            .collect(),
        scores: vec![
            column("surface_dice_1mm", &|s| s, false),
            column("hausdorff_95_mm", &|s| 3.0 + 40.0 * (1.0 - s), false),
            column("prediction_volume_ml", &|s| 1350.0 * (0.6 + 0.4 * s), false),
            column("truth_volume_ml", &|s| 1350.0 + 900.0 * (s - 0.78), true),
        ],
        score_before: trains.then_some(0.31),
        epochs: if trains { epochs(noise, effect) } else { Vec::new() },
        measured: if trains { measured(mean, effect) } else { Vec::new() },
        seconds: (kind == MethodKind::Adaptation).then_some(40.0 + 300.0 * spread),
        stop: trains.then_some(StopReason::Converged),
        verdict: (method == "early-features-0").then(|| verdict(&scores, target)),
        warnings: Vec::new(),
        volumes: Vec::new(),
    }
}

fn epochs(noise: &mut Noise, effect: f64) -> Vec<EpochRecord> {
    let epoch = |epoch: usize| {
        let part = (epoch as f64 / 3.0).min(4.0);
        EpochRecord {
            phase: Phase::Adapt,
            epoch,
            steps: 180,
            loss: (0.42 + effect) * (-part).exp() + 0.05 + 0.004 * noise.normal(),
            score: Some(0.97 - 0.6 * (-part).exp() + 0.004 * noise.normal()),
            score_change: Some(0.01),
            learning_rate: 1e-3,
            seconds: 4.0,
            slices_per_second: 900.0,
            peak_memory_bytes: Some(1 << 30),
        }
    };
    (1..=10).map(epoch).collect()
}

fn measured(mean: f64, effect: f64) -> Vec<MeasuredScore> {
    let at = |epoch: usize| MeasuredScore {
        epoch,
        score: mean - effect * (-(epoch as f64) / 3.0).exp(),
    };
    (0..=10).map(at).collect()
}

fn verdict(scores: &[f64], target: &str) -> Verdict {
    let subject = |i: usize| format!("{}-{i:03}", target.replace([' ', '.'], ""));
    let prediction = |(i, s): (usize, &f64)| PredictedScore {
        subject: subject(i),
        score: s * 0.9 + 0.06,
        low: s * 0.9 - 0.02,
        high: (s * 0.9 + 0.14).min(1.0),
    };
    Verdict {
        decision: if target == "Philips 3 T" { Decision::Abstain } else { Decision::RollBack },
        reasons: vec![
            "Predictions are less stable under flips after adaptation (0.91 to 0.78).".into(),
            "Predicted volumes left the range of the source's labels in 14 subjects.".into(),
        ],
        predictions: scores.iter().enumerate().map(prediction).collect(),
        check_first: (0..scores.len().min(3)).map(subject).collect(),
    }
}

fn histograms(noise: &mut Noise) -> Vec<Histogram> {
    let histogram = |(index, domain): (usize, &&str)| {
        let mut histogram = Histogram::new(domain, "after min-max normalisation", [0.0, 1.0], 64);
        let centre = 0.32 + 0.05 * index as f64;
        histogram.count((0..4000).map(|i| match i % 4 {
            0 => 0.03 * noise.normal().abs(),
            1 => 0.15 + 0.04 * noise.normal(),
            _ => centre + 0.06 * noise.normal(),
        }));
        histogram
    };
    DOMAINS.iter().enumerate().map(histogram).collect()
}

fn published() -> Vec<Published> {
    let figure = |target: &str, method: &str, value| Published {
        source: DOMAINS[0].into(),
        target: target.into(),
        method: method.into(),
        metric: "surface_dice_1mm".into(),
        value,
        reference: "invented for this sample".into(),
    };
    vec![
        figure(DOMAINS[1], "source-only", 0.7),
        figure(DOMAINS[1], "early-features-0", 0.8),
        figure(DOMAINS[3], "early-features-0", 0.65),
    ]
}

fn provenance() -> Provenance {
    Provenance {
        version: "0.1.0".into(),
        commit: Some("0123abc".into()),
        finished_unix: Some(1_767_225_600),
        machine: Some(Machine {
            platform: "linux x86_64".into(),
            instruction_set: "AVX2+FMA".into(),
            threads: 2,
            device: "cpu".into(),
        }),
        inputs: vec![Input {
            role: "model".into(),
            path: "runs/source/model.safetensors".into(),
            sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into(),
        }],
        commands: vec!["cargo run -p udas-report --example sample_page -- sample-page".into()],
        configuration: Some("method = \"early-features\"\nlevel = 0\nlr = 1e-3\n".into()),
        settings: vec![("Preprocessing".into(), "min-max per volume, sagittal slices".into())],
    }
}

/// A head drawn from ellipsoids, its brain, and two wrong brains.
pub fn head(seed: u64) -> (Volume, [Labels; 3]) {
    let shape = [60, 80, 72];
    let affine = Affine::from_spacing([2.0, 2.0, 2.0]);
    let mut noise = Noise(seed);
    let wobble = 0.05 * noise.normal();
    let at = |i: usize| [i % shape[0], i / shape[0] % shape[1], i / shape[0] / shape[1]];
    let radius = |i: usize, centre: [f64; 3], radii: [f64; 3]| {
        let axes = at(i).into_iter().zip(centre).zip(radii);
        axes.map(|((v, c), r)| ((v as f64 - c) / r).powi(2)).sum::<f64>().sqrt()
    };
    let count = shape.iter().product::<usize>();
    let head = |i| radius(i, [30.0, 40.0, 36.0], [26.0, 35.0, 33.0]);
    let brain = |i| radius(i, [30.0, 40.0, 41.0], [20.0, 27.0, 22.0 + 20.0 * wobble]);
    let folds = |i: usize| {
        let [x, y, z] = at(i).map(|v| v as f64);
        0.12 * ((x * 0.7).sin() + (y * 0.6 + 1.0).sin() * (z * 0.8).cos())
    };
    let image: Vec<f32> = (0..count)
        .map(|i| {
            let level = match (head(i), brain(i)) {
                (_, b) if b < 0.93 => 0.65 + folds(i),
                (_, b) if b < 1.05 => 0.18,
                (h, _) if h < 0.92 => 0.3,
                (h, _) if h < 1.0 => 0.9,
                _ => 0.02,
            };
            (level + 0.04 * noise.normal()) as f32
        })
        .collect();
    let mask = |inside: &dyn Fn(usize) -> bool| {
        let data = (0..count).map(|i| u8::from(inside(i))).collect();
        Labels::new(data, shape, affine).expect("the shape fits")
    };
    let truth = mask(&|i| brain(i) < 1.0);
    let before = mask(&|i| brain(i) < 1.03 + 0.25 * folds(i) && at(i)[2] > 22);
    let leaks = |i: usize| head(i) < 0.99 && at(i)[1] > 52 && at(i)[2] < 40;
    let after = mask(&|i| brain(i) < 0.9 + 0.3 * folds(i) || leaks(i));
    (Volume::new(image, shape, affine).expect("the shape fits"), [truth, before, after])
}

/// A picture for every case.
pub fn pictures(experiment: &Experiment) -> Pictures {
    let mut pictures = Pictures::default();
    for (index, case) in cases(experiment).into_iter().enumerate() {
        pictures.insert(case, &picture(index as u64)).expect("small pictures encode");
    }
    pictures
}

/// One invented overlay.
pub fn picture(seed: u64) -> Picture {
    let (image, [truth, before, after]) = head(seed);
    before_after(&image, Some(&truth), &before, &after, Plane::Sagittal).draw().expect("one grid")
}

/// Names that try to be more than text.
pub fn hostile() -> (Experiment, Vec<Case>) {
    const NAME: &str = "<script>alert(1)</script>\"'&]]>--><img src=x onerror=alert(2)>";
    let mut experiment = experiment(Pairs::OneSource, 1, 7);
    experiment.title = NAME.into();
    experiment.question = NAME.into();
    experiment.data.name = NAME.into();
    experiment.data.description = NAME.into();
    experiment.data.classes[0].name = NAME.into();
    experiment.focus = Some(NAME.into());
    experiment.provenance.commands = vec![NAME.into()];
    experiment.provenance.settings = vec![(NAME.into(), NAME.into())];
    experiment.provenance.version = NAME.into();
    for metric in &mut experiment.metrics {
        metric.title = NAME.into();
    }
    for method in experiment.methods.iter_mut().filter(|m| m.name == "early-features-0") {
        (method.name, method.title, method.idea) = (NAME.into(), NAME.into(), NAME.into());
    }
    for histogram in &mut experiment.histograms {
        (histogram.domain, histogram.intensities) = (NAME.into(), NAME.into());
    }
    for outcome in &mut experiment.outcomes {
        outcome.source = NAME.into();
        outcome.target += NAME;
        outcome.warnings = vec![NAME.into()];
        outcome.subjects.iter_mut().for_each(|subject| *subject += NAME);
        if outcome.method == "early-features-0" {
            outcome.method = NAME.into();
        }
        if let Some(verdict) = &mut outcome.verdict {
            verdict.reasons = vec![NAME.into()];
            verdict.check_first = vec![NAME.into()];
        }
    }
    let chosen = cases(&experiment);
    (experiment, chosen)
}

/// A source model that is sound, one that is not, and a head that knows nothing.
fn ingredients() -> Vec<Ingredient> {
    let measured = |dice, accuracy, confidence| Convergence {
        steps: 3600,
        logit_scale: Some(3.1),
        slices: 180,
        held_out: true,
        dice,
        accuracy,
        confidence,
        calibration_error: f64::abs(accuracy - confidence),
        foreground_probability: Some(0.9),
    };
    let of =
        |level, seed, measured| Ingredient { level, domain: DOMAINS[0].into(), seed, measured };
    vec![
        of(None, 0, measured(0.97, 0.99, 0.985)),
        of(None, 1, measured(0.93, 0.98, 0.8)),
        of(Some(0), 0, measured(0.2, 0.9, 0.9)),
    ]
}
