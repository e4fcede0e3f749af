//! The kernels of `kernels.cu`, compiled once a process, and how they are started.
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaView, DeviceRepr, LaunchConfig,
};
use candle_core::cuda_backend::cudarc::nvrtc;
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{Error, Layout, Result, bail};
use std::sync::OnceLock;

/// Threads of a block; `kernels.cu` counts on it.
const BLOCK: u32 = 256;
/// Blocks that add up a map: enough for the largest GPUs.
const SUMMERS: usize = 132 * 16;

/// The kernel `name`.
pub fn kernel(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    static PTX: OnceLock<std::result::Result<String, String>> = OnceLock::new();
    let compiled = PTX.get_or_init(|| match nvrtc::compile_ptx(include_str!("kernels.cu")) {
        Ok(ptx) => Ok(ptx.to_src()),
        Err(error) => Err(format!("the GPU's kernels do not compile: {error:?}")),
    });
    match compiled {
        Ok(ptx) => Ok(device.get_or_load_custom_func(name, "udas", ptx)?.into_cuda_function()),
        Err(error) => bail!("{error}"),
    }
}

/// A contiguous float32 tensor's values.
pub fn values<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, f32>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<f32>()?.slice(start..end)),
        None => bail!("an operation on the GPU reads contiguous tensors only"),
    }
}

/// Memory for a result that is written whole.
pub fn room<T: DeviceRepr>(device: &CudaDevice, len: usize) -> Result<CudaSlice<T>> {
    // SAFETY: every caller hands it to a kernel that writes all of it before anything reads it.
    unsafe { device.alloc::<T>(len) }
}

/// A result as candle keeps it.
pub fn stored(slice: CudaSlice<f32>, like: &CudaStorage) -> CudaStorage {
    CudaStorage::wrap_cuda_slice(slice, like.device().clone())
}

/// For kernels that walk over `maps` of `plane` values each.
pub fn walk(maps: usize, plane: usize) -> LaunchConfig {
    let across = plane.div_ceil(4 * BLOCK as usize).max(1) as u32;
    let down = maps.clamp(1, 65_535) as u32;
    LaunchConfig { grid_dim: (across, down, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 }
}

/// For kernels with one thread a channel.
pub fn each(channels: usize) -> LaunchConfig {
    walk(1, 4 * channels)
}

/// For kernels that add up `values` of each of `channels`; the parts of a channel are the second figure.
pub fn sums(channels: usize, values: usize) -> (LaunchConfig, usize) {
    let parts = values.div_ceil(4 * BLOCK as usize).clamp(1, (SUMMERS / channels.max(1)).max(1));
    let grid_dim = (channels as u32, parts as u32, 1);
    (LaunchConfig { grid_dim, block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 }, parts)
}

/// What the driver said, as candle's error.
pub fn wrapped(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::wrap(error)
}
