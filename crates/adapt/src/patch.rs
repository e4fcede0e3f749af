//! An adapted model as only what changed against the model it was made from: one base, one patch a scanner.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use udas_nn::{Checkpoint, StateDict};

/// The entries by which an adapted model differs from its base.
#[derive(Clone, Debug)]
pub struct Patch {
    /// [`Checkpoint::hash`] of the base's entries.
    pub base: String,
    /// The same of the adapted model's.
    pub adapted: String,
    /// The entries that differ, as the adapted model has them.
    pub entries: StateDict,
    /// What the maker wrote beside it, as JSON text.
    pub notes: Option<String>,
}

/// What the file's metadata says.
#[derive(Serialize, Deserialize)]
struct Header {
    patch: Hashes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Hashes {
    base: String,
    adapted: String,
}

impl Patch {
    /// What turns `base` into `adapted`: every entry that differs in a bit.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use udas_adapt::Patch;
    /// use udas_nn::StateDict;
    ///
    /// let one = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
    /// let base = StateDict::from([("a".into(), one.clone()), ("b".into(), one.clone())]);
    /// let adapted = StateDict::from([("a".into(), one.clone()), ("b".into(), (one * 2.0)?)]);
    /// let patch = Patch::between(&base, &adapted)?;
    /// assert_eq!(patch.entries.len(), 1);
    /// assert!(patch.apply(&adapted).is_err(), "that is not its base");
    /// assert_eq!(patch.apply(&base)?["b"].to_vec1::<f32>()?, [2.0, 4.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Patch`] when the two have not the same entries.
    pub fn between(base: &StateDict, adapted: &StateDict) -> Result<Self> {
        if !base.keys().eq(adapted.keys()) {
            let text =
                "a patch is made between two models of the same shape; these have other entries";
            return Err(Error::Patch(text.into()));
        }
        let mut entries = StateDict::new();
        for (name, tensor) in adapted {
            if hash(&StateDict::from([(name.clone(), tensor.clone())]))?
                != hash(&StateDict::from([(name.clone(), base[name].clone())]))?
            {
                entries.insert(name.clone(), tensor.clone());
            }
        }
        Ok(Self { base: hash(base)?, adapted: hash(adapted)?, entries, notes: None })
    }

    /// The adapted model, to the bit.
    ///
    /// # Errors
    /// [`Error::OtherBase`] when `base` is not the model that the patch was made from; [`Error::Patch`] when
    /// the patch is damaged.
    pub fn apply(&self, base: &StateDict) -> Result<StateDict> {
        let found = hash(base)?;
        if found != self.base {
            return Err(Error::OtherBase { expected: self.base.clone(), found });
        }
        let mut adapted = base.clone();
        adapted.extend(self.entries.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
        if hash(&adapted)? != self.adapted {
            let text = "the patch is damaged: it does not give the model that it was made for; \
                        write it again";
            return Err(Error::Patch(text.into()));
        }
        Ok(adapted)
    }

    /// Writes a `.safetensors` file, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let patch = Hashes { base: self.base.clone(), adapted: self.adapted.clone() };
        let header = Header { patch, notes: self.notes.clone() };
        let metadata = serde_json::to_string(&header).map_err(|e| Error::Patch(e.to_string()))?;
        Ok(Checkpoint { tensors: self.entries.clone(), metadata: Some(metadata) }.save(path)?)
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, or is no patch.
    pub fn load(path: &Path) -> Result<Self> {
        let Checkpoint { tensors, metadata } = Checkpoint::load(path)?;
        let header = metadata.and_then(|text| serde_json::from_str::<Header>(&text).ok());
        let Some(Header { patch: Hashes { base, adapted }, notes }) = header else {
            let path = path.display();
            return Err(Error::Patch(format!("{path}: not a patch; pass a model by --model")));
        };
        Ok(Self { base, adapted, entries: tensors, notes })
    }
}

fn hash(state: &StateDict) -> Result<String> {
    Ok(Checkpoint { tensors: state.clone(), metadata: None }.hash()?)
}
