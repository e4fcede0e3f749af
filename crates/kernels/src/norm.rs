//! Moments of a map, and batch norm without a convolution.
use crate::emit::Partial;
use crate::simd::{InstructionSet, Job, Lanes, load_first, store_first};
use crate::{MapShape, Needs, Norm, Statistics, UnitGrads};
use rayon::prelude::*;

/// Pixels of a work item.
const BLOCK: usize = 2048;

/// Mean and biased variance of each channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Moments {
    /// Mean.
    pub mean: Vec<f32>,
    /// Mean squared deviation.
    pub variance: Vec<f32>,
    /// Pixels.
    pub count: usize,
}

impl Moments {
    /// Sum of squared deviations over `count - 1`, as PyTorch's running variance has it.
    pub fn unbiased_variance(&self) -> Vec<f32> {
        let correction = self.count as f64 / (self.count.max(2) - 1) as f64;
        self.variance.iter().map(|&value| (f64::from(value) * correction) as f32).collect()
    }
}

/// Mean and variance of each channel over all pixels.
pub fn moments(x: &[f32], shape: MapShape) -> Moments {
    assert_eq!(x.len(), shape.len(), "the map has not the shape {shape:?}");
    let set = InstructionSet::current();
    let blocks = x.par_chunks(BLOCK * shape.c.max(1));
    let partials: Vec<Partial> =
        blocks.map(|x| set.run(BlockSums { x, channels: shape.c })).collect();
    combine(&partials, shape.c)
}

/// Sums about the block's mean, which is taken first: a shift far from it would cost digits.
struct BlockSums<'a> {
    x: &'a [f32],
    channels: usize,
}

impl Job for BlockSums<'_> {
    type Output = Partial;

    // Plain loops: the compiler makes vectors of them, of the set's length.
    #[inline(always)]
    fn run<L: Lanes>(self) -> Partial {
        let Self { x, channels } = self;
        let count = x.len() / channels;
        let mut shift = vec![0.0; channels];
        for pixel in x.chunks_exact(channels) {
            shift.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
        }
        shift.iter_mut().for_each(|sum| *sum /= count as f32);
        let (mut first, mut second) = (vec![0.0; channels], vec![0.0; channels]);
        for pixel in x.chunks_exact(channels) {
            let sums = first.iter_mut().zip(&mut second);
            for ((x, shift), (first, second)) in pixel.iter().zip(&shift).zip(sums) {
                let centred = x - shift;
                *first += centred;
                *second += centred * centred;
            }
        }
        Partial { count, shift, first, second }
    }
}

/// Moments from items' sums, in their order (Chan et al. 1983, pairwise combination).
pub(crate) fn combine(partials: &[Partial], channels: usize) -> Moments {
    let (mut means, mut squares) = (vec![0.0f64; channels], vec![0.0f64; channels]);
    let mut count = 0usize;
    for partial in partials.iter().filter(|partial| partial.count > 0) {
        let added = partial.count as f64;
        let total = count as f64 + added;
        for c in 0..channels {
            let offset = f64::from(partial.first[c]) / added;
            let mean = f64::from(partial.shift[c]) + offset;
            let square = f64::from(partial.second[c]) - offset * f64::from(partial.first[c]);
            // Rounding can take it below 0; what is no number stays that.
            let square = if square < 0.0 { 0.0 } else { square };
            let delta = mean - means[c];
            means[c] += delta * added / total;
            squares[c] += square + delta * delta * count as f64 * added / total;
        }
        count += partial.count;
    }
    let variance = squares.iter().map(|square| (square / count.max(1) as f64) as f32).collect();
    Moments { mean: means.iter().map(|&mean| mean as f32).collect(), variance, count }
}

/// Sums of gradient and of gradient times normalised input, in f64, in the items' order.
pub(crate) fn gradient_sums(partials: &[Partial], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut first, mut second) = (vec![0.0; channels], vec![0.0; channels]);
    for partial in partials {
        for c in 0..channels {
            first[c] += f64::from(partial.first[c]);
            second[c] += f64::from(partial.second[c]);
        }
    }
    (first, second)
}

/// `(x - mean) * inv_std * gamma + beta`
///
/// # Panics
/// When slices have not the lengths that the shape says.
pub fn norm_forward(x: &[f32], shape: MapShape, norm: &Norm) -> Vec<f32> {
    check(x, shape, norm);
    let (scale, shift) = norm.scale_shift();
    let mut y = vec![0.0; x.len()];
    let len = BLOCK * shape.c.max(1);
    y.par_chunks_mut(len).zip(x.par_chunks(len)).for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(shape.c).zip(x.chunks_exact(shape.c)) {
            for c in 0..shape.c {
                y[c] = x[c] * scale[c] + shift[c];
            }
        }
    });
    y
}

/// Gradients of [`norm_forward`] for the output's gradient `dy`.
///
/// # Panics
/// As [`norm_forward`].
pub fn norm_backward(
    x: &[f32],
    shape: MapShape,
    norm: &Norm,
    dy: &[f32],
    needs: &Needs,
) -> UnitGrads {
    check(x, shape, norm);
    assert_eq!(dy.len(), x.len(), "a gradient of another shape");
    let channels = shape.c;
    let len = BLOCK * channels.max(1);
    let partials: Vec<Partial> = x
        .par_chunks(len)
        .zip(dy.par_chunks(len))
        .map(|(x, dy)| block_gradient_sums(x, dy, norm))
        .collect();
    let (beta, gamma) = gradient_sums(&partials, channels);
    let input = needs.input.then(|| {
        let mut gradient = dy.to_vec();
        let pass = InputPass::new(norm, &beta, &gamma, shape.pixels());
        pass.apply(&mut gradient, x, None);
        gradient
    });
    let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    UnitGrads {
        input,
        gamma: needs.norm.then(|| narrow(gamma)),
        beta: needs.norm.then(|| narrow(beta)),
        ..UnitGrads::default()
    }
}

fn check(x: &[f32], shape: MapShape, norm: &Norm) {
    assert_eq!(x.len(), shape.len(), "the map has not the shape {shape:?}");
    norm.check(shape.c);
}

fn block_gradient_sums(x: &[f32], dy: &[f32], norm: &Norm) -> Partial {
    let channels = norm.mean.len();
    let zeros = vec![0.0; channels];
    let mut partial = Partial {
        count: x.len() / channels,
        shift: Vec::new(),
        first: zeros.clone(),
        second: zeros,
    };
    for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
        for c in 0..channels {
            partial.first[c] += dy[c];
            partial.second[c] += dy[c] * (x[c] - norm.mean[c]) * norm.inv_std[c];
        }
    }
    partial
}

/// The last pass of a normalisation's backward: `dx = g * a + x * b + c`, channel by channel.
///
/// With batch statistics this is `gamma * inv_std * (g - mean(g) - normal * mean(g * normal))`
/// (Ioffe and Szegedy 2015, section 3), with running ones `gamma * inv_std * g`.
pub(crate) struct InputPass {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl InputPass {
    /// From the sums over all pixels of the gradient and of gradient times normalised input.
    pub fn new(norm: &Norm, sum: &[f64], sum_normal: &[f64], pixels: usize) -> Self {
        let (scale, _) = norm.scale_shift();
        let channels = scale.len();
        if norm.statistics == Statistics::Running {
            return Self { a: scale, b: vec![0.0; channels], c: vec![0.0; channels] };
        }
        let (mut b, mut c) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let scale = f64::from(scale[channel]) / pixels.max(1) as f64;
            let slope = -scale * sum_normal[channel] * f64::from(norm.inv_std[channel]);
            b.push(slope as f32);
            c.push((-scale * sum[channel] - slope * f64::from(norm.mean[channel])) as f32);
        }
        Self { a: scale, b, c }
    }

    /// Turns `gradient` into `gradient * a + x * b + c (+ skip)`; all are maps of these channels.
    pub fn apply(&self, gradient: &mut [f32], x: &[f32], skip: Option<&[f32]>) {
        assert!(gradient.len().is_multiple_of(self.a.len()), "a map of other channels");
        let set = InstructionSet::current();
        let len = BLOCK * self.a.len().max(1);
        gradient.par_chunks_mut(len).enumerate().with_max_len(4).for_each(|(item, gradient)| {
            let range = item * len..item * len + gradient.len();
            let (x, skip) = (&x[range.clone()], skip.map(|skip| &skip[range]));
            set.run(ApplyBlock { pass: self, gradient, x, skip });
        });
    }
}

struct ApplyBlock<'a> {
    pass: &'a InputPass,
    gradient: &'a mut [f32],
    x: &'a [f32],
    skip: Option<&'a [f32]>,
}

impl Job for ApplyBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        let channels = self.pass.a.len();
        let whole = channels - channels % L::N;
        for pixel in (0..self.gradient.len()).step_by(channels) {
            // SAFETY: the vectors' values lie within the pixel's channels, in slices of one length.
            unsafe {
                for k in (0..whole).step_by(L::N) {
                    self.apply::<L, true>(pixel, k, L::N);
                }
                if whole < channels {
                    self.apply::<L, false>(pixel, whole, channels - whole);
                }
            }
        }
    }
}

impl ApplyBlock<'_> {
    /// The vector of a pixel's channels from `k` on: all of it when `FULL`, else its first `own` values.
    ///
    /// # Safety
    /// They lie within the pixel's channels; as for the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn apply<L: Lanes, const FULL: bool>(&mut self, pixel: usize, k: usize, own: usize) {
        let InputPass { a, b, c } = self.pass;
        // SAFETY: passed on from the caller.
        unsafe {
            let load =
                |slice: &[f32], at: usize| load_first::<L, FULL>(slice.as_ptr().add(at), own);
            let affine = L::fma(load(self.x, pixel + k), load(b, k), load(c, k));
            let mut y = L::fma(load(self.gradient, pixel + k), load(a, k), affine);
            if let Some(skip) = self.skip {
                y = L::add(y, load(skip, pixel + k));
            }
            store_first::<L, FULL>(self.gradient.as_mut_ptr().add(pixel + k), y, own);
        }
    }
}

/// Sum of each channel over all pixels of a gradient, masked where `by` is not positive.
pub(crate) fn column_sums(dy: &[f32], by: Option<&[f32]>, channels: usize) -> Vec<f32> {
    let set = InstructionSet::current();
    let len = BLOCK * channels.max(1);
    let sums: Vec<Vec<f32>> = dy
        .par_chunks(len)
        .enumerate()
        .map(|(item, dy)| {
            let by = by.map(|by| &by[item * len..][..dy.len()]);
            set.run(ColumnSums { dy, by, channels })
        })
        .collect();
    (0..channels).map(|c| sums.iter().map(|sums| f64::from(sums[c])).sum::<f64>() as f32).collect()
}

struct ColumnSums<'a> {
    dy: &'a [f32],
    by: Option<&'a [f32]>,
    channels: usize,
}

impl Job for ColumnSums<'_> {
    type Output = Vec<f32>;

    // Plain loops: the compiler makes vectors of them, of the set's length.
    #[inline(always)]
    fn run<L: Lanes>(self) -> Vec<f32> {
        let Self { dy, by, channels } = self;
        let mut sums = vec![0.0; channels];
        for (pixel, dy) in dy.chunks_exact(channels).enumerate() {
            match by {
                None => {
                    for (sum, dy) in sums.iter_mut().zip(dy) {
                        *sum += dy;
                    }
                }
                Some(by) => {
                    let by = &by[pixel * channels..][..channels];
                    for ((sum, dy), by) in sums.iter_mut().zip(dy).zip(by) {
                        *sum += if *by > 0.0 { *dy } else { 0.0 };
                    }
                }
            }
        }
        sums
    }
}
