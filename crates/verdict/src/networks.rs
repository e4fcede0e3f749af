//! Judging networks on samples that somebody else has prepared, such as patches of volumes: without model files, and
//! without a calibration.
use crate::judge::{SubjectPair, conclude};
use crate::observe::Observation;
use crate::segmenter::Segmenter;
use crate::{Error, Judgement, Result, Sample, SubjectJudgement};
use candle_core::Device;
use std::sync::Arc;
use udas_network::Network;

/// A network and its adaptation, and what was measured of them so far.
pub struct Networks {
    pair: [Segmenter; 2],
    peers: Vec<Segmenter>,
    judged: Vec<SubjectJudgement>,
}

impl Networks {
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
        let outputs = pair[0].spec().outputs;
        for network in pair.iter().chain(&peers) {
            let spec = network.spec();
            if spec.inputs != 1 {
                let text = format!(
                    "images of {} channels are not judged; look at masks of both models yourself",
                    spec.inputs
                );
                return Err(Error::Unfit(text));
            }
            if spec.outputs != outputs {
                let text = "the models segment different numbers of classes; give a model and its adaptation";
                return Err(Error::Unfit(text.into()));
            }
        }
        let segmenter = |network| Segmenter::new(network, &Device::Cpu, depth);
        let peers = peers.into_iter().map(segmenter).collect();
        Ok(Self { pair: pair.map(segmenter), peers, judged: Vec::new() })
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
        self.judged.push(pair.judged(subject, None));
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
        Ok(conclude(self.judged, None, self.peers.len()))
    }
}
