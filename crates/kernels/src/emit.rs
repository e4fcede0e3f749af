//! Writing pixels: what follows a convolution, and what is gathered on the way.
use crate::memory::Shared;
use crate::simd::{Lanes, padded};

/// What happens to a result before it is stored, and which sums are gathered of it.
pub(crate) enum Epilogue<'a> {
    /// `y = v + bias`
    Plain { bias: Option<&'a [f32]> },
    /// `y = max(v + bias, 0)`
    Relu { bias: Option<&'a [f32]> },
    /// `y = v + bias + skip`
    Add { bias: Option<&'a [f32]>, skip: &'a [f32] },
    /// Backward through an activation: `y = v` where the activation passed, else 0. Sums of y and of
    /// y * normalised input.
    Gradient(Gradient<'a>),
}

/// The pre-activation that a gradient goes back through.
pub(crate) struct Gradient<'a> {
    /// The unit's input.
    pub input: &'a [f32],
    /// `input * scale + shift` is what was rectified; none where nothing was.
    pub rectified: Option<(&'a [f32], &'a [f32])>,
    /// `(input - mean) * inv_std` is the normalised input; none where there was no normalisation.
    pub normalised: Option<(&'a [f32], &'a [f32])>,
}

/// What to gather while storing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sums {
    Nothing,
    /// Sum and sum of squares of the output, about a shift.
    Moments,
    /// Sum of the gradient, and of gradient times normalised input.
    Gradient,
}

/// A map to write to, with its epilogue.
pub(crate) struct Sink<'a> {
    pub out: Shared,
    pub channels: usize,
    pub epilogue: Epilogue<'a>,
    pub sums: Sums,
}

/// Sums over the pixels that one work item stored; each has the padded channels.
pub(crate) struct Partial {
    pub count: usize,
    pub shift: Vec<f32>,
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Partial {
    pub fn new(channels: usize, sums: Sums) -> Self {
        let zeros = if sums == Sums::Nothing { Vec::new() } else { vec![0.0; padded(channels)] };
        Self { count: 0, shift: zeros.clone(), first: zeros.clone(), second: zeros }
    }
}

impl Sink<'_> {
    /// Stores `N` vectors, one for each pixel of `pixels`, at channel `c` on, and adds to the item's sums.
    ///
    /// # Safety
    /// `c + L::N <= padded(channels)`; the pixels lie within the map and no other item writes them;
    /// `partial` was made for these channels and sums.
    #[inline(always)]
    pub unsafe fn store<L: Lanes>(
        &self,
        pixels: &[usize],
        values: &[L::V],
        c: usize,
        partial: &mut Partial,
    ) {
        let room = self.channels.saturating_sub(c);
        // SAFETY: passed on from the caller.
        unsafe {
            if room >= L::N {
                self.store_vectors::<L>(pixels, values, c, partial);
            } else if room > 0 {
                self.store_rest::<L>(pixels, values, c, room, partial);
            }
        }
    }

    /// # Safety
    /// As [`Self::store`], and all lanes are channels.
    #[inline(always)]
    unsafe fn store_vectors<L: Lanes>(
        &self,
        pixels: &[usize],
        values: &[L::V],
        c: usize,
        partial: &mut Partial,
    ) {
        // SAFETY: `pixel * channels + c` and the lane's following values lie within the maps; per-channel
        // slices hold `channels >= c + L::N` values.
        unsafe {
            let zero = L::splat(0.0);
            let at = |slice: &[f32]| L::load(slice.as_ptr().add(c));
            let bias = match self.epilogue {
                Epilogue::Plain { bias: Some(bias) }
                | Epilogue::Relu { bias: Some(bias) }
                | Epilogue::Add { bias: Some(bias), .. } => at(bias),
                _ => zero,
            };
            let shift = if self.sums == Sums::Moments { at(&partial.shift) } else { zero };
            let (mut first, mut second) = (zero, zero);
            match &self.epilogue {
                Epilogue::Plain { .. } if self.sums == Sums::Nothing => {
                    self.each::<L>(pixels, values, c, |value, _| L::add(value, bias));
                }
                Epilogue::Gradient(gradient) => {
                    let input = gradient.input.as_ptr();
                    let (scale, offset) =
                        gradient.rectified.map_or((zero, L::splat(1.0)), |(a, b)| (at(a), at(b)));
                    let (mean, inv_std) =
                        gradient.normalised.map_or((zero, zero), |(a, b)| (at(a), at(b)));
                    self.each::<L>(pixels, values, c, |value, index| {
                        let x = L::load(input.add(index));
                        let y = L::where_positive(L::fma(x, scale, offset), value);
                        first = L::add(first, y);
                        second = L::fma(y, L::mul(L::sub(x, mean), inv_std), second);
                        y
                    });
                }
                epilogue => {
                    let (mut gathered, mut squares) = (zero, zero);
                    let mut gather = |y: L::V| {
                        let centred = L::sub(y, shift);
                        gathered = L::add(gathered, centred);
                        squares = L::fma(centred, centred, squares);
                        y
                    };
                    match epilogue {
                        Epilogue::Add { skip, .. } => {
                            let skip = skip.as_ptr();
                            self.each::<L>(pixels, values, c, |value, index| {
                                gather(L::add(L::add(value, bias), L::load(skip.add(index))))
                            });
                        }
                        Epilogue::Relu { .. } => {
                            self.each::<L>(pixels, values, c, |value, _| {
                                gather(L::max(L::add(value, bias), zero))
                            });
                        }
                        _ => self.each::<L>(pixels, values, c, |value, _| gather(L::add(value, bias))),
                    }
                    (first, second) = (gathered, squares);
                }
            }
            if self.sums != Sums::Nothing {
                let (a, b) =
                    (partial.first.as_mut_ptr().add(c), partial.second.as_mut_ptr().add(c));
                if self.sums == Sums::Moments && partial.count == 0 {
                    recentre::<L>(pixels.len(), first, second, c, partial);
                } else {
                    L::store(a, L::add(L::load(a), first));
                    L::store(b, L::add(L::load(b), second));
                }
            }
        }
    }

    /// Stores `finish(value, index)` for each pixel.
    ///
    /// # Safety
    /// As [`Self::store`], and all lanes are channels.
    #[inline(always)]
    unsafe fn each<L: Lanes>(
        &self,
        pixels: &[usize],
        values: &[L::V],
        c: usize,
        mut finish: impl FnMut(L::V, usize) -> L::V,
    ) {
        let out = self.out.pointer();
        for (&pixel, &value) in pixels.iter().zip(values) {
            let index = pixel * self.channels + c;
            // SAFETY: passed on from the caller.
            unsafe { L::store(out.add(index), finish(value, index)) };
        }
    }

    /// The last channels, fewer than a vector.
    ///
    /// # Safety
    /// As [`Self::store`].
    #[inline(always)]
    unsafe fn store_rest<L: Lanes>(
        &self,
        pixels: &[usize],
        values: &[L::V],
        c: usize,
        room: usize,
        partial: &mut Partial,
    ) {
        let mut lanes = [0.0f32; 16];
        let (mut first, mut second) = ([0.0f32; 16], [0.0f32; 16]);
        for (&pixel, &value) in pixels.iter().zip(values) {
            // SAFETY: a vector has at most 16 lanes.
            unsafe { L::store(lanes.as_mut_ptr(), value) };
            for lane in 0..room {
                let (channel, index) = (c + lane, pixel * self.channels + c + lane);
                let y = self.value(lanes[lane], channel, index);
                match (&self.epilogue, self.sums) {
                    (_, Sums::Moments) => {
                        let centred = y - partial.shift[channel];
                        first[lane] += centred;
                        second[lane] += centred * centred;
                    }
                    (Epilogue::Gradient(gradient), Sums::Gradient) => {
                        if let Some((mean, inv_std)) = gradient.normalised {
                            let normal = (gradient.input[index] - mean[channel]) * inv_std[channel];
                            first[lane] += y;
                            second[lane] += y * normal;
                        }
                    }
                    _ => {}
                }
                // SAFETY: the pixel lies within the map and belongs to this item.
                unsafe { *self.out.pointer().add(index) = y };
            }
        }
        if self.sums != Sums::Nothing {
            for lane in 0..room {
                let channel = c + lane;
                if self.sums == Sums::Moments && partial.count == 0 {
                    let mean = first[lane] / pixels.len() as f32;
                    partial.shift[channel] = mean;
                    partial.second[channel] = (second[lane] - first[lane] * mean).max(0.0);
                } else {
                    partial.first[channel] += first[lane];
                    partial.second[channel] += second[lane];
                }
            }
        }
    }

    fn value(&self, value: f32, channel: usize, index: usize) -> f32 {
        let biased = |bias: &Option<&[f32]>| value + bias.map_or(0.0, |bias| bias[channel]);
        match &self.epilogue {
            Epilogue::Plain { bias } => biased(bias),
            Epilogue::Relu { bias } => biased(bias).max(0.0),
            Epilogue::Add { bias, skip } => biased(bias) + skip[index],
            Epilogue::Gradient(gradient) => match gradient.rectified {
                Some((scale, shift))
                    if gradient.input[index] * scale[channel] + shift[channel] <= 0.0 =>
                {
                    0.0
                }
                _ => value,
            },
        }
    }
}

/// After an item's first pixels: their mean becomes the shift about which the rest is summed, so that
/// channels whose mean is large against their deviation keep their digits.
///
/// # Safety
/// `c + L::N` is at most the padded channels of `partial`.
#[inline(always)]
unsafe fn recentre<L: Lanes>(
    pixels: usize,
    sum: L::V,
    squares: L::V,
    c: usize,
    partial: &mut Partial,
) {
    // SAFETY: the three vectors have the padded channels.
    unsafe {
        let zero = L::splat(0.0);
        let mean = L::mul(sum, L::splat(1.0 / pixels as f32));
        L::store(partial.shift.as_mut_ptr().add(c), mean);
        let second = L::max(L::sub(squares, L::mul(sum, mean)), zero);
        L::store(partial.second.as_mut_ptr().add(c), second);
    }
}
