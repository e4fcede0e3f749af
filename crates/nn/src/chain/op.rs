//! The fused execution of a chain as one candle operation over the kernels.
use super::spec::{After, Bias, Skip, Step, StepKind, UnitSpec};
use crate::{NormMode, Parameters, Result, batch_norm};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Storage, Tensor, bail};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use udas_kernels::{
    Finish, Gather, MapShape, Moments, Needs, Norm, Unit, UnitGrads, moments, norm_backward,
    norm_forward, on_pool, unit_backward, unit_forward,
};

type CandleResult<T> = candle_core::Result<T>;

/// Where a step's weights lie in the packed vector, and which of them want gradients.
#[derive(Clone, Default, Debug)]
struct Part {
    gamma: Range<usize>,
    beta: Range<usize>,
    weight: Range<usize>,
    bias: Range<usize>,
    norm_wanted: bool,
    weight_wanted: bool,
    bias_wanted: bool,
}

impl Part {
    fn wants_any(&self) -> bool {
        self.norm_wanted || self.weight_wanted || self.bias_wanted
    }

    /// Which gradients a step must give, that of its input among them or not.
    fn needs(&self, input: bool) -> Needs {
        let Self { norm_wanted, weight_wanted, bias_wanted, .. } = *self;
        Needs { input, norm: norm_wanted, weight: weight_wanted, bias: bias_wanted }
    }
}

/// All weights of a chain in one vector.
pub(super) struct Packing {
    parts: Vec<Part>,
    len: usize,
}

impl Packing {
    /// Concatenates the weights of all steps; tracked where they are.
    pub fn collect(steps: &[Step], parameters: &Parameters) -> Result<(Tensor, Self)> {
        let mut tensors = Vec::new();
        let mut len = 0;
        let mut push = |name: String| -> Result<(Range<usize>, bool)> {
            let tensor = parameters.value(&name)?;
            let range = len..len + tensor.elem_count();
            len = range.end;
            let wanted = tensor.track_op();
            tensors.push(tensor.flatten_all()?);
            Ok((range, wanted))
        };
        let mut parts = Vec::with_capacity(steps.len());
        for step in steps {
            let mut part = Part::default();
            if let Some((name, _)) = step.norm() {
                let (gamma, gamma_wanted) = push(format!("{name}.weight"))?;
                let (beta, beta_wanted) = push(format!("{name}.bias"))?;
                let norm_wanted = gamma_wanted || beta_wanted;
                part = Part { gamma, beta, norm_wanted, ..part };
            }
            if let StepKind::Unit(unit) = &step.kind {
                (part.weight, part.weight_wanted) = push(format!("{}.weight", unit.name))?;
                if unit.bias == Bias::Present {
                    (part.bias, part.bias_wanted) = push(format!("{}.bias", unit.name))?;
                }
            }
            parts.push(part);
        }
        Ok((Tensor::cat(&tensors, 0)?, Self { parts, len }))
    }
}

/// What backward needs of forward: each step's normalisation, and every map between two steps.
struct Tape {
    norms: Vec<Option<Norm>>,
    maps: Vec<Vec<f32>>,
}

/// Whether a pass will be followed by a backward one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recording {
    On,
    Off,
}

pub(super) struct ChainOp {
    steps: Arc<Vec<Step>>,
    packing: Packing,
    /// With running statistics: each step's normalisation, known beforehand.
    running: Option<Vec<Option<Norm>>>,
    recording: Recording,
    /// Left by the forward pass for the one backward pass; candle hands an operation to both by reference.
    tape: Mutex<Option<Tape>>,
    moments: Arc<Mutex<Vec<Moments>>>,
}

impl ChainOp {
    pub fn new(
        steps: Arc<Vec<Step>>,
        packing: Packing,
        parameters: &Parameters,
        packed: &Tensor,
        mode: NormMode,
        map: &Tensor,
    ) -> Result<Self> {
        let running = match mode {
            NormMode::Batch(_) => None,
            NormMode::Running => {
                let packed = packed.to_vec1::<f32>()?;
                let norm = |(step, part): (&Step, &Part)| -> Result<Option<Norm>> {
                    let Some((name, _)) = step.norm() else { return Ok(None) };
                    let (gamma, beta) = (&packed[part.gamma.clone()], &packed[part.beta.clone()]);
                    Ok(Some(batch_norm::running(parameters, name, gamma, beta)?))
                };
                Some(steps.iter().zip(&packing.parts).map(norm).collect::<Result<_>>()?)
            }
        };
        let recording =
            if map.track_op() || packed.track_op() { Recording::On } else { Recording::Off };
        Ok(Self {
            steps,
            packing,
            running,
            recording,
            tape: Mutex::new(None),
            moments: Arc::default(),
        })
    }

    /// Where the forward pass leaves the moments of every batch norm that used the batch's own.
    pub fn moments(&self) -> Arc<Mutex<Vec<Moments>>> {
        self.moments.clone()
    }

    /// The lowest step that backward must reach. A residual connection is entered as a whole.
    fn lowest_wanted(&self, input_wanted: bool) -> usize {
        if input_wanted {
            return 0;
        }
        let wanted = self.packing.parts.iter().position(Part::wants_any);
        wanted.unwrap_or(self.steps.len())
    }
}

/// What a forward pass leaves behind.
struct Forward {
    out: Vec<f32>,
    tape: Tape,
    /// Of every batch norm that used the batch's own.
    moments: Vec<Moments>,
}

/// One run of a chain over one map, forward or backward: what its steps read.
struct Pass<'a> {
    op: &'a ChainOp,
    x: &'a [f32],
    packed: &'a [f32],
    /// Each step's input shape, and the last step's output shape.
    shapes: Vec<MapShape>,
}

impl<'a> Pass<'a> {
    fn new(
        op: &'a ChainOp,
        x: &'a [f32],
        input: MapShape,
        packed: &'a [f32],
    ) -> CandleResult<Self> {
        let mut shapes = vec![input];
        let mut current = input;
        for step in op.steps.iter() {
            if let StepKind::Unit(unit) = &step.kind {
                if unit.inputs != current.c {
                    bail!("{}: {} input channels, expected {}", unit.name, current.c, unit.inputs)
                }
                current = unit.kind.output_shape(current, unit.outputs);
            }
            shapes.push(current);
        }
        Ok(Self { op, x, packed, shapes })
    }

    /// The shape of the chain's result.
    fn output_shape(&self) -> MapShape {
        self.shapes[self.op.steps.len()]
    }

    /// A step's input; `maps` are the results of the steps before it.
    fn input<'b>(&'b self, maps: &'b [Vec<f32>], index: usize) -> &'b [f32] {
        index.checked_sub(1).map_or(self.x, |before| &maps[before])
    }

    /// What is added to a step's result: the input of the residual connection that it closes, which opened a step before
    /// it; at the chain's end another map, where there is one.
    fn added<'b>(
        &'b self,
        maps: &'b [Vec<f32>],
        index: usize,
        other: Option<&'b [f32]>,
    ) -> Option<&'b [f32]> {
        let is_last = index + 1 == self.op.steps.len();
        match self.op.steps[index].skip {
            Skip::Closes => Some(self.input(maps, index - 1)),
            Skip::None | Skip::Opens => other.filter(|_| is_last),
        }
    }

    fn unit<'b>(
        &'b self,
        index: usize,
        spec: &UnitSpec,
        norm: Option<&'b Norm>,
        added: Option<&'b [f32]>,
    ) -> Unit<'b> {
        let part = &self.op.packing.parts[index];
        Unit {
            kind: spec.kind,
            input: self.shapes[index],
            cout: spec.outputs,
            norm,
            activation: spec.activation,
            weight: &self.packed[part.weight.clone()],
            bias: (spec.bias == Bias::Present).then(|| &self.packed[part.bias.clone()]),
            finish: match (spec.after, added) {
                (After::Relu, _) => Finish::Relu,
                (After::Nothing, Some(added)) => Finish::Add(added),
                (After::Nothing, None) => Finish::Plain,
            },
        }
    }

    fn forward(&self, other: Option<&[f32]>) -> CandleResult<Forward> {
        let mut tape = Tape { norms: Vec::new(), maps: Vec::new() };
        let mut moments = Vec::new();
        let mut gathered: Option<Moments> = None;
        for (index, step) in self.op.steps.iter().enumerate() {
            let map = self.input(&tape.maps, index);
            let norm = self.norm(index, map, gathered.take(), &mut moments);
            let out = match (&step.kind, &norm) {
                (StepKind::Norm { .. }, Some(norm)) => norm_forward(map, self.shapes[index], norm),
                (StepKind::Norm { .. }, None) => bail!("a norm step without its statistics"),
                (StepKind::Unit(spec), norm) => {
                    let added = self.added(&tape.maps, index, other);
                    let unit = self.unit(index, spec, norm.as_ref(), added);
                    let (out, of_out) = unit_forward(&unit, map, self.gather_after(index));
                    gathered = of_out;
                    out
                }
            };
            if self.op.recording == Recording::Off {
                self.forget(&mut tape.maps, index);
            }
            tape.norms.push(norm);
            tape.maps.push(out);
        }
        let out = tape.maps.pop().unwrap_or_else(|| self.x.to_vec());
        Ok(Forward { out, tape, moments })
    }

    /// The normalisation of a step's input, if it has one; the batch's moments are kept in `all`.
    fn norm(
        &self,
        index: usize,
        map: &[f32],
        gathered: Option<Moments>,
        all: &mut Vec<Moments>,
    ) -> Option<Norm> {
        self.op.steps[index].norm()?;
        if let Some(running) = &self.op.running {
            return running[index].clone();
        }
        let part = &self.op.packing.parts[index];
        let batch = gathered.unwrap_or_else(|| moments(map, self.shapes[index]));
        let (gamma, beta) = (&self.packed[part.gamma.clone()], &self.packed[part.beta.clone()]);
        let norm = batch_norm::batch(&batch, gamma, beta);
        all.push(batch);
        Some(norm)
    }

    fn gather_after(&self, index: usize) -> Gather {
        let next_norm = self.op.steps.get(index + 1).and_then(Step::norm);
        if self.op.running.is_none() && next_norm.is_some() {
            Gather::Moments
        } else {
            Gather::Nothing
        }
    }

    /// Frees the maps that no later step reads: all before `index - 1`, and `index - 1` unless an open
    /// residual connection still needs it.
    fn forget(&self, maps: &mut [Vec<f32>], index: usize) {
        let needed = usize::from(self.op.steps[index].skip == Skip::Opens);
        for map in maps.iter_mut().take(index.saturating_sub(needed)) {
            *map = Vec::new();
        }
    }

    /// Gradients of the map, where it is wanted, and of the packed weights; `y` is the chain's result, `dy` its gradient.
    fn backward(
        &self,
        mut tape: Tape,
        y: &[f32],
        dy: &[f32],
        input_wanted: bool,
    ) -> CandleResult<(Option<Vec<f32>>, Vec<f32>)> {
        let lowest = self.op.lowest_wanted(input_wanted);
        let mut packed_grad = vec![0.0; self.op.packing.len];
        let mut grad = Cow::Borrowed(dy);
        let mut skip_grad: Option<Cow<[f32]>> = None;
        for (index, step) in self.op.steps.iter().enumerate().skip(lowest).rev() {
            let part = &self.op.packing.parts[index];
            let map = self.input(&tape.maps, index);
            let out = tape.maps.get(index).map_or(y, Vec::as_slice);
            let needs = part.needs(index > lowest || input_wanted);
            let norm = tape.norms[index].as_ref();
            let mut grads = match (&step.kind, norm) {
                (StepKind::Norm { .. }, Some(norm)) => {
                    norm_backward(map, self.shapes[index], norm, &grad, &needs)
                }
                (StepKind::Norm { .. }, None) => bail!("a norm step without its statistics"),
                (StepKind::Unit(spec), norm) => {
                    let unit = self.unit(index, spec, norm, None);
                    let skip = (step.skip == Skip::Opens).then(|| skip_grad.take()).flatten();
                    unit_backward(&unit, map, Some(out), &grad, &needs, skip.as_deref())
                }
            };
            let dx = grads.input.take().unwrap_or_default();
            store(part, grads, &mut packed_grad);
            let above = std::mem::replace(&mut grad, Cow::Owned(dx));
            if step.skip == Skip::Closes {
                skip_grad = Some(above);
            }
            tape.maps.truncate(index);
        }
        let dx = input_wanted.then(|| grad.into_owned());
        Ok((dx, packed_grad))
    }
}

fn store(part: &Part, grads: UnitGrads, packed: &mut [f32]) {
    let pairs = [
        (&part.gamma, grads.gamma),
        (&part.beta, grads.beta),
        (&part.weight, grads.weight),
        (&part.bias, grads.bias),
    ];
    for (range, grad) in pairs {
        if let Some(grad) = grad {
            packed[range.clone()].copy_from_slice(&grad);
        }
    }
}

fn map_shape(shape: &Shape) -> CandleResult<MapShape> {
    let (n, h, w, c) = shape.dims4()?;
    Ok(MapShape { n, h, w, c })
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> CandleResult<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a chain reads contiguous maps only"),
    }
}

impl ChainOp {
    fn forward(
        &self,
        [map, packed]: [(&CpuStorage, &Layout); 2],
        other: Option<&[f32]>,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let input = map_shape(map.1.shape())?;
        let (x, packed) = (values(map.0, map.1)?, values(packed.0, packed.1)?);
        let pass = Pass::new(self, x, input, packed)?;
        let Forward { out, tape, moments } = on_pool(|| pass.forward(other))?;
        if self.recording == Recording::On {
            *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = Some(tape);
        }
        *self.moments.lock().unwrap_or_else(PoisonError::into_inner) = moments;
        let MapShape { n, h, w, c } = pass.output_shape();
        Ok((CpuStorage::F32(out), (n, h, w, c).into()))
    }

    /// Gradients of the map and of the packed weights, where they are wanted.
    fn backward(
        &self,
        map: &Tensor,
        packed: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let input = map_shape(map.shape())?;
        let grad = grad.contiguous()?;
        let tensors = [map, packed, result, &grad].map(Tensor::storage_and_layout);
        let [x, weights, y, dy] = tensors.each_ref().map(|(storage, layout)| match &**storage {
            Storage::Cpu(storage) => values(storage, layout),
            _ => bail!("the fused chain runs on the CPU"),
        });
        let (x, weights, y, dy, wanted) = (x?, weights?, y?, dy?, map.track_op());
        let Some(tape) = self.tape.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            bail!("a chain's backward pass runs once for each forward pass")
        };
        let pass = Pass::new(self, x, input, weights)?;
        let (dx, dpacked) = on_pool(|| pass.backward(tape, y, dy, wanted))?;
        let dx = dx.map(|dx| Tensor::from_vec(dx, map.shape(), map.device())).transpose()?;
        let dpacked = packed
            .track_op()
            .then(|| Tensor::from_vec(dpacked, packed.shape(), packed.device()))
            .transpose()?;
        Ok((dx, dpacked))
    }
}

impl CustomOp2 for ChainOp {
    fn name(&self) -> &'static str {
        "chain"
    }

    fn cpu_fwd(
        &self,
        map: &CpuStorage,
        map_layout: &Layout,
        packed: &CpuStorage,
        packed_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        self.forward([(map, map_layout), (packed, packed_layout)], None)
    }

    fn bwd(
        &self,
        map: &Tensor,
        packed: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        self.backward(map, packed, result, grad)
    }
}

/// A chain whose result is added to a third argument while it is stored; its last step is one that can.
pub(super) struct ChainPlusOp(pub ChainOp);

impl CustomOp3 for ChainPlusOp {
    fn name(&self) -> &'static str {
        "chain-plus"
    }

    fn cpu_fwd(
        &self,
        map: &CpuStorage,
        map_layout: &Layout,
        packed: &CpuStorage,
        packed_layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let (x, weights) = (values(map, map_layout)?, values(packed, packed_layout)?);
        let result = Pass::new(&self.0, x, map_shape(map_layout.shape())?, weights)?.output_shape();
        if map_shape(other_layout.shape())? != result {
            bail!("a chain's result {result:?} cannot be added to {:?}", other_layout.shape());
        }
        let added = values(other, other_layout)?;
        self.0.forward([(map, map_layout), (packed, packed_layout)], Some(added))
    }

    fn bwd(
        &self,
        map: &Tensor,
        packed: &Tensor,
        other: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        // Where only what is added has a gradient, the forward pass has kept nothing.
        let (map, packed) = match self.0.recording {
            Recording::On => self.0.backward(map, packed, result, grad)?,
            Recording::Off => (None, None),
        };
        Ok((map, packed, other.track_op().then(|| grad.clone())))
    }
}
