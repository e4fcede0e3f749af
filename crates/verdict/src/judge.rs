//! Measuring two models on unlabelled subjects, and judging the second against the first.
use crate::calibration::Calibration;
use crate::judgement::{Basis, Judgement, Measured, SubjectJudgement, check_first, mean};
use crate::observe::Observation;
use crate::overlap::dice;
use crate::sample::Sample;
use crate::segmenter::Segmenter;
use crate::signals::Signal;
use crate::{Error, Result, rules};
use candle_core::Device;
use udas_data::{LabelUse, Preprocessing, Subject};
use udas_model::ModelFile;

/// Slices of each subject that are measured without a calibration, which else says how many.
pub const SLICES: usize = 16;

/// What is judged, and with what help.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The source model.
    pub before: &'a ModelFile,
    /// The adapted model.
    pub after: &'a ModelFile,
    /// Other trainings of the source model, where there are some: their masks are compared with both models'.
    pub peers: &'a [ModelFile],
    /// The calibration of the source model, if there is one.
    pub calibration: Option<&'a Calibration>,
}

/// Says whether the adapted model should be kept in place of the source model on a target's subjects, whose labels
/// are not opened. `on_subject` hears the name of each subject that is done.
///
/// # Errors
/// [`Error::Unfit`] for models of different classes or slices, without subjects, or with a calibration of
/// another model; or when volumes cannot be read.
pub fn judge(
    case: &Case,
    subjects: &[Subject],
    device: &Device,
    on_subject: &mut dyn FnMut(&str),
) -> Result<Judgement> {
    let Case { before, after, peers, calibration } = *case;
    let hash = before.hash()?;
    check(before, after, subjects)?;
    peers.iter().try_for_each(|peer| check(before, peer, subjects))?;
    calibration.map_or(Ok(()), |calibration| calibration.check(before))?;
    let hashes = hashes(peers)?;
    let calibration = calibration.map(|calibration| calibration.with_peers(&hashes)).transpose()?;
    let calibration = calibration.as_deref();
    let same = hash == after.hash()? && before.info.preprocessing == after.info.preprocessing;
    let (first, second) = (Segmenter::of(before, device)?, Segmenter::of(after, device)?);
    let peers: Vec<(Segmenter, &Preprocessing)> = peers
        .iter()
        .map(|peer| Ok((Segmenter::of(peer, device)?, &peer.info.preprocessing)))
        .collect::<Result<_>>()?;
    let mut judged = Vec::with_capacity(subjects.len());
    let slices = calibration.map_or(SLICES, |calibration| calibration.origin.slices);
    for subject in subjects {
        let mut samples = Samples { subject, slices, read: Vec::new() };
        let observed = Observation::new(&first, samples.of(&before.info.preprocessing)?)?;
        let adapted = if same {
            observed.clone()
        } else {
            Observation::new(&second, samples.of(&after.info.preprocessing)?)?
        };
        let opinions = opinions(&peers, &mut samples)?;
        let pair = SubjectPair { observed: [&observed, &adapted], opinions: &opinions };
        judged.push(pair.judged(&subject.id, calibration));
        on_subject(&subject.id);
    }
    Ok(conclude(judged, calibration, peers.len()))
}

/// The judgement that follows from what was measured, with so many other trainings.
pub(crate) fn conclude(
    judged: Vec<SubjectJudgement>,
    calibration: Option<&Calibration>,
    peers: usize,
) -> Judgement {
    let mut ruling = rules::decide(&judged, calibration);
    let basis = match calibration {
        Some(_) => Basis::Calibrated,
        None => Basis::Uncalibrated,
    };
    if basis == Basis::Uncalibrated {
        let text = "Uncalibrated: these are rules on raw signals, without predicted scores; `udas calibrate` \
                    learns them from labelled source data.";
        ruling.reasons.push(text.into());
    }
    ruling.reasons.extend(of_peers(&judged, peers));
    let check_first = check_first(&judged);
    Judgement {
        basis,
        decision: ruling.decision,
        reasons: ruling.reasons,
        subjects: judged,
        check_first,
    }
}

/// The hash of each model.
pub(crate) fn hashes(models: &[ModelFile]) -> Result<Vec<String>> {
    models.iter().map(|model| Ok(model.hash()?)).collect()
}

/// What other trainings say of the slices that perturbations are tried on.
fn opinions<'a>(
    peers: &[(Segmenter, &'a Preprocessing)],
    samples: &mut Samples<'a>,
) -> Result<Vec<Vec<u8>>> {
    let opinion = |(segmenter, preprocessing): &(Segmenter, &'a Preprocessing)| {
        let sample = samples.of(preprocessing)?;
        Ok(segmenter.predict(&sample.probed_images(), sample.size)?.labels)
    };
    peers.iter().map(opinion).collect()
}

/// A subject's samples, each read once for all models that see it alike.
struct Samples<'a> {
    subject: &'a Subject,
    slices: usize,
    read: Vec<(&'a Preprocessing, Sample)>,
}

impl<'a> Samples<'a> {
    fn of(&mut self, preprocessing: &'a Preprocessing) -> Result<&Sample> {
        let known = self.read.iter().position(|(of, _)| *of == preprocessing);
        let place = match known {
            Some(place) => place,
            None => {
                let sample =
                    Sample::read(self.subject, preprocessing, LabelUse::Ignore, self.slices)?;
                self.read.push((preprocessing, sample));
                self.read.len() - 1
            }
        };
        Ok(&self.read[place].1)
    }
}

/// A sentence on the agreement with other trainings, where there are some.
fn of_peers(subjects: &[SubjectJudgement], peers: usize) -> Option<String> {
    let mean = |of: fn(&SubjectJudgement) -> &Measured| {
        mean(subjects, |subject| of(subject).signals.get(&Signal::PeerAgreement).copied())
    };
    let (before, after) = (mean(|subject| &subject.before), mean(|subject| &subject.after));
    let trainings = if peers == 1 { "training" } else { "trainings" };
    (peers > 0).then(|| {
        format!(
            "The masks agree with those of {peers} other {trainings} of the source model by {before:.3} before and \
             {after:.3} after."
        )
    })
}

/// Two models' observations of a subject, and what other trainings say of it.
pub(crate) struct SubjectPair<'a> {
    pub observed: [&'a Observation; 2],
    pub opinions: &'a [Vec<u8>],
}

impl SubjectPair<'_> {
    pub fn judged(&self, subject: &str, calibration: Option<&Calibration>) -> SubjectJudgement {
        let reference = calibration.map(|calibration| &calibration.reference);
        let measured = self.observed.map(|observation| Measured {
            signals: observation.signals(reference, self.opinions),
            volume_ml: observation.volume_ml,
            components: observation.components,
        });
        let [before, after] = measured;
        let signals = (&before.signals, &after.signals);
        let [old, new] = self.observed;
        SubjectJudgement {
            subject: subject.to_owned(),
            agreement: dice(&old.labels, &new.labels, old.classes).unwrap_or(1.0),
            predicted_before: calibration.map(|mapping| mapping.estimate(signals.0)),
            predicted_change: calibration.map(|mapping| mapping.change(signals.0, signals.1)),
            predicted_after: calibration
                .map(|mapping| mapping.estimate_after(signals.0, signals.1)),
            before,
            after,
        }
    }
}

fn check(before: &ModelFile, after: &ModelFile, subjects: &[Subject]) -> Result<()> {
    let unfit = |text: &str| Err(Error::Unfit(text.into()));
    if subjects.is_empty() {
        return unfit("there are no subjects to judge by; give some");
    }
    if before.info.network.outputs != after.info.network.outputs {
        return unfit(
            "the two models segment different numbers of classes; give a model and its adaptation",
        );
    }
    if !before.info.preprocessing.has_slices_of(&after.info.preprocessing) {
        return unfit(
            "the two models cut volumes into different slices; give a model and its adaptation",
        );
    }
    Ok(())
}
