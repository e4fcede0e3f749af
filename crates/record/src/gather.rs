//! One experiment from run folders and results files.
use std::path::{Path, PathBuf};

use crate::settings::tell_apart;
use crate::{
    DataSet, Evaluation, Event, Experiment, Input, Outcome, Provenance, RESULTS_FILE, ResultsError,
    SCORES_BEFORE_FILE, SCORES_FILE, StartRecord, read_events,
};

/// Name of the configuration in a run folder.
pub const CONFIG_FILE: &str = "config.toml";

impl Experiment {
    /// Gathers outcomes from paths in any mixture: a `results.json`, a folder that holds one, or the folder
    /// of a run (its events, and its scores before and after where there are some). Descriptions that are
    /// missing are guessed from names; runs of one method whose settings differ are methods of their own; the title is the first one found, or says what was run.
    ///
    /// # Errors
    /// [`ResultsError`] with the path, or the outcome that comes twice.
    pub fn gather(paths: &[PathBuf]) -> Result<Self, ResultsError> {
        let mut all = Self::default();
        let mut settings = Vec::new();
        for path in paths {
            let results = if path.is_dir() { path.join(RESULTS_FILE) } else { path.clone() };
            let mut found = if results.is_file() || !path.is_dir() {
                Self::read(&results)?
            } else {
                Self::from_run(path)?
            };
            found.make_paths_relative_to(results.parent().unwrap_or(Path::new("")));
            let text = found.provenance.configuration.as_deref().filter(|_| !results.is_file());
            settings.resize(
                all.outcomes.len() + found.outcomes.len(),
                text.and_then(|t| t.parse().ok()),
            );
            all.absorb(found);
        }
        tell_apart(&mut all.outcomes, &settings);
        all.describe_missing();
        all.entitle();
        all.check()?;
        Ok(all)
    }

    /// The experiment that a single run folder is, from its events and scores.
    ///
    /// # Errors
    /// [`ResultsError`] with the path.
    pub fn from_run(run: &Path) -> Result<Self, ResultsError> {
        let (mut outcome, start) = Outcome::from_run(run)?;
        let scores = |name: &str| {
            let path = run.join(name);
            path.is_file().then(|| Evaluation::read(&path)).transpose()
        };
        if let Some(after) = scores(SCORES_FILE)? {
            outcome.set_scores(scores(SCORES_BEFORE_FILE)?.as_ref(), &after);
        }
        let started = start.as_ref().map(|start| start.started_unix);
        let seconds = outcome.seconds.unwrap_or(0.0).max(0.0) as u64;
        let start = start.unwrap_or_default();
        let provenance = Provenance {
            version: start.version,
            finished_unix: started.map(|started| started + seconds),
            machine: Some(start.machine),
            inputs: start.inputs,
            configuration: std::fs::read_to_string(run.join(CONFIG_FILE)).ok(),
            ..Provenance::default()
        };
        Ok(Self { outcomes: vec![outcome], provenance, ..Self::default() })
    }

    fn make_paths_relative_to(&mut self, folder: &Path) {
        let paths = self.outcomes.iter_mut().flat_map(|outcome| &mut outcome.volumes);
        for path in paths.flat_map(|volumes| volumes.paths_mut()) {
            *path = folder.join(&*path).display().to_string();
        }
    }

    fn absorb(&mut self, other: Self) {
        fn add<T>(list: &mut Vec<T>, more: Vec<T>, same: impl Fn(&T, &T) -> bool) {
            for item in more {
                if !list.iter().any(|known| same(known, &item)) {
                    list.push(item);
                }
            }
        }
        let first = |own: &mut String, other: String| {
            if own.is_empty() {
                *own = other;
            }
        };
        first(&mut self.title, other.title);
        first(&mut self.question, other.question);
        self.focus = self.focus.take().or(other.focus);
        let DataSet { name, origin, description, classes } = other.data;
        if self.data.name.is_empty() {
            (self.data.name, self.data.origin) = (name, origin);
            self.data.description = description;
        }
        add(&mut self.data.classes, classes, |a, b| a.label == b.label);
        add(&mut self.metrics, other.metrics, |a, b| a.name == b.name);
        add(&mut self.methods, other.methods, |a, b| a.name == b.name);
        add(&mut self.histograms, other.histograms, |a, b| {
            (&a.domain, &a.intensities) == (&b.domain, &b.intensities)
        });
        add(&mut self.published, other.published, |a, b| a == b);
        add(&mut self.ingredients, other.ingredients, |a, b| a == b);
        self.outcomes.extend(other.outcomes);
        self.provenance.absorb(other.provenance);
    }

    /// Titles what came without a title.
    fn entitle(&mut self) {
        let Some(first) = self.outcomes.first() else { return };
        let kinds = |pick: fn(&Outcome) -> &String| {
            let mut names: Vec<&String> = self.outcomes.iter().map(pick).collect();
            names.sort_unstable();
            names.dedup();
            names.len()
        };
        let [methods, targets] = [kinds(|o| &o.method), kinds(|o| &o.target)];
        let method = match methods {
            1 => first.method.clone(),
            n => format!("{n} methods"),
        };
        let target = match targets {
            1 => first.target.clone(),
            n => format!("{n} targets"),
        };
        if self.title.is_empty() {
            self.title = format!("{method} on {target}");
        }
        if self.question.is_empty() {
            self.question = "Did adaptation help, by how much, and on which subjects not?".into();
        }
    }
}

impl Provenance {
    fn absorb(&mut self, other: Self) {
        if self.version.is_empty() {
            self.version = other.version;
        }
        self.commit = self.commit.take().or(other.commit);
        self.machine = self.machine.take().or(other.machine);
        self.configuration = self.configuration.take().or(other.configuration);
        self.finished_unix = self.finished_unix.max(other.finished_unix);
        let new = |input: &Input| !self.inputs.contains(input);
        let inputs: Vec<Input> = other.inputs.into_iter().filter(new).collect();
        self.inputs.extend(inputs);
        let new = |command: &String| !self.commands.contains(command);
        let commands: Vec<String> = other.commands.into_iter().filter(new).collect();
        self.commands.extend(commands);
        let new = |setting: &(String, String)| !self.settings.contains(setting);
        let settings: Vec<_> = other.settings.into_iter().filter(new).collect();
        self.settings.extend(settings);
    }
}

impl Outcome {
    /// What a run folder says: its course, cost, verdict and warnings. Where the run did not name its
    /// method, source or target, the command, `source` and `target` stand in.
    ///
    /// # Errors
    /// Those of [`read_events`].
    pub fn from_run(run: &Path) -> Result<(Self, Option<StartRecord>), ResultsError> {
        let mut outcome = Self { run: Some(run.display().to_string()), ..Self::default() };
        let mut start: Option<StartRecord> = None;
        for event in read_events(run)? {
            match event {
                Event::Start(record) | Event::Resume(record) => {
                    outcome.seed = record.seed;
                    start.get_or_insert(record);
                }
                Event::Before { score, .. } => outcome.score_before = Some(score),
                Event::Epoch(epoch) => outcome.epochs.push(epoch),
                // A source training's or a head's; an adaptation has no labels to measure it on.
                Event::Convergence { .. } => {}
                Event::Warning { message } => outcome.warnings.push(message),
                Event::Verdict(verdict) => outcome.verdict = Some(verdict),
                Event::Stop(stop) => {
                    outcome.seconds = Some(stop.seconds);
                    outcome.stop = Some(stop.reason);
                    // What became of the model concerns everyone who looks at its scores.
                    outcome.warnings.extend(stop.rejected);
                }
            }
        }
        let named = |pick: fn(&StartRecord) -> Option<String>, instead: &str| {
            start.as_ref().and_then(pick).unwrap_or_else(|| instead.to_owned())
        };
        let command = start.as_ref().map_or("run", |start| &start.command);
        outcome.method = named(|start| start.method.clone(), command);
        outcome.source = named(|start| start.source.clone(), "source");
        outcome.target = named(|start| start.target.clone(), "target");
        Ok((outcome, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventLog, Phase, StopReason, StopRecord, SubjectRecord, SubjectVolumes};

    fn write_run(folder: &Path, seed: u64) {
        let mut log = EventLog::create(folder).unwrap();
        let phase = Phase::Adapt;
        let start = StartRecord {
            command: "adapt".into(),
            method: Some("tent".into()),
            target: Some("GE 3 T".into()),
            started_unix: 1000,
            seed,
            ..StartRecord::default()
        };
        let stop = StopRecord {
            phase,
            reason: StopReason::Converged,
            epochs: 3,
            seconds: 1.5,
            rejected: None,
        };
        for event in [Event::Start(start), Event::Before { phase, score: 0.5 }, Event::Stop(stop)] {
            log.append(&event).unwrap();
        }
    }

    #[test]
    fn run_folders_give_course_cost_and_scores() {
        let folder = tempfile::tempdir().unwrap();
        let runs = [0, 1].map(|seed| folder.path().join(format!("run-{seed}")));
        runs.iter().zip(0..).for_each(|(run, seed)| write_run(run, seed));
        let subject = SubjectRecord {
            subject: "s1".into(),
            classes: [("1".into(), [("dice".into(), Some(0.5))].into())].into(),
        };
        let scores = Evaluation { subjects: vec![subject], ..Evaluation::default() };
        std::fs::write(runs[0].join(SCORES_FILE), scores.to_json()).unwrap();
        std::fs::write(runs[1].join(CONFIG_FILE), "lr = 1e-3\n").unwrap();
        let experiment = Experiment::gather(&runs).unwrap();
        assert_eq!(experiment.title, "tent on GE 3 T");
        let [first, second] = &experiment.outcomes[..] else { panic!("two outcomes") };
        assert_eq!((first.score_before, first.seconds), (Some(0.5), Some(1.5)));
        assert_eq!((&*first.source, &*first.target, second.seed), ("source", "GE 3 T", 1));
        assert_eq!((first.scores.len(), second.scores.len()), (1, 0));
        assert_eq!(experiment.metrics[0].title, "Dice");
        assert_eq!(experiment.provenance.finished_unix, Some(1001));
        assert_eq!(experiment.provenance.configuration.as_deref(), Some("lr = 1e-3\n"));
    }

    #[test]
    fn results_files_are_merged_and_their_paths_are_found_from_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        for method in ["source-only", "tent"] {
            let volumes = SubjectVolumes {
                subject: "s1".into(),
                image: Some("images/s1.nii.gz".into()),
                ..SubjectVolumes::default()
            };
            let outcome =
                Outcome { method: method.into(), volumes: vec![volumes], ..Outcome::default() };
            let mut experiment =
                Experiment { title: "Both".into(), outcomes: vec![outcome], ..Default::default() };
            experiment.describe_missing();
            let place = folder.path().join(method);
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join(RESULTS_FILE), experiment.to_json()).unwrap();
        }
        let paths = [folder.path().join("source-only"), folder.path().join("tent/results.json")];
        let merged = Experiment::gather(&paths).unwrap();
        assert_eq!((merged.title.as_str(), merged.methods.len()), ("Both", 2));
        let image = merged.outcomes[1].volumes[0].image.as_ref().unwrap();
        assert_eq!(Path::new(image), folder.path().join("tent/images/s1.nii.gz"));
        let twice = [paths[0].clone(), paths[0].clone()];
        assert!(Experiment::gather(&twice).unwrap_err().to_string().contains("there twice"));
        let missing = Experiment::gather(&[folder.path().join("nothing")]).unwrap_err();
        assert!(missing.to_string().contains("nothing"), "{missing}");
    }
}
