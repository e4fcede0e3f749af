//! Which labelled slices a training keeps for itself, and which are held out to see how far it has come.
use crate::console::Console;
use crate::failure;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use toml::Table;
use udas_data::{Augment, BatchPlan, LastBatch, Preprocessing, Subject};
use udas_network::Task;
use udas_run::selection;
use udas_run::training::{LabelledSet, OrderName, Use};
use udas_train::SourceBatches;

/// What is held out where nobody says whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum HoldOut {
    /// Every tenth subject; of fewer than five subjects every tenth slice.
    #[default]
    Tenth,
    /// Nothing: how far the training has come is measured on what it learns from.
    None,
}

/// What the options stand under in `--help`. Each names it: a heading of the struct would go on to the options after it.
const HEADING: &str = "What is held out";

/// Flags of the trainings on labels.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct HoldOutFlags {
    /// Subjects held out to see how far the training has come, chosen as by --subjects [default: the fold left out, else
    /// as --hold-out says]
    #[arg(help_heading = HEADING, long, value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_subjects: Option<String>,
    /// What is held out where no subjects are named
    #[arg(help_heading = HEADING, long, value_enum, default_value_t = HoldOut::Tenth)]
    pub hold_out: HoldOut,
}

/// Subjects, or their slices, in two parts.
pub struct Split {
    /// Whom the training reads to learn from.
    pub train: Vec<Subject>,
    held_out: HeldOut,
}

enum HeldOut {
    Subjects(Vec<Subject>),
    EveryTenthSlice,
    Nothing,
}

/// Labelled slices to learn from, and those held out.
pub struct SplitSlices {
    pub train: LabelledSet,
    held_out: Option<LabelledSet>,
}

/// One of so many subjects or slices is held out.
const ONE_OF: usize = 10;
/// Of fewer subjects than this, slices are held out instead: a subject is too much to lose.
const FEW_SUBJECTS: usize = 5;

impl HoldOutFlags {
    /// The parts of a domain's subjects, of which a list or a fold says which are used at all.
    pub fn split(
        &self,
        all: Vec<Subject>,
        (subjects, fold): (Option<&str>, Option<&str>),
        console: &Console,
    ) -> Result<Split> {
        let used = selection::choose(all.clone(), subjects, console)?;
        let (train, left_out) = self::fold(used, fold)?;
        let held_out = match &self.validation_subjects {
            Some(list) => selection::choose(all, Some(list), console)?,
            None => left_out,
        };
        if let Some(both) = held_out.iter().find(|subject| train.contains(subject)) {
            // A list of subjects to watch is taken out of all subjects, and not out of a list of others.
            if subjects.is_some() || fold.is_some() {
                let text = format!("{} is in --subjects and in --validation-subjects", both.id);
                return Err(failure::usage(&text).into());
            }
            let train: Vec<_> =
                train.into_iter().filter(|subject| !held_out.contains(subject)).collect();
            if train.is_empty() {
                let text = "--validation-subjects: names everybody; leave some to learn from";
                return Err(failure::usage(text).into());
            }
            return Ok(Split { train, held_out: HeldOut::Subjects(held_out) });
        }
        Ok(match (held_out.is_empty(), self.hold_out) {
            (false, _) => Split { train, held_out: HeldOut::Subjects(held_out) },
            (true, HoldOut::None) => Split { train, held_out: HeldOut::Nothing },
            (true, HoldOut::Tenth) => tenth(train),
        })
    }
}

/// Holds out every tenth subject, one at least, from the middle of each ten.
fn tenth(subjects: Vec<Subject>) -> Split {
    if subjects.len() < FEW_SUBJECTS {
        return Split { train: subjects, held_out: HeldOut::EveryTenthSlice };
    }
    let parts = subjects.len().div_ceil(ONE_OF);
    let middle = |part: usize| (2 * part + 1) * subjects.len() / (2 * parts);
    let chosen: Vec<usize> = (0..parts).map(middle).collect();
    let (held_out, train): (Vec<_>, Vec<_>) =
        subjects.into_iter().enumerate().partition(|(place, _)| chosen.contains(place));
    let subjects = |part: Vec<(usize, Subject)>| part.into_iter().map(|(_, s)| s).collect();
    Split { train: subjects(train), held_out: HeldOut::Subjects(subjects(held_out)) }
}

impl Split {
    /// What is done with whom.
    pub fn uses(&self) -> [(Use, &[Subject]); 2] {
        [(Use::Learned, &self.train), (Use::HeldOut, self.held_out())]
    }

    /// Subjects that are held out whole.
    pub fn held_out(&self) -> &[Subject] {
        match &self.held_out {
            HeldOut::Subjects(subjects) => subjects,
            HeldOut::EveryTenthSlice | HeldOut::Nothing => &[],
        }
    }

    /// Opens the slices of both parts.
    pub fn open(
        &self,
        preprocessing: &Preprocessing,
        task: Task,
        cache: usize,
    ) -> Result<SplitSlices> {
        let open =
            |subjects: &[Subject]| LabelledSet::open(subjects.to_vec(), preprocessing, task, cache);
        let train = open(&self.train)?;
        Ok(match &self.held_out {
            HeldOut::Subjects(subjects) => SplitSlices { train, held_out: Some(open(subjects)?) },
            HeldOut::EveryTenthSlice if train.slices.len() >= ONE_OF => every_tenth(&train),
            HeldOut::EveryTenthSlice | HeldOut::Nothing => SplitSlices { train, held_out: None },
        })
    }
}

/// Holds out every tenth slice, from the middle of each ten.
fn every_tenth(set: &LabelledSet) -> SplitSlices {
    let is_held_out = |index: &usize| index % ONE_OF == ONE_OF / 2;
    let (held_out, train): (Vec<usize>, Vec<usize>) = (0..set.slices.len()).partition(is_held_out);
    SplitSlices { train: set.subset(&train), held_out: Some(set.subset(&held_out)) }
}

impl SplitSlices {
    /// Whether what is measured on has not been seen in training.
    pub fn is_held_out(&self) -> bool {
        self.held_out.is_some()
    }

    /// Batches to measure on: what is held out or, where nothing is, what is learned from.
    pub fn check(&self, seed: u64, batch_size: usize, console: &Console) -> Result<SourceBatches> {
        let plan = OrderName::Sequential.plan(seed, batch_size);
        let plan = BatchPlan { last: LastBatch::Keep, ..plan };
        Ok(self.held_out.as_ref().unwrap_or(&self.train).batches(plan, Augment::OFF, console)?)
    }

    /// Who is held out, in words.
    pub fn words(&self, split: &Split) -> String {
        let slices = self.held_out.as_ref().map_or(0, |set| set.slices.len());
        match &split.held_out {
            HeldOut::Subjects(subjects) => {
                let names: Vec<_> = subjects.iter().map(|subject| subject.id.as_str()).collect();
                format!("held out: {} ({slices} slices)", names.join(", "))
            }
            HeldOut::EveryTenthSlice if slices > 0 => {
                format!("held out: every {ONE_OF}th slice ({slices})")
            }
            HeldOut::EveryTenthSlice | HeldOut::Nothing => "held out: nothing".into(),
        }
    }
}

/// Subjects or a fold by flag stand in for whichever of the two a settings file has.
pub fn give_way(file: &mut Table, subjects: Option<&str>, fold: Option<&str>) {
    if subjects.is_some() {
        file.remove("fold");
    }
    if fold.is_some() {
        file.remove("subjects");
    }
}

/// The subjects less those of a fold, given as `0/3`, and those of the fold: what a cross-validation trains on, and what
/// it leaves out.
pub fn fold(subjects: Vec<Subject>, fold: Option<&str>) -> Result<(Vec<Subject>, Vec<Subject>)> {
    let Some(text) = fold else { return Ok((subjects, Vec::new())) };
    let numbers = text
        .split_once('/')
        .and_then(|(fold, folds)| Some((fold.trim().parse().ok()?, folds.trim().parse().ok()?)));
    let Some((fold, folds)) = numbers else {
        let text = format!("--fold {text}: give a fold and their number, such as 0/3");
        return Err(failure::usage(&text).into());
    };
    let udas_data::Split { train, test } = udas_data::fold(&subjects, folds, fold)?;
    Ok((train, test))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use udas_data::Frames;

    fn quiet() -> Console {
        let device = crate::options::DeviceName::Cpu;
        let (quiet, verbose, json) = (true, false, false);
        Console::new(&crate::options::Common {
            threads: None,
            device,
            quiet,
            verbose,
            color: crate::options::Colour::Never,
            json,
        })
    }

    fn subjects(count: usize) -> Vec<Subject> {
        let subject = |n: usize| Subject {
            id: format!("s{n}"),
            domain: "d".into(),
            image: PathBuf::from(format!("s{n}.nii")),
            labels: None,
            frames: Frames::Single,
            part: None,
        };
        (1..=count).map(subject).collect()
    }

    fn ids(subjects: &[Subject]) -> Vec<&str> {
        subjects.iter().map(|subject| subject.id.as_str()).collect()
    }

    #[test]
    fn every_tenth_subject_is_held_out_and_no_other_is_lost() {
        let split = tenth(subjects(8));
        assert_eq!(ids(split.held_out()), ["s5"]);
        assert_eq!(split.train.len(), 7);
        let split = tenth(subjects(20));
        assert_eq!(ids(split.held_out()), ["s6", "s16"]);
        assert_eq!(split.train.len(), 18);
        let few = tenth(subjects(4));
        assert!(few.held_out().is_empty() && few.train.len() == 4);
        assert!(matches!(few.held_out, HeldOut::EveryTenthSlice));
    }

    #[test]
    fn named_subjects_and_a_fold_come_before_the_tenth() {
        let split = |named: Option<&str>, subjects_flag, fold| {
            let flags = HoldOutFlags {
                validation_subjects: named.map(str::to_owned),
                hold_out: HoldOut::Tenth,
            };
            flags.split(subjects(9), (subjects_flag, fold), &quiet())
        };
        let named = split(Some("7-9"), Some("1-4"), None).unwrap();
        assert_eq!((ids(&named.train).len(), ids(named.held_out())), (4, vec!["s7", "s8", "s9"]));
        let folded = split(None, None, Some("0/3")).unwrap();
        assert_eq!(ids(folded.held_out()), ["s1", "s2", "s3"]);
        assert!(split(Some("4-5"), Some("1-4"), None).is_err(), "nobody is in both");
        let taken_out = split(Some("9"), None, None).unwrap();
        assert_eq!(taken_out.train.len(), 8);
    }

    #[test]
    fn a_fold_is_left_out() {
        let kept = |fold| -> Result<Vec<String>> {
            let (kept, left_out) = super::fold(subjects(5), fold)?;
            assert_eq!(kept.len() + left_out.len(), 5);
            Ok(kept.into_iter().map(|subject| subject.id).collect())
        };
        assert_eq!(kept(None).unwrap().len(), 5);
        assert_eq!(kept(Some("0/2")).unwrap(), ["s4", "s5"]);
        assert_eq!(kept(Some("1/2")).unwrap(), ["s1", "s2", "s3"]);
        for bad in ["", "0", "2/2", "0/9", "a/b", "0/0"] {
            assert!(kept(Some(bad)).is_err(), "{bad}");
        }
    }
}
