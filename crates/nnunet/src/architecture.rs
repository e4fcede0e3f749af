//! The two networks' layers and their names, as the shapes of a state dict say them.
use crate::plans::{Architecture, Encoder};
use udas_network::NormKind;
use udas_nn::{Entry, Error, Mismatch, Result, Role, StateDict};

/// An entry that all plain networks have, and no others.
pub(crate) const PLAIN_MARK: &str = "encoder.stages.0.0.convs.0.conv.weight";

/// An entry that all residual networks have, and no others.
pub(crate) const RESIDUAL_MARK: &str = "encoder.stem.convs.0.conv.weight";

/// What makes a network: all else follows. Sizes are depth, height, width; depth is 1 in 2-D.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blueprint {
    pub encoder: Encoder,
    pub axes: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// Whether convolutions have a bias.
    pub bias: bool,
    pub norm: NormKind,
    pub features: Vec<usize>,
    pub kernels: Vec<[usize; 3]>,
    /// Into each stage; into the first one it is 1.
    pub strides: Vec<[usize; 3]>,
    pub units: Vec<usize>,
    pub decoder: Vec<usize>,
}

/// A convolution with what follows it.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// What its entries begin with: `NAME.conv.weight`, `NAME.norm.weight`.
    pub name: String,
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub bias: bool,
}

/// A residual block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub first: Unit,
    pub second: Unit,
    /// By how much the skip is averaged.
    pub pool: [usize; 3],
    /// What brings the skip to the block's channels.
    pub project: Option<Unit>,
}

/// An encoder stage.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Plain(Vec<Unit>),
    Residual(Vec<Block>),
}

/// One step of the way up.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    /// The transposed convolution: its kernel is its stride.
    pub enlarge: Unit,
    pub units: Vec<Unit>,
    /// Name of the layer that gives logits at this size.
    pub head: String,
}

/// The layers of a network.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    pub stem: Option<Unit>,
    pub stages: Vec<Stage>,
    /// The deepest first.
    pub ups: Vec<Up>,
}

fn missing(name: String) -> Error {
    Error::Mismatch(Mismatch { missing: vec![name], ..Mismatch::default() })
}

fn shape(state: &StateDict, name: &str) -> Result<Vec<usize>> {
    let tensor = state.get(name).ok_or_else(|| missing(name.to_owned()))?;
    match tensor.dims() {
        dims @ ([_, _, _, _] | [_, _, _, _, _]) => Ok(dims.to_vec()),
        dims => Err(Error::Shape(format!("{name} is {dims:?}, no kernel of two or three axes"))),
    }
}

/// Depth, height, width of a kernel of two or three axes.
fn three(sizes: &[usize]) -> [usize; 3] {
    match *sizes {
        [d, h, w] => [d, h, w],
        [h, w] => [1, h, w],
        _ => [1; 3],
    }
}

/// How many of the numbers 0, 1, ... name an entry.
fn count(state: &StateDict, name: impl Fn(usize) -> String) -> usize {
    (0..).take_while(|&number| state.contains_key(&name(number))).count()
}

fn plain_unit(stage: usize, unit: usize) -> String {
    format!("encoder.stages.{stage}.0.convs.{unit}")
}

fn block(stage: usize, block: usize) -> String {
    format!("encoder.stages.{stage}.blocks.{block}")
}

impl Blueprint {
    /// Reads it from the shapes of a state dict.
    pub fn of_state(state: &StateDict) -> Result<Self> {
        let is_residual = state.contains_key(RESIDUAL_MARK);
        let encoder = if is_residual { Encoder::Residual } else { Encoder::Plain };
        let conv = |stage: usize, unit: usize| match encoder {
            Encoder::Plain => plain_unit(stage, unit),
            Encoder::Residual => format!("{}.conv1", block(stage, unit)),
        };
        let weight = |stage, unit| format!("{}.conv.weight", conv(stage, unit));
        let first = shape(state, if is_residual { RESIDUAL_MARK } else { PLAIN_MARK })?;
        let stages = count(state, |stage| weight(stage, 0));
        if stages < 2 {
            return Err(missing(weight(stages, 0)));
        }
        let shapes: Vec<_> =
            (0..stages).map(|stage| shape(state, &weight(stage, 0))).collect::<Result<_>>()?;
        let mut strides = vec![[1; 3]];
        for step in (0..stages - 1).rev() {
            let name = format!("decoder.transpconvs.{step}.weight");
            strides.push(three(&shape(state, &name)?[2..]));
        }
        let decoder =
            |step| count(state, |unit| format!("decoder.stages.{step}.convs.{unit}.conv.weight"));
        let head = shape(state, &format!("decoder.seg_layers.{}.weight", stages - 2))?;
        Ok(Self {
            encoder,
            axes: first.len() - 2,
            inputs: first[1],
            outputs: head[0],
            bias: state.contains_key(&format!("{}.conv.bias", conv(0, 0))),
            norm: norm_kind(state, &format!("{}.norm", conv(0, 0))),
            features: shapes.iter().map(|shape| shape[0]).collect(),
            kernels: shapes.iter().map(|shape| three(&shape[2..])).collect(),
            strides,
            units: (0..stages).map(|stage| count(state, |unit| weight(stage, unit))).collect(),
            decoder: (0..stages - 1).map(decoder).collect(),
        })
    }

    /// How the network differs from the one that was planned; none where it does not.
    pub fn difference(&self, planned: &Architecture) -> Option<String> {
        let threes =
            |sizes: &[Vec<usize>]| sizes.iter().map(|sizes| three(sizes)).collect::<Vec<_>>();
        let differ = |what: &str, found: String, planned: String| {
            (found != planned)
                .then(|| format!("{what} {found} in the weights, {planned} in the plans"))
        };
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
        differ("the encoder is", text(&self.encoder), text(&planned.encoder))
            .or_else(|| {
                differ("stages have channels", text(&self.features), text(&planned.features))
            })
            .or_else(|| differ("kernels are", text(&self.kernels), text(&threes(&planned.kernels))))
            .or_else(|| differ("strides are", text(&self.strides), text(&threes(&planned.strides))))
            .or_else(|| {
                let words = |has: bool| if has { "norms" } else { "no norms" };
                let has_norm = self.norm != NormKind::Absent;
                differ("there are", words(has_norm).into(), words(planned.has_norm).into())
            })
            .or_else(|| differ("stages have units", text(&self.units), text(&planned.units)))
            .or_else(|| differ("the way up has units", text(&self.decoder), text(&planned.decoder)))
    }

    fn unit(
        &self,
        name: String,
        channels: [usize; 2],
        kernel: [usize; 3],
        stride: [usize; 3],
    ) -> Unit {
        let [inputs, outputs] = channels;
        Unit { name, inputs, outputs, kernel, stride, bias: self.bias }
    }

    /// The layers.
    pub fn layers(&self) -> Layers {
        let stem = (self.encoder == Encoder::Residual).then(|| {
            let name = "encoder.stem.convs.0".to_owned();
            self.unit(name, [self.inputs, self.features[0]], self.kernels[0], [1; 3])
        });
        let stages = (0..self.features.len()).map(|stage| match self.encoder {
            Encoder::Plain => Stage::Plain(self.plain_stage(stage)),
            Encoder::Residual => Stage::Residual(self.residual_stage(stage)),
        });
        Layers { stem, stages: stages.collect(), ups: self.ups() }
    }

    /// Channels that come into a stage.
    fn into(&self, stage: usize) -> usize {
        match (stage, self.encoder) {
            (0, Encoder::Plain) => self.inputs,
            (0, Encoder::Residual) => self.features[0],
            _ => self.features[stage - 1],
        }
    }

    fn plain_stage(&self, stage: usize) -> Vec<Unit> {
        let (kernel, outputs) = (self.kernels[stage], self.features[stage]);
        let unit = |number: usize| {
            let (inputs, stride) = match number {
                0 => (self.into(stage), self.strides[stage]),
                _ => (outputs, [1; 3]),
            };
            self.unit(plain_unit(stage, number), [inputs, outputs], kernel, stride)
        };
        (0..self.units[stage]).map(unit).collect()
    }

    fn residual_stage(&self, stage: usize) -> Vec<Block> {
        let (kernel, outputs) = (self.kernels[stage], self.features[stage]);
        let make = |number: usize| {
            let (inputs, pool) = match number {
                0 => (self.into(stage), self.strides[stage]),
                _ => (outputs, [1; 3]),
            };
            let name = block(stage, number);
            let place = usize::from(pool != [1; 3]);
            let project = (inputs != outputs).then(|| Unit {
                bias: false,
                ..self.unit(format!("{name}.skip.{place}"), [inputs, outputs], [1; 3], [1; 3])
            });
            Block {
                first: self.unit(format!("{name}.conv1"), [inputs, outputs], kernel, pool),
                second: self.unit(format!("{name}.conv2"), [outputs; 2], kernel, [1; 3]),
                pool,
                project,
            }
        };
        (0..self.units[stage]).map(make).collect()
    }

    fn ups(&self) -> Vec<Up> {
        let steps = self.features.len() - 1;
        let up = |step: usize| {
            let (from, to) = (steps - step, steps - 1 - step);
            let outputs = self.features[to];
            let stride = self.strides[from];
            let name = format!("decoder.transpconvs.{step}");
            let unit = |number: usize| {
                let inputs = if number == 0 { 2 * outputs } else { outputs };
                let name = format!("decoder.stages.{step}.convs.{number}");
                self.unit(name, [inputs, outputs], self.kernels[to], [1; 3])
            };
            Up {
                enlarge: self.unit(name, [self.features[from], outputs], stride, stride),
                units: (0..self.decoder[step]).map(unit).collect(),
                head: format!("decoder.seg_layers.{step}"),
            }
        };
        (0..steps).map(up).collect()
    }

    /// Entries of the state dict, each parameter once.
    pub fn entries(&self) -> Vec<Entry> {
        let layers = self.layers();
        let mut entries: Vec<Entry> =
            layers.stem.iter().flat_map(|unit| self.of_unit(unit)).collect();
        for stage in &layers.stages {
            let units: Vec<&Unit> = match stage {
                Stage::Plain(units) => units.iter().collect(),
                Stage::Residual(blocks) => blocks
                    .iter()
                    .flat_map(|block| {
                        [&block.first, &block.second].into_iter().chain(&block.project)
                    })
                    .collect(),
            };
            entries.extend(units.into_iter().flat_map(|unit| self.of_unit(unit)));
        }
        for up in &layers.ups {
            let Unit { name, inputs, outputs, kernel, bias, .. } = &up.enlarge;
            entries.extend(self.kernel(name, [*inputs, *outputs], kernel, *bias, *outputs));
            entries.extend(up.units.iter().flat_map(|unit| self.of_unit(unit)));
            entries.extend(self.kernel(
                &up.head,
                [self.outputs, *outputs],
                &[1; 3],
                true,
                self.outputs,
            ));
        }
        entries
    }

    fn kernel(
        &self,
        name: &str,
        channels: [usize; 2],
        kernel: &[usize; 3],
        bias: bool,
        biases: usize,
    ) -> Vec<Entry> {
        let shape = [&channels, &kernel[3 - self.axes..]].concat();
        let weight = Entry { name: format!("{name}.weight"), shape, role: Role::Weight };
        let bias = bias.then(|| Entry {
            name: format!("{name}.bias"),
            shape: vec![biases],
            role: Role::Weight,
        });
        [weight].into_iter().chain(bias).collect()
    }

    fn of_unit(&self, unit: &Unit) -> Vec<Entry> {
        let Unit { name, inputs, outputs, kernel, bias, .. } = unit;
        let mut entries =
            self.kernel(&format!("{name}.conv"), [*outputs, *inputs], kernel, *bias, *outputs);
        let mut norm = |part: &str, shape: Vec<usize>, role: Role| {
            entries.push(Entry { name: format!("{name}.norm.{part}"), shape, role });
        };
        if self.norm != NormKind::Absent {
            norm("weight", vec![*outputs], Role::NormAffine);
            norm("bias", vec![*outputs], Role::NormAffine);
        }
        if self.norm == NormKind::Batch {
            norm("running_mean", vec![*outputs], Role::Statistic);
            norm("running_var", vec![*outputs], Role::Statistic);
            norm("num_batches_tracked", vec![], Role::Statistic);
        }
        entries
    }
}

/// Batch norm keeps statistics; the plans say instance norm of networks that a trainer gave batch norm.
fn norm_kind(state: &StateDict, name: &str) -> NormKind {
    let has = |part: &str| state.contains_key(&format!("{name}.{part}"));
    if has("running_mean") {
        NormKind::Batch
    } else if has("weight") {
        NormKind::Instance
    } else {
        NormKind::Absent
    }
}
