//! A network as a list of standard operations, to be written for other programs.

/// The value that a graph begins with: `[N, C, H, W]`, in 3-D `[N, C, D, H, W]`.
pub const IMAGES: &str = "images";

/// What a node does to its first input. Further inputs are entries of the state dict, or other values.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Inputs: map, kernel `[outputs, inputs, ..]`, and a bias where there is one.
    Convolution {
        /// For each axis.
        stride: Vec<usize>,
        /// Zeros on either side, for each axis.
        padding: Vec<usize>,
    },
    /// Inputs: map, kernel `[inputs, outputs, ..]` of the size of the stride, and a bias where there is one.
    TransposedConvolution {
        /// For each axis.
        stride: Vec<usize>,
    },
    /// By running statistics. Inputs: map, weight, bias, running mean, running variance; epsilon is 1e-5.
    BatchNorm,
    /// By each image's own statistics. Inputs: map, weight, bias; epsilon is 1e-5.
    InstanceNorm,
    /// The larger of the value and 0.
    Relu,
    /// Values below 0 are multiplied by this.
    LeakyRelu(f32),
    /// Means over blocks of this size, side by side.
    AveragePool(Vec<usize>),
    /// The sum of two values.
    Add,
    /// Two values, one after the other along the channels.
    Concatenate,
}

/// An operation, what it takes, and the value that it gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is done.
    pub operation: Operation,
    /// Names of values and of entries of the state dict.
    pub inputs: Vec<String>,
    /// Name of the value that it gives.
    pub output: String,
}

/// A network in the order in which it computes, from [`IMAGES`] to the last node's value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    /// The nodes, each after those that it takes values of.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Adds a node; gives the name of its value.
    pub fn add(&mut self, operation: Operation, inputs: &[&str]) -> String {
        let output = format!("value{}", self.nodes.len());
        let inputs = inputs.iter().map(|&name| name.to_owned()).collect();
        self.nodes.push(Node { operation, inputs, output: output.clone() });
        output
    }

    /// Adds batch norm `name` by running statistics.
    pub fn add_batch_norm(&mut self, name: &str, map: &str) -> String {
        let entries = ["weight", "bias", "running_mean", "running_var"];
        let entries = entries.map(|part| format!("{name}.{part}"));
        let [weight, bias, mean, variance] = entries.each_ref().map(String::as_str);
        self.add(Operation::BatchNorm, &[map, weight, bias, mean, variance])
    }

    /// The last value's name.
    pub fn output(&self) -> &str {
        self.nodes.last().map_or(IMAGES, |node| &node.output)
    }
}

impl FromIterator<Node> for Graph {
    fn from_iter<T: IntoIterator<Item = Node>>(nodes: T) -> Self {
        Self { nodes: nodes.into_iter().collect() }
    }
}
