//! A convolution with what surrounds it, described: the arguments of `unit_forward` and `unit_backward`.
use crate::{ConvKind, MapShape};

/// Whether a normalisation's mean and variance depend on the map that it normalises, so that gradient
/// flows through them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statistics {
    /// They are the map's own.
    Batch,
    /// They are constants.
    Running,
}

/// Batch normalisation: `(x - mean) * inv_std * gamma + beta` for each channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Norm {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// `1 / sqrt(variance + epsilon)` of each channel.
    pub inv_std: Vec<f32>,
    /// Learned scale.
    pub gamma: Vec<f32>,
    /// Learned shift.
    pub beta: Vec<f32>,
    /// Where mean and variance come from.
    pub statistics: Statistics,
}

impl Norm {
    pub(crate) fn check(&self, channels: usize) {
        for values in [&self.mean, &self.inv_std, &self.gamma, &self.beta] {
            assert_eq!(values.len(), channels, "a normalisation for other channels");
        }
    }

    /// Scale and shift of each channel, so that the normalisation is `x * scale + shift`.
    pub fn scale_shift(&self) -> (Vec<f32>, Vec<f32>) {
        let scale: Vec<f32> = self.gamma.iter().zip(&self.inv_std).map(|(g, s)| g * s).collect();
        let shift = self.beta.iter().zip(&self.mean).zip(&scale);
        let shift = shift.map(|((beta, mean), scale)| beta - mean * scale).collect();
        (scale, shift)
    }
}

/// What stands between a unit's normalisation and its convolution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// Nothing.
    None,
    /// max(x, 0), with gradient 0 at 0.
    Relu,
}

/// What follows a unit's convolution and bias.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Finish<'a> {
    /// Nothing.
    Plain,
    /// max(y, 0), with gradient 0 at 0.
    Relu,
    /// A map of the output's shape is added: a residual connection.
    Add(&'a [f32]),
}

/// `y = finish(conv(activation(norm(x))) + bias)`
#[derive(Clone, Copy, Debug)]
pub struct Unit<'a> {
    /// Kind of convolution.
    pub kind: ConvKind,
    /// Shape of `x`.
    pub input: MapShape,
    /// Channels of `y`.
    pub cout: usize,
    /// Normalisation of `x`.
    pub norm: Option<&'a Norm>,
    /// What follows the normalisation.
    pub activation: Activation,
    /// Weights, in the layout that [`ConvKind`] states.
    pub weight: &'a [f32],
    /// One value an output channel.
    pub bias: Option<&'a [f32]>,
    /// What follows.
    pub finish: Finish<'a>,
}

impl Unit<'_> {
    /// Shape of `y`.
    pub fn output(&self) -> MapShape {
        self.kind.output_shape(self.input, self.cout)
    }

    pub(crate) fn check(&self, x: &[f32]) {
        assert_eq!(x.len(), self.input.len(), "the map has not the shape {:?}", self.input);
        let weights = self.cout * self.input.c * self.kind.taps();
        assert_eq!(self.weight.len(), weights, "weights for another shape");
        if let Some(norm) = self.norm {
            norm.check(self.input.c);
        }
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), self.cout, "a bias for other channels");
        }
        if let Finish::Add(skip) = self.finish {
            assert_eq!(skip.len(), self.output().len(), "a residual map of another shape");
        }
    }
}

/// Whether the moments of the output are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gather {
    /// They are not.
    Nothing,
    /// They are gathered while the output is stored.
    Moments,
}

/// Which gradients are wanted. What is not wanted costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs {
    /// Of the input map.
    pub input: bool,
    /// Of gamma and beta.
    pub norm: bool,
    /// Of the weights.
    pub weight: bool,
    /// Of the bias.
    pub bias: bool,
}

/// Gradients of a unit; those that were not wanted are absent.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct UnitGrads {
    /// Of the input map.
    pub input: Option<Vec<f32>>,
    /// Of the weights, in their layout.
    pub weight: Option<Vec<f32>>,
    /// Of the bias.
    pub bias: Option<Vec<f32>>,
    /// Of the normalisation's scale.
    pub gamma: Option<Vec<f32>>,
    /// Of the normalisation's shift.
    pub beta: Option<Vec<f32>>,
}
