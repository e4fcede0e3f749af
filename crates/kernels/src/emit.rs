//! Writing pixels: what follows a convolution, and what is gathered on the way.
use crate::memory::Shared;
use crate::simd::{Lanes, load_first, padded, store_first};

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

/// Vectors at equal distances, in memory that stays valid while they are stored.
#[derive(Clone, Copy)]
pub(crate) struct Vectors {
    /// The first one's first value.
    pub first: *const f32,
    /// Values from one to the next.
    pub stride: usize,
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
    /// Stores vectors, one for each pixel of `pixels`, at channel `c` on, and adds to the item's sums.
    ///
    /// # Safety
    /// `c + L::N <= padded(channels)`; the pixels lie within the map and no other item writes them; there
    /// are as many vectors; `partial` was made for these channels and sums.
    #[inline(always)]
    pub unsafe fn store<L: Lanes>(
        &self,
        pixels: &[usize],
        values: Vectors,
        c: usize,
        partial: &mut Partial,
    ) {
        let own = self.channels.saturating_sub(c);
        // SAFETY: passed on from the caller.
        unsafe {
            if own >= L::N {
                self.store_lanes::<L, true>(pixels, values, c, own, partial);
            } else if own > 0 {
                self.store_lanes::<L, false>(pixels, values, c, own, partial);
            }
        }
    }

    /// All lanes are channels of the map when `FULL`, else the first `own`.
    ///
    /// # Safety
    /// As [`Self::store`].
    #[inline(always)]
    unsafe fn store_lanes<L: Lanes, const FULL: bool>(
        &self,
        pixels: &[usize],
        values: Vectors,
        c: usize,
        own: usize,
        partial: &mut Partial,
    ) {
        let Self { channels, out, epilogue, sums } = self;
        // SAFETY: `pixel * channels + c` and the following values of the lanes that are channels lie within
        // the maps and the per-channel slices; `partial` has the padded channels; there is a vector for
        // each pixel.
        unsafe {
            let zero = L::splat(0.0);
            let at = |slice: &[f32]| load_first::<L, FULL>(slice.as_ptr().add(c), own);
            let map_at = |map: &[f32], index| load_first::<L, FULL>(map.as_ptr().add(index), own);
            let store = |index: usize, y| {
                store_first::<L, FULL>(out.pointer().add(index), y, own);
            };
            let places = pixels.iter().enumerate().map(|(i, pixel)| {
                (pixel * channels + c, L::load(values.first.add(i * values.stride)))
            });
            let bias = match epilogue {
                Epilogue::Plain { bias } | Epilogue::Relu { bias } | Epilogue::Add { bias, .. } => {
                    bias.map_or(zero, at)
                }
                Epilogue::Gradient(_) => zero,
            };
            let mut gathered = Gathered::<L> { shift: zero, first: zero, second: zero };
            let is_start = *sums == Sums::Moments && partial.count == 0;
            if *sums == Sums::Moments {
                gathered.shift = L::load(partial.shift.as_ptr().add(c));
            }
            match epilogue {
                Epilogue::Plain { .. } if *sums == Sums::Nothing => {
                    for (index, value) in places {
                        store(index, L::add(value, bias));
                    }
                }
                Epilogue::Plain { .. } => {
                    for (index, value) in places {
                        store(index, gathered.moments(L::add(value, bias)));
                    }
                }
                Epilogue::Relu { .. } => {
                    for (index, value) in places {
                        store(index, gathered.moments(L::max(zero, L::add(value, bias))));
                    }
                }
                Epilogue::Add { skip, .. } => {
                    for (index, value) in places {
                        let y = L::add(L::add(value, bias), map_at(skip, index));
                        store(index, gathered.moments(y));
                    }
                }
                Epilogue::Gradient(Gradient { input, rectified, normalised }) => {
                    // Where nothing was rectified, the condition is 1 and passes everything.
                    let (scale, offset) =
                        rectified.map_or((zero, L::splat(1.0)), |(a, b)| (at(a), at(b)));
                    let (mean, inv_std) = normalised.map_or((zero, zero), |(a, b)| (at(a), at(b)));
                    for (index, value) in places {
                        let x = map_at(input, index);
                        let y = L::where_positive(L::fma(x, scale, offset), value);
                        let normal = L::mul(L::sub(x, mean), inv_std);
                        store(index, gathered.products(y, normal));
                    }
                }
            }
            if is_start {
                // The mean of the item's first pixels becomes the shift about which all are summed, so that
                // channels whose mean is large against their deviation keep their digits.
                let mean = L::mul(gathered.first, L::splat(1.0 / pixels.len() as f32));
                gathered = Gathered { shift: mean, first: zero, second: zero };
                L::store(partial.shift.as_mut_ptr().add(c), mean);
                for pixel in pixels {
                    let stored = out.pointer().add(pixel * channels + c).cast_const();
                    gathered.moments(load_first::<L, FULL>(stored, own));
                }
            }
            if *sums != Sums::Nothing {
                gathered.add_to(c, partial);
            }
        }
    }
}

/// Sums over a few pixels of one vector's channels.
struct Gathered<L: Lanes> {
    shift: L::V,
    first: L::V,
    second: L::V,
}

impl<L: Lanes> Gathered<L> {
    /// Adds to sum and squares about the shift. Gives `y` back.
    ///
    /// # Safety
    /// As for the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn moments(&mut self, y: L::V) -> L::V {
        // SAFETY: passed on from the caller.
        unsafe {
            let centred = L::sub(y, self.shift);
            self.first = L::add(self.first, centred);
            self.second = L::fma(centred, centred, self.second);
        }
        y
    }

    /// Adds to the sums of a gradient. Gives `y` back.
    ///
    /// # Safety
    /// As for the methods of [`Lanes`].
    #[inline(always)]
    unsafe fn products(&mut self, y: L::V, normal: L::V) -> L::V {
        // SAFETY: passed on from the caller.
        unsafe {
            self.first = L::add(self.first, y);
            self.second = L::fma(y, normal, self.second);
        }
        y
    }

    /// Adds to an item's sums.
    ///
    /// # Safety
    /// `c + L::N` is at most the padded channels of `partial`.
    #[inline(always)]
    unsafe fn add_to(self, c: usize, partial: &mut Partial) {
        // SAFETY: the two vectors have the padded channels.
        unsafe {
            for (sums, added) in
                [(&mut partial.first, self.first), (&mut partial.second, self.second)]
            {
                let sum = sums.as_mut_ptr().add(c);
                L::store(sum, L::add(L::load(sum), added));
            }
        }
    }
}
