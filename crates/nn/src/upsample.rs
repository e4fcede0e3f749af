//! Bilinear up-sampling of channels-last maps with half-pixel centres, with the backward that candle's
//! own operation lacks.
use crate::Result;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use udas_kernels::{
    MapShape, upsample_bilinear as forward, upsample_bilinear_backward as backward,
};

/// `[N, H, W, C]` to `[N, H * factor, W * factor, C]`, `align_corners = false`; factor 2, 4 or 8.
///
/// # Errors
/// When `map` has not four axes.
pub fn upsample_bilinear(map: &Tensor, factor: usize) -> Result<Tensor> {
    if map.device().is_cpu() && map.dtype() == DType::F32 {
        return Ok(map.contiguous()?.apply_op1(Upsample { factor })?);
    }
    let (n, h, w, c) = map.dims4()?;
    let along = |size: usize| weights(size, factor, map);
    // [N, H, W C] by rows, then [N fH, W, C] by columns.
    let rows = along(h)?.broadcast_matmul(&map.reshape((n, h, w * c))?)?;
    let both = along(w)?.broadcast_matmul(&rows.reshape((n * h * factor, w, c))?)?;
    Ok(both.reshape((n, h * factor, w * factor, c))?)
}

/// `[size * factor, size]`: the share of every input in every output along one axis.
fn weights(size: usize, factor: usize, like: &Tensor) -> Result<Tensor> {
    let mut weights = vec![0f32; size * factor * size];
    for (output, row) in weights.chunks_exact_mut(size).enumerate() {
        let position = ((output as f32 + 0.5) / factor as f32 - 0.5).max(0.0);
        let (first, share) = (position as usize, position.fract());
        row[first] += 1.0 - share;
        row[(first + 1).min(size - 1)] += share;
    }
    let weights = Tensor::from_vec(weights, (size * factor, size), like.device())?;
    Ok(weights.to_dtype(like.dtype())?)
}

struct Upsample {
    factor: usize,
}

fn map_shape(shape: &Shape) -> candle_core::Result<MapShape> {
    let (n, h, w, c) = shape.dims4()?;
    Ok(MapShape { n, h, w, c })
}

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample-bilinear"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = map_shape(layout.shape())?;
        let x = &storage.as_slice::<f32>()?[layout.start_offset()..][..shape.len()];
        let y = forward(x, shape, self.factor);
        let out = (shape.n, shape.h * self.factor, shape.w * self.factor, shape.c);
        Ok((CpuStorage::F32(y), out.into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let shape = map_shape(x.shape())?;
        let dy = dy.flatten_all()?.to_vec1::<f32>()?;
        let dx = backward(&dy, shape, self.factor);
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
