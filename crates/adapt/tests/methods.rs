//! Every method of the registry: what it moves and what not, what it needs, that it goes on to the same
//! bits after an interruption, and that the source model is never edited.
mod common;

use common::small::*;
use common::*;
use udas_adapt::methods::{EarlyFeatures, SelfTraining};
use udas_adapt::{
    Error, METHODS, Method, Model, Moves, NormChoice, Options, PseudoLabel, Run, find,
};
use udas_adapt::{Labels, Requirement};
use udas_nn::{Checkpoint, StateDict};
use udas_record::EpochRecord;
use udas_train::{Keep, Observer, Silent, Snapshot, StopRule};

fn hash(state: &StateDict) -> String {
    Checkpoint { tensors: state.clone(), metadata: None }.hash().unwrap()
}

/// The method's options, cut to a few steps.
fn short(method: &dyn Method) -> Options {
    Options { epochs: 2, stop: StopRule::Never, batch_size: 2, ..method.options() }
}

#[test]
fn names_are_unique_and_found() {
    let model = model(1, 0);
    for method in METHODS {
        let found = find(method.name()).unwrap();
        assert_eq!(found.name(), method.name());
        assert_eq!(METHODS.iter().filter(|other| other.name() == method.name()).count(), 1);
        method.options().check(model.network.spec()).unwrap();
        let about = method.about();
        assert!(![about.idea, about.equation, about.source, about.failure].contains(&""));
    }
    assert!(find("no-such-method").is_none());
}

#[test]
fn each_moves_what_it_says_and_nothing_else() {
    for outputs in TASKS {
        let model = model(outputs, 0);
        let before = hash(&state_of(&model));
        for method in METHODS {
            let (name, options) = (method.name(), short(*method));
            let adapted = adapt(*method, &model, &options).unwrap();
            assert_eq!(hash(&state_of(&model)), before, "{name} edited the source model");
            assert_eq!(adapted.state.len(), state_of(&model).len());
            let changed = changed(&state_of(&model), &adapted.state);
            let weights: Vec<_> = changed.iter().filter(|name| !is_statistic(name)).collect();
            for weight in &weights {
                assert!(adapted.moved.contains(weight), "{name} moved {weight}");
            }
            let nothing = method.recipe().moves == Moves::Nothing;
            assert_eq!(weights.is_empty(), nothing, "{name}");
            assert_eq!(adapted.summary.is_none(), nothing, "{name}");
            let keeps_statistics = options.norm == NormChoice::Running;
            assert_eq!(changed.len() == weights.len(), keeps_statistics, "{name}: statistics");
        }
    }
}

/// Keeps every snapshot.
#[derive(Default)]
struct Snapshots(Vec<Snapshot>);

impl Observer for Snapshots {
    fn epoch(&mut self, _: &EpochRecord, snapshot: &Snapshot) -> udas_train::Result<()> {
        self.0.push(snapshot.clone());
        Ok(())
    }
}

#[test]
fn each_goes_on_to_the_same_bits() {
    let model = model(1, 0);
    for method in METHODS {
        let options = short(*method);
        let mut snapshots = Snapshots::default();
        let whole = adapt_observed(*method, &model, &options, &mut snapshots, None).unwrap();
        for snapshot in snapshots.0 {
            let resumed =
                adapt_observed(*method, &model, &options, &mut Silent, Some(snapshot)).unwrap();
            assert_eq!(hash(&resumed.state), hash(&whole.state), "{}", method.name());
        }
    }
}

#[test]
fn each_asks_for_what_it_needs() {
    let model = model(1, 0);
    let target = target();
    for method in METHODS {
        let run = Run {
            target: &target,
            check: &target,
            source: None,
            class_ratio: None,
            teachers: &[],
            device: CPU,
            seed: SEED,
            observer: &mut Silent,
            interrupt: &GO_ON,
            resume: None,
        };
        let bare = Model { head: None, ..model.clone() };
        let outcome = method.adapt(&bare, &short(*method), run);
        let needs = method.about().needs;
        match (needs, outcome) {
            // Batches come with the source's histogram applied.
            ([] | [Requirement::SourceHistogram | Requirement::BatchNorm], Ok(_)) => {}
            ([Requirement::EarlyHead], Err(Error::NoHead { level: 0, .. })) => {}
            (
                [Requirement::SourceData | Requirement::ClassRatio | Requirement::OtherTrainings],
                Err(Error::Missing { .. }),
            ) => {}
            ([Requirement::TargetLabels], Err(error)) => {
                assert!(error.to_string().contains("labels of the target"), "{error}");
            }
            (needs, Ok(_)) => panic!("{} runs without {needs:?}", method.name()),
            (needs, Err(error)) => panic!("{} needs {needs:?}, but: {error}", method.name()),
        }
    }
}

#[test]
fn early_features_at_every_level_and_with_every_option() {
    for outputs in TASKS {
        for level in 0..=3 {
            let model = model(outputs, level);
            for norm in [NormChoice::Batch, NormChoice::Running, NormChoice::ReEstimated] {
                for labels in [Labels::Soft, Labels::Hard] {
                    for pseudo_label in [PseudoLabel::Attached, PseudoLabel::Detached] {
                        let chosen =
                            Options { level, norm, labels, pseudo_label, ..short(&EarlyFeatures) };
                        early_features(&model, &Options { epochs: 1, ..chosen });
                    }
                }
            }
        }
    }
}

fn early_features(model: &Model, options: &Options) {
    let adapted = adapt(&EarlyFeatures, model, options).unwrap();
    let changed = changed(&state_of(model), &adapted.state);
    for name in &changed {
        let may = is_statistic(name) || model.network.is_early(name, options.level);
        assert!(may, "{name} moved at level {}", options.level);
    }
    // The stage of the head moves, not only those before it.
    let deepest = match options.level {
        0 => "init_path.".to_owned(),
        level => format!("down{level}."),
    };
    assert!(changed.iter().any(|name| name.starts_with(&deepest) && !is_statistic(name)));
    // As published, training mode moves the statistics of every layer, the frozen ones included, and those
    // of the early layers twice a step; three steps here.
    let count = |name: &str| adapted.state[name].to_scalar::<i64>().unwrap();
    let start = |name: &str| state_of(model)[name].to_scalar::<i64>().unwrap();
    let (early, late) =
        ("init_path.2.conv_path.0.bn.num_batches_tracked", "out_path.2.num_batches_tracked");
    let expected = match options.norm {
        NormChoice::Batch => (6, 3),
        NormChoice::Running => (0, 0),
        NormChoice::ReEstimated => (3, 3),
    };
    assert_eq!((count(early) - start(early), count(late) - start(late)), expected);
}

#[test]
fn a_head_of_another_level_is_refused() {
    let options = Options { level: 2, ..short(&EarlyFeatures) };
    let error = adapt(&EarlyFeatures, &model(1, 1), &options).unwrap_err();
    assert!(matches!(error, Error::HeadLevel { found: 1, asked: 2 }), "{error}");
}

#[test]
fn a_threshold_leaves_uncertain_pixels_out() {
    let model = model(1, 0);
    let with = |confidence| {
        let options = Options { confidence, ..short(&SelfTraining) };
        hash(&adapt(&SelfTraining, &model, &options).unwrap().state)
    };
    assert_ne!(with(0.0), with(0.55));
    let weights = |confidence| {
        let options = Options { confidence, ..short(&SelfTraining) };
        adapt(&SelfTraining, &model, &options).unwrap().state
    };
    // Of nothing, nothing is learnt.
    let none = weights(0.9999);
    assert!(changed(&state_of(&model), &none).iter().all(|name| is_statistic(name)));
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let (model, paper) = (model(1, 0), Options::paper);
    let cases = [
        ("level", Options { level: 4, ..paper() }),
        ("lr", Options { learning_rate: 0.0, ..paper() }),
        ("lr", Options { learning_rate: f64::NAN, ..paper() }),
        ("batch-size", Options { batch_size: 0, ..paper() }),
        ("confidence", Options { confidence: 1.0, ..paper() }),
        ("teacher-decay", Options { teacher_decay: 1.5, ..paper() }),
        ("weight", Options { weight: -1.0, ..paper() }),
        ("hold", Options { hold: -1.0, ..paper() }),
        ("target-share", Options { target_share: 0.0, ..paper() }),
        ("rank", Options { rank: 0, ..paper() }),
    ];
    for (expected, options) in cases {
        match options.check(model.network.spec()) {
            Err(Error::Option { option, .. }) => assert_eq!(option, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn the_best_scored_epoch_can_be_kept() {
    let (model, mut snapshots) = (model(1, 0), Snapshots::default());
    let options = Options { epochs: 4, keep: Keep::BestScore, ..short(&EarlyFeatures) };
    let adapted = adapt_observed(&EarlyFeatures, &model, &options, &mut snapshots, None).unwrap();
    let scores: Vec<_> =
        adapted.summary.unwrap().epochs.iter().map(|record| record.score.unwrap()).collect();
    let highest = scores.iter().copied().fold(0.0, f64::max);
    let best = scores.iter().position(|score| *score == highest).unwrap();
    let kept = &snapshots.0[best].objective;
    for (name, tensor) in &adapted.state {
        assert_eq!(values(tensor), values(&kept[name]), "{name}");
    }
}

/// What is told to be without effect has none, to the bit.
#[test]
fn options_that_a_recipe_does_not_use_change_nothing() {
    let model = model(1, 0);
    for method in METHODS.iter().copied() {
        let options = Options { epochs: 1, ..short(method) };
        let hashed = |options: &Options| hash(&adapt(method, &model, options).unwrap().state);
        let plain = hashed(&options);
        let o = || options.clone();
        let others = [
            ("level", Options { level: options.level + 1, ..o() }),
            ("pseudo-label", Options { pseudo_label: PseudoLabel::Detached, ..o() }),
            ("pseudo-label", Options { pseudo_label: PseudoLabel::Attached, ..o() }),
            ("labels", Options { labels: Labels::Hard, ..o() }),
            ("labels", Options { labels: Labels::Soft, ..o() }),
            ("confidence", Options { confidence: 0.6, ..o() }),
            ("rank", Options { rank: options.rank + 1, ..o() }),
            ("teacher-decay", Options { teacher_decay: 0.5, ..o() }),
            ("weight", Options { weight: options.weight + 1.0, ..o() }),
            ("hold", Options { hold: 2.0, ..o() }),
            ("target-share", Options { target_share: 0.3, ..o() }),
            ("lr", Options { learning_rate: 2e-3, ..o() }),
            ("epochs", Options { epochs: 2, ..o() }),
        ];
        for (name, other) in others {
            if !method.recipe().uses(name, options.norm) {
                assert_eq!(hashed(&other), plain, "{}: {name}", method.name());
            }
        }
    }
}
