//! y = gamma (x - mean) / deviation + beta and a rectifier, as one operation: batch norm, a bias, or both without.
use crate::launch::{each, kernel, room, stored, sums, values, walk, wrapped};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaStorage;
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// What a map is normalised with.
#[derive(Clone, Debug)]
pub enum Statistics {
    /// Given mean and variance a channel, `[C]`, which get no gradient.
    Given {
        /// Mean.
        mean: Tensor,
        /// Variance, to which epsilon is still added.
        variance: Tensor,
    },
    /// The map's own mean and biased variance, as [`moments`] gives them; the gradient flows through them.
    Own {
        /// Mean.
        mean: Tensor,
        /// Variance, to which epsilon is still added.
        variance: Tensor,
    },
    /// Nothing: only scale and shift.
    None,
}

/// Mean and biased variance of every channel of `x` `[N, C, H, W]`, `[C]` each, without a gradient.
///
/// # Errors
/// When `x` is not a contiguous float32 map on a GPU.
pub fn moments(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let both = x.detach().apply_op1_no_bwd(&Moments)?;
    Ok((both.get(0)?, both.get(1)?))
}

/// The operation: what it normalises with, and whether it rectifies.
#[derive(Clone, Debug)]
pub struct Affine {
    statistics: Statistics,
    epsilon: f64,
    rectified: bool,
}

impl Affine {
    /// With `statistics`, whose variance grows by `epsilon` first; negative results become 0 if `rectified`.
    pub fn new(statistics: Statistics, epsilon: f64, rectified: bool) -> Self {
        Self { statistics, epsilon, rectified }
    }

    /// Applies it to `x` `[N, C, H, W]` with `gamma` and `beta` `[C]`; absent ones are 1 and 0.
    ///
    /// # Errors
    /// When shapes do not fit, or the tensors are not float32 on a GPU.
    pub fn apply(
        self,
        x: &Tensor,
        gamma: Option<&Tensor>,
        beta: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (_, channels, _, _) = x.dims4()?;
        let filled = |value: f64| Tensor::full(value as f32, channels, x.device());
        let (mean, inverse) = match &self.statistics {
            Statistics::Given { mean, variance } | Statistics::Own { mean, variance } => {
                (mean.clone(), (variance + self.epsilon)?.sqrt()?.recip()?)
            }
            Statistics::None => (filled(0.0)?, filled(1.0)?),
        };
        let gamma = gamma.map_or_else(|| filled(1.0), |gamma| Ok(gamma.clone()))?;
        let beta = beta.map_or_else(|| filled(0.0), |beta| Ok(beta.clone()))?;
        let rows = [&mean, &inverse, &gamma, &beta].map(Tensor::detach);
        let own = matches!(self.statistics, Statistics::Own { .. });
        let table = Tensor::stack(&rows, 0)?;
        let op = Forward { table, own, rectified: self.rectified };
        x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, OnGpu(op))
    }
}

/// Images, channels, pixels of a plane.
fn sizes(layout: &Layout) -> Result<(usize, usize, usize)> {
    let (images, channels, height, width) = layout.shape().dims4()?;
    Ok((images, channels, height * width))
}

fn not_here<T>() -> Result<T> {
    bail!("this operation runs on a GPU alone")
}

struct Moments;

impl CustomOp1 for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        not_here()
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (device, (images, channels, plane)) = (x.device(), sizes(layout)?);
        let map = values(x, layout)?;
        let (config, count) = sums(channels, images * plane);
        let mut parts = room::<f64>(device, channels * count * 2)?;
        let mut result = room::<f32>(device, 2 * channels)?;
        let (c, count) = (channels as i32, count as i32);
        let (plane, images) = (plane as u32, images as i32);
        let first = kernel(device, "moments_of_parts")?;
        let stream = device.cuda_stream();
        let mut launch = stream.launch_builder(&first);
        launch.arg(&map).arg(&mut parts).arg(&c).arg(&plane).arg(&images);
        // SAFETY: the arguments are those of the kernel, and it writes `channels * count * 2` sums.
        unsafe { launch.launch(config) }.map_err(wrapped)?;
        let second = kernel(device, "moments_of_all")?;
        let mut launch = stream.launch_builder(&second);
        launch.arg(&map).arg(&parts).arg(&mut result).arg(&c).arg(&count).arg(&plane).arg(&images);
        // SAFETY: the arguments are those of the kernel, and it writes `2 * channels` values.
        unsafe { launch.launch(each(channels)) }.map_err(wrapped)?;
        Ok((stored(result, x), Shape::from((2, channels))))
    }
}

/// An operation of three tensors that a GPU alone computes.
trait Kernel: Send + Sync {
    const NAME: &'static str;

    fn run(
        &self,
        first: &CudaStorage,
        first_layout: &Layout,
        second: &CudaStorage,
        second_layout: &Layout,
        third: &CudaStorage,
        third_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)>;

    /// The gradients of what is tracked, from that of the result.
    fn gradients(&self, _: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Three> {
        bail!("{} has no gradient of its own", Self::NAME)
    }
}

type Three = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

/// A kernel as candle calls it.
struct OnGpu<K>(K);

impl<K: Kernel> CustomOp3 for OnGpu<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        not_here()
    }

    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.0.run(s1, l1, s2, l2, s3, l3)
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<Three> {
        self.0.gradients(first, second, third, gradient)
    }
}

struct Forward {
    /// Mean, inverse deviation, gamma, beta, `[4, C]`.
    table: Tensor,
    own: bool,
    rectified: bool,
}

impl Kernel for Forward {
    const NAME: &'static str = "affine";

    fn run(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (device, (images, channels, plane)) = (x.device(), sizes(layout)?);
        let config = walk(images * channels, plane);
        let (map, total) = (values(x, layout)?, layout.shape().elem_count());
        let (storage, table_layout) = self.table.storage_and_layout();
        let candle_core::Storage::Cuda(storage) = &*storage else { return not_here() };
        let table = values(storage, table_layout)?;
        let mut result = room::<f32>(device, total)?;
        let (channels, rectified) = (channels as i32, i32::from(self.rectified));
        let (plane, images) = (plane as u32, images as i32);
        let kernel = kernel(device, "affine")?;
        let stream = device.cuda_stream();
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&map).arg(&table).arg(&mut result).arg(&channels).arg(&plane).arg(&images);
        launch.arg(&rectified);
        // SAFETY: the arguments are those of the kernel, and it writes `total` values.
        unsafe { launch.launch(config) }.map_err(wrapped)?;
        Ok((stored(result, x), layout.shape().clone()))
    }

    fn gradients(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        gradient: &Tensor,
    ) -> Result<Three> {
        let (images, _, height, width) = x.dims4()?;
        let (detached, gradient) = (x.detach(), gradient.detach().contiguous()?);
        let learned = gamma.track_op() || beta.track_op();
        let mut table = self.table.clone();
        let mut sums = None;
        if learned || self.own {
            let op = Sums { rectified: self.rectified };
            let both = detached.apply_op3_no_bwd(&gradient, &table, &OnGpu(op))?;
            table = Tensor::cat(&[&table, &both], 0)?;
            sums = Some(both);
        }
        let dx = if x.track_op() {
            let values = if self.own { (images * height * width) as f32 } else { 0.0 };
            let op = Backward { rectified: self.rectified, values };
            Some(detached.apply_op3_no_bwd(&gradient, &table, &OnGpu(op))?)
        } else {
            None
        };
        let row = |wanted: bool, row: usize| -> Result<Option<Tensor>> {
            sums.as_ref().filter(|_| wanted).map(|sums| sums.get(row)).transpose()
        };
        Ok((dx, row(gamma.track_op(), 1)?, row(beta.track_op(), 0)?))
    }
}

/// Of a map, the gradient of its result and the table: the gradients of beta and gamma, `[2, C]`.
struct Sums {
    rectified: bool,
}

impl Kernel for Sums {
    const NAME: &'static str = "affine-sums";

    fn run(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
        table: &CudaStorage,
        table_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (device, (images, channels, plane)) = (x.device(), sizes(layout)?);
        let (map, dy) = (values(x, layout)?, values(gradient, gradient_layout)?);
        let table = values(table, table_layout)?;
        let (config, count) = sums(channels, images * plane);
        let mut parts = room::<f64>(device, channels * count * 2)?;
        let mut result = room::<f32>(device, 2 * channels)?;
        let (c, count, rectified) = (channels as i32, count as i32, i32::from(self.rectified));
        let (plane, images) = (plane as u32, images as i32);
        let first = kernel(device, "sums_of_parts")?;
        let stream = device.cuda_stream();
        let mut launch = stream.launch_builder(&first);
        launch.arg(&map).arg(&dy).arg(&table).arg(&mut parts).arg(&c).arg(&plane).arg(&images);
        launch.arg(&rectified);
        // SAFETY: the arguments are those of the kernel, and it writes `channels * count * 2` sums.
        unsafe { launch.launch(config) }.map_err(wrapped)?;
        let second = kernel(device, "sums_of_all")?;
        let mut launch = stream.launch_builder(&second);
        launch.arg(&parts).arg(&mut result).arg(&c).arg(&count);
        // SAFETY: the arguments are those of the kernel, and it writes `2 * channels` values.
        unsafe { launch.launch(each(channels)) }.map_err(wrapped)?;
        Ok((stored(result, x), Shape::from((2, channels))))
    }
}

/// Of a map, the gradient of its result and the table with its sums: the gradient of the map.
struct Backward {
    rectified: bool,
    /// Values a channel where they made the statistics, else 0.
    values: f32,
}

impl Kernel for Backward {
    const NAME: &'static str = "affine-backward";

    fn run(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
        table: &CudaStorage,
        table_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (device, (images, channels, plane)) = (x.device(), sizes(layout)?);
        let config = walk(images * channels, plane);
        let (map, dy) = (values(x, layout)?, values(gradient, gradient_layout)?);
        let (table, total) = (values(table, table_layout)?, layout.shape().elem_count());
        let mut result = room::<f32>(device, total)?;
        let (channels, rectified) = (channels as i32, i32::from(self.rectified));
        let (plane, images) = (plane as u32, images as i32);
        let kernel = kernel(device, "affine_backward")?;
        let stream = device.cuda_stream();
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&map).arg(&dy).arg(&table).arg(&mut result).arg(&channels).arg(&plane);
        launch.arg(&images).arg(&rectified).arg(&self.values);
        // SAFETY: the arguments are those of the kernel, and it writes `total` values.
        unsafe { launch.launch(config) }.map_err(wrapped)?;
        Ok((stored(result, x), layout.shape().clone()))
    }
}
