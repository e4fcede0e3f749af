//! Bilinear up-sampling of channels-last maps with half-pixel centres, with the backward that candle's
//! own operation lacks.
use crate::{Result, layout};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use udas_kernels::{
    MapShape, upsample_bilinear as forward, upsample_bilinear_backward as backward,
};

/// `[N, H, W, C]` to `[N, H * factor, W * factor, C]`, `align_corners = false`; factor 2, 4 or 8.
///
/// # Errors
/// When `map` has not four axes. Other devices than the CPU have no backward.
pub fn upsample_bilinear(map: &Tensor, factor: usize) -> Result<Tensor> {
    if map.device().is_cpu() && map.dtype() == DType::F32 {
        return Ok(map.contiguous()?.apply_op1(Upsample { factor })?);
    }
    let image = layout::to_channels_first(map)?;
    let (_, _, h, w) = image.dims4()?;
    let image = image.upsample_bilinear2d(h * factor, w * factor, false)?;
    Ok(layout::to_channels_last(&image)?)
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
