//! One model on one subject's sample: everything that is measured, and the signals that follow from it.
use crate::Result;
use crate::overlap::dice;
use crate::prediction::Prediction;
use crate::sample::{Sample, chosen};
use crate::segmenter::{Segmenter, layer_statistics};
use crate::signals::confidence::{self, Histogram, Threshold};
use crate::signals::consistency::{self, Consistency};
use crate::signals::plausibility::{self, Spread};
use crate::signals::{Signal, Signals, neighbours, norm_distance};
use serde::{Deserialize, Serialize};
use udas_nn::StateDict;
use udas_quality::{Pixels, Reverse};

/// What a model makes of a subject, without labels.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Labels of the sample's slices.
    pub labels: Vec<u8>,
    /// Labels of the slices that perturbations are tried on.
    probed: Vec<u8>,
    /// Number of foreground classes.
    pub(crate) classes: usize,
    /// Confidences of the foreground.
    pub histogram: Histogram,
    /// Mean confidence over all pixels.
    pub confidence: f64,
    /// Mean confidence over the foreground.
    pub foreground_confidence: f64,
    /// Soft Dice confidence.
    pub soft_dice: f64,
    /// Under perturbations.
    pub consistency: Consistency,
    /// What batch-norm statistics say; none of a network that keeps none.
    pub(crate) norms: Option<Norms>,
    /// Of neighbouring slices; none where there are none.
    pub neighbours: Option<f64>,
    /// Estimated volume of all foreground.
    pub volume_ml: f64,
    /// Mean number of parts a slice.
    pub components: f64,
    /// Mean roundness of a slice's foreground.
    pub roundness: f64,
    /// A classifier that learned from the prediction, to be tried on the source.
    pub(crate) reverse: Reverse,
}

/// The model beside itself after AdaBN on the sample.
#[derive(Clone, Debug)]
pub(crate) struct Norms {
    /// Dice of both on the probed slices.
    pub agreement: f64,
    /// Of the model's batch-norm statistics to the sample's.
    pub distance: f64,
    /// The state with the sample's statistics.
    pub re_estimated: StateDict,
}

/// What the labelled source looks like, for signals that are comparisons with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reference {
    /// Volume of the labelled foreground in ml, over the source's subjects.
    pub volume_ml: Spread,
    /// Parts of the labelled foreground a slice, over the source's subjects.
    pub components: Spread,
    /// Roundness of the labelled foreground, over the source's subjects.
    pub roundness: Spread,
    /// Some of the source's pixels with their labels, to try classifiers on.
    pub pixels: Pixels,
    /// Mean confidence of the model on the source, over all pixels.
    pub confidence: f64,
    /// Above this, as large a share of the source's foreground lies as is right.
    pub threshold: Threshold,
}

impl Norms {
    fn measure(segmenter: &Segmenter, sample: &Sample, probed: &[u8]) -> Result<Option<Self>> {
        let found = segmenter.re_estimated(&sample.probed_images(), sample.size)?;
        let Some((re_estimated, after)) = found else { return Ok(None) };
        let running = layer_statistics(&segmenter.network().parameters().state()?)?;
        let distance = norm_distance::distance(&running, &layer_statistics(&re_estimated)?);
        let agreement = dice(probed, &after.labels, after.classes()).unwrap_or(0.0);
        Ok(Some(Self { agreement, distance, re_estimated }))
    }
}

impl Observation {
    /// Measures; three and a half predictions of the sample's slices in all.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn new(segmenter: &Segmenter, sample: &Sample) -> Result<Self> {
        let prediction = segmenter.predict(&sample.images, sample.size)?;
        let consistency = consistency::measure(segmenter, sample, &prediction)?;
        let classes = prediction.classes();
        let Prediction { labels, .. } = &prediction;
        let probed = chosen(labels, sample.pixels(), &sample.probed);
        let norms = Norms::measure(segmenter, sample, &probed)?;
        Ok(Self {
            histogram: Histogram::of(&prediction),
            confidence: confidence::everywhere(&prediction),
            foreground_confidence: confidence::foreground(&prediction),
            soft_dice: confidence::soft_dice(&prediction),
            consistency,
            norms,
            neighbours: neighbours::agreement(labels, sample.pixels(), &sample.neighbours, classes),
            volume_ml: plausibility::volume_ml(labels, sample),
            components: plausibility::components(labels, sample.size)?,
            roundness: plausibility::roundness(labels, sample.size),
            reverse: Reverse::learn(&Pixels::of(&sample.images, sample.size, |place| {
                labels[place] > 0
            })),
            probed,
            classes,
            labels: prediction.labels,
        })
    }

    /// Mean Dice with other predictions of the probed slices; none without any.
    fn agreement(&self, others: &[Vec<u8>]) -> Option<f64> {
        let of = |other: &Vec<u8>| dice(&self.probed, other, self.classes).unwrap_or(0.0);
        (!others.is_empty()).then(|| others.iter().map(of).sum::<f64>() / others.len() as f64)
    }

    /// The signals; those that compare with the source only where it is known, and the agreement with other
    /// trainings where `opinions` gives their labels of the probed slices.
    pub fn signals(&self, reference: Option<&Reference>, opinions: &[Vec<u8>]) -> Signals {
        let mut signals = Signals::from([
            (Signal::ForegroundConfidence, self.foreground_confidence),
            (Signal::SoftDiceConfidence, self.soft_dice),
            (Signal::FlipConsistency, self.consistency.flip),
            (Signal::ShiftConsistency, self.consistency.shift),
            (Signal::IntensityConsistency, self.consistency.intensity),
        ]);
        if let Some(norms) = &self.norms {
            signals.insert(Signal::NormAgreement, norms.agreement);
            signals.insert(Signal::NormDistance, norms.distance);
        }
        signals.extend(self.consistency.gap.map(|value| (Signal::GapConsistency, value)));
        signals.extend(self.neighbours.map(|value| (Signal::NeighbourAgreement, value)));
        signals.extend(self.agreement(opinions).map(|value| (Signal::PeerAgreement, value)));
        if let Some(reference) = reference {
            // Logarithms, so that what is absurd does not rule a linear mapping.
            let volume = reference.volume_ml.deviations(self.volume_ml).ln_1p();
            let components = reference.components.deviations(self.components).ln_1p();
            let shape = reference.roundness.deviations(self.roundness).ln_1p();
            let above = self.histogram.share_from(reference.threshold);
            signals.extend([
                (Signal::ThresholdedConfidence, above),
                (Signal::ConfidenceDifference, reference.confidence - self.confidence),
                (Signal::VolumeDeviation, volume),
                (Signal::ComponentDeviation, components),
                (Signal::ShapeDeviation, shape),
                (Signal::ReverseDice, self.reverse.dice(&reference.pixels)),
            ]);
        }
        signals
    }
}
