//! The networks: encoder stages down, transposed convolutions up, each stage's output joined on the way.
use crate::architecture::{Block, Blueprint, Layers, PLAIN_MARK, RESIDUAL_MARK, Stage, Unit, Up};
use crate::conv::{Arithmetic, Convolution, SLOPE, Statistics, enlarge};
use crate::map::{average, join, rectified_sum};
use crate::plans::{Architecture, Encoder};
use crate::trace;
use candle_core::{DType, Device, Tensor};
use udas_kernels::Moments;
use udas_network::{
    Family, Features, LastLayer, Network, NormKind, Part, Shape, Spec, random_state,
};
use udas_nn::{Error, Graph, NormMode, Parameters, Result, StateDict, update_running};

/// nnU-Net's plain U-Net, of any stages, in 2-D and 3-D.
#[derive(Clone, Copy, Debug)]
pub struct PlainConvUNet;

/// nnU-Net's U-Net with a residual encoder.
#[derive(Clone, Copy, Debug)]
pub struct ResidualEncoderUNet;

/// A network with its parameters. Images are `[N, C, H, W]` or `[N, C, D, H, W]`.
pub struct NnUNet {
    spec: Spec,
    blueprint: Blueprint,
    layers: Layers,
    arithmetic: Arithmetic,
    parameters: Parameters,
}

fn name(encoder: Encoder) -> &'static str {
    match encoder {
        Encoder::Plain => "plain-conv-unet",
        Encoder::Residual => "residual-encoder-unet",
    }
}

fn spec(blueprint: &Blueprint) -> Spec {
    let mut stride = [1; 3];
    let stages = blueprint.features.iter().zip(&blueprint.strides).map(|(&channels, step)| {
        (0..3).for_each(|axis| stride[axis] *= step[axis]);
        udas_network::Stage { channels, stride }
    });
    Spec {
        family: name(blueprint.encoder).into(),
        inputs: blueprint.inputs,
        axes: blueprint.axes,
        outputs: blueprint.outputs,
        stages: stages.collect(),
        norm: blueprint.norm,
    }
}

/// A network of slices as nnU-Net plans them, with fewer stages.
fn planned(encoder: Encoder, Shape { filters, outputs }: Shape) -> Blueprint {
    const STAGES: usize = 4;
    let (units, decoder) = match encoder {
        Encoder::Plain => (vec![2; STAGES], 2),
        Encoder::Residual => (vec![1, 3, 4, 6], 1),
    };
    let stride = |stage: usize| if stage == 0 { [1; 3] } else { [1, 2, 2] };
    Blueprint {
        encoder,
        axes: 2,
        inputs: 1,
        outputs,
        bias: true,
        norm: NormKind::Instance,
        features: (0..STAGES).map(|stage| filters << stage).collect(),
        kernels: vec![[1, 3, 3]; STAGES],
        strides: (0..STAGES).map(stride).collect(),
        units,
        decoder: vec![decoder; STAGES - 1],
    }
}

fn random(encoder: Encoder, shape: Shape, seed: u64, device: &Device) -> Result<Box<dyn Network>> {
    if shape.filters == 0 || shape.outputs == 0 {
        return Err(Error::Shape(format!("{shape:?}: a network has filters and outputs")));
    }
    let state = random_state(&planned(encoder, shape).entries(), seed)?;
    Ok(Box::new(NnUNet::from_state(&state, device)?))
}

impl Family for PlainConvUNet {
    fn name(&self) -> &'static str {
        name(Encoder::Plain)
    }

    fn mark(&self) -> &'static str {
        PLAIN_MARK
    }

    fn build(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        Ok(Box::new(NnUNet::from_state(state, device)?))
    }

    fn random(&self, shape: Shape, seed: u64, device: &Device) -> Result<Box<dyn Network>> {
        random(Encoder::Plain, shape, seed, device)
    }

    fn spec(&self, shape: Shape) -> Spec {
        spec(&planned(Encoder::Plain, shape))
    }
}

impl Family for ResidualEncoderUNet {
    fn name(&self) -> &'static str {
        name(Encoder::Residual)
    }

    fn mark(&self) -> &'static str {
        RESIDUAL_MARK
    }

    fn build(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        Ok(Box::new(NnUNet::from_state(state, device)?))
    }

    fn random(&self, shape: Shape, seed: u64, device: &Device) -> Result<Box<dyn Network>> {
        random(Encoder::Residual, shape, seed, device)
    }

    fn spec(&self, shape: Shape) -> Spec {
        spec(&planned(Encoder::Residual, shape))
    }
}

impl NnUNet {
    /// A network with the weights of `state`, which is copied; its shape is read from it.
    ///
    /// # Errors
    /// When entries are missing, unexpected or misshapen; all are named.
    pub fn from_state(state: &StateDict, device: &Device) -> Result<Self> {
        let blueprint = Blueprint::of_state(state)?;
        let parameters = Parameters::new(&blueprint.entries(), state, device)?;
        let (spec, layers) = (spec(&blueprint), blueprint.layers());
        Ok(Self { spec, blueprint, layers, arithmetic: Arithmetic::Exact, parameters })
    }

    /// The same network, computed in this way.
    pub fn with_arithmetic(mut self, arithmetic: Arithmetic) -> Self {
        self.arithmetic = arithmetic;
        self
    }

    /// How the network differs from the one that was planned; none where it does not.
    pub fn difference(&self, planned: &Architecture) -> Option<String> {
        self.blueprint.difference(planned)
    }

    fn value(&self, name: &str, part: &str) -> Result<Tensor> {
        self.parameters.value(&format!("{name}.{part}"))
    }

    fn bias(&self, name: &str, present: bool, outputs: usize, like: &Tensor) -> Result<Tensor> {
        if present {
            return self.value(name, "bias");
        }
        Ok(Tensor::zeros(outputs, DType::F32, like.device())?)
    }

    /// Convolution and norm; values below 0 are multiplied by `slope`.
    fn unit(&self, unit: &Unit, x: &Tensor, slope: f32, mode: NormMode) -> Result<Tensor> {
        let conv = format!("{}.conv", unit.name);
        let weight = self.value(&conv, "weight")?;
        let bias = self.bias(&conv, unit.bias, unit.outputs, x)?;
        let norm = format!("{}.norm", unit.name);
        let statistics = match (self.spec.norm, mode) {
            (NormKind::Absent, _) => Statistics::Absent,
            (NormKind::Instance, _) => Statistics::Image,
            (NormKind::Batch, NormMode::Batch(_)) => Statistics::Batch,
            (NormKind::Batch, NormMode::Running) => Statistics::Given(self.running(&norm)?),
        };
        let affine = match self.spec.norm {
            NormKind::Absent => bias,
            _ => Tensor::cat(&[bias, self.value(&norm, "weight")?, self.value(&norm, "bias")?], 0)?,
        };
        let (stride, arithmetic) = (unit.stride, self.arithmetic);
        let convolution = Convolution { stride, arithmetic, statistics, slope };
        let (y, batch) = convolution.apply(x, &weight, &affine)?;
        if let (NormMode::Batch(update), Some(moments)) = (mode, batch) {
            update_running(&self.parameters, &norm, &moments, update)?;
        }
        Ok(y)
    }

    /// What a batch norm goes by when it does not go by the batch's own.
    fn running(&self, norm: &str) -> Result<Moments> {
        let values = |part: &str| -> Result<Vec<f32>> {
            Ok(self.parameters.var(&format!("{norm}.{part}"))?.to_vec1()?)
        };
        Ok(Moments { mean: values("running_mean")?, variance: values("running_var")?, count: 1 })
    }

    fn block(&self, block: &Block, x: &Tensor, mode: NormMode) -> Result<Tensor> {
        let inner = self.unit(&block.first, x, SLOPE, mode)?;
        let inner = self.unit(&block.second, &inner, 1.0, mode)?;
        let mut skip = x.clone();
        if block.pool != [1; 3] {
            skip = average(&skip, block.pool)?;
        }
        if let Some(project) = &block.project {
            skip = self.unit(project, &skip, 1.0, mode)?;
        }
        Ok(rectified_sum(&inner, &skip)?)
    }

    fn stage(&self, stage: usize, x: &Tensor, mode: NormMode) -> Result<Tensor> {
        let mut x = x.clone();
        if let (0, Some(stem)) = (stage, &self.layers.stem) {
            x = self.unit(stem, &x, SLOPE, mode)?;
        }
        match &self.layers.stages[stage] {
            Stage::Plain(units) => {
                for unit in units {
                    x = self.unit(unit, &x, SLOPE, mode)?;
                }
            }
            Stage::Residual(blocks) => {
                for block in blocks {
                    x = self.block(block, &x, mode)?;
                }
            }
        }
        Ok(x)
    }

    /// From the map `below` to the size of the stage whose output comes `across`.
    fn up(&self, up: &Up, below: &Tensor, across: &Tensor, mode: NormMode) -> Result<Tensor> {
        let Unit { name, outputs, bias, .. } = &up.enlarge;
        let bias = self.bias(name, *bias, *outputs, below)?;
        let enlarged = enlarge(below, &self.value(name, "weight")?, &bias)?;
        let mut x = join(&enlarged, across)?;
        for unit in &up.units {
            x = self.unit(unit, &x, SLOPE, mode)?;
        }
        Ok(x)
    }

    /// Images as `[N, D, H, W, C]`.
    fn enter(&self, images: &Tensor) -> Result<Tensor> {
        let channels = images.dims().get(1).copied().unwrap_or(0);
        if images.rank() != self.spec.axes + 2 || channels != self.spec.inputs {
            let (found, axes, inputs) = (images.dims(), self.spec.axes, self.spec.inputs);
            let text =
                format!("images {found:?} for a network of {axes} axes and {inputs} channels");
            return Err(Error::Shape(text));
        }
        self.spec.check(images)?;
        let images = if self.spec.axes == 2 { images.unsqueeze(2)? } else { images.clone() };
        let deep = self.spec.stages.last().map_or(1, |stage| stage.stride[0]);
        if images.dims()[2] % deep != 0 {
            let text = format!("a depth of {}; pad to multiples of {deep}", images.dims()[2]);
            return Err(Error::Shape(text));
        }
        Ok(images.permute((0, 2, 3, 4, 1))?.contiguous()?)
    }

    /// A map as all families have it: without a depth in 2-D.
    fn outer(&self, map: Tensor) -> Result<Tensor> {
        Ok(if self.spec.axes == 2 { map.squeeze(1)? } else { map })
    }

    fn inner(&self, map: &Tensor) -> Result<Tensor> {
        Ok(if self.spec.axes == 2 { map.unsqueeze(1)? } else { map.clone() })
    }

    /// Logits of a map at full size, channels first.
    fn logits(&self, map: &Tensor) -> Result<Tensor> {
        let head = self.layers.ups.last().map(|up| up.head.as_str()).unwrap_or_default();
        let (weight, bias) = (self.value(head, "weight")?, self.value(head, "bias")?);
        let convolution = Convolution {
            stride: [1; 3],
            arithmetic: self.arithmetic,
            statistics: Statistics::Absent,
            slope: 1.0,
        };
        let (logits, _) = convolution.apply(map, &weight, &bias)?;
        let logits = logits.permute((0, 4, 1, 2, 3))?.contiguous()?;
        Ok(if self.spec.axes == 2 { logits.squeeze(2)? } else { logits })
    }
}

impl Network for NnUNet {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn part(&self, entry: &str) -> Part {
        let mut words = entry.split('.');
        let (side, kind) = (words.next(), words.next());
        let number: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let steps = self.layers.ups.len();
        match (side, kind) {
            (Some("encoder"), Some("stages")) => Part::Encoder(number),
            (Some("encoder"), _) => Part::Encoder(0),
            // Heads at lower sizes are used in training alone.
            (_, Some("seg_layers")) if number + 1 == steps => Part::Output,
            _ => Part::Decoder(steps.saturating_sub(number + 1)),
        }
    }

    fn last_layer(&self) -> LastLayer {
        let head = self.layers.ups.last().map(|up| up.head.as_str()).unwrap_or_default();
        LastLayer {
            weight: format!("{head}.weight"),
            bias: Some(format!("{head}.bias")),
            is_scale: false,
        }
    }

    fn encode(&self, images: &Tensor, stage: usize, mode: NormMode) -> Result<Features> {
        let mut map = self.enter(images)?;
        let mut features = Features::new(Vec::new());
        for stage in 0..=stage.min(self.spec.deepest()) {
            map = self.stage(stage, &map, mode)?;
            features.push(self.outer(map.clone())?);
        }
        Ok(features)
    }

    fn decode(&self, features: &Features, mode: NormMode) -> Result<Tensor> {
        let mut maps: Vec<Tensor> =
            features.stages().iter().map(|map| self.inner(map)).collect::<Result<_>>()?;
        for stage in maps.len()..self.layers.stages.len() {
            let below = maps.last().ok_or(Error::NoFeatures)?;
            maps.push(self.stage(stage, below, mode)?);
        }
        let mut map = maps.pop().ok_or(Error::NoFeatures)?;
        for up in &self.layers.ups {
            // Taken, not borrowed: a map that has crossed is not needed any more.
            let across = maps.pop().ok_or(Error::NoFeatures)?;
            map = self.up(up, &map, &across, mode)?;
        }
        self.logits(&map)
    }

    fn graph(&self) -> Option<Graph> {
        Some(trace::graph(&self.layers, &self.spec))
    }

    fn with_state(&self, state: &StateDict, device: &Device) -> Result<Box<dyn Network>> {
        let parameters = Parameters::new(&self.blueprint.entries(), state, device)?;
        let (spec, blueprint) = (self.spec.clone(), self.blueprint.clone());
        let (layers, arithmetic) = (self.layers.clone(), self.arithmetic);
        Ok(Box::new(Self { spec, blueprint, layers, arithmetic, parameters }))
    }
}
