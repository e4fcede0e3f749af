//! Losses as one candle operation each, over the kernels, on the CPU and f32.
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Storage, Tensor,
};
use udas_kernels::loss::{self, ClassMaps};

/// Whether the kernels can read a tensor.
pub(crate) fn fits(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("losses read contiguous tensors only"),
    }
}

/// Runs `work` on the values of two contiguous tensors.
fn with_values<T>(a: &Tensor, b: &Tensor, work: impl FnOnce(&[f32], &[f32]) -> T) -> Result<T> {
    let pair = [a, b].map(Tensor::storage_and_layout);
    let [a, b] = pair.each_ref().map(|(storage, layout)| match &**storage {
        Storage::Cpu(storage) => values(storage, layout),
        _ => candle_core::bail!("fused losses run on the CPU"),
    });
    Ok(work(a?, b?))
}

/// The logistic function.
pub(crate) struct Sigmoid;

impl CustomOp1 for Sigmoid {
    fn name(&self) -> &'static str {
        "sigmoid"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = loss::sigmoid(values(storage, layout)?);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let slope = (y * y.affine(-1.0, 1.0)?)?;
        Ok(Some((slope * grad)?))
    }
}

/// A sum over all elements as a mean: of logits and targets of one shape, contiguous.
pub(crate) enum MeanLoss {
    /// Binary cross-entropy, a mean over elements.
    Binary,
    /// Cross-entropy over axis 1, a mean over pixels, or over pixels and classes.
    Classes(ClassMaps, Over),
}

/// What a mean over classes counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Pixels,
    PixelsAndClasses,
}

impl MeanLoss {
    pub fn classes(logits: &Tensor, over: Over) -> Result<Self> {
        let (n, classes, h, w) = logits.dims4()?;
        Ok(Self::Classes(ClassMaps { n, classes, pixels: h * w }, over))
    }

    pub fn of(self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        if logits.dims() != targets.dims() {
            candle_core::bail!("logits {:?}, targets {:?}", logits.dims(), targets.dims());
        }
        logits.contiguous()?.apply_op2(&targets.contiguous()?, self)
    }

    /// How many elements the mean is over.
    fn count(&self, elements: usize) -> f64 {
        match self {
            Self::Classes(shape, Over::Pixels) => (shape.n * shape.pixels) as f64,
            _ => elements as f64,
        }
    }
}

impl CustomOp2 for MeanLoss {
    fn name(&self) -> &'static str {
        "mean-loss"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        logits_layout: &Layout,
        targets: &CpuStorage,
        targets_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (z, t) = (values(logits, logits_layout)?, values(targets, targets_layout)?);
        let sum = match self {
            Self::Binary => loss::binary_cross_entropy(z, t),
            Self::Classes(shape, _) => loss::cross_entropy(z, t, *shape),
        };
        Ok((CpuStorage::F32(vec![(sum / self.count(z.len())) as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let scale = (f64::from(grad.to_scalar::<f32>()?) / self.count(logits.elem_count())) as f32;
        let wanted = targets.track_op();
        let (dz, dt) = with_values(logits, targets, |z, t| match self {
            Self::Binary => loss::binary_cross_entropy_backward(z, t, scale, wanted),
            Self::Classes(shape, _) => loss::cross_entropy_backward(z, t, *shape, scale, wanted),
        })?;
        let tensor = |values| Tensor::from_vec(values, logits.shape(), logits.device());
        Ok((Some(tensor(dz)?), dt.map(tensor).transpose()?))
    }
}
