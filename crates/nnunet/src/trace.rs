//! The networks as standard operations, for other programs.
use crate::architecture::{Block, Layers, Stage, Unit, Up};
use crate::conv::SLOPE;
use udas_network::{NormKind, Spec};
use udas_nn::{Graph, IMAGES, Operation};

/// What a network of these layers computes.
pub(crate) fn graph(layers: &Layers, spec: &Spec) -> Graph {
    let mut trace = Trace { graph: Graph::default(), axes: spec.axes, norm: spec.norm };
    let mut map = IMAGES.to_owned();
    if let Some(stem) = &layers.stem {
        map = trace.unit(stem, &map, Slope::Leaky);
    }
    let mut maps = Vec::new();
    for stage in &layers.stages {
        map = trace.stage(stage, &map);
        maps.push(map.clone());
    }
    maps.pop();
    for (up, across) in layers.ups.iter().zip(maps.iter().rev()) {
        map = trace.up(up, &map, across);
    }
    if let Some(up) = layers.ups.last() {
        trace.logits(&up.head, &map);
    }
    trace.graph
}

/// What becomes of values below 0.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slope {
    Leaky,
    One,
}

struct Trace {
    graph: Graph,
    axes: usize,
    norm: NormKind,
}

impl Trace {
    /// The last sizes of three: all of them, or height and width.
    fn sizes(&self, three: [usize; 3]) -> Vec<usize> {
        three[3 - self.axes..].to_vec()
    }

    fn convolution(&mut self, unit: &Unit, name: &str, map: &str) -> String {
        let padding = self.sizes(unit.kernel.map(|size| size / 2));
        let operation = Operation::Convolution { stride: self.sizes(unit.stride), padding };
        self.with_kernel(operation, name, unit.bias, map)
    }

    fn with_kernel(&mut self, operation: Operation, name: &str, bias: bool, map: &str) -> String {
        let (weight, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
        let inputs = [map, &weight, &bias_name];
        self.graph.add(operation, if bias { &inputs } else { &inputs[..2] })
    }

    fn unit(&mut self, unit: &Unit, map: &str, slope: Slope) -> String {
        let mut value = self.convolution(unit, &format!("{}.conv", unit.name), map);
        let norm = format!("{}.norm", unit.name);
        value = match self.norm {
            NormKind::Absent => value,
            NormKind::Batch => self.graph.add_batch_norm(&norm, &value),
            NormKind::Instance => {
                let (weight, bias) = (format!("{norm}.weight"), format!("{norm}.bias"));
                self.graph.add(Operation::InstanceNorm, &[&value, &weight, &bias])
            }
        };
        if slope == Slope::Leaky { self.leaky(&value) } else { value }
    }

    fn leaky(&mut self, value: &str) -> String {
        self.graph.add(Operation::LeakyRelu(SLOPE), &[value])
    }

    fn block(&mut self, block: &Block, map: &str) -> String {
        let inner = self.unit(&block.first, map, Slope::Leaky);
        let inner = self.unit(&block.second, &inner, Slope::One);
        let mut skip = map.to_owned();
        if block.pool != [1; 3] {
            let pool = Operation::AveragePool(self.sizes(block.pool));
            skip = self.graph.add(pool, &[&skip]);
        }
        if let Some(project) = &block.project {
            skip = self.unit(project, &skip, Slope::One);
        }
        let sum = self.graph.add(Operation::Add, &[&inner, &skip]);
        self.leaky(&sum)
    }

    fn stage(&mut self, stage: &Stage, map: &str) -> String {
        let map = map.to_owned();
        match stage {
            Stage::Plain(units) => {
                units.iter().fold(map, |map, unit| self.unit(unit, &map, Slope::Leaky))
            }
            Stage::Residual(blocks) => {
                blocks.iter().fold(map, |map, block| self.block(block, &map))
            }
        }
    }

    fn up(&mut self, up: &Up, below: &str, across: &str) -> String {
        let Unit { name, stride, bias, .. } = &up.enlarge;
        let enlarge = Operation::TransposedConvolution { stride: self.sizes(*stride) };
        let enlarged = self.with_kernel(enlarge, name, *bias, below);
        let joined = self.graph.add(Operation::Concatenate, &[&enlarged, across]);
        up.units.iter().fold(joined, |map, unit| self.unit(unit, &map, Slope::Leaky))
    }

    /// Logits at full size.
    fn logits(&mut self, head: &str, map: &str) -> String {
        let (stride, padding) = (vec![1; self.axes], vec![0; self.axes]);
        let operation = Operation::Convolution { stride, padding };
        self.with_kernel(operation, head, true, map)
    }
}
