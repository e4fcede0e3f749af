//! The network: stages down, shortcuts across, stages up.
use crate::architecture::{Architecture, Layers, STAGES};
use crate::initial;
use candle_core::{DType, Device, Tensor};
use udas_nn::{NormMode, Parameters, Result, StateDict, layout};

/// The outputs of the first encoder stages, `[N, H / 2^s, W / 2^s, filters * 2^s]` for stage `s`.
#[derive(Clone, Debug)]
pub struct Features(Vec<Tensor>);

impl Features {
    /// The deepest stage's output.
    pub fn last(&self) -> Option<&Tensor> {
        self.0.last()
    }

    fn deepest(&self) -> Result<&Tensor> {
        let missing = || candle_core::Error::Msg("no early features to go on from".into());
        Ok(self.last().ok_or_else(missing)?)
    }

    /// Each stage's output, stage 0 first.
    pub fn stages(&self) -> &[Tensor] {
        &self.0
    }

    /// The same values, through which no gradient flows.
    pub fn detach(&self) -> Self {
        Self(self.0.iter().map(Tensor::detach).collect())
    }
}

/// The U-Net with its parameters.
pub struct UNet {
    architecture: Architecture,
    layers: Layers,
    parameters: Parameters,
}

impl UNet {
    /// A network with the weights of `state`, which is copied; the architecture is read from it.
    ///
    /// # Errors
    /// When entries are missing, unexpected or misshapen; all are named.
    pub fn from_state(state: &StateDict, device: &Device) -> Result<Self> {
        let architecture = Architecture::from_state(state)?;
        let layers = architecture.layers();
        let parameters = Parameters::new(&layers.entries(), state, device)?;
        Ok(Self { architecture, layers, parameters })
    }

    /// A network with random weights.
    ///
    /// # Errors
    /// When the architecture has no filters or no outputs, or memory for the weights cannot be had on `device`.
    pub fn random(architecture: Architecture, seed: u64, device: &Device) -> Result<Self> {
        if architecture.filters == 0 || architecture.outputs == 0 {
            let text = format!("{architecture:?}: a network has filters and outputs");
            return Err(candle_core::Error::Msg(text).into());
        }
        Self::from_state(&initial::state(&architecture.layers().entries(), seed)?, device)
    }

    /// The network's shape.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The weights and statistics.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The weights and statistics, to choose what is trainable.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Mean size of the scale that the last batch norm gives the logits: 1 before the first step, and the larger the surer
    /// the network may be.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn logit_scale(&self) -> Result<f64> {
        let scale = self.parameters.var("out_path.2.weight")?;
        Ok(scale.as_tensor().to_dtype(DType::F64)?.abs()?.mean_all()?.to_scalar()?)
    }

    /// Names of the weights of encoder stages 0 to `level`.
    pub fn is_early(name: &str, level: usize) -> bool {
        name.starts_with("init_path.")
            || (1..=level).any(|stage| name.starts_with(&format!("down{stage}.")))
    }

    /// Logits `[N, outputs, H, W]` of slices `[N, 1, H, W]`.
    ///
    /// # Errors
    /// When H or W is no multiple of [`crate::SIZE_MULTIPLE`].
    pub fn forward(&self, slices: &Tensor, mode: NormMode) -> Result<Tensor> {
        self.finish(&self.early(slices, STAGES - 1, mode)?, mode)
    }

    /// The outputs of stages 0 to `level` for slices `[N, 1, H, W]`.
    ///
    /// # Errors
    /// When H or W is no multiple of [`crate::SIZE_MULTIPLE`].
    pub fn early(&self, slices: &Tensor, level: usize, mode: NormMode) -> Result<Features> {
        let (_, _, h, w) = slices.dims4()?;
        let multiple = crate::SIZE_MULTIPLE;
        if h % multiple != 0 || w % multiple != 0 {
            let text = format!("slices of {h} x {w} pixels; pad to multiples of {multiple}");
            return Err(candle_core::Error::Msg(text).into());
        }
        let mut features = Features(Vec::with_capacity(STAGES));
        let mut map = layout::to_channels_last(slices)?;
        for stage in &self.layers.stages[..=level.min(STAGES - 1)] {
            map = stage.forward(&self.parameters, &map, mode)?;
            features.0.push(map.clone());
        }
        Ok(features)
    }

    /// Logits `[N, outputs, H, W]` from the outputs of the first stages, however many there are.
    ///
    /// # Errors
    /// When `early` is empty.
    pub fn finish(&self, early: &Features, mode: NormMode) -> Result<Tensor> {
        let mut features = early.clone();
        for stage in &self.layers.stages[early.0.len()..] {
            let map = stage.forward(&self.parameters, features.deepest()?, mode)?;
            features.0.push(map);
        }
        let mut map = features.deepest()?.clone();
        for stage in (0..STAGES - 1).rev() {
            map = self.decode(stage, &features.0[stage], &map, mode)?;
        }
        let logits = self.layers.out.forward(&self.parameters, &map, mode)?;
        Ok(layout::to_channels_first(&logits)?)
    }

    /// One step of the way up, to stage 0 to 2: the map `below`, of the stage after it, is brought to this stage's
    /// size, and the stage's own features come `across` and are added.
    ///
    /// # Errors
    /// When there is no such stage, or the maps are not of such sizes.
    pub fn decode(
        &self,
        stage: usize,
        across: &Tensor,
        below: &Tensor,
        mode: NormMode,
    ) -> Result<Tensor> {
        let (Some(up), Some(shortcut)) =
            (self.layers.ups.get(stage), self.layers.shortcuts.get(stage))
        else {
            return Err(candle_core::Error::Msg(format!("no way up to stage {stage}")).into());
        };
        let up = up.forward(&self.parameters, below, mode)?;
        shortcut.forward_plus(&self.parameters, across, &up, mode)
    }
}
