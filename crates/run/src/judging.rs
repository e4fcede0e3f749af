//! Verdicts without labels: what is printed of them, and what an adaptation does about harm.
use crate::error::{Error, Result};
use crate::host::{Host, Work};
use crate::other_trainings;
use crate::run_folder::RunFolder;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use udas_data::Subject;
use udas_model::ModelFile;
use udas_record::{Decision, Event};
use udas_verdict::{
    CALIBRATION_FILE, Calibration, Case, Estimate, Judgement, Spread, SubjectJudgement, judge,
};

/// The adapted model of a run whose model is the source's, since it was rolled back.
pub const REJECTED_FILE: &str = "rejected.safetensors";

/// What an adaptation does when the verdict is to roll back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnHarm {
    /// The run's model is the source model; exit code 4.
    Rollback,
    /// The adapted model stays, with a warning.
    Warn,
    /// The adapted model stays; the verdict is only recorded.
    Keep,
}

/// What the options stand under in `--help`. Each names it: a heading of the struct would go on to the options after it.
#[cfg(feature = "clap")]
const HEADING: &str = "Verdict";

/// How an adaptation is judged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(rename_all = "kebab-case", default)]
pub struct JudgingSettings {
    /// What to do when the verdict says that adaptation harmed: rollback (the run's model is the source
    /// model, exit code 4), warn or keep [default: rollback with a calibration, else warn]
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, value_parser = crate::flags::word::<OnHarm>()))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_harm: Option<OnHarm>,
    /// Calibration of verdicts [default: calibration.json beside the model]
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, value_name = "FILE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<PathBuf>,
    /// Other trainings of the source model (other seeds), for the verdict: masks that become unlike theirs speak
    /// of harm
    #[cfg_attr(feature = "clap", arg(help_heading = HEADING, long, num_args = 1.., value_name = "MODEL"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PathBuf>,
}

/// Other trainings of a model; what a checkpoint does not say of its preprocessing is as the model's. Neither the model
/// nor what was adapted from it is one, nor what taught an adaptation that is to be judged.
///
/// # Errors
/// [`Error::Input`] for such models, [`Error::Model`] for files that are none.
pub fn peers(paths: &[PathBuf], model: &ModelFile, judged: Judged) -> Result<Vec<ModelFile>> {
    let peers = other_trainings::load("--peers", paths, model)?;
    let teachers = judged.teachers();
    for (path, peer) in paths.iter().zip(&peers) {
        let refuse = |what: &str| Error::input(format!("--peers {}: {what}", path.display()));
        let hash = peer.hash()?;
        if let Judged::Model(adapted) = judged
            && adapted.hash()? == hash
        {
            let what = "is a model that is judged, and no other training; give other seeds";
            return Err(refuse(what));
        }
        if teachers.contains(&hash) {
            let what = "has taught the model that is judged, so that their agreement is no evidence; leave it out";
            return Err(refuse(what));
        }
    }
    Ok(peers)
}

/// What is judged with the help of other trainings.
#[derive(Clone, Copy)]
pub enum Judged<'a> {
    /// Nothing yet.
    Nothing,
    /// What will come of an adaptation that learns from the models with these hashes.
    TaughtBy(&'a [String]),
    /// An adapted model.
    Model(&'a ModelFile),
}

impl<'a> Judged<'a> {
    fn teachers(self) -> &'a [String] {
        match self {
            Self::Nothing => &[],
            Self::TaughtBy(teachers) => teachers,
            Self::Model(model) => &model.info.provenance.teachers,
        }
    }
}

/// What helps to judge adaptations of a model, found and checked before the work.
pub struct JudgingAids {
    calibration: Option<Calibration>,
    peers: Vec<ModelFile>,
}

impl JudgingAids {
    /// The calibration that is named, or the one beside the model, and the peers that are named.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Verdict`] for those that do not fit the model.
    pub fn find(
        (calibration, peers): (Option<&Path>, &[PathBuf]),
        (path, model): (&Path, &ModelFile),
        judged: Judged,
        host: &dyn Host,
    ) -> Result<Self> {
        let peers = self::peers(peers, model, judged)?;
        let hashes = peers.iter().map(ModelFile::hash).collect::<Result<Vec<_>, _>>()?;
        let beside = if path.is_dir() { Some(path) } else { path.parent() };
        let beside = beside.map(|folder| folder.join(CALIBRATION_FILE));
        let check = |calibration: &Calibration| calibration.check(model);
        let Some(found) = find_calibration(calibration, beside.as_deref(), check, host)? else {
            return Ok(Self { calibration: None, peers });
        };
        let calibration = Some(with_peers(&found, &hashes, host)?);
        Ok(Self { calibration, peers })
    }

    /// Two models to be judged with this help.
    pub fn case<'a>(&'a self, before: &'a ModelFile, after: &'a ModelFile) -> Case<'a> {
        Case { before, after, peers: &self.peers, calibration: self.calibration.as_ref() }
    }
}

/// A calibration for judgements with these other trainings, by their hashes; what follows from those that it was made with
/// is said.
///
/// # Errors
/// [`Error::Verdict`] where it was made with others.
pub fn with_peers(found: &Calibration, peers: &[String], host: &dyn Host) -> Result<Calibration> {
    match (found.origin.peers.len(), peers.len()) {
        (0, 1..) => host.say(
            "the calibration was made without --peers: their agreement is told, and has no part in the prediction",
        ),
        (1.., 0) => host.say(
            "the calibration was made with --peers, which are not given: the prediction goes without them",
        ),
        _ => {}
    }
    Ok(found.with_peers(peers)?.into_owned())
}

/// The calibration that a flag names, which must be of the model, or the one beside the model if it is: `check` says.
///
/// # Errors
/// [`Error::Input`] for one that is named and of another model, [`Error::Verdict`] for what is none.
pub fn find_calibration(
    named: Option<&Path>,
    beside: Option<&Path>,
    check: impl Fn(&Calibration) -> udas_verdict::Result<()>,
    host: &dyn Host,
) -> Result<Option<Calibration>> {
    let other = |path: &Path, error: udas_verdict::Error| format!("{}: {error}", path.display());
    if let Some(path) = named {
        let calibration = Calibration::load(path)?;
        check(&calibration).map_err(|error| Error::input(other(path, error)))?;
        return Ok(Some(calibration));
    }
    let Some(path) = beside.filter(|path| path.is_file()) else { return Ok(None) };
    // Nobody has asked for this one: a warning is enough.
    let calibration = match Calibration::load(path) {
        Ok(calibration) => match check(&calibration) {
            Ok(()) => calibration,
            Err(error) => {
                host.warn(&format!("{}; it is not used", other(path, error)));
                return Ok(None);
            }
        },
        Err(error) => {
            host.warn(&format!("{error}; it is not used"));
            return Ok(None);
        }
    };
    host.say(&format!("calibration: {}", path.display()));
    Ok(Some(calibration))
}

/// Measures both models on the subjects, without their labels.
///
/// # Errors
/// Those of volumes that cannot be read or models that cannot be judged together.
pub fn judged(case: &Case, subjects: &[Subject], host: &dyn Host) -> Result<Judgement> {
    let work = Work::Items { what: "judging", count: subjects.len() };
    let mut progress = host.progress(&work);
    let mut advance = |subject: &str| progress.advance(subject);
    let judgement = judge(case, subjects, host.device(), &mut advance)?;
    progress.finish();
    Ok(judgement)
}

/// A judgement for people, every subject a line.
pub fn text(judgement: &Judgement, calibration: Option<&Calibration>) -> String {
    let all: Vec<_> = judgement.subjects.iter().collect();
    let mut text = verdict_text(judgement) + &subjects_text(&all, calibration);
    let _ = writeln!(text, "check first: {}", judgement.check_first.join(", "));
    text
}

fn verdict_text(judgement: &Judgement) -> String {
    let mut text = format!("verdict: {}\n", judgement.decision.words());
    for reason in &judgement.reasons {
        let _ = writeln!(text, "  {reason}");
    }
    text
}

/// A line a subject, and what the volumes are to be compared with.
fn subjects_text(subjects: &[&SubjectJudgement], calibration: Option<&Calibration>) -> String {
    let mut text = String::new();
    let width = subjects.iter().map(|s| s.subject.len()).max().unwrap_or(0);
    let estimate = |estimate: &Estimate| {
        let mark = if estimate.outside.is_empty() { "" } else { " (outside what was seen)" };
        format!("{:.3} [{:.3}, {:.3}]{mark}", estimate.score, estimate.low, estimate.high)
    };
    for subject in subjects {
        let name = &subject.subject;
        let scores = match (&subject.predicted_before, &subject.predicted_after) {
            (Some(before), Some(after)) => {
                format!("predicted Dice {} -> {}, ", estimate(before), estimate(after))
            }
            _ => String::new(),
        };
        let (before, after) = (subject.before.volume_ml, subject.after.volume_ml);
        let _ = writeln!(
            text,
            "{name:width$}  {scores}agreement {:.3}, volume {before:.1} -> {after:.1} ml",
            subject.agreement
        );
    }
    if let Some(calibration) = calibration {
        let Spread { mean, deviation } = calibration.reference.volume_ml;
        let _ = writeln!(text, "volume of the source's labels: {mean:.1} +- {deviation:.1} ml");
    }
    text
}

/// Subjects that the verdict of an adaptation looks at in any case.
const AT_LEAST: usize = 12;
/// The verdict's share of the adaptation's passes over slices.
const SHARE: f64 = 0.2;
/// Passes that a subject's verdict takes: three and a half predictions of its slices, by both models.
const SUBJECT_PASSES: f64 = 7.0 * udas_verdict::SLICES as f64;
/// Passes that a step takes for a slice: forward, and back to maps and to weights.
const STEP_PASSES: f64 = 3.0;

/// The subjects that an adaptation of steps on `slices` slices is judged by: all of few, else so many, evenly spaced in their
/// order, that the verdict costs at most a fifth of the adaptation, or about half a minute.
pub fn sampled(subjects: &[Subject], slices: usize) -> Vec<Subject> {
    let most = (SHARE * STEP_PASSES * slices as f64 / SUBJECT_PASSES) as usize;
    let most = most.max(AT_LEAST).min(subjects.len());
    (0..most).map(|place| subjects[(2 * place + 1) * subjects.len() / (2 * most)].clone()).collect()
}

/// What is said of a verdict on some subjects alone.
fn of_sample(judgement: &Judgement, all: usize) -> Option<String> {
    let names: Vec<_> = judgement.subjects.iter().map(|subject| subject.subject.as_str()).collect();
    (names.len() < all).then(|| {
        let (count, names) = (names.len(), names.join(", "));
        format!(
            "{count} of the {all} subjects were judged, evenly spaced among them; `udas judge` looks at all: {names}."
        )
    })
}

/// What becomes of the adapted model of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It is the run's model.
    Kept,
    /// It is kept beside; the run's model is the source's.
    RolledBack,
}

/// Judges an adaptation that is done, of steps on `slices` slices, by a sample of its subjects, records the verdict, and writes
/// what the run's model is.
///
/// # Errors
/// Those of reading volumes and of writing the folder.
pub fn settle(
    on_harm: Option<OnHarm>,
    case: &Case,
    (subjects, slices): (&[Subject], usize),
    folder: &mut RunFolder,
    host: &dyn Host,
) -> Result<(Settlement, Judgement)> {
    let mut judgement = judged(case, &sampled(subjects, slices), host)?;
    judgement.reasons.extend(of_sample(&judgement, subjects.len()));
    let fate = fate(on_harm, case.calibration, &judgement, folder, host)?;
    match fate {
        Settlement::Kept => case.after.save(&folder.model())?,
        Settlement::RolledBack => {
            case.after.save(&folder.path().join(REJECTED_FILE))?;
            case.before.save(&folder.model())?;
        }
    }
    Ok((fate, judgement))
}

/// Records a verdict, and says it and what becomes of the adapted model.
///
/// # Errors
/// As [`RunFolder::record`].
pub fn fate(
    on_harm: Option<OnHarm>,
    calibration: Option<&Calibration>,
    judgement: &Judgement,
    folder: &mut RunFolder,
    host: &dyn Host,
) -> Result<Settlement> {
    folder.record(Event::Verdict(judgement.verdict()))?;
    let named = |name: &String| judgement.subjects.iter().find(|s| s.subject == *name);
    let first: Vec<_> = judgement.check_first.iter().filter_map(named).collect();
    let text = verdict_text(judgement) + "check first:\n" + &subjects_text(&first, calibration);
    host.say(text.trim_end());
    if judgement.decision != Decision::RollBack {
        return Ok(Settlement::Kept);
    }
    let default = if calibration.is_some() { OnHarm::Rollback } else { OnHarm::Warn };
    Ok(match on_harm.unwrap_or(default) {
        OnHarm::Rollback => Settlement::RolledBack,
        OnHarm::Warn => {
            let text = "the adaptation seems to have harmed; the adapted model is written all the same, because the verdict is not \
                 calibrated (`udas calibrate`; --on-harm rollback writes the source model instead)";
            host.warn(text);
            Settlement::Kept
        }
        OnHarm::Keep => Settlement::Kept,
    })
}

/// The adapted weights of a run, wherever they are.
pub fn adapted_model(run: &Path) -> PathBuf {
    let rejected = run.join(REJECTED_FILE);
    if rejected.is_file() { rejected } else { run.to_owned() }
}

/// What is said of a run that was rolled back.
pub fn rolled_back(folder: &RunFolder) -> String {
    let rejected = folder.path().join(REJECTED_FILE);
    format!(
        "the adaptation was rolled back: the run's model is the source model; the adapted one is {}",
        rejected.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use udas_data::Frames;

    #[test]
    fn a_verdict_looks_at_no_more_subjects_than_it_is_worth() {
        let subject = |number: usize| Subject {
            id: format!("s{number:02}"),
            domain: "d".into(),
            image: PathBuf::new(),
            labels: None,
            frames: Frames::Single,
            part: None,
        };
        let subjects: Vec<_> = (0..50).map(subject).collect();
        let names = |count: usize, slices: usize| -> Vec<String> {
            sampled(&subjects[..count], slices).into_iter().map(|subject| subject.id).collect()
        };
        assert_eq!(names(3, 0), ["s00", "s01", "s02"]);
        let few = names(50, 100);
        assert_eq!((few.len(), few[0].as_str(), few[11].as_str()), (AT_LEAST, "s02", "s47"));
        // A long adaptation is worth more: 20 % of 3 x 5600 passes are those of 30 subjects.
        assert_eq!(names(50, 5600).len(), 30);
        assert_eq!(names(50, 1_000_000).len(), 50);
    }
}
