//! What a model file says beside its tensors.
use serde::{Deserialize, Serialize};
use udas_data::{Geometry, Landmarks, Preprocessing};
use udas_network::Spec;
use udas_record::Convergence;

/// Version of the metadata; readers refuse later ones.
pub(crate) const FORMAT: u32 = 2;

/// All that prediction needs, and where the model comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelInfo {
    /// Version of this description.
    pub format: u32,
    /// The network's shape. Files of format 1 do not say it: it is read from their tensors.
    #[serde(default)]
    pub network: Spec,
    /// What is done to a volume before the network sees it.
    pub preprocessing: Preprocessing,
    /// Mean of each output channel's target over the source's pixels; empty where it is not known.
    #[serde(default)]
    pub class_ratio: Vec<f64>,
    /// The source's histogram after preprocessing, so that a new scanner's volumes can be matched to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_histogram: Option<Landmarks>,
    /// Axis codes of the volumes that it learned from, such as `RAS`, where it takes slices as they are stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orientations: Vec<String>,
    /// Sizes of the voxels and fields of view that it learned from; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Geometry>,
    /// Where its training on labels stood when it ended; none where that is not known. An adaptation keeps the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convergence: Option<Convergence>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Whether the file said all this, or its reader.
    #[serde(skip)]
    pub description: Description,
}

/// Who says what is known of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Description {
    /// The model's file, or whoever made the model.
    #[default]
    Own,
    /// The reader of a file that says nothing.
    Assumed,
}

/// What an early head's file says beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeadInfo {
    /// Version of this description.
    pub format: u32,
    /// Shape of the network that it was trained on.
    #[serde(default)]
    pub network: Spec,
    /// The stage it sits on.
    pub level: usize,
    /// Hash of that network's tensors.
    pub base: String,
    /// Where its training stood when it ended; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convergence: Option<Convergence>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// `train`, `head` or `adapt`.
    pub command: String,
    /// Domains whose images it learned from, the source first.
    pub domains: Vec<String>,
    /// How many subjects it learned from.
    pub subjects: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Epochs done.
    pub epochs: usize,
    /// The method of adaptation, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Hash of the tensors of the model that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Hashes of the tensors of other trainings that taught it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<String>,
}

impl ModelInfo {
    /// The description of a model of this version.
    pub fn new(network: Spec, preprocessing: Preprocessing, provenance: Provenance) -> Self {
        Self {
            format: FORMAT,
            network,
            preprocessing,
            class_ratio: Vec::new(),
            source_histogram: None,
            orientations: Vec::new(),
            geometry: None,
            convergence: None,
            description: Description::Own,
            provenance,
        }
    }
}

impl HeadInfo {
    /// The description of a head of this version.
    pub fn new(network: Spec, level: usize, base: String, provenance: Provenance) -> Self {
        Self { format: FORMAT, network, level, base, convergence: None, provenance }
    }
}
