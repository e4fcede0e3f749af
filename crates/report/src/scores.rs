//! From measured scores to the records that reports are made of.
use udas_metrics::{Score, SubjectScores};
use udas_record::SubjectRecord;

/// The scores of a subject under their names in files (`dice`, `surface_dice_1mm`, `prediction_volume_ml`).
///
/// ```
/// use udas_metrics::{Config, Connectivity, Grid, score_labels};
///
/// let grid = Grid::new([2, 2, 1], [1.0; 3])?;
/// let config = Config::new(vec![1.0], vec![95.0], Connectivity::Corners)?;
/// let scores = score_labels(&[1, 1, 0, 0], &[1, 0, 0, 0], &grid, &[1, 2], &config)?;
/// let record = udas_report::record_scores("CC0030", &scores);
/// assert_eq!(record.classes["1"]["dice"], Some(2.0 / 3.0));
/// assert_eq!(record.classes["2"]["dice"], None); // neither mask has the class
/// # Ok::<(), udas_metrics::Error>(())
/// ```
pub fn record_scores(subject: &str, scores: &SubjectScores) -> SubjectRecord {
    let value = |score: Score| match score {
        Score::Finite(value) => Some(value),
        Score::Infinite => Some(f64::INFINITY),
        Score::Undefined => None,
    };
    let classes = scores.classes.iter().map(|class| {
        let columns = class.columns().into_iter();
        let named = columns.map(|(metric, score)| (metric.to_string(), value(score)));
        (class.class.to_string(), named.collect())
    });
    SubjectRecord { subject: subject.to_owned(), classes: classes.collect() }
}
