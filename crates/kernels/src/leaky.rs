//! Norms whose mean and variance may be each image's own, with LeakyReLU: one pass forward, two back.
use crate::memory::{Shared, written};
use crate::simd::{InstructionSet, Job, Lanes, load_first, padded, store_first};
use crate::{Norm, Statistics};
use rayon::prelude::*;

/// Values of a work item, about; it is cut at whole pixels.
const ITEM: usize = 1 << 16;

/// Values that are gone through channel by channel: they stay in a core's first-level cache.
const PIECE: usize = 1 << 12;

/// What [`leaky_norm_backward`] gives beside the input's gradient.
#[derive(Clone, PartialEq, Debug)]
pub struct LeakyGrads {
    /// Of the norm's scale.
    pub gamma: Vec<f32>,
    /// Of the norm's shift.
    pub beta: Vec<f32>,
    /// Sum of the input's gradient over all pixels: the gradient of a bias before the norm.
    pub bias: Vec<f32>,
}

/// `leaky((x - mean) * inv_std * gamma + beta)`, values below 0 multiplied by `slope`, which is at most 1. A channels-last
/// map of as many images as there are norms.
///
/// # Panics
/// When the map is not made of so many images of the norms' channels.
pub fn leaky_norm(x: &[f32], norms: &[Norm], slope: f32) -> Vec<f32> {
    // SAFETY: the items write every value once, and read none of the output.
    unsafe {
        written(x.len(), |y| apply(Shared(x.as_ptr().cast_mut()), x.len(), y, norms, slope)).0
    }
}

/// The same over the map itself.
///
/// # Panics
/// As [`leaky_norm`].
pub fn leaky_norm_in_place(x: &mut [f32], norms: &[Norm], slope: f32) {
    let map = Shared(x.as_mut_ptr());
    // SAFETY: each item reads a value before it writes it, and no other item does.
    unsafe { apply(map, x.len(), map, norms, slope) }
}

/// # Safety
/// `x` and `y` hold `len` values and are the same or apart; nobody else uses them meanwhile but to read `x`.
unsafe fn apply(x: Shared, len: usize, y: Shared, norms: &[Norm], slope: f32) {
    let set = InstructionSet::current();
    let map = Map::new(len, norms);
    map.items().for_each(|item| {
        let norm = &norms[item.image];
        set.run(Forward { x, y, item, norm, slope });
    });
}

/// Gradients of [`leaky_norm`] for the output's gradient `dy`; that of the input takes the place of the input `x`.
///
/// # Panics
/// As [`leaky_norm`].
pub fn leaky_norm_backward(x: &mut [f32], norms: &[Norm], slope: f32, dy: &[f32]) -> LeakyGrads {
    assert_eq!(x.len(), dy.len(), "a gradient of another shape");
    let set = InstructionSet::current();
    let map = Map::new(x.len(), norms);
    let channels = map.channels;
    let partials: Vec<[Vec<f32>; 2]> = map
        .items()
        .map(|item| set.run(SumBlock { x, dy, item, norm: &norms[item.image], slope }))
        .collect();
    let (mut gamma, mut beta) = (vec![0.0f64; channels], vec![0.0f64; channels]);
    // Each image's means of the gradient, alone and times the normalised value.
    let mut means = Vec::with_capacity(norms.len());
    for (norm, partials) in norms.iter().zip(partials.chunks(map.items_of_image())) {
        let [sum, product] = [0, 1].map(|which| -> Vec<f64> {
            let of_channel =
                |c: usize| partials.iter().map(|partial| f64::from(partial[which][c])).sum();
            (0..channels).map(of_channel).collect()
        });
        let pixels = map.pixels as f64;
        let share = if norm.statistics == Statistics::Batch { 1.0 / pixels } else { 0.0 };
        let mean = |sums: &[f64]| sums.iter().map(|sum| (sum * share) as f32).collect::<Vec<_>>();
        means.push([mean(&sum), mean(&product)]);
        gamma.iter_mut().zip(product).for_each(|(total, sum)| *total += sum);
        beta.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
    }
    let dx = Shared(x.as_mut_ptr());
    let sums: Vec<Vec<f32>> = map
        .items()
        .map(|item| {
            let (norm, [mean, product]) = (&norms[item.image], &means[item.image]);
            set.run(Input { x: dx, dy, item, norm, slope, mean, product })
        })
        .collect();
    let bias = (0..channels).map(|c| sums.iter().map(|sums| f64::from(sums[c])).sum::<f64>());
    let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    LeakyGrads {
        bias: bias.map(|sum| sum as f32).collect(),
        gamma: narrow(gamma),
        beta: narrow(beta),
    }
}

/// How a map is cut.
#[derive(Clone, Copy)]
struct Map {
    images: usize,
    channels: usize,
    /// Of an image.
    pixels: usize,
}

/// Pixels of an image.
#[derive(Clone, Copy)]
struct Item {
    image: usize,
    /// The first pixel, counted through all images.
    first: usize,
    count: usize,
    channels: usize,
}

impl Map {
    fn new(len: usize, norms: &[Norm]) -> Self {
        let channels = norms.first().map_or(1, |norm| norm.mean.len()).max(1);
        norms.iter().for_each(|norm| norm.check(channels));
        let images = norms.len();
        assert!(len.is_multiple_of(images.max(1) * channels), "a map of other images");
        assert!(images > 0 || len == 0, "a map without norms");
        Self { images, channels, pixels: len / (images.max(1) * channels) }
    }

    /// Pixels of an item.
    fn item(&self) -> usize {
        (ITEM / self.channels).max(1)
    }

    fn items_of_image(&self) -> usize {
        self.pixels.div_ceil(self.item()).max(1)
    }

    /// Image after image.
    fn items(self) -> impl IndexedParallelIterator<Item = Item> {
        let Self { pixels, channels, .. } = self;
        let (of_image, size) = (self.items_of_image(), self.item());
        (0..self.images * of_image).into_par_iter().with_max_len(4).map(move |item| {
            let (image, start) = (item / of_image, item % of_image * size);
            let count = size.min(pixels - start);
            Item { image, first: image * pixels + start, count, channels }
        })
    }
}

/// Calls `$work::<L, FULL>(self, first pixel, pixels, channel, channels)` for each vector of channels of each piece.
macro_rules! each_piece {
    ($self:ident, $work:ident, $extra:expr) => {{
        let Item { first, count, channels, .. } = $self.item;
        let pixels = (PIECE / channels).max(1);
        for start in (0..count).step_by(pixels) {
            let pixels = pixels.min(count - start);
            for c in (0..channels).step_by(L::N) {
                let own = channels - c;
                // SAFETY: the vector's channels lie within the pixels, which are the item's; the job is compiled for the
                // instruction set.
                unsafe {
                    if own >= L::N {
                        $self.$work::<L, true>(first + start, pixels, c, own, $extra);
                    } else {
                        $self.$work::<L, false>(first + start, pixels, c, own, $extra);
                    }
                }
            }
        }
    }};
}

/// A norm's vectors of some channels.
#[derive(Clone, Copy)]
struct Vectors<L: Lanes> {
    mean: L::V,
    inv_std: L::V,
    gamma: L::V,
    beta: L::V,
    slope: L::V,
}

impl<L: Lanes> Vectors<L> {
    /// # Safety
    /// The channels `c ..` are the norm's; as for the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn of<const FULL: bool>(norm: &Norm, slope: f32, c: usize, own: usize) -> Self {
        // SAFETY: passed on from the caller.
        unsafe {
            let at = |slice: &[f32]| load_first::<L, FULL>(slice.as_ptr().add(c), own);
            Self {
                mean: at(&norm.mean),
                inv_std: at(&norm.inv_std),
                gamma: at(&norm.gamma),
                beta: at(&norm.beta),
                slope: L::splat(slope),
            }
        }
    }

    /// The normalised value, and what is rectified.
    ///
    /// # Safety
    /// As for the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn values(self, x: L::V) -> (L::V, L::V) {
        // SAFETY: passed on from the caller.
        unsafe {
            let normal = L::mul(L::sub(x, self.mean), self.inv_std);
            (normal, L::add(L::mul(normal, self.gamma), self.beta))
        }
    }

    /// The gradient behind the LeakyReLU.
    ///
    /// # Safety
    /// As for the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn rectified(self, value: L::V, dy: L::V) -> L::V {
        // SAFETY: passed on from the caller.
        unsafe {
            let below = L::mul(dy, self.slope);
            // One of the two terms is 0.
            let below = L::sub(below, L::where_positive(value, below));
            L::add(L::where_positive(value, dy), below)
        }
    }
}

struct Forward<'a> {
    x: Shared,
    y: Shared,
    item: Item,
    norm: &'a Norm,
    slope: f32,
}

impl Job for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        each_piece!(self, lanes, ());
    }
}

impl Forward<'_> {
    /// # Safety
    /// The pixels and channels lie within the map; as for the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn lanes<L: Lanes, const FULL: bool>(
        &self,
        first: usize,
        pixels: usize,
        c: usize,
        own: usize,
        (): (),
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            let norm = Vectors::<L>::of::<FULL>(self.norm, self.slope, c, own);
            for pixel in first..first + pixels {
                let at = pixel * self.item.channels + c;
                let (_, value) = norm.values(load_first::<L, FULL>(self.x.pointer().add(at), own));
                // A slope of at most 1 makes the larger of the two the rectified one.
                let y = L::max(L::mul(value, norm.slope), value);
                store_first::<L, FULL>(self.y.pointer().add(at), y, own);
            }
        }
    }
}

/// Sums of the rectified gradient, alone and times the normalised value.
struct SumBlock<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    item: Item,
    norm: &'a Norm,
    slope: f32,
}

impl Job for SumBlock<'_> {
    type Output = [Vec<f32>; 2];

    #[inline(always)]
    fn run<L: Lanes>(self) -> [Vec<f32>; 2] {
        let zeros = vec![0.0; padded(self.item.channels)];
        let mut sums = [zeros.clone(), zeros];
        each_piece!(self, lanes, &mut sums);
        sums
    }
}

impl SumBlock<'_> {
    /// # Safety
    /// As [`Forward::lanes`]; the sums have the padded channels.
    #[inline(always)]
    unsafe fn lanes<L: Lanes, const FULL: bool>(
        &self,
        first: usize,
        pixels: usize,
        c: usize,
        own: usize,
        sums: &mut [Vec<f32>; 2],
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            let norm = Vectors::<L>::of::<FULL>(self.norm, self.slope, c, own);
            let mut sum = L::load(sums[0].as_ptr().add(c));
            let mut product = L::load(sums[1].as_ptr().add(c));
            for pixel in first..first + pixels {
                let at = pixel * self.item.channels + c;
                let load = |map: &[f32]| load_first::<L, FULL>(map.as_ptr().add(at), own);
                let (normal, value) = norm.values(load(self.x));
                let gradient = norm.rectified(value, load(self.dy));
                sum = L::add(sum, gradient);
                product = L::fma(gradient, normal, product);
            }
            L::store(sums[0].as_mut_ptr().add(c), sum);
            L::store(sums[1].as_mut_ptr().add(c), product);
        }
    }
}

/// The input's gradient over the input; gives its sums.
struct Input<'a> {
    x: Shared,
    dy: &'a [f32],
    item: Item,
    norm: &'a Norm,
    slope: f32,
    mean: &'a [f32],
    product: &'a [f32],
}

impl Job for Input<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<L: Lanes>(self) -> Vec<f32> {
        let mut sums = vec![0.0; padded(self.item.channels)];
        each_piece!(self, lanes, &mut sums);
        sums
    }
}

impl Input<'_> {
    /// # Safety
    /// As [`SumBlock::lanes`].
    #[inline(always)]
    unsafe fn lanes<L: Lanes, const FULL: bool>(
        &self,
        first: usize,
        pixels: usize,
        c: usize,
        own: usize,
        sums: &mut [f32],
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            let norm = Vectors::<L>::of::<FULL>(self.norm, self.slope, c, own);
            let at = |slice: &[f32]| load_first::<L, FULL>(slice.as_ptr().add(c), own);
            let (mean, product) = (at(self.mean), at(self.product));
            let mut sum = L::load(sums.as_ptr().add(c));
            for pixel in first..first + pixels {
                let at = pixel * self.item.channels + c;
                let x = self.x.pointer().add(at);
                let (normal, value) = norm.values(load_first::<L, FULL>(x, own));
                let dy = load_first::<L, FULL>(self.dy.as_ptr().add(at), own);
                let gradient = norm.rectified(value, dy);
                let centred = L::sub(L::sub(gradient, mean), L::mul(normal, product));
                let dx = L::mul(L::mul(centred, norm.gamma), norm.inv_std);
                sum = L::add(sum, dx);
                store_first::<L, FULL>(x, dx, own);
            }
            L::store(sums.as_mut_ptr().add(c), sum);
        }
    }
}
