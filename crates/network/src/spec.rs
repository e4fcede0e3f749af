//! What a network's shape is, in words that hold for every family.
use serde::{Deserialize, Serialize};

/// The shape of a network; by default that of none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spec {
    /// Name of its family.
    pub family: String,
    /// Input channels.
    pub inputs: usize,
    /// 2 for slices, 3 for volumes.
    pub axes: usize,
    /// Output channels: 1 for a binary task, else one a class, background included.
    pub outputs: usize,
    /// The encoder's stages, the one at full size first.
    pub stages: Vec<Stage>,
    /// How it normalises its maps.
    pub norm: NormKind,
}

/// One encoder stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stage {
    /// Channels of its output.
    pub channels: usize,
    /// By how much its output is smaller than the input, along each axis: depth, height, width. Depth is 1 in 2-D.
    pub stride: [usize; 3],
}

/// How a network normalises its maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// By statistics of the batch, and in evaluation by running ones that are part of the model.
    Batch,
    /// By each image's own statistics; nothing of it is kept.
    Instance,
    /// Not at all.
    #[default]
    Absent,
}

impl Spec {
    /// Classes, background included.
    pub fn classes(&self) -> usize {
        self.outputs.max(2)
    }

    /// The deepest encoder stage.
    pub fn deepest(&self) -> usize {
        self.stages.len().saturating_sub(1)
    }

    /// Height and width of an input must be multiples of these.
    pub fn multiple(&self) -> [usize; 2] {
        let [_, height, width] = self.stages.last().map_or([1; 3], |stage| stage.stride);
        [height, width]
    }
}
