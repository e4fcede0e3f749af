//! Reading and writing of `results.json` and `results.csv`, and scores into outcomes.
use crate::{Error, Evaluation, Experiment, Outcome, ScoreColumn, csv};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

/// Name of the file an [`Experiment`] is kept in.
pub const RESULTS_FILE: &str = "results.json";

/// Why results could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// The file is not there or cannot be opened.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no experiment.
    #[error("{path}: not the results of this version ({source}); make them again", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        source: serde_json::Error,
    },
    /// An outcome that does not fit.
    #[error("outcome {outcome}: {problem}")]
    Outcome {
        /// Source, target, method and seed.
        outcome: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The events of a run cannot be read.
    #[error(transparent)]
    Events(#[from] Error),
}

impl Experiment {
    /// Reads `results.json` and checks it.
    ///
    /// # Errors
    /// [`ResultsError`] with the path or the outcome.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let file =
            File::open(path).map_err(|source| ResultsError::Io { path: path.into(), source })?;
        let experiment: Self = serde_json::from_reader(BufReader::new(file))
            .map_err(|source| ResultsError::Json { path: path.into(), source })?;
        experiment.check()?;
        Ok(experiment)
    }

    /// The text of `results.json`.
    pub fn to_json(&self) -> String {
        // No maps with keys other than text and no non-finite numbers outside score columns: infallible.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Writes `results.csv`: a line a source, target, method, seed, subject, class and metric.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_csv(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "source,target,method,seed,subject,class,metric,before,after")?;
        for outcome in &self.outcomes {
            let Outcome { source, target, method, seed, subjects, .. } = outcome;
            let run = [source, target, method].map(|text| csv::field(text)).join(",");
            for ScoreColumn { class, metric, before, after } in &outcome.scores {
                for (index, (subject, after)) in subjects.iter().zip(after).enumerate() {
                    let before = csv::number(before.get(index).copied().flatten());
                    let [subject, class, metric] =
                        [subject, class, metric].map(|text| csv::field(text));
                    let after = csv::number(*after);
                    writeln!(out, "{run},{seed},{subject},{class},{metric},{before},{after}")?;
                }
            }
        }
        Ok(())
    }
}

impl Outcome {
    /// Takes the scores of the adapted model, and those of the source model where they were measured.
    pub fn set_scores(&mut self, before: Option<&Evaluation>, after: &Evaluation) {
        self.subjects = after.subjects.iter().map(|s| s.subject.clone()).collect();
        let before = before.map(index).unwrap_or_default();
        let after = index(after);
        let names = |column: &Column| -> Vec<Option<f64>> {
            self.subjects
                .iter()
                .map(|subject| column.get(subject.as_str()).copied().flatten())
                .collect()
        };
        self.scores = after
            .iter()
            .map(|((class, metric), column)| ScoreColumn {
                class: (*class).to_owned(),
                metric: (*metric).to_owned(),
                before: before.get(&(*class, *metric)).map(names).unwrap_or_default(),
                after: names(column),
            })
            .collect();
    }
}

type Column<'a> = BTreeMap<&'a str, Option<f64>>;

/// Scores by class and metric, then subject.
fn index(evaluation: &Evaluation) -> BTreeMap<(&str, &str), Column<'_>> {
    let mut columns: BTreeMap<(&str, &str), Column> = BTreeMap::new();
    for subject in &evaluation.subjects {
        for (class, scores) in &subject.classes {
            for (metric, value) in scores {
                let column = columns.entry((class, metric)).or_default();
                column.insert(&subject.subject, *value);
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SubjectRecord;

    fn evaluation(scores: &[(&str, Option<f64>)]) -> Evaluation {
        let record = |(subject, score): &(&str, Option<f64>)| SubjectRecord {
            subject: (*subject).into(),
            classes: [("1".into(), [("dice".into(), *score)].into())].into(),
        };
        Evaluation { subjects: scores.iter().map(record).collect(), ..Evaluation::default() }
    }

    fn experiment() -> Experiment {
        let mut outcome = Outcome { method: "=tent,\"x\"".into(), ..Outcome::default() };
        let before = evaluation(&[("b", Some(0.5)), ("a", Some(0.25))]);
        outcome.set_scores(Some(&before), &evaluation(&[("a", None), ("b", Some(0.75))]));
        let mut experiment = Experiment { outcomes: vec![outcome], ..Experiment::default() };
        experiment.describe_missing();
        experiment
    }

    #[test]
    fn scores_are_paired_by_subject_and_survive_a_round_trip() {
        let mut experiment = experiment();
        let column = &mut experiment.outcomes[0].scores[0];
        assert_eq!(
            (&*column.before, &*column.after),
            (&[Some(0.25), Some(0.5)][..], &[None, Some(0.75)][..])
        );
        column.after[0] = Some(f64::INFINITY);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RESULTS_FILE);
        std::fs::write(&path, experiment.to_json()).unwrap();
        assert!(experiment.to_json().contains(r#""after":["inf",0.75]"#));
        assert_eq!(Experiment::read(&path).unwrap(), experiment);
    }

    #[test]
    fn csv_quotes_names_and_disarms_formulas() {
        let mut csv = Vec::new();
        experiment().write_csv(&mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert!(csv.contains(",,\"'=tent,\"\"x\"\"\",0,a,1,dice,0.25,\n"), "{csv}");
    }

    #[test]
    fn outcomes_that_do_not_fit_are_named() {
        let mut wrong = experiment();
        wrong.outcomes[0].scores[0].after.pop();
        let error = wrong.check().unwrap_err().to_string();
        assert!(error.contains("dice of class 1 has 2 and 1 entries for 2 subjects"), "{error}");
        let mut twice = experiment();
        twice.outcomes.push(twice.outcomes[0].clone());
        assert!(twice.check().unwrap_err().to_string().contains("there twice"));
    }
}
