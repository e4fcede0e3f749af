//! The images of an experiment: made by the phantom, or a data set of the user's that is asked before jobs are planned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};

use udas_data::{DataSet, Subject};
use udas_record::MethodKind;

use crate::definition::{Definition, Phantom, Preset};
use crate::error::{Error, Result};
use crate::files;
use crate::grid::Pairs;
use crate::options::CommandOptions;
use crate::subjects::Subjects;

/// Where an experiment's images come from.
#[derive(Debug, Clone)]
pub enum Data {
    /// Made by the phantom in this size, as a job.
    Phantom(Phantom),
    /// A folder of the user's.
    Folder(Folder),
}

/// A data set of the user's.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What its files are, in short: changes when one of them does.
    pub fingerprint: String,
    /// What the user should know about files that are passed over.
    pub notes: Vec<String>,
    /// Subjects of each domain, in name order.
    domains: BTreeMap<String, Vec<Subject>>,
}

/// Whether masks are needed of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Masks {
    /// To train on.
    Every,
    /// To score against: subjects without a mask are left out, as some published sets have them.
    Any,
    /// To adapt to.
    None,
}

impl Folder {
    /// Opens a folder; names are read, no volumes.
    ///
    /// # Errors
    /// [`Error::Data`] where no data set is recognised, [`Error::Read`] where files cannot be listed.
    pub fn open(path: &Path) -> Result<Self> {
        let set = DataSet::open(path)?;
        let subjects = |name: String| Ok((name.clone(), set.subjects(&name)?));
        let domains = set.domains().into_iter().map(subjects).collect::<Result<_>>()?;
        let path = absolute(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let fingerprint = files::tree(&path)?;
        Ok(Self { path, fingerprint, notes: set.notes().to_vec(), domains })
    }

    /// The folder of one of `experiments` experiments: that of its name, or of its data set's, below `root`, or `root`
    /// itself.
    ///
    /// # Errors
    /// As of [`open`](Self::open); [`Error::Request`] where several experiments would share `root`.
    pub fn of(definition: &Definition, root: &Path, experiments: usize) -> Result<Self> {
        let names = [&definition.name, &definition.data_set];
        let named = names.into_iter().filter(|name| !name.is_empty());
        let below = named.map(|name| root.join(name)).find(|below| below.is_dir());
        if below.is_none() && experiments > 1 {
            return Err(Error::Request(format!(
                "{} has no folder `{}`: name one experiment, or place the data of each below its own name",
                root.display(),
                definition.name
            )));
        }
        Self::open(below.as_deref().unwrap_or(root))
    }

    fn unfit(&self, problem: String) -> Error {
        Error::unfit(&self.path, problem)
    }

    /// Refuses an experiment that names domains or subjects that are not here.
    fn check(&self, definition: &Definition, preset: &Preset, pairs: Pairs) -> Result<()> {
        let domains = definition.domains();
        let lacks = |name: &&&str| !self.domains.contains_key(**name);
        let missing: Vec<&str> = domains.iter().filter(lacks).copied().collect();
        if !missing.is_empty() {
            let there: Vec<&str> = self.domains.keys().map(String::as_str).collect();
            return Err(self.unfit(format!(
                "has no domain {}, which {} names; it has {}. --source and --target name others",
                missing.join(", "),
                definition.name,
                there.join(", ")
            )));
        }
        let sources = match pairs {
            Pairs::Own => vec![definition.source.as_str()],
            Pairs::All => domains.clone(),
        };
        for source in &sources {
            self.check_source(source, definition, preset)?;
        }
        let is_target = |domain: &&&str| pairs == Pairs::All || **domain != definition.source;
        domains
            .iter()
            .filter(is_target)
            .try_for_each(|target| self.check_target(target, definition, preset))
    }

    fn check_source(&self, domain: &str, definition: &Definition, preset: &Preset) -> Result<()> {
        let options = &preset.options;
        let trained =
            definition.methods_of(preset).into_iter().map(|m| m.train.over(&options.train));
        let trained = trained.filter(|own| *own != options.train).map(|own| own.subjects);
        let named = [&options.train, &options.head, &options.calibrate].map(|o| o.subjects.clone());
        for subjects in named.into_iter().chain(trained) {
            self.check_subjects(domain, subjects.as_ref(), Masks::Every)?;
        }
        let available = self.count(domain);
        match preset.folds {
            Some(folds) if folds > available as u64 => {
                let text = format!(
                    "domain {domain} has {available} subjects, and {folds} folds are asked for"
                );
                Err(self.unfit(text))
            }
            _ => Ok(()),
        }
    }

    fn check_target(&self, domain: &str, definition: &Definition, preset: &Preset) -> Result<()> {
        let options = &preset.options;
        self.check_subjects(domain, options.score.subjects.as_ref(), Masks::Any)?;
        for method in definition.methods_of(preset).into_iter().filter(|m| !m.options.is_empty()) {
            let general = options.adapt.clone();
            let (own, masks): (CommandOptions, Masks) = match method.kind {
                MethodKind::Oracle => (options.oracle.over(&general), Masks::Every),
                _ => (general, Masks::None),
            };
            let seen = method.options.over(&own).subjects;
            self.check_subjects(domain, seen.as_ref(), masks)?;
        }
        Ok(())
    }

    fn check_subjects(
        &self,
        domain: &str,
        subjects: Option<&Subjects>,
        masks: Masks,
    ) -> Result<()> {
        let all = self.domains.get(domain).map_or(&[][..], Vec::as_slice);
        let names: Vec<&str> = all.iter().map(|subject| subject.id.as_str()).collect();
        let chosen = match subjects {
            None => (0..all.len()).collect(),
            Some(subjects) => subjects
                .choose(&names)
                .map_err(|problem| self.unfit(format!("subjects of domain {domain}: {problem}")))?,
        };
        let chosen: Vec<&Subject> = chosen.into_iter().filter_map(|place| all.get(place)).collect();
        let bare: Vec<&&Subject> =
            chosen.iter().filter(|subject| subject.labels.is_none()).collect();
        let lacks = match masks {
            Masks::Every => !bare.is_empty(),
            Masks::Any => bare.len() == chosen.len(),
            Masks::None => false,
        };
        match bare.first().filter(|_| lacks) {
            Some(subject) => Err(self.unfit(format!(
                "subject {} of domain {domain} has no mask, and a comparison trains on masks and scores against \
                 them; add it, or adapt and judge without labels: `udas adapt`, `udas judge`",
                subject.id
            ))),
            None => Ok(()),
        }
    }

    /// How many subjects a domain has.
    fn count(&self, domain: &str) -> usize {
        self.domains.get(domain).map_or(0, Vec::len)
    }
}

impl Data {
    /// Refuses an experiment that names domains or subjects that are not here, before anything is planned.
    ///
    /// # Errors
    /// [`Error::Unfit`] says what is missing, and what there is.
    pub fn check(&self, definition: &Definition, preset: &Preset, pairs: Pairs) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.check(definition, preset, pairs),
            // Its domains and subjects are made to order.
            Self::Phantom(_) => Ok(()),
        }
    }

    /// How many subjects a domain has.
    pub fn count(&self, domain: &str) -> usize {
        match self {
            Self::Phantom(size) => size.subjects,
            Self::Folder(folder) => folder.count(domain),
        }
    }
}

#[cfg(test)]
#[path = "data_test.rs"]
mod tests;
