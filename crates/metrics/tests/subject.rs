//! A subject's scores: values by hand, undefined cases, their form in JSON, summaries, errors.
use udas_metrics::{
    ClassScores, Config, Connectivity, Error, Grid, Metric, Score, SubjectScores, Summary,
    score_labels,
};

const SHAPE: [usize; 3] = [6, 5, 4];

fn grid() -> Grid {
    Grid::new(SHAPE, [1.0, 2.0, 5.0]).expect("a valid grid")
}

fn config() -> Config {
    Config::new(vec![1.0], vec![95.0], Connectivity::Corners).expect("a valid configuration")
}

/// Labels 1 in some voxels of the grid.
fn labels(voxels: &[[usize; 3]]) -> Vec<u8> {
    let mut labels = vec![0; grid().voxels()];
    for [x, y, z] in voxels {
        labels[x + SHAPE[0] * (y + SHAPE[1] * z)] = 1;
    }
    labels
}

fn score(prediction: &[[usize; 3]], truth: &[[usize; 3]]) -> SubjectScores {
    score_labels(&labels(prediction), &labels(truth), &grid(), &[1], &config())
        .expect("labels fit the grid")
}

fn column(class: &ClassScores, name: &str) -> Score {
    let columns = class.columns();
    let found = columns.iter().find(|(metric, _)| metric.to_string() == name);
    found.unwrap_or_else(|| panic!("no column {name}")).1
}

#[test]
fn values_by_hand() {
    let scores = score(&[[1, 1, 1], [2, 1, 1], [5, 4, 3]], &[[1, 1, 1], [1, 2, 1]]);
    let class = &scores.classes[0];
    for (name, expected) in [
        ("dice", 2.0 / 5.0),
        ("iou", 1.0 / 4.0),
        ("sensitivity", 1.0 / 2.0),
        ("specificity", 116.0 / 118.0),
        ("precision", 1.0 / 3.0),
        ("truth_volume_ml", 0.02),
        ("prediction_volume_ml", 0.03),
        ("volume_difference_ml", 0.01),
        ("relative_volume_difference", 0.5),
        ("truth_components", 1.0),
        ("prediction_components", 2.0),
    ] {
        let found = column(class, name).finite().expect("a finite score");
        assert!((found - expected).abs() < 1e-12, "{name}: {found}, by hand {expected}");
    }
}

#[test]
fn undefined_cases_follow_the_one_rule() {
    const NONE: Score = Score::Undefined;
    const FAR: Score = Score::Infinite;
    let zero = Score::Finite(0.0);
    let one = Score::Finite(1.0);
    let some: &[[usize; 3]] = &[[1, 1, 1], [2, 1, 1]];
    let cases = [score(some, &[]), score(&[], some), score(&[], &[])];
    // Scores where only the truth, only the prediction, and both are empty.
    for (name, expected) in [
        ("dice", [zero, zero, NONE]),
        ("iou", [zero, zero, NONE]),
        ("sensitivity", [NONE, zero, NONE]),
        ("specificity", [Score::Finite(118.0 / 120.0), one, one]),
        ("precision", [zero, NONE, NONE]),
        ("relative_volume_difference", [FAR, Score::Finite(-1.0), NONE]),
        ("surface_dice_1mm", [zero, zero, NONE]),
        ("truth_surface_overlap_1mm", [NONE, zero, NONE]),
        ("prediction_surface_overlap_1mm", [zero, NONE, NONE]),
        ("truth_to_prediction_mm", [NONE, FAR, NONE]),
        ("prediction_to_truth_mm", [FAR, NONE, NONE]),
        ("average_symmetric_surface_distance_mm", [FAR, FAR, NONE]),
        ("hausdorff_95_mm", [FAR, FAR, NONE]),
        ("truth_components", [zero, one, zero]),
        ("prediction_components", [one, zero, zero]),
    ] {
        for (case, expected) in cases.iter().zip(expected) {
            assert_eq!(column(&case.classes[0], name), expected, "{name}");
        }
    }
    let everywhere = vec![1; grid().voxels()];
    let full = score_labels(&labels(some), &everywhere, &grid(), &[1], &config()).unwrap();
    assert_eq!(full.classes[0].specificity, NONE);
}

#[test]
fn classes_are_scored_apart() {
    let truth: Vec<u8> = (0..120).map(|i| (i % 4) as u8).collect();
    let prediction: Vec<u8> = truth.iter().map(|&l| if l == 3 { 0 } else { l }).collect();
    let scores = score_labels(&prediction, &truth, &grid(), &[2, 3, 9], &config()).unwrap();
    let dice: Vec<_> = scores.classes.iter().map(|c| (c.class, c.dice)).collect();
    let expected = [(2, Score::Finite(1.0)), (3, Score::Finite(0.0)), (9, Score::Undefined)];
    assert_eq!(dice, expected);
}

#[test]
fn json_keeps_undefined_and_infinite_apart() {
    let scores = score(&[[1, 1, 1]], &[]);
    let json = serde_json::to_value(&scores).unwrap();
    let class = &json["classes"][0];
    assert_eq!(class["prediction_to_truth_mm"], "inf");
    assert!(class["truth_to_prediction_mm"].is_null());
    assert_eq!(class["dice"], 0.0);
    assert_eq!(serde_json::from_value::<SubjectScores>(json).unwrap(), scores);
    assert!(serde_json::from_str::<Score>("\"infinity\"").is_err());
}

#[test]
fn scores_line_up_in_tables() {
    let cells = [Score::Finite(0.25), Score::Infinite, Score::Undefined];
    assert_eq!(cells.map(|cell| format!("{cell:6.2}")), ["  0.25", "   inf", "   n/a"]);
    assert_eq!(Score::Infinite.to_string(), "inf");
}

#[test]
fn a_summary_counts_what_has_no_value() {
    let subjects = [
        score(&[[1, 1, 1]], &[[1, 1, 1]]),
        score(&[[1, 1, 1], [2, 1, 1]], &[[1, 1, 1]]),
        score(&[], &[[1, 1, 1]]),
        score(&[], &[]),
    ];
    let mut summary = Summary::new();
    subjects.iter().for_each(|scores| summary.push(scores));
    assert_eq!(summary.subjects(), 4);
    let rows = summary.rows();
    let row = |metric| rows.iter().find(|row| row.metric == metric).expect("a row");
    let dice = row(Metric::Dice);
    let finite = dice.finite.expect("finite values");
    assert_eq!((finite.count, dice.infinite, dice.undefined), (3, 0, 1));
    assert!((finite.mean - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
    assert!((finite.median - 2.0 / 3.0).abs() < 1e-12);
    let hausdorff = row(Metric::Hausdorff { percentile: 95.0 });
    assert_eq!((hausdorff.infinite, hausdorff.undefined), (1, 1));
    let scores = summary.scores(1, Metric::Dice);
    assert_eq!((scores.len(), scores[0], scores[3]), (4, Score::Finite(1.0), Score::Undefined));
    assert!(serde_json::to_string(&rows).unwrap().contains("\"surface_dice_1mm\""));
}

#[test]
fn wrong_input_is_refused() {
    let short = score_labels(&[0; 7], &[0; 120], &grid(), &[1], &config()).unwrap_err();
    assert_eq!(short, Error::MaskLength { mask: "prediction", expected: 120, found: 7 });
    assert_eq!(Grid::new([4, 0, 4], [1.0; 3]), Err(Error::Shape([4, 0, 4])));
    assert_eq!(Grid::new([usize::MAX, 2, 2], [1.0; 3]), Err(Error::Shape([usize::MAX, 2, 2])));
    assert!(matches!(Grid::new([4; 3], [1.0, f64::NAN, 1.0]), Err(Error::Spacing(_))));
    assert!(matches!(Grid::new([4; 3], [1.0, 0.0, 1.0]), Err(Error::Spacing(_))));
    let config = |tolerance, percentile| {
        Config::new(vec![tolerance], vec![percentile], Connectivity::Faces).unwrap_err()
    };
    assert_eq!(config(-1.0, 95.0), Error::Tolerance(-1.0));
    assert_eq!(config(1.0, 0.0), Error::Percentile(0.0));
    assert_eq!(config(1.0, 101.0), Error::Percentile(101.0));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let grid = Grid::new([40, 31, 22], [0.7, 1.1, 2.3]).unwrap();
    let labels = |seed: u32| -> Vec<u8> {
        let hash = |i: u32| (i ^ seed).wrapping_mul(2_654_435_761) >> 29;
        (0..grid.voxels() as u32).map(|i| u8::from(hash(i) > 2)).collect()
    };
    let (prediction, truth) = (labels(1), labels(977));
    let with_threads = |count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        pool.install(|| score_labels(&prediction, &truth, &grid, &[0, 1], &config()).unwrap())
    };
    assert_eq!(with_threads(1), with_threads(5));
}
