//! Convolutions of channels-last maps `[N, D, H, W, C]` with the norm and LeakyReLU that follow them, and their transposed
//! ones, each as one candle operation over the kernels, with gradients. Weights have PyTorch's layout.
use crate::map::{Map, all, values};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, Mutex, PoisonError};
use udas_kernels::{
    Gather, Moments, Needs, Norm, SpaceConvolution, SpaceEnlargement, UnitGrads, convolve_space,
    enlarge_backward, enlarge_forward, leaky_norm, leaky_norm_backward, leaky_norm_in_place,
    moments, on_pool, space_backward, space_forward,
};

/// How convolutions are computed, and what predictions are added up in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// As near to the original as rounding allows: convolutions product by product, sums in 16 bits as it has them.
    #[default]
    Exact,
    /// Winograd's form, whose roundings are some ten times as large, and sums in 32 bits.
    Fast,
}

/// Added to the variance, as nnU-Net plans it.
const EPSILON: f64 = 1e-5;

/// Slope of LeakyReLU below 0.
pub(crate) const SLOPE: f32 = 0.01;

/// Mean and variance that the norm after a convolution goes by.
#[derive(Clone)]
pub(crate) enum Statistics {
    /// There is no norm.
    Absent,
    /// Each image's own.
    Image,
    /// The batch's own.
    Batch,
    /// These; no gradient flows through them.
    Given(Moments),
}

/// A convolution, padded so that strides alone make its result smaller, and what follows it.
pub(crate) struct Convolution {
    pub stride: [usize; 3],
    pub arithmetic: Arithmetic,
    pub statistics: Statistics,
    /// Of the LeakyReLU that ends it; 1: there is none.
    pub slope: f32,
}

impl Convolution {
    /// `leaky(norm(x * weight + bias))`, and the batch's moments where the norm goes by them. The weight is
    /// `[out, in, kd, kh, kw]`, or without a depth, with sizes of 1 and 3. `affine` is the bias and, where there is a norm,
    /// its scale and its shift, one after the other.
    pub fn apply(
        self,
        x: &Tensor,
        weight: &Tensor,
        affine: &Tensor,
    ) -> Result<(Tensor, Option<Moments>)> {
        let is_recorded = x.track_op() || weight.track_op() || affine.track_op();
        let batch = Arc::default();
        let op = Op {
            convolution: self,
            is_recorded,
            tape: Mutex::default(),
            batch: Arc::clone(&batch),
        };
        let y = x.contiguous()?.apply_op3(&weight.contiguous()?, &affine.contiguous()?, op)?;
        let moments = batch.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok((y, moments))
    }

    /// Whether something follows the convolution.
    fn is_followed(&self) -> bool {
        self.slope != 1.0 || !matches!(self.statistics, Statistics::Absent)
    }

    fn shape(&self, map: Map, weight: &Shape) -> Result<SpaceConvolution> {
        let (outputs, inputs, kernel) = sizes(weight)?;
        if kernel.iter().any(|size| ![1, 3].contains(size)) {
            bail!("a kernel of {kernel:?}; sizes of 1 and 3 are supported");
        }
        if map.c != inputs || map.len() == 0 {
            bail!("a map {map:?} for a kernel of {inputs} channels");
        }
        let (n, size) = (map.n, [map.d, map.h, map.w]);
        Ok(SpaceConvolution { n, size, inputs, outputs, kernel, stride: self.stride })
    }

    /// The convolution's result and the norms of its images.
    fn convolve(
        &self,
        shape: &SpaceConvolution,
        x: &[f32],
        weight: &[f32],
        affine: &[f32],
    ) -> Convolved {
        let bias = &affine[..shape.outputs];
        let gather = match self.statistics {
            Statistics::Image => Gather::Moments,
            _ => Gather::Nothing,
        };
        let (result, gathered) = match self.arithmetic {
            Arithmetic::Exact => (convolve_space(shape, x, weight, bias), Vec::new()),
            Arithmetic::Fast => space_forward(shape, x, weight, bias, gather),
        };
        let [d, h, w] = shape.out_size();
        let map = Map { n: shape.n, d, h, w, c: shape.outputs };
        let of_images = match (&self.statistics, self.arithmetic) {
            (Statistics::Image, Arithmetic::Fast) => gathered,
            (Statistics::Image, Arithmetic::Exact) => {
                let image = map.planes(1);
                result.chunks_exact(image.len()).map(|values| moments(values, image)).collect()
            }
            (Statistics::Batch, _) => vec![moments(&result, map.planes(map.n))],
            (Statistics::Given(moments), _) => vec![moments.clone()],
            (Statistics::Absent, _) => Vec::new(),
        };
        // The whole batch has one norm, through whose moments the gradient flows as through one image's.
        let is_batch = matches!(self.statistics, Statistics::Batch);
        let norms = (0..if is_batch { 1 } else { map.n }).map(|image| {
            let moments = of_images.get(image).or(of_images.first());
            self.norm(moments, &affine[shape.outputs..], shape.outputs)
        });
        let norms = if self.is_followed() { norms.collect() } else { Vec::new() };
        Convolved { result, norms, batch: of_images.into_iter().next().filter(|_| is_batch) }
    }

    /// An image's norm; without moments it changes nothing.
    fn norm(&self, moments: Option<&Moments>, affine: &[f32], channels: usize) -> Norm {
        use udas_kernels::Statistics::{Batch, Running};
        let Some(moments) = moments else {
            let [zeros, ones] = [0.0, 1.0].map(|value| vec![value; channels]);
            let (mean, beta, inv_std, gamma) = (zeros.clone(), zeros, ones.clone(), ones);
            return Norm { mean, inv_std, gamma, beta, statistics: Running };
        };
        let inverse = |&variance: &f32| (1.0 / (f64::from(variance) + EPSILON).sqrt()) as f32;
        Norm {
            mean: moments.mean.clone(),
            inv_std: moments.variance.iter().map(inverse).collect(),
            gamma: affine[..channels].to_vec(),
            beta: affine[channels..].to_vec(),
            statistics: match self.statistics {
                Statistics::Image | Statistics::Batch => Batch,
                Statistics::Absent | Statistics::Given(_) => Running,
            },
        }
    }
}

struct Convolved {
    result: Vec<f32>,
    /// One for each image; none where nothing follows.
    norms: Vec<Norm>,
    /// The batch's moments, where the norm goes by them.
    batch: Option<Moments>,
}

struct Op {
    convolution: Convolution,
    /// Whether a backward pass may follow.
    is_recorded: bool,
    /// Left by the forward pass for the backward one; candle hands an operation to both by reference.
    tape: Mutex<Option<Convolved>>,
    batch: Arc<Mutex<Option<Moments>>>,
}

/// Outputs, inputs and kernel of a weight `[out, in, kd, kh, kw]`, or without a depth.
fn sizes(weight: &Shape) -> Result<(usize, usize, [usize; 3])> {
    match *weight.dims() {
        [outputs, inputs, height, width] => Ok((outputs, inputs, [1, height, width])),
        [outputs, inputs, depth, height, width] => Ok((outputs, inputs, [depth, height, width])),
        ref dims => bail!("a kernel of {dims:?}"),
    }
}

type Three = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

fn tensors(grads: UnitGrads, like: [&Tensor; 3]) -> Result<Three> {
    let tensor = |values: Option<Vec<f32>>, like: &Tensor| {
        values.map(|values| Tensor::from_vec(values, like.shape(), like.device())).transpose()
    };
    let [x, weight, affine] = like;
    Ok((tensor(grads.input, x)?, tensor(grads.weight, weight)?, tensor(grads.bias, affine)?))
}

fn needs_of(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Needs {
    Needs { input: x.track_op(), norm: false, weight: weight.track_op(), bias: bias.track_op() }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (convolution, map) = (&self.convolution, Map::of(l1.shape())?);
        let shape = convolution.shape(map, l2.shape())?;
        let (x, weight, affine) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let rows = if matches!(convolution.statistics, Statistics::Absent) { 1 } else { 3 };
        if affine.len() != rows * shape.outputs {
            bail!("{} scales and shifts for {} channels", affine.len(), shape.outputs);
        }
        let out = on_pool(|| {
            let mut made = convolution.convolve(&shape, x, weight, affine);
            *self.batch.lock().unwrap_or_else(PoisonError::into_inner) = made.batch.take();
            if !convolution.is_followed() {
                return made.result;
            }
            if !self.is_recorded {
                leaky_norm_in_place(&mut made.result, &made.norms, convolution.slope);
                return made.result;
            }
            let out = leaky_norm(&made.result, &made.norms, convolution.slope);
            *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
            out
        });
        let [d, h, w] = shape.out_size();
        Ok((CpuStorage::F32(out), (map.n, d, h, w, shape.outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        affine: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<Three> {
        let convolution = &self.convolution;
        let needs = needs_of(x, weight, affine);
        let shape = convolution.shape(Map::of(x.shape())?, weight.shape())?;
        let dy = dy.contiguous()?;
        let read = [x, weight, affine, &dy].map(Tensor::storage_and_layout);
        let [xs, weights, affines, dys] = all(&read)?;
        let grads = on_pool(|| {
            if !convolution.is_followed() {
                return space_backward(&shape, xs, weights, dys, &needs);
            }
            let kept = self.tape.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A second backward pass finds nothing kept.
            let kept = kept.unwrap_or_else(|| convolution.convolve(&shape, xs, weights, affines));
            let Convolved { result: mut dz, norms, .. } = kept;
            let of_norm = leaky_norm_backward(&mut dz, &norms, convolution.slope, dys);
            let needs = Needs { bias: false, ..needs };
            let mut grads = space_backward(&shape, xs, weights, &dz, &needs);
            let mut sums = of_norm.bias;
            if !matches!(convolution.statistics, Statistics::Absent) {
                sums.extend(of_norm.gamma);
                sums.extend(of_norm.beta);
            }
            grads.bias = affine.track_op().then_some(sums);
            grads
        });
        tensors(grads, [x, weight, affine])
    }
}

/// A convolution transposed, with its kernel as stride: each value becomes a block. The weight is
/// `[in, out, kd, kh, kw]`, or without a depth.
pub(crate) fn enlarge(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Enlargement)
}

struct Enlargement;

fn enlargement(map: Map, weight: &Shape) -> Result<SpaceEnlargement> {
    let (inputs, outputs, block) = sizes(weight)?;
    if map.c != inputs || map.len() == 0 {
        bail!("a map {map:?} for a kernel of {inputs} channels");
    }
    Ok(SpaceEnlargement { n: map.n, size: [map.d, map.h, map.w], inputs, outputs, block })
}

impl CustomOp3 for Enlargement {
    fn name(&self) -> &'static str {
        "enlargement"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = enlargement(Map::of(l1.shape())?, l2.shape())?;
        let (x, weight, bias) = (values(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let out = on_pool(|| enlarge_forward(&shape, x, weight, bias));
        let [d, h, w] = shape.out_size();
        Ok((CpuStorage::F32(out), (shape.n, d, h, w, shape.outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<Three> {
        let needs = needs_of(x, weight, bias);
        let shape = enlargement(Map::of(x.shape())?, weight.shape())?;
        let dy = dy.contiguous()?;
        let read = [x, weight, &dy].map(Tensor::storage_and_layout);
        let [xs, weights, dys] = all(&read)?;
        let grads = on_pool(|| enlarge_backward(&shape, xs, weights, dys, &needs));
        tensors(grads, [x, weight, bias])
    }
}
