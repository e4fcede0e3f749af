//! Convolutions in three axes, and their transposed ones whose kernel is their stride, with their gradients: by Winograd's
//! form where it pays, with weights as they lie in memory where maps are small, else as one matrix product.
use crate::direct::{self, NARROW, Window};
use crate::emit::{Epilogue, Sink, Sums};
use crate::few;
use crate::load::{Prologue, Source};
use crate::memory::written;
use crate::norm::{column_sums, combine, moments};
use crate::winograd::{Direction, Filter, convolve_volume, volume_weight_gradient};
use crate::{Gather, MapShape, Moments, Needs, UnitGrads};

/// A convolution of channels-last maps `[n, d, h, w, c]`; zeros around the map let strides alone make it smaller. Weights
/// are `[outputs, inputs, kd, kh, kw]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceConvolution {
    /// Images.
    pub n: usize,
    /// Depth, height, width of the input.
    pub size: [usize; 3],
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Depth, height, width of the kernel; odd.
    pub kernel: [usize; 3],
    /// Along each axis.
    pub stride: [usize; 3],
}

impl SpaceConvolution {
    /// Depth, height, width of the result.
    pub fn out_size(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.size[axis].div_ceil(self.stride[axis]))
    }

    /// Values of the input.
    pub fn input_len(&self) -> usize {
        self.n * self.size.iter().product::<usize>() * self.inputs
    }

    /// Values of the result.
    pub fn output_len(&self) -> usize {
        self.n * self.out_size().iter().product::<usize>() * self.outputs
    }

    /// Values of the weights.
    pub fn weight_len(&self) -> usize {
        self.outputs * self.inputs * self.kernel.iter().product::<usize>()
    }

    fn check(&self, x: &[f32], weight: &[f32]) {
        assert!(self.kernel.iter().all(|size| size % 2 == 1), "a kernel of {:?}", self.kernel);
        assert!(!self.stride.contains(&0), "a stride of {:?}", self.stride);
        assert_eq!(x.len(), self.input_len(), "a map of another shape");
        assert_eq!(weight.len(), self.weight_len(), "weights for another shape");
    }

    fn window(&self) -> Window {
        Window {
            n: self.n,
            fine: self.size,
            coarse: self.out_size(),
            fine_channels: self.inputs,
            coarse_channels: self.outputs,
            kernel: self.kernel,
            stride: self.stride,
            pad: self.kernel.map(|size| size / 2),
        }
    }

    /// Planes of the map.
    fn planes(&self, c: usize) -> MapShape {
        let [d, h, w] = self.size;
        MapShape { n: self.n * d, h, w, c }
    }

    /// Whether Winograd's form takes less time than a plain product, where it can be used: 36 products for each tile of 16
    /// pixels and for the filter's transform, which costs about as much as so many tiles, against 9 for each pixel.
    fn is_tiled(&self, channels_read: usize) -> bool {
        const FILTER: usize = 24;
        let MapShape { n, h, w, .. } = self.planes(1);
        let tiles = n * h.div_ceil(4) * w.div_ceil(4);
        let can_be = self.kernel[1..] == [3, 3] && self.stride == [1; 3] && channels_read > NARROW;
        can_be && 4 * (tiles + FILTER) < n * h * w
    }
}

/// `x * weight + bias`, product by product: exact to a few roundings, where Winograd's form is to more.
///
/// # Panics
/// When slices have not the lengths that the shape says, or a kernel's size is even.
pub fn convolve_space(
    shape: &SpaceConvolution,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    shape.check(x, weight);
    let source = Source { map: x, channels: shape.inputs, prologue: Prologue::Plain };
    stored(shape.output_len(), shape.outputs, Some(bias), Sums::Nothing, |sink| {
        direct::convolve(&shape.window(), &source, weight, sink);
    })
    .0
}

/// `x * weight + bias`, the fast way, and the result's moments for each image where they are asked for.
///
/// # Panics
/// As [`convolve_space`].
pub fn space_forward(
    shape: &SpaceConvolution,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    gather: Gather,
) -> (Vec<f32>, Vec<Moments>) {
    shape.check(x, weight);
    assert_eq!(bias.len(), shape.outputs, "a bias for other channels");
    if shape.window().is_small() {
        let y = few::convolve(&shape.window(), x, weight, bias);
        let [d, h, w] = shape.out_size();
        let image = MapShape { n: d, h, w, c: shape.outputs };
        let images = y.chunks_exact(image.len().max(1)).filter(|_| gather == Gather::Moments);
        let of_images = images.map(|values| moments(values, image)).collect();
        return (y, of_images);
    }
    let source = Source { map: x, channels: shape.inputs, prologue: Prologue::Plain };
    let sums = if gather == Gather::Moments { Sums::Moments } else { Sums::Nothing };
    let (y, partials) = stored(shape.output_len(), shape.outputs, Some(bias), sums, |sink| {
        if !shape.is_tiled(shape.inputs) {
            return direct::convolve(&shape.window(), &source, weight, sink);
        }
        let filter = Filter::new(weight, shape.outputs, shape.inputs, Direction::Forward);
        convolve_volume(&source, shape.planes(shape.inputs), shape.size[0], &filter, sink)
    });
    let of_image = partials.len() / shape.n.max(1);
    let moments = match gather {
        Gather::Nothing => Vec::new(),
        Gather::Moments => {
            partials.chunks(of_image.max(1)).map(|image| combine(image, shape.outputs)).collect()
        }
    };
    (y, moments)
}

/// Gradients of [`space_forward`] for the output's gradient `dy`: of input, weights and bias, where they are wanted.
///
/// # Panics
/// As [`convolve_space`].
pub fn space_backward(
    shape: &SpaceConvolution,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
    needs: &Needs,
) -> UnitGrads {
    shape.check(x, weight);
    assert_eq!(dy.len(), shape.output_len(), "a gradient of another shape");
    let (window, depth) = (shape.window(), shape.size[0]);
    let input = Source { map: x, channels: shape.inputs, prologue: Prologue::Plain };
    let gradient = Source { map: dy, channels: shape.outputs, prologue: Prologue::Plain };
    let mut grads = UnitGrads::default();
    if needs.weight {
        grads.weight = Some(if window.is_small() {
            few::weight_gradient(&window, x, dy)
        } else if shape.is_tiled(shape.inputs.min(shape.outputs)) {
            let planes = shape.planes(shape.inputs);
            volume_weight_gradient(&input, &gradient, planes, depth, shape.kernel[0])
        } else {
            direct::weight_gradient(&window, &input, &gradient)
        });
    }
    if needs.bias {
        grads.bias = Some(column_sums(dy, None, shape.outputs));
    }
    if needs.input && window.is_small() {
        grads.input = Some(few::convolve_back(&window, dy, weight, None));
    } else if needs.input {
        let made = stored(x.len(), shape.inputs, None, Sums::Nothing, |sink| {
            if !shape.is_tiled(shape.outputs) {
                return direct::convolve_back(&window, &gradient, weight, sink);
            }
            let filter = Filter::new(weight, shape.outputs, shape.inputs, Direction::Backward);
            convolve_volume(&gradient, shape.planes(shape.outputs), depth, &filter, sink);
        });
        grads.input = Some(made.0);
    }
    grads
}

/// A transposed convolution of channels-last maps `[n, d, h, w, c]` whose kernel is its stride: each pixel becomes a block.
/// Weights are `[inputs, outputs, kd, kh, kw]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceEnlargement {
    /// Images.
    pub n: usize,
    /// Depth, height, width of the input.
    pub size: [usize; 3],
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Depth, height, width of a block.
    pub block: [usize; 3],
}

impl SpaceEnlargement {
    /// Depth, height, width of the result.
    pub fn out_size(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.size[axis] * self.block[axis])
    }

    fn output_len(&self) -> usize {
        self.n * self.out_size().iter().product::<usize>() * self.outputs
    }

    fn check(&self, x: &[f32], weight: &[f32]) {
        let pixels: usize = self.size.iter().product();
        let taps: usize = self.block.iter().product();
        assert!(taps > 0, "a block of {:?}", self.block);
        assert_eq!(x.len(), self.n * pixels * self.inputs, "a map of another shape");
        assert_eq!(weight.len(), self.inputs * self.outputs * taps, "weights for another shape");
    }

    fn window(&self) -> Window {
        Window {
            n: self.n,
            fine: self.out_size(),
            coarse: self.size,
            fine_channels: self.outputs,
            coarse_channels: self.inputs,
            kernel: self.block,
            stride: self.block,
            pad: [0; 3],
        }
    }
}

/// Each pixel's block of `x * weight`, plus `bias`.
///
/// # Panics
/// When slices have not the lengths that the shape says.
pub fn enlarge_forward(
    shape: &SpaceEnlargement,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    shape.check(x, weight);
    assert_eq!(bias.len(), shape.outputs, "a bias for other channels");
    if shape.window().is_small() {
        return few::convolve_back(&shape.window(), x, weight, Some(bias));
    }
    let source = Source { map: x, channels: shape.inputs, prologue: Prologue::Plain };
    let made = stored(shape.output_len(), shape.outputs, Some(bias), Sums::Nothing, |sink| {
        direct::convolve_back(&shape.window(), &source, weight, sink);
    });
    made.0
}

/// Gradients of [`enlarge_forward`] for the output's gradient `dy`: of input, weights and bias, where they are wanted.
///
/// # Panics
/// As [`enlarge_forward`].
pub fn enlarge_backward(
    shape: &SpaceEnlargement,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
    needs: &Needs,
) -> UnitGrads {
    shape.check(x, weight);
    assert_eq!(dy.len(), shape.output_len(), "a gradient of another shape");
    let window = shape.window();
    let input = Source { map: x, channels: shape.inputs, prologue: Prologue::Plain };
    let gradient = Source { map: dy, channels: shape.outputs, prologue: Prologue::Plain };
    let dx = || {
        if window.is_small() {
            return few::convolve(&window, dy, weight, &vec![0.0; shape.inputs]);
        }
        let made = stored(x.len(), shape.inputs, None, Sums::Nothing, |sink| {
            direct::convolve(&window, &gradient, weight, sink);
        });
        made.0
    };
    UnitGrads {
        input: needs.input.then(dx),
        weight: needs.weight.then(|| match window.is_small() {
            true => few::weight_gradient(&window, dy, x),
            false => direct::weight_gradient(&window, &gradient, &input),
        }),
        bias: needs.bias.then(|| column_sums(dy, None, shape.outputs)),
        ..UnitGrads::default()
    }
}

/// A map of `len` values that `kernel` stores whole.
fn stored<T>(
    len: usize,
    channels: usize,
    bias: Option<&[f32]>,
    sums: Sums,
    kernel: impl FnOnce(&Sink) -> T,
) -> (Vec<f32>, T) {
    if let Some(bias) = bias {
        assert_eq!(bias.len(), channels, "a bias for other channels");
    }
    // SAFETY: every kernel stores each pixel of its output once and reads only what it has stored.
    unsafe {
        written(len, |out| {
            kernel(&Sink { out, channels, epilogue: Epilogue::Plain { bias }, sums })
        })
    }
}
