//! Making a calibration: labelled source subjects under simulated shifts, before models of known quality.
use crate::adaptations;
use crate::calibration::{Calibration, Origin};
use crate::change::AS_IT_IS;
use crate::damage::{DAMAGES, Damage};
use crate::judge::hashes;
use crate::measurement::Measurement;
use crate::networks::check_alike;
use crate::observe::{Observation, Reference};
use crate::overlap::dice;
use crate::sample::Sample;
use crate::segmenter::Segmenter;
use crate::shift::Shift;
use crate::signals::confidence::Histogram;
use crate::signals::plausibility::{self, Spread};
use crate::{Error, Result};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use udas_data::{LabelUse, Subject};
use udas_model::ModelFile;
use udas_network::{Network, Task};
use udas_quality::Pixels;

/// How a calibration is made.
#[derive(Clone, Debug)]
pub struct CalibrateConfig {
    /// Slices of each subject that are measured.
    pub slices: usize,
    /// Subjects that the shifts are applied to, evenly chosen; labels of all subjects give the plausible
    /// volumes and components.
    pub subjects: usize,
    /// Seed of curves, shading, noise and damages.
    pub seed: u64,
    /// The shifts, [`crate::shift::FAMILY`] as a rule.
    pub shifts: Vec<Shift>,
}

/// Learns the mapping from signals to true Dice, and to its change, for a model.
///
/// For each shift and subject four models are measured: the model as it is, with batch-norm statistics re-estimated
/// on the shifted slices, adapted to the shift by one of several methods in turn, and damaged in one of several
/// ways in turn (the unshifted source: in all of them), so that harm is among what is learned. With `peers`, other
/// trainings of the model, their agreement is a signal like the others. `on_step` hears how many of how many
/// subjects and shifts are done.
///
/// # Errors
/// [`Error::Unfit`] without enough subjects or foreground, with peers that see other slices than the model, or
/// when volumes cannot be read.
pub fn calibrate(
    model: &ModelFile,
    peers: &[ModelFile],
    subjects: &[Subject],
    device: &Device,
    config: &CalibrateConfig,
    on_step: &mut dyn FnMut(usize, usize),
) -> Result<Calibration> {
    let mut work = Calibrating::new(model, peers, subjects, device, config)?;
    let (mut done, total) = (0, work.steps());
    let mut step = || {
        done += 1;
        on_step(done, total);
    };
    while work.measure_next(&mut step)? {}
    work.finish()
}

/// What a calibration has measured so far: whole shifts, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measurements {
    origin: Origin,
    /// The subjects that shifts are applied to.
    shifted: Vec<String>,
    /// The shifts that are done.
    shifts: Vec<String>,
    rows: Vec<Measurement>,
}

impl Measurements {
    /// How many subjects and shifts are done.
    pub fn steps(&self) -> usize {
        self.shifts.len() * self.shifted.len()
    }
}

/// A network that a calibration is made for, whoever prepares what it sees.
pub struct Calibrated {
    /// What the calibration is of.
    pub origin: Origin,
    /// The network.
    pub network: Arc<dyn Network>,
    /// Other trainings of it, whose agreement is among the signals.
    pub peers: Vec<Arc<dyn Network>>,
    /// Slices that it sees together; 1 of a network of slices.
    pub depth: usize,
    /// Share of each class in the source's labels; empty where it is not known.
    pub class_ratio: Vec<f64>,
}

/// A calibration in the making, a shift at a time, so that it can be left and gone on with: [`calibrate`] in steps.
pub struct Calibrating<'a> {
    config: &'a CalibrateConfig,
    models: Models,
    class_ratio: Vec<f64>,
    source: Source,
    measured: Measurements,
}

impl<'a> Calibrating<'a> {
    /// Reads everything.
    ///
    /// # Errors
    /// As [`calibrate`].
    pub fn new(
        model: &'a ModelFile,
        peers: &[ModelFile],
        subjects: &[Subject],
        device: &Device,
        config: &'a CalibrateConfig,
    ) -> Result<Self> {
        let peer = |(index, peer): (usize, &ModelFile)| {
            check_peer(model, peer, index + 1)?;
            Ok(peer.network(device)?.into())
        };
        let calibrated = Calibrated {
            origin: Origin {
                model: model.hash()?,
                preprocessing: Some(model.info.preprocessing.clone()),
                plans: None,
                peers: hashes(peers)?,
                version: env!("CARGO_PKG_VERSION").into(),
                domain: domains(subjects),
                subjects: subjects.iter().map(|subject| subject.id.clone()).collect(),
                slices: config.slices,
                seed: config.seed,
            },
            network: model.network(device)?.into(),
            peers: peers.iter().enumerate().map(peer).collect::<Result<_>>()?,
            depth: 1,
            class_ratio: model.info.class_ratio.clone(),
        };
        let classes = Task::of(model.info.network.outputs).outputs().max(2) as u8;
        let labels = LabelUse::Require { classes };
        let sample = |subject: &Subject| {
            Sample::read(subject, &model.info.preprocessing, labels, config.slices)
        };
        Self::of_samples(calibrated, subjects.iter().map(sample), device, config)
    }

    /// A calibration on samples that somebody else has prepared: one with labels for each subject of the origin.
    ///
    /// # Errors
    /// [`Error::Unfit`] for networks of several channels or of different outputs, without subjects, or where labels are
    /// missing or empty; and those of the samples.
    pub fn of_samples(
        calibrated: Calibrated,
        samples: impl IntoIterator<Item = Result<Sample>>,
        device: &Device,
        config: &'a CalibrateConfig,
    ) -> Result<Self> {
        let Calibrated { origin, network, peers, depth, class_ratio } = calibrated;
        check_alike(std::iter::once(&network).chain(&peers))?;
        let plain = Segmenter::new(network, device, depth);
        let peers = peers.into_iter().map(|peer| Segmenter::new(peer, device, depth)).collect();
        let models = Models::new(plain, peers, config.seed)?;
        let samples = origin.subjects.iter().cloned().zip(samples);
        let source = Source::read(&models.plain, samples, origin.subjects.len(), config)?;
        let shifted = source.samples.iter().map(|(subject, _)| subject.clone()).collect();
        let measured = Measurements { origin, shifted, shifts: Vec::new(), rows: Vec::new() };
        Ok(Self { config, models, class_ratio, source, measured })
    }

    /// How many subjects and shifts there are.
    pub fn steps(&self) -> usize {
        self.config.shifts.len() * self.source.samples.len()
    }

    /// What has been measured so far.
    pub fn measured(&self) -> &Measurements {
        &self.measured
    }

    /// Goes on from what was measured earlier, if that belongs to the same calibration; says whether it does.
    pub fn go_on_from(&mut self, earlier: Measurements) -> bool {
        let names = self.config.shifts.iter().map(|shift| shift.name());
        let fits = (&earlier.origin, &earlier.shifted)
            == (&self.measured.origin, &self.measured.shifted)
            && names.take(earlier.shifts.len()).eq(earlier.shifts.iter().cloned());
        if fits {
            self.measured = earlier;
        }
        fits
    }

    /// Measures the next shift; false when all are done. `on_step` hears of every subject.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn measure_next(&mut self, on_step: &mut dyn FnMut()) -> Result<bool> {
        let turn = self.measured.shifts.len();
        let Some(&shift) = self.config.shifts.get(turn) else { return Ok(false) };
        let Self { config, models, class_ratio, source, .. } = &*self;
        let plain = &models.plain;
        let apply = |(index, (_, sample)): (usize, &(String, Sample))| {
            shift.apply(sample, plain.depth(), config.seed.wrapping_add(index as u64))
        };
        let samples: Vec<Sample> = source.samples.iter().enumerate().map(apply).collect();
        let method = adaptations::method(turn, plain, class_ratio);
        let known = (plain, class_ratio.as_slice());
        let adapted = adaptations::adapted(method, known, &samples, config.seed)?;
        let adapted = adapted.map(|state| plain.with_state(&state)).transpose()?;
        let mut rows = Vec::new();
        for ((subject, _), sample) in source.samples.iter().zip(&samples) {
            let shifted =
                ShiftedSubject { shift, subject, sample, opinions: models.opinions(sample)? };
            let before = Observation::new(plain, sample)?;
            let norms = before.norms.as_ref();
            let re_estimated =
                norms.map(|norms| plain.with_state(&norms.re_estimated)).transpose()?;
            rows.extend(shifted.row(AS_IT_IS, &before, &before, &source.reference));
            let changed = re_estimated
                .iter()
                .map(|segmenter| ("batch norm re-estimated", segmenter))
                .chain(adapted.iter().map(|segmenter| (method.name(), segmenter)))
                .chain(models.damaged(turn, shift));
            for (name, segmenter) in changed {
                let observation = Observation::new(segmenter, sample)?;
                rows.extend(shifted.row(name, &observation, &before, &source.reference));
            }
            on_step();
        }
        self.measured.rows.extend(rows);
        self.measured.shifts.push(shift.name());
        Ok(true)
    }

    /// Learns the mapping from what was measured.
    ///
    /// # Errors
    /// [`Error::Unfit`] where that is too little.
    pub fn finish(self) -> Result<Calibration> {
        let Measurements { origin, rows, .. } = self.measured;
        Calibration::learn(origin, self.source.reference, rows)
    }
}

/// The networks that are the same under every shift.
struct Models {
    plain: Segmenter,
    peers: Vec<Segmenter>,
    damaged: Vec<(String, Segmenter)>,
}

impl Models {
    fn new(plain: Segmenter, peers: Vec<Segmenter>, seed: u64) -> Result<Self> {
        let damaged = |(index, damage): (usize, &Damage)| {
            let state = damage.apply(plain.network(), seed.wrapping_add(index as u64))?;
            let damaged = state.map(|state| plain.with_state(&state)).transpose()?;
            Ok(damaged.map(|segmenter| (damage.name(), segmenter)))
        };
        Ok(Self {
            peers,
            damaged: DAMAGES
                .iter()
                .enumerate()
                .filter_map(|item| damaged(item).transpose())
                .collect::<Result<_>>()?,
            plain,
        })
    }

    /// What the peers say of the slices that perturbations are tried on.
    fn opinions(&self, sample: &Sample) -> Result<Vec<Vec<u8>>> {
        let images = sample.probed_images();
        self.peers.iter().map(|peer| Ok(peer.predict(&images, sample.size)?.labels)).collect()
    }

    /// The damaged model whose turn it is; on the source itself all of them.
    fn damaged(&self, turn: usize, shift: Shift) -> impl Iterator<Item = (&str, &Segmenter)> {
        let wanted =
            move |place: usize| shift == Shift::Source || place == turn % self.damaged.len();
        let chosen = self.damaged.iter().enumerate().filter(move |(place, _)| wanted(*place));
        chosen.map(|(_, (name, segmenter))| (name.as_str(), segmenter))
    }
}

/// A subject under a shift.
struct ShiftedSubject<'a> {
    shift: Shift,
    subject: &'a str,
    sample: &'a Sample,
    opinions: Vec<Vec<u8>>,
}

impl ShiftedSubject<'_> {
    /// What is known of a model here, `before` being the model as it is; none where nothing is segmented and
    /// nothing should be.
    fn row(
        &self,
        model: &str,
        observation: &Observation,
        before: &Observation,
        reference: &Reference,
    ) -> Option<Measurement> {
        let truth = self.sample.labels.as_deref().unwrap_or_default();
        let classes = observation.classes;
        Some(Measurement {
            shift: self.shift.name(),
            model: model.into(),
            subject: self.subject.into(),
            signals: observation.signals(Some(reference), &self.opinions),
            dice: dice(&observation.labels, truth, classes)?,
            agreement: dice(&before.labels, &observation.labels, classes).unwrap_or(1.0),
            left_out: 0.0,
        })
    }
}

/// Refuses a peer that does not see what the model sees: shifts are simulated on what both of them are shown.
fn check_peer(model: &ModelFile, peer: &ModelFile, number: usize) -> Result<()> {
    if model.info.preprocessing == peer.info.preprocessing
        && model.info.network.outputs == peer.info.network.outputs
    {
        return Ok(());
    }
    Err(Error::Unfit(format!(
        "peer {number} differs from the model in its classes or its preprocessing; give trainings that differ in \
         their seeds alone"
    )))
}

fn domains(subjects: &[Subject]) -> String {
    let mut names: Vec<&str> = subjects.iter().map(|subject| subject.domain.as_str()).collect();
    names.dedup();
    names.join("+")
}

/// The labelled source: what is plausible, and the subjects that are shifted.
struct Source {
    reference: Reference,
    samples: Vec<(String, Sample)>,
}

impl Source {
    fn read(
        segmenter: &Segmenter,
        given: impl Iterator<Item = (String, Result<Sample>)>,
        subjects: usize,
        config: &CalibrateConfig,
    ) -> Result<Self> {
        if subjects == 0 {
            return Err(Error::Unfit("a calibration needs labelled subjects; give some".into()));
        }
        let measured = config.subjects.clamp(1, subjects);
        let is_measured =
            |index: usize| (index * measured) / subjects != ((index + 1) * measured) / subjects;
        let [mut volumes, mut components, mut roundness] = [(); 3].map(|()| Vec::new());
        let (mut pixels, mut samples) = (Pixels::default(), Vec::new());
        for (index, (subject, sample)) in given.enumerate() {
            let sample = sample?;
            let Some(truth) = sample.labels.as_deref() else {
                let text = format!("{subject}: has no labels; leave the subject out");
                return Err(Error::Unfit(text));
            };
            volumes.push(plausibility::volume_ml(truth, &sample));
            components.push(plausibility::components(truth, sample.size)?);
            roundness.push(plausibility::roundness(truth, sample.size));
            if is_measured(index) {
                pixels.add(&sample.images, sample.size, |place| truth[place] > 0);
                samples.push((subject, sample));
            }
        }
        let empty = |(_, sample): &&(String, Sample)| {
            sample.labels.as_deref().unwrap_or_default().iter().all(|&label| label == 0)
        };
        if let Some((subject, _)) = samples.iter().find(empty) {
            let text = "the labels are empty on the slices that are measured";
            return Err(Error::Unfit(format!("{subject}: {text}; leave the subject out")));
        }
        let (mut histogram, mut confidence) = (Histogram::default(), 0.0);
        let (mut right, mut predicted) = (0u64, 0u64);
        for (_, sample) in &samples {
            let prediction = segmenter.predict(&sample.images, sample.size)?;
            histogram.add(&Histogram::of(&prediction));
            confidence += crate::signals::confidence::everywhere(&prediction);
            let truth = sample.labels.as_deref().unwrap_or_default();
            for (&label, &truth) in prediction.labels.iter().zip(truth) {
                predicted += u64::from(label > 0);
                right += u64::from(label > 0 && label == truth);
            }
        }
        let precision = right as f64 / predicted.max(1) as f64;
        let reference = Reference {
            volume_ml: Spread::of(&volumes),
            components: Spread::of(&components),
            roundness: Spread::of(&roundness),
            pixels,
            confidence: confidence / samples.len().max(1) as f64,
            threshold: histogram.threshold(precision),
        };
        Ok(Self { reference, samples })
    }
}
