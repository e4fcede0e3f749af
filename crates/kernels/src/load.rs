//! Reading pixels into scratch, normalised and rectified on the way, channels padded with zeros.
use crate::gemm::PANEL;
use crate::simd::{Lanes, padded};
use crate::{Activation, Unit};

/// What happens to a value when it is read.
pub(crate) enum Prologue<'a> {
    /// Nothing.
    Plain,
    /// `x * scale + shift`.
    Affine { scale: Vec<f32>, shift: Vec<f32> },
    /// `max(x * scale + shift, 0)`.
    AffineRelu { scale: Vec<f32>, shift: Vec<f32> },
    /// The value where the other map, of the same shape, is positive; else 0.
    Masked { by: &'a [f32] },
}

impl Prologue<'_> {
    /// What a unit does to its input before the convolution.
    pub fn of(unit: &Unit) -> Prologue<'static> {
        let channels = unit.input.c;
        let (scale, shift) = match unit.norm {
            Some(norm) => norm.scale_shift(),
            None if unit.activation == Activation::None => return Prologue::Plain,
            None => (vec![1.0; channels], vec![0.0; channels]),
        };
        match unit.activation {
            Activation::None => Prologue::Affine { scale, shift },
            Activation::Relu => Prologue::AffineRelu { scale, shift },
        }
    }

    fn value(&self, map: &[f32], index: usize, channel: usize) -> f32 {
        let x = map[index];
        match self {
            Self::Plain => x,
            Self::Affine { scale, shift } => x * scale[channel] + shift[channel],
            Self::AffineRelu { scale, shift } => (x * scale[channel] + shift[channel]).max(0.0),
            Self::Masked { by } => {
                if by[index] > 0.0 {
                    x
                } else {
                    0.0
                }
            }
        }
    }
}

/// A map to read from, with its prologue.
pub(crate) struct Source<'a> {
    pub map: &'a [f32],
    pub channels: usize,
    pub prologue: Prologue<'a>,
}

/// Neighbouring pixels.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// The first one.
    pub pixel: usize,
    /// How many.
    pub count: usize,
}

impl Source<'_> {
    /// Reads pixels into the rows of a matrix in panels, `stride` values a panel; the channels beyond the
    /// map's own, up to [`padded`], become 0.
    ///
    /// # Safety
    /// The pixels lie within the map; `to` has `count` rows in each panel.
    #[inline(always)]
    pub unsafe fn read<L: Lanes>(&self, run: Run, to: *mut f32, stride: usize) {
        // SAFETY: this runs on a processor that has the set.
        let zero = unsafe { L::splat(0.0) };
        for c in (0..padded(self.channels)).step_by(L::N) {
            // SAFETY: the vector's channels lie within the panel of `c`; where all of them are the map's
            // own, they lie within the map and the per-channel slices.
            unsafe {
                let to = to.add(c / PANEL * stride + c % PANEL);
                if c + L::N > self.channels {
                    self.read_rest::<L>(run, c, to);
                    continue;
                }
                let first = run.pixel * self.channels + c;
                let at = |slice: &[f32]| L::load(slice.as_ptr().add(c));
                match &self.prologue {
                    Prologue::Plain => self.each::<L>(run, first, to, |x, _| x),
                    Prologue::Affine { scale, shift } => {
                        let (scale, shift) = (at(scale), at(shift));
                        self.each::<L>(run, first, to, |x, _| L::fma(x, scale, shift));
                    }
                    Prologue::AffineRelu { scale, shift } => {
                        let (scale, shift) = (at(scale), at(shift));
                        self.each::<L>(run, first, to, |x, _| {
                            L::max(L::fma(x, scale, shift), zero)
                        });
                    }
                    Prologue::Masked { by } => {
                        let by = by.as_ptr();
                        self.each::<L>(run, first, to, |x, index| {
                            L::where_positive(L::load(by.add(index)), x)
                        });
                    }
                }
            }
        }
    }

    /// # Safety
    /// A vector at `first` and at every further pixel's place lies within the map; `to` has a row for each.
    #[inline(always)]
    unsafe fn each<L: Lanes>(
        &self,
        run: Run,
        first: usize,
        to: *mut f32,
        value: impl Fn(L::V, usize) -> L::V,
    ) {
        let from = self.map.as_ptr();
        for p in 0..run.count {
            // SAFETY: passed on from the caller.
            unsafe {
                let index = first + p * self.channels;
                L::store(to.add(p * PANEL), value(L::load(from.add(index)), index));
            }
        }
    }

    /// A vector's channels of which some, or all, are padding.
    ///
    /// # Safety
    /// As [`Self::read`].
    #[inline(always)]
    unsafe fn read_rest<L: Lanes>(&self, run: Run, c: usize, to: *mut f32) {
        let own = self.channels.saturating_sub(c).min(L::N);
        for p in 0..run.count {
            let mut lanes = [0.0f32; PANEL];
            for (lane, value) in lanes.iter_mut().enumerate().take(own) {
                let channel = c + lane;
                let index = (run.pixel + p) * self.channels + channel;
                *value = self.prologue.value(self.map, index, channel);
            }
            // SAFETY: the vector lies within the pixel's row of the panel.
            unsafe { L::store(to.add(p * PANEL), L::load(lanes.as_ptr())) };
        }
    }
}
