//! The fused execution of a chain as one candle operation over the kernels.
use super::spec::{After, Bias, Skip, Step, StepKind, UnitSpec};
use crate::{NormMode, Parameters, Result, batch_norm};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Storage, Tensor, bail};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex};
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

    fn unit<'a>(
        &'a self,
        index: usize,
        spec: &UnitSpec,
        input: MapShape,
        norm: Option<&'a Norm>,
        packed: &'a [f32],
        skip: Option<&'a [f32]>,
    ) -> Unit<'a> {
        let part = &self.packing.parts[index];
        Unit {
            kind: spec.kind,
            input,
            cout: spec.outputs,
            norm,
            activation: spec.activation,
            weight: &packed[part.weight.clone()],
            bias: (spec.bias == Bias::Present).then(|| &packed[part.bias.clone()]),
            finish: match (spec.after, skip) {
                (After::Relu, _) => Finish::Relu,
                (After::Nothing, Some(skip)) => Finish::Add(skip),
                (After::Nothing, None) => Finish::Plain,
            },
        }
    }

    /// Each step's input shape, and the last step's output shape.
    fn shapes(&self, input: MapShape) -> CandleResult<Vec<MapShape>> {
        let mut shapes = vec![input];
        for step in self.steps.iter() {
            let current = shapes[shapes.len() - 1];
            shapes.push(match &step.kind {
                StepKind::Norm { .. } => current,
                StepKind::Unit(unit) if unit.inputs != current.c => {
                    bail!("{}: {} input channels, expected {}", unit.name, current.c, unit.inputs)
                }
                StepKind::Unit(unit) => unit.kind.output_shape(current, unit.outputs),
            });
        }
        Ok(shapes)
    }

    fn run(
        &self,
        x: &[f32],
        input: MapShape,
        packed: &[f32],
        other: Option<&[f32]>,
    ) -> CandleResult<(Vec<f32>, MapShape)> {
        let shapes = self.shapes(input)?;
        let mut tape = Tape { norms: Vec::new(), maps: Vec::new() };
        let mut all_moments = Vec::new();
        let mut gathered: Option<Moments> = None;
        for (index, step) in self.steps.iter().enumerate() {
            let map = if index == 0 { x } else { &tape.maps[index - 1] };
            let norm =
                self.norm_of(index, map, shapes[index], packed, gathered.take(), &mut all_moments);
            let out = match (&step.kind, &norm) {
                (StepKind::Norm { .. }, Some(norm)) => norm_forward(map, shapes[index], norm),
                (StepKind::Norm { .. }, None) => bail!("a norm step without its statistics"),
                (StepKind::Unit(spec), norm) => {
                    let skip = match step.skip {
                        Skip::Closes if index == 1 => Some(x),
                        Skip::Closes => Some(tape.maps[index - 2].as_slice()),
                        _ if index + 1 == self.steps.len() => other,
                        _ => None,
                    };
                    let unit = self.unit(index, spec, shapes[index], norm.as_ref(), packed, skip);
                    let (out, moments) = unit_forward(&unit, map, self.gather_after(index));
                    gathered = moments;
                    out
                }
            };
            if self.recording == Recording::Off {
                self.forget(&mut tape.maps, index);
            }
            tape.norms.push(norm);
            tape.maps.push(out);
        }
        let out = tape.maps.pop().unwrap_or_else(|| x.to_vec());
        if self.recording == Recording::On {
            *self.tape.lock().unwrap_or_else(|e| e.into_inner()) = Some(tape);
        }
        *self.moments.lock().unwrap_or_else(|e| e.into_inner()) = all_moments;
        Ok((out, shapes[shapes.len() - 1]))
    }

    /// The normalisation of a step's input, if it has one.
    fn norm_of(
        &self,
        index: usize,
        map: &[f32],
        shape: MapShape,
        packed: &[f32],
        gathered: Option<Moments>,
        all_moments: &mut Vec<Moments>,
    ) -> Option<Norm> {
        self.steps[index].norm()?;
        if let Some(running) = &self.running {
            return running[index].clone();
        }
        let part = &self.packing.parts[index];
        let batch = gathered.unwrap_or_else(|| moments(map, shape));
        let norm =
            batch_norm::batch(&batch, &packed[part.gamma.clone()], &packed[part.beta.clone()]);
        all_moments.push(batch);
        Some(norm)
    }

    fn gather_after(&self, index: usize) -> Gather {
        let next_norm = self.steps.get(index + 1).and_then(Step::norm);
        if self.running.is_none() && next_norm.is_some() {
            Gather::Moments
        } else {
            Gather::Nothing
        }
    }

    /// Frees the maps that no later step reads: all before `index - 1`, and `index - 1` unless an open
    /// residual connection still needs it.
    fn forget(&self, maps: &mut [Vec<f32>], index: usize) {
        let needed = usize::from(self.steps[index].skip == Skip::Opens);
        for map in maps.iter_mut().take((index).saturating_sub(needed)) {
            *map = Vec::new();
        }
    }

    fn run_backward(
        &self,
        x: &[f32],
        input: MapShape,
        packed: &[f32],
        y: &[f32],
        dy: &[f32],
        input_wanted: bool,
    ) -> CandleResult<(Option<Vec<f32>>, Vec<f32>)> {
        let Some(mut tape) = self.tape.lock().unwrap_or_else(|e| e.into_inner()).take() else {
            bail!("a chain's backward pass runs once for each forward pass")
        };
        let shapes = self.shapes(input)?;
        let lowest = self.lowest_wanted(input_wanted);
        let mut packed_grad = vec![0.0; self.packing.len];
        let mut grad = Cow::Borrowed(dy);
        let mut skip_grad: Option<Cow<[f32]>> = None;
        for index in (lowest..self.steps.len()).rev() {
            let step = &self.steps[index];
            let part = &self.packing.parts[index];
            let map = if index == 0 { x } else { &tape.maps[index - 1] };
            let out = tape.maps.get(index).map_or(y, Vec::as_slice);
            let needs = Needs {
                input: index > lowest || input_wanted,
                norm: part.norm_wanted,
                weight: part.weight_wanted,
                bias: part.bias_wanted,
            };
            let norm = tape.norms[index].as_ref();
            let mut grads = match (&step.kind, norm) {
                (StepKind::Norm { .. }, Some(norm)) => {
                    norm_backward(map, shapes[index], norm, &grad, &needs)
                }
                (StepKind::Norm { .. }, None) => bail!("a norm step without its statistics"),
                (StepKind::Unit(spec), norm) => {
                    let unit = self.unit(index, spec, shapes[index], norm, packed, None);
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

    /// The lowest step that backward must reach. A residual connection is entered as a whole.
    fn lowest_wanted(&self, input_wanted: bool) -> usize {
        if input_wanted {
            return 0;
        }
        let wanted = self.packing.parts.iter().position(Part::wants_any);
        wanted.unwrap_or(self.steps.len())
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
        let (y, MapShape { n, h, w, c }) = on_pool(|| self.run(x, input, packed, other))?;
        Ok((CpuStorage::F32(y), (n, h, w, c).into()))
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
        let (dx, dpacked) = on_pool(|| self.run_backward(x, input, weights, y, dy, wanted))?;
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
        let shapes = self.0.shapes(map_shape(map_layout.shape())?)?;
        let result = shapes[shapes.len() - 1];
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
