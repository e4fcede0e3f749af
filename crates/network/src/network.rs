//! What every network must do.
use crate::Spec;
use candle_core::{DType, Device, Tensor};
use candle_nn::ModuleT;
use udas_nn::{Error, Graph, NormMode, Parameters, Result, StateDict};

/// The outputs of the first encoder stages: `[N, H, W, C]` (channels last) each, in 3-D `[N, D, H, W, C]`.
#[derive(Clone, Debug)]
pub struct Features(Vec<Tensor>);

impl Features {
    /// The outputs of stages 0, 1, ...
    pub fn new(stages: Vec<Tensor>) -> Self {
        Self(stages)
    }

    /// The deepest stage's output.
    ///
    /// # Errors
    /// [`Error::NoFeatures`] when there is no stage.
    pub fn deepest(&self) -> Result<&Tensor> {
        self.0.last().ok_or(Error::NoFeatures)
    }

    /// Each stage's output, stage 0 first.
    pub fn stages(&self) -> &[Tensor] {
        &self.0
    }

    /// The same with the next stage's output.
    pub fn push(&mut self, map: Tensor) {
        self.0.push(map);
    }

    /// The same values, through which no gradient flows.
    pub fn detach(&self) -> Self {
        Self(self.0.iter().map(Tensor::detach).collect())
    }
}

/// The part of a network that an entry of its state dict belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Encoder stage, 0 at full size.
    Encoder(usize),
    /// The way back up, at the size of this encoder stage; what crosses to it belongs to it.
    Decoder(usize),
    /// The last layers, from which logits come.
    Output,
}

/// The layer that gives the logits: what is done to its entries is done to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastLayer {
    /// Its scale or kernel. Logits are linear in it and the bias together.
    pub weight: String,
    /// What is added last, one value an output channel.
    pub bias: Option<String>,
    /// Whether `weight` is one scale an output channel, as of a norm, and not a kernel.
    pub is_scale: bool,
}

/// A segmentation network with its parameters: encoder stages, a way back up, logits.
///
/// Images are `[N, C, H, W]`, logits `[N, outputs, H, W]`; in 3-D a depth stands before the height.
pub trait Network: Send + Sync {
    /// Its shape.
    fn spec(&self) -> &Spec;

    /// The weights and statistics.
    fn parameters(&self) -> &Parameters;

    /// The weights and statistics, to choose what is trainable.
    fn parameters_mut(&mut self) -> &mut Parameters;

    /// The part that an entry of the state dict belongs to.
    fn part(&self, entry: &str) -> Part;

    /// The layer that gives the logits.
    fn last_layer(&self) -> LastLayer;

    /// The outputs of encoder stages 0 to `stage`.
    ///
    /// # Errors
    /// [`Error::Size`] when height or width is no multiple of what [`Spec::multiple`] says.
    fn encode(&self, images: &Tensor, stage: usize, mode: NormMode) -> Result<Features>;

    /// Logits from the outputs of the first stages, however many there are.
    ///
    /// # Errors
    /// [`Error::NoFeatures`] when `features` is empty.
    fn decode(&self, features: &Features, mode: NormMode) -> Result<Tensor>;

    /// The same network with the weights of `state`, which is copied; everything frozen.
    ///
    /// # Errors
    /// When entries are missing, unexpected or misshapen; all are named.
    fn with_state(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>>;

    /// What it computes as standard operations, batch norm by running statistics, to be written for other programs; none
    /// where its family does not say it.
    fn graph(&self) -> Option<Graph> {
        None
    }

    /// Logits of images.
    ///
    /// # Errors
    /// As [`Self::encode`].
    fn forward(&self, images: &Tensor, mode: NormMode) -> Result<Tensor> {
        self.decode(&self.encode(images, self.spec().deepest(), mode)?, mode)
    }

    /// Whether an entry belongs to encoder stages 0 to `stage`.
    fn is_early(&self, entry: &str, stage: usize) -> bool {
        matches!(self.part(entry), Part::Encoder(own) if own <= stage)
    }

    /// Mean size of the scale that a last norm gives the logits: 1 before the first step, and the larger the surer the
    /// network may be; none where a convolution gives them.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn logit_scale(&self) -> Result<Option<f64>> {
        let last = self.last_layer();
        if !last.is_scale {
            return Ok(None);
        }
        let scale = self.parameters().var(&last.weight)?;
        Ok(Some(scale.as_tensor().to_dtype(DType::F64)?.abs()?.mean_all()?.to_scalar()?))
    }
}

impl Spec {
    /// Refuses images that a network of this shape cannot take.
    ///
    /// # Errors
    /// [`Error::Size`] when height or width is no multiple of [`Self::multiple`].
    pub fn check(&self, images: &Tensor) -> Result<()> {
        let (&[.., height, width], multiple) = (images.dims(), self.multiple()) else {
            return Ok(());
        };
        if height % multiple[0] != 0 || width % multiple[1] != 0 {
            return Err(Error::Size { found: [height, width], multiple });
        }
        Ok(())
    }
}

impl ModuleT for dyn Network {
    fn forward_t(&self, images: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        Ok(self.forward(images, NormMode::of_train(train))?)
    }
}
