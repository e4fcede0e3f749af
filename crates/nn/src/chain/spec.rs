//! What a chain is made of: convolution units, residual blocks, norms, and the entries they need.
use crate::{Entry, Graph, Operation, Role, batch_norm};
use udas_kernels::{Activation, ConvKind};

/// What follows a unit's convolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    Nothing,
    Relu,
}

/// Whether a convolution adds a bias per output channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bias {
    Absent,
    Present,
}

/// One convolution with what surrounds it: batch norm and ReLU before, bias and ReLU after, each optional.
#[derive(Clone, Debug)]
pub struct UnitSpec {
    pub(crate) name: String,
    pub(crate) kind: ConvKind,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) norm: Option<String>,
    pub(crate) activation: Activation,
    pub(crate) bias: Bias,
    pub(crate) after: After,
}

impl UnitSpec {
    fn new(kind: ConvKind, name: &str, inputs: usize, outputs: usize) -> Self {
        Self {
            name: name.into(),
            kind,
            inputs,
            outputs,
            norm: None,
            activation: Activation::None,
            bias: Bias::Absent,
            after: After::Nothing,
        }
    }

    /// 3x3 convolution, padding 1; entry `name.weight` `[outputs, inputs, 3, 3]`.
    pub fn conv3x3(name: &str, inputs: usize, outputs: usize) -> Self {
        Self::new(ConvKind::K3, name, inputs, outputs)
    }

    /// 1x1 convolution; entry `name.weight` `[outputs, inputs, 1, 1]`.
    pub fn conv1x1(name: &str, inputs: usize, outputs: usize) -> Self {
        Self::new(ConvKind::K1, name, inputs, outputs)
    }

    /// 2x2 convolution with stride 2; entry `name.weight` `[outputs, inputs, 2, 2]`.
    pub fn down2x2(name: &str, inputs: usize, outputs: usize) -> Self {
        Self::new(ConvKind::Down2, name, inputs, outputs)
    }

    /// Transposed 2x2 convolution with stride 2; entry `name.weight` `[inputs, outputs, 2, 2]`.
    pub fn up2x2(name: &str, inputs: usize, outputs: usize) -> Self {
        Self::new(ConvKind::Up2, name, inputs, outputs)
    }

    /// Adds batch norm `norm` before the convolution.
    pub fn after_norm(mut self, norm: &str) -> Self {
        self.norm = Some(norm.into());
        self
    }

    /// Adds batch norm `norm` and a ReLU before the convolution (pre-activation).
    pub fn after_norm_relu(mut self, norm: &str) -> Self {
        self.activation = Activation::Relu;
        self.after_norm(norm)
    }

    /// Adds the entry `name.bias`.
    pub fn with_bias(mut self) -> Self {
        self.bias = Bias::Present;
        self
    }

    /// Rectifies the result.
    pub fn then_relu(mut self) -> Self {
        self.after = After::Relu;
        self
    }

    /// Adds what follows the norm to a graph.
    fn trace(&self, graph: &mut Graph, mut value: String) -> String {
        if self.activation == Activation::Relu {
            value = graph.add(Operation::Relu, &[&value]);
        }
        let convolution = |stride: usize, padding: usize| Operation::Convolution {
            stride: vec![stride; 2],
            padding: vec![padding; 2],
        };
        let operation = match self.kind {
            ConvKind::K3 => convolution(1, 1),
            ConvKind::K1 => convolution(1, 0),
            ConvKind::Down2 => convolution(2, 0),
            ConvKind::Up2 => Operation::TransposedConvolution { stride: vec![2; 2] },
        };
        let (weight, bias) = (format!("{}.weight", self.name), format!("{}.bias", self.name));
        let inputs = [value.as_str(), &weight, &bias];
        let inputs = if self.bias == Bias::Present { &inputs[..] } else { &inputs[..2] };
        value = graph.add(operation, inputs);
        match self.after {
            After::Relu => graph.add(Operation::Relu, &[&value]),
            After::Nothing => value,
        }
    }

    pub(crate) fn weight_shape(&self) -> Vec<usize> {
        match self.kind {
            ConvKind::K3 => vec![self.outputs, self.inputs, 3, 3],
            ConvKind::K1 => vec![self.outputs, self.inputs, 1, 1],
            ConvKind::Down2 => vec![self.outputs, self.inputs, 2, 2],
            ConvKind::Up2 => vec![self.inputs, self.outputs, 2, 2],
        }
    }
}

/// One layer of a chain.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A convolution unit.
    Unit(UnitSpec),
    /// x + second(first(x)).
    Residual(UnitSpec, UnitSpec),
    /// Batch norm alone.
    Norm {
        /// Name of the layer.
        name: String,
        /// Channels.
        channels: usize,
    },
}

/// A step's part in a residual connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Skip {
    None,
    /// The step's input is remembered.
    Opens,
    /// The remembered map is added to the step's result.
    Closes,
}

#[derive(Clone, Debug)]
pub(crate) enum StepKind {
    Unit(UnitSpec),
    Norm { name: String, channels: usize },
}

/// A layer, flattened: one input map, one output map.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub kind: StepKind,
    pub skip: Skip,
}

impl Step {
    pub fn flatten(layers: Vec<Layer>) -> Vec<Self> {
        let mut steps = Vec::new();
        for layer in layers {
            match layer {
                Layer::Unit(unit) => {
                    steps.push(Self { kind: StepKind::Unit(unit), skip: Skip::None })
                }
                Layer::Residual(first, second) => {
                    steps.push(Self { kind: StepKind::Unit(first), skip: Skip::Opens });
                    steps.push(Self { kind: StepKind::Unit(second), skip: Skip::Closes });
                }
                Layer::Norm { name, channels } => {
                    steps.push(Self { kind: StepKind::Norm { name, channels }, skip: Skip::None });
                }
            }
        }
        steps
    }

    /// Whether another map can be added while the result is stored.
    pub fn can_add(&self) -> bool {
        let unrectified =
            matches!(&self.kind, StepKind::Unit(unit) if unit.after == After::Nothing);
        unrectified && self.skip != Skip::Closes
    }

    /// Adds the step's operations to a graph, but for its part in a residual connection.
    pub fn trace(&self, graph: &mut Graph, map: &str) -> String {
        let normed = self.norm().map(|(name, _)| graph.add_batch_norm(name, map));
        let value = normed.unwrap_or_else(|| map.to_owned());
        match &self.kind {
            StepKind::Unit(unit) => unit.trace(graph, value),
            StepKind::Norm { .. } => value,
        }
    }

    /// Name of the batch norm on the step's input and its channels.
    pub fn norm(&self) -> Option<(&str, usize)> {
        match &self.kind {
            StepKind::Unit(unit) => unit.norm.as_deref().map(|name| (name, unit.inputs)),
            StepKind::Norm { name, channels } => Some((name, *channels)),
        }
    }

    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = match self.norm() {
            Some((name, channels)) => batch_norm::entries(name, channels),
            None => Vec::new(),
        };
        if let StepKind::Unit(unit) = &self.kind {
            let of = |part: &str, shape| Entry {
                name: format!("{}.{part}", unit.name),
                shape,
                role: Role::Weight,
            };
            entries.push(of("weight", unit.weight_shape()));
            if unit.bias == Bias::Present {
                entries.push(of("bias", vec![unit.outputs]));
            }
        }
        entries
    }
}
