//! Norms with LeakyReLU, LeakyReLU alone, and average pooling, on channels-last maps, with their gradients.
use crate::conv::{Map, to_vec, values};
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use udas_kernels::{MapShape, Moments, moments};

/// Added to the variance, as nnU-Net plans it.
const EPSILON: f64 = 1e-5;

/// Slope of LeakyReLU below 0.
pub(crate) const SLOPE: f32 = 0.01;

/// Values of a work item, about; it is cut at whole pixels.
const BLOCK: usize = 1 << 16;

/// Mean and variance that a norm goes by.
#[derive(Clone)]
pub(crate) enum Statistics {
    /// Each image's own.
    Image,
    /// These; no gradient flows through them.
    Given(Moments),
}

/// Normalises `[N, D, H, W, C]`, scales by `gamma`, shifts by `beta`; values below 0 are multiplied by `slope` (1:
/// they stay).
pub(crate) fn normalise(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    statistics: Statistics,
    slope: f32,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3(gamma, beta, Norm { statistics, slope })
}

/// The moments of a map over all its images.
pub(crate) fn moments_of(x: &Tensor) -> Result<Moments> {
    let map = Map::of(x.shape())?;
    Ok(moments(&to_vec(x)?, shape(map.n, map)))
}

fn shape(n: usize, map: Map) -> MapShape {
    MapShape { n: n * map.d, h: map.h, w: map.w, c: map.c }
}

struct Norm {
    statistics: Statistics,
    slope: f32,
}

/// One image's normalisation: `(x - mean) * inverse`.
struct Centred {
    mean: Vec<f32>,
    inverse: Vec<f32>,
}

impl Norm {
    fn centred(&self, image: &[f32], map: Map) -> Centred {
        let own;
        let moments = match &self.statistics {
            Statistics::Given(moments) => moments,
            Statistics::Image => {
                own = moments(image, shape(1, map));
                &own
            }
        };
        let inverse = |&variance: &f32| (1.0 / (f64::from(variance) + EPSILON).sqrt()) as f32;
        let inverse = moments.variance.iter().map(inverse).collect();
        Centred { mean: moments.mean.clone(), inverse }
    }

    fn forward(&self, x: &[f32], map: Map, gamma: &[f32], beta: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        let size = map.len() / map.n;
        for (image, out) in x.chunks_exact(size).zip(out.chunks_exact_mut(size)) {
            let Centred { mean, inverse } = self.centred(image, map);
            let block = block(map.c);
            let blocks = image.par_chunks(block).zip(out.par_chunks_mut(block));
            blocks.for_each(|(image, out)| {
                let pixels = image.chunks_exact(map.c).zip(out.chunks_exact_mut(map.c));
                for (x, y) in pixels {
                    for c in 0..map.c {
                        let value = (x[c] - mean[c]) * inverse[c] * gamma[c] + beta[c];
                        y[c] = if value < 0.0 { value * self.slope } else { value };
                    }
                }
            });
        }
        out
    }

    /// Gradients of the input, of gamma and of beta.
    fn backward(
        &self,
        x: &[f32],
        map: Map,
        gamma: &[f32],
        beta: &[f32],
        dy: &[f32],
    ) -> [Vec<f32>; 3] {
        let (mut dx, size) = (vec![0.0; x.len()], map.len() / map.n);
        let (mut dgamma, mut dbeta) = (vec![0.0; map.c], vec![0.0; map.c]);
        let images = x.chunks_exact(size).zip(dy.chunks_exact(size)).zip(dx.chunks_exact_mut(size));
        for ((image, dy), dx) in images {
            let centred = self.centred(image, map);
            let pass = Pass { centred: &centred, gamma, beta, slope: self.slope };
            let (sums, products) = pass.sums(image, dy, map.c);
            for c in 0..map.c {
                dgamma[c] += products[c] as f32;
                dbeta[c] += sums[c] as f32;
            }
            let share = match self.statistics {
                Statistics::Image => map.c as f64 / size as f64,
                Statistics::Given(_) => 0.0,
            };
            let mean = |sums: Vec<f64>| -> Vec<f32> {
                sums.into_iter().map(|sum| (sum * share) as f32).collect()
            };
            pass.input(image, dy, dx, &mean(sums), &mean(products));
        }
        [dx, dgamma, dbeta]
    }
}

struct Pass<'a> {
    centred: &'a Centred,
    gamma: &'a [f32],
    beta: &'a [f32],
    slope: f32,
}

impl Pass<'_> {
    /// The normalised value, and the gradient behind the LeakyReLU.
    fn at(&self, c: usize, x: f32, dy: f32) -> (f32, f32) {
        let normal = (x - self.centred.mean[c]) * self.centred.inverse[c];
        let value = normal * self.gamma[c] + self.beta[c];
        (normal, if value < 0.0 { dy * self.slope } else { dy })
    }

    /// Sums of the gradient, alone and times the normalised value; in blocks, so that bits do not depend on threads.
    fn sums(&self, x: &[f32], dy: &[f32], channels: usize) -> (Vec<f64>, Vec<f64>) {
        let blocks = x.par_chunks(block(channels)).zip(dy.par_chunks(block(channels)));
        let partials: Vec<_> = blocks
            .map(|(x, dy)| {
                let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
                for (i, (&x, &dy)) in x.iter().zip(dy).enumerate() {
                    let (normal, gradient) = self.at(i % channels, x, dy);
                    sums[i % channels] += f64::from(gradient);
                    products[i % channels] += f64::from(gradient * normal);
                }
                (sums, products)
            })
            .collect();
        let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
        for partial in partials {
            sums.iter_mut().zip(partial.0).for_each(|(sum, part)| *sum += part);
            products.iter_mut().zip(partial.1).for_each(|(sum, part)| *sum += part);
        }
        (sums, products)
    }

    fn input(&self, x: &[f32], dy: &[f32], dx: &mut [f32], mean: &[f32], product: &[f32]) {
        let channels = mean.len();
        let block = block(channels);
        let blocks = x.par_chunks(block).zip(dy.par_chunks(block)).zip(dx.par_chunks_mut(block));
        blocks.for_each(|((x, dy), dx)| {
            for (i, ((&x, &dy), dx)) in x.iter().zip(dy).zip(dx).enumerate() {
                let c = i % channels;
                let (normal, gradient) = self.at(c, x, dy);
                let centred = gradient - mean[c] - normal * product[c];
                *dx = centred * self.gamma[c] * self.centred.inverse[c];
            }
        });
    }
}

/// Values of a block of whole pixels.
fn block(channels: usize) -> usize {
    (BLOCK / channels).max(1) * channels
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "norm"
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
        let map = Map::of(l1.shape())?;
        let (gamma, beta) = (values(s2, l2)?, values(s3, l3)?);
        if gamma.len() != map.c || beta.len() != map.c || map.len() == 0 {
            bail!("a map {:?} for a norm of {} channels", l1.dims(), gamma.len());
        }
        let out = self.forward(values(s1, l1)?, map, gamma, beta);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (map, [g, b]) = (Map::of(x.shape())?, [to_vec(gamma)?, to_vec(beta)?]);
        let [dx, dgamma, dbeta] = self.backward(&to_vec(x)?, map, &g, &b, &to_vec(dy)?);
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(dx, x)?), Some(tensor(dgamma, gamma)?), Some(tensor(dbeta, beta)?)))
    }
}

/// LeakyReLU.
pub(crate) fn leaky(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Leaky)
}

struct Leaky;

impl CustomOp1 for Leaky {
    fn name(&self) -> &'static str {
        "leaky-relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let y = x.par_iter().map(|&x| if x < 0.0 { x * SLOPE } else { x }).collect();
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let pairs = to_vec(x)?.into_iter().zip(to_vec(dy)?);
        let dx = pairs.map(|(x, dy)| if x < 0.0 { dy * SLOPE } else { dy }).collect();
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
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
        let (map, dy) = (Map::of(x.shape())?, to_vec(dy)?);
        let (mut dx, share) = (vec![0.0; map.len()], self.share());
        self.each(map, |from, to| {
            let pairs = dx[to..to + map.c].iter_mut().zip(&dy[from..from + map.c]);
            pairs.for_each(|(dx, dy)| *dx = dy * share);
        });
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}
