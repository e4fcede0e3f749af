//! Channels-last maps `[N, D, H, W, C]`: their sizes and values, and what joins, adds and averages them.
use crate::conv::SLOPE;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;
use std::ops::Deref;
use udas_kernels::MapShape;

/// Values of a work item, about.
const BLOCK: usize = 1 << 16;

/// Sizes of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub n: usize,
    pub d: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Map {
    pub fn of(shape: &Shape) -> Result<Self> {
        let (n, d, h, w, c) = shape.dims5()?;
        Ok(Self { n, d, h, w, c })
    }

    pub fn len(self) -> usize {
        self.n * self.d * self.h * self.w * self.c
    }

    /// The planes of this many of its images.
    pub fn planes(self, images: usize) -> MapShape {
        MapShape { n: images * self.d, h: self.h, w: self.w, c: self.c }
    }
}

/// A contiguous tensor's values.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a map that is not contiguous"),
    }
}

/// The values of tensors as [`Tensor::storage_and_layout`] holds them.
pub(crate) fn all<'a, S: Deref<Target = Storage>, const N: usize>(
    held: &'a [(S, &Layout); N],
) -> Result<[&'a [f32]; N]> {
    let mut all: [&[f32]; N] = [&[]; N];
    for (values, (storage, layout)) in all.iter_mut().zip(held) {
        *values = match &**storage {
            Storage::Cpu(storage) => self::values(storage, layout)?,
            _ => bail!("a map on another device than the CPU"),
        };
    }
    Ok(all)
}

/// Two maps' channels side by side.
pub(crate) fn join(first: &Tensor, second: &Tensor) -> Result<Tensor> {
    first.contiguous()?.apply_op2(&second.contiguous()?, Join)
}

struct Join;

/// Values of a block of whole pixels of so many channels.
fn block(channels: usize) -> usize {
    (BLOCK / channels.max(1)).max(1) * channels
}

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (map, other) = (Map::of(l1.shape())?, Map::of(l2.shape())?);
        if (Map { c: other.c, ..map }) != other || map.len() * other.len() == 0 {
            bail!("maps {map:?} and {other:?} side by side");
        }
        let (first, second) = (values(s1, l1)?, values(s2, l2)?);
        let pixels = BLOCK / (map.c + other.c) + 1;
        let channels = map.c + other.c;
        let mut joined = vec![0.0; first.len() + second.len()];
        let blocks = joined.par_chunks_mut(pixels * channels);
        let parts = first.par_chunks(pixels * map.c).zip(second.par_chunks(pixels * other.c));
        blocks.zip(parts).for_each(|(joined, (first, second))| {
            let parts = first.chunks_exact(map.c).zip(second.chunks_exact(other.c));
            for (pixel, (first, second)) in joined.chunks_exact_mut(channels).zip(parts) {
                pixel[..map.c].copy_from_slice(first);
                pixel[map.c..].copy_from_slice(second);
            }
        });
        let shape = (map.n, map.d, map.h, map.w, channels).into();
        Ok((CpuStorage::F32(joined), shape))
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let read = [dy.storage_and_layout()];
        let [dy] = all(&read)?;
        let channels = [first, second].map(|map| map.dims()[4]);
        let side = |map: &Tensor, from: usize| -> Result<Option<Tensor>> {
            if !map.track_op() {
                return Ok(None);
            }
            let own = map.dims()[4];
            let all = channels[0] + channels[1];
            let mut part = vec![0.0; map.elem_count()];
            let blocks = part.par_chunks_mut(block(own)).zip(dy.par_chunks(block(own) / own * all));
            blocks.for_each(|(part, dy)| {
                for (part, dy) in part.chunks_exact_mut(own).zip(dy.chunks_exact(all)) {
                    part.copy_from_slice(&dy[from..from + own]);
                }
            });
            Ok(Some(Tensor::from_vec(part, map.shape(), map.device())?))
        };
        Ok((side(first, 0)?, side(second, channels[0])?))
    }
}

/// LeakyReLU of the sum of two maps.
pub(crate) fn rectified_sum(first: &Tensor, second: &Tensor) -> Result<Tensor> {
    first.contiguous()?.apply_op2(&second.contiguous()?, RectifiedSum)
}

struct RectifiedSum;

/// `work` on each pair of values.
fn each_pair(a: &[f32], b: &[f32], work: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    let mut out = vec![0.0; a.len()];
    let blocks = out.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK)));
    blocks.for_each(|(out, (a, b))| {
        out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = work(*a, *b));
    });
    out
}

impl CustomOp2 for RectifiedSum {
    fn name(&self) -> &'static str {
        "rectified-sum"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if l1.shape() != l2.shape() {
            bail!("a sum of maps {:?} and {:?}", l1.dims(), l2.dims());
        }
        let y = each_pair(values(s1, l1)?, values(s2, l2)?, |a, b| {
            let sum = a + b;
            if sum < 0.0 { sum * SLOPE } else { sum }
        });
        Ok((CpuStorage::F32(y), l1.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let read = [y, &dy].map(Tensor::storage_and_layout);
        let [ys, dys] = all(&read)?;
        // The result has the sum's sign.
        let dx = each_pair(ys, dys, |y, dy| if y < 0.0 { dy * SLOPE } else { dy });
        let dx = Tensor::from_vec(dx, y.shape(), y.device())?;
        Ok((Some(dx.clone()), Some(dx)))
    }
}

/// The mean of each block of `size`; what fills no block is left.
pub(crate) fn average(x: &Tensor, size: [usize; 3]) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Average { size })
}

struct Average {
    size: [usize; 3],
}

impl Average {
    /// Calls `visit(place of the mean, place of a value)`, both of a pixel's first channel.
    fn each(&self, map: Map, mut visit: impl FnMut(usize, usize)) {
        let [kd, kh, kw] = self.size;
        let mut to = 0;
        for (n, z) in (0..map.n).flat_map(|n| (0..map.d / kd).map(move |z| (n, z))) {
            for (y, x) in (0..map.h / kh).flat_map(|y| (0..map.w / kw).map(move |x| (y, x))) {
                for (a, b) in (0..kd).flat_map(|a| (0..kh).map(move |b| (a, b))) {
                    let row = ((n * map.d + z * kd + a) * map.h + y * kh + b) * map.w + x * kw;
                    (0..kw).for_each(|c| visit(to * map.c, (row + c) * map.c));
                }
                to += 1;
            }
        }
    }

    fn out(&self, map: Map) -> Map {
        let [kd, kh, kw] = self.size;
        Map { d: map.d / kd, h: map.h / kh, w: map.w / kw, ..map }
    }

    fn share(&self) -> f32 {
        1.0 / self.size.iter().product::<usize>() as f32
    }
}

impl CustomOp1 for Average {
    fn name(&self) -> &'static str {
        "average-pool"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (map, x) = (Map::of(layout.shape())?, values(storage, layout)?);
        let out = self.out(map);
        let mut y = vec![0.0; out.len()];
        self.each(map, |to, from| {
            let pairs = y[to..to + map.c].iter_mut().zip(&x[from..from + map.c]);
            pairs.for_each(|(sum, x)| *sum += x);
        });
        y.iter_mut().for_each(|sum| *sum *= self.share());
        Ok((CpuStorage::F32(y), (out.n, out.d, out.h, out.w, out.c).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (map, dy) = (Map::of(x.shape())?, dy.contiguous()?);
        let read = [dy.storage_and_layout()];
        let [dy] = all(&read)?;
        let (mut dx, share) = (vec![0.0; map.len()], self.share());
        self.each(map, |from, to| {
            let pairs = dx[to..to + map.c].iter_mut().zip(&dy[from..from + map.c]);
            pairs.for_each(|(dx, dy)| *dx = dy * share);
        });
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
