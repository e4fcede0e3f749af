//! Scores of many subjects, gathered one subject at a time.
use crate::statistics::Description;
use crate::{Metric, Score, SubjectScores};
use serde::Serialize;

/// Gathers subjects. It keeps one number per subject, class and score, for the median, and nothing
/// of the masks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    subjects: usize,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    class: u8,
    metric: Metric,
    scores: Vec<Score>,
}

/// One score of one class over all subjects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricSummary {
    /// Label of the class.
    pub class: u8,
    /// Name of the score.
    pub metric: Metric,
    /// Mean, median and spread of the finite values; `None` where there are none.
    pub finite: Option<Description>,
    /// Subjects whose score is infinite; they are in no mean.
    pub infinite: usize,
    /// Subjects whose score is undefined; they are in no mean.
    pub undefined: usize,
}

impl Summary {
    /// A summary of no subjects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subject.
    pub fn push(&mut self, scores: &SubjectScores) {
        self.subjects += 1;
        for class in &scores.classes {
            for (metric, score) in class.columns() {
                self.column(class.class, metric).push(score);
            }
        }
    }

    /// Subjects so far.
    pub fn subjects(&self) -> usize {
        self.subjects
    }

    /// One entry a class and score, in the order in which they first came.
    pub fn rows(&self) -> Vec<MetricSummary> {
        self.columns.iter().map(Column::summary).collect()
    }

    /// The scores of one column in the order in which subjects with this class were pushed; empty
    /// where there is no such column.
    /// Two of these, before and after, are what [`crate::statistics::Pairs`] takes.
    pub fn scores(&self, class: u8, metric: Metric) -> &[Score] {
        let found = self.columns.iter().find(|c| c.class == class && c.metric == metric);
        found.map_or(&[], |column| &column.scores)
    }

    fn column(&mut self, class: u8, metric: Metric) -> &mut Vec<Score> {
        let found = self.columns.iter().position(|c| c.class == class && c.metric == metric);
        let index = found.unwrap_or_else(|| {
            self.columns.push(Column { class, metric, scores: Vec::new() });
            self.columns.len() - 1
        });
        &mut self.columns[index].scores
    }
}

impl Column {
    fn summary(&self) -> MetricSummary {
        let finite: Vec<f64> = self.scores.iter().filter_map(|score| score.finite()).collect();
        let count = |kind: Score| self.scores.iter().filter(|score| **score == kind).count();
        MetricSummary {
            class: self.class,
            metric: self.metric,
            finite: Description::of(&finite).ok(),
            infinite: count(Score::Infinite),
            undefined: count(Score::Undefined),
        }
    }
}
