//! Reading and writing of `results.json` and `results.csv`, and scores into outcomes.
use crate::{Error, Evaluation, Experiment, Outcome, ScoreColumn, csv};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Write;
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
    /// The file is another one of ours.
    #[error("{path}: holds {found}; {remedy}", path = path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: &'static str,
        /// What takes it.
        remedy: &'static str,
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

/// A kind of file of ours, by keys that it has and others have not.
pub(crate) struct Kind {
    keys: &'static [&'static str],
    what: &'static str,
    remedy: &'static str,
}

const RESULTS: Kind = Kind {
    keys: &["title", "methods", "outcomes"],
    what: "results of `udas report` or `compare`",
    remedy: "`udas report FILE` makes their page",
};

pub(crate) const SCORES: Kind = Kind {
    keys: &["predictions", "labels", "tolerances_mm", "subjects"],
    what: "scores of `udas evaluate`",
    remedy: "copy it into the folder of the run as scores.json, or scores_before.json for the source model's, and give the folder to \
             `udas report`",
};

const OTHERS: [Kind; 4] = [
    Kind {
        keys: &["origin", "columns", "half-width", "rows"],
        what: "a calibration of `udas calibrate`",
        remedy: "`udas judge --calibration FILE` takes it",
    },
    Kind {
        keys: &["format", "others", "classes"],
        what: "what `udas calibrate` has learned of masks",
        remedy: "`udas judge --masks DIR --reference FILE` takes it",
    },
    Kind {
        keys: &["basis", "decision", "reasons", "subjects"],
        what: "a judgement of `udas judge`",
        remedy: "copy it into the folder of the run as judgement.json, and give the folder to `udas report`",
    },
    Kind {
        keys: &["basis", "masks", "groups"],
        what: "masks as `udas judge --masks` has ordered them",
        remedy: "`udas judge --masks DIR --page worst` makes their page",
    },
];

/// Reads a file of the kind that is wanted; another file of ours is named.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    wanted: &Kind,
) -> Result<T, ResultsError> {
    let text =
        std::fs::read(path).map_err(|source| ResultsError::Io { path: path.into(), source })?;
    serde_json::from_slice(&text).map_err(|source| {
        let found: Option<Map<String, Value>> = serde_json::from_slice(&text).ok();
        let is_of = |kind: &&Kind| {
            let has = |key: &&str| found.as_ref().is_some_and(|found| found.contains_key(*key));
            kind.keys.iter().all(has)
        };
        let kinds = [&RESULTS, &SCORES].into_iter().chain(&OTHERS);
        match kinds.filter(is_of).find(|kind| kind.what != wanted.what) {
            Some(Kind { what, remedy, .. }) => {
                ResultsError::Other { path: path.into(), found: what, remedy }
            }
            None => ResultsError::Json { path: path.into(), source },
        }
    })
}

impl Experiment {
    /// Reads `results.json` and checks it.
    ///
    /// # Errors
    /// [`ResultsError`] with the path or the outcome.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let experiment: Self = read_json(path, &RESULTS)?;
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
    fn other_files_of_ours_are_named_with_what_takes_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nn_scores.json");
        std::fs::write(&path, evaluation(&[("a", Some(0.5))]).to_json()).unwrap();
        let error = Experiment::read(&path).unwrap_err().to_string();
        assert!(error.contains("scores of `udas evaluate`; copy it"), "{error}");
        std::fs::write(&path, experiment().to_json()).unwrap();
        let error = Evaluation::read(&path).unwrap_err().to_string();
        assert!(error.contains("results of `udas report`"), "{error}");
        for text in ["{\"title\": 1}", "[1, 2]", "no json"] {
            std::fs::write(&path, text).unwrap();
            let error = Experiment::read(&path).unwrap_err().to_string();
            assert!(error.contains("not the results of this version"), "{error}");
        }
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
