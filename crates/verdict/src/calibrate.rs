//! Making a calibration: labelled source subjects under simulated shifts, before models of known quality.
use crate::calibration::{Calibration, Origin, Row};
use crate::damage::DAMAGES;
use crate::network::Network;
use crate::observe::{Observation, Reference};
use crate::overlap::dice;
use crate::prediction::foreground_classes;
use crate::sample::Sample;
use crate::shift::Shift;
use crate::signals::confidence::Histogram;
use crate::signals::plausibility::{self, Spread};
use crate::signals::reverse::Pixels;
use crate::{Error, Result};
use candle_core::Device;
use udas_data::{LabelUse, Subject};
use udas_model::ModelFile;

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

/// Learns the mapping from signals to true Dice for a model.
///
/// For each shift and subject three models are measured: the model as it is, with batch-norm statistics
/// re-estimated on the shifted slices, and damaged in one of several ways in turn (the unshifted source:
/// in all of them), so that harm is among what is learned. `on_step` hears how many of how many measurements
/// are done.
///
/// # Errors
/// [`Error::Unfit`] without enough subjects or foreground, or when volumes cannot be read.
pub fn calibrate(
    model: &ModelFile,
    subjects: &[Subject],
    device: &Device,
    config: &CalibrateConfig,
    on_step: &mut dyn FnMut(usize, usize),
) -> Result<Calibration> {
    let network = Network::new(&model.state, device)?;
    let source = Source::read(&network, model, subjects, config)?;
    let damaged: Vec<(String, Network)> = DAMAGES
        .iter()
        .enumerate()
        .map(|(index, damage)| {
            let state = damage.apply(&model.state, config.seed.wrapping_add(index as u64))?;
            Ok((damage.name(), Network::new(&state, device)?))
        })
        .collect::<Result<_>>()?;
    let total = config.shifts.len() * source.samples.len();
    let mut rows = Vec::new();
    for (number, &shift) in config.shifts.iter().enumerate() {
        for (index, (subject, sample)) in source.samples.iter().enumerate() {
            let sample = shift.apply(sample, config.seed.wrapping_add(index as u64));
            let mut measure = |name: &str, network: &Network| -> Result<Observation> {
                let observation = Observation::new(network, &sample)?;
                let labels = sample.labels.as_deref().unwrap_or_default();
                let classes = foreground_classes(network.task());
                if let Some(dice) = dice(&observation.labels, labels, classes) {
                    rows.push(Row {
                        shift: shift.name(),
                        model: name.into(),
                        subject: subject.clone(),
                        signals: observation.signals(Some(&source.reference)),
                        dice,
                        left_out: 0.0,
                    });
                }
                Ok(observation)
            };
            let plain = measure("as it is", &network)?;
            let re_estimated = Network::new(&plain.re_estimated, device)?;
            measure("batch norm re-estimated", &re_estimated)?;
            let all = shift == Shift::Source;
            let chosen = damaged.iter().enumerate();
            let chosen = chosen.filter(|(place, _)| all || *place == number % DAMAGES.len());
            for (_, (name, network)) in chosen {
                measure(name, network)?;
            }
            on_step(number * source.samples.len() + index + 1, total);
        }
    }
    let origin = Origin {
        model: model.hash()?,
        version: env!("CARGO_PKG_VERSION").into(),
        domain: domains(subjects),
        subjects: subjects.iter().map(|subject| subject.id.clone()).collect(),
        slices: config.slices,
        seed: config.seed,
    };
    Calibration::learn(origin, source.reference, rows)
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
        network: &Network,
        model: &ModelFile,
        subjects: &[Subject],
        config: &CalibrateConfig,
    ) -> Result<Self> {
        if subjects.is_empty() {
            return Err(Error::Unfit("a calibration needs labelled subjects; give some".into()));
        }
        let classes = network.task().outputs().max(2) as u8;
        let labels = LabelUse::Require { classes };
        let measured = config.subjects.clamp(1, subjects.len());
        let is_measured = |index: usize| {
            (index * measured) / subjects.len() != ((index + 1) * measured) / subjects.len()
        };
        let [mut volumes, mut components, mut roundness] = [(); 3].map(|()| Vec::new());
        let (mut pixels, mut samples) = (Pixels::default(), Vec::new());
        for (index, subject) in subjects.iter().enumerate() {
            let sample = Sample::read(subject, &model.info.preprocessing, labels, config.slices)?;
            let truth = sample.labels.as_deref().unwrap_or_default();
            volumes.push(plausibility::volume_ml(truth, &sample));
            components.push(plausibility::components(truth, sample.size)?);
            roundness.push(plausibility::roundness(truth, sample.size));
            if is_measured(index) {
                pixels.add(&sample, truth);
                samples.push((subject.id.clone(), sample));
            }
        }
        if volumes.iter().all(|&volume| volume == 0.0) {
            let text = "the labels of all subjects are empty on the slices that are measured";
            return Err(Error::Unfit(format!("{text}; check them with `udas doctor`")));
        }
        let (mut histogram, mut confidence) = (Histogram::default(), 0.0);
        let (mut right, mut predicted) = (0u64, 0u64);
        for (_, sample) in &samples {
            let prediction = network.predict(&sample.images, sample.size)?;
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
