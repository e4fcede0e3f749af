//! Judging networks on samples that somebody else has prepared, such as patches of volumes: without model files.
use crate::judge::{SubjectPair, conclude};
use crate::observe::Observation;
use crate::segmenter::Segmenter;
use crate::{Calibration, Error, Judgement, Result, SLICES, Sample, SubjectJudgement};
use candle_core::Device;
use std::sync::Arc;
use udas_network::Network;

/// A network and its adaptation, and what was measured of them so far.
pub struct Networks<'a> {
    pair: [Segmenter; 2],
    peers: Vec<Segmenter>,
    calibration: Option<&'a Calibration>,
    judged: Vec<SubjectJudgement>,
}

impl<'a> Networks<'a> {
    /// A network before and after its adaptation, and other trainings of it; they see `depth` slices together, 1 where they
    /// are networks of slices.
    ///
    /// # Errors
    /// [`Error::Unfit`] for networks of several channels, or of different outputs.
    pub fn new(
        pair: [Arc<dyn Network>; 2],
        peers: Vec<Arc<dyn Network>>,
        depth: usize,
    ) -> Result<Self> {
        check_alike(pair.iter().chain(&peers))?;
        let segmenter = |network| Segmenter::new(network, &Device::Cpu, depth);
        let peers = peers.into_iter().map(segmenter).collect();
        Ok(Self { pair: pair.map(segmenter), peers, calibration: None, judged: Vec::new() })
    }

    /// Judges by a calibration of the network before its adaptation.
    pub fn calibrated(self, calibration: Option<&'a Calibration>) -> Self {
        Self { calibration, ..self }
    }

    /// Slices of a subject that are to be shown.
    pub fn slices(&self) -> usize {
        self.calibration.map_or(SLICES, |calibration| calibration.origin.slices)
    }

    /// Measures both on a subject's sample.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn observe(&mut self, subject: &str, sample: &Sample) -> Result<()> {
        let [before, after] = &self.pair;
        let observed = [Observation::new(before, sample)?, Observation::new(after, sample)?];
        let probed = sample.probed_images();
        let opinion = |peer: &Segmenter| Ok(peer.predict(&probed, sample.size)?.labels);
        let opinions = self.peers.iter().map(opinion).collect::<Result<Vec<_>>>()?;
        let pair = SubjectPair { observed: observed.each_ref(), opinions: &opinions };
        self.judged.push(pair.judged(subject, self.calibration));
        Ok(())
    }

    /// What follows from all that was observed.
    ///
    /// # Errors
    /// [`Error::Unfit`] when nothing was.
    pub fn judgement(self) -> Result<Judgement> {
        if self.judged.is_empty() {
            return Err(Error::Unfit("there are no subjects to judge by; give some".into()));
        }
        Ok(conclude(self.judged, self.calibration, self.peers.len()))
    }
}

/// Refuses networks of several channels, and of different outputs.
pub(crate) fn check_alike<'n>(
    networks: impl IntoIterator<Item = &'n Arc<dyn Network>>,
) -> Result<()> {
    let mut outputs = None;
    for network in networks {
        let spec = network.spec();
        if spec.inputs != 1 {
            let text = format!(
                "images of {} channels are not judged; look at masks of both models yourself",
                spec.inputs
            );
            return Err(Error::Unfit(text));
        }
        if *outputs.get_or_insert(spec.outputs) != spec.outputs {
            let text =
                "the models segment different numbers of classes; give a model and its adaptation";
            return Err(Error::Unfit(text.into()));
        }
    }
    Ok(())
}
