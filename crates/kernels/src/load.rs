//! Reading pixels into scratch, normalised and rectified on the way, channels padded with zeros.
use crate::gemm::PANEL;
use crate::simd::{Lanes, load_first, padded};
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
}

/// A map to read from, with its prologue.
pub(crate) struct Source<'a> {
    pub map: &'a [f32],
    pub channels: usize,
    pub prologue: Prologue<'a>,
}

/// Pixels at equal distances.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// The first one.
    pub pixel: usize,
    /// How many.
    pub count: usize,
    /// From one to the next: 1 for neighbours.
    pub step: usize,
}

impl Source<'_> {
    /// Reads pixels into the rows of a matrix in panels, `stride` values a panel; the channels beyond the
    /// map's own, up to [`padded`], become 0.
    ///
    /// # Safety
    /// The pixels lie within the map; `to` has `count` rows in each panel.
    #[inline(always)]
    pub unsafe fn read<L: Lanes>(&self, run: Run, to: *mut f32, stride: usize) {
        for c in (0..padded(self.channels)).step_by(L::N) {
            // SAFETY: the vector's channels lie within the panel of `c`; those that are the map's own lie
            // within the map and the per-channel slices.
            unsafe {
                let to = to.add(c / PANEL * stride + c % PANEL);
                let own = self.channels.saturating_sub(c);
                if own >= L::N {
                    self.read_lanes::<L, true>(run, c, own, to);
                } else {
                    self.read_lanes::<L, false>(run, c, own, to);
                }
            }
        }
    }

    /// One vector's channels of each pixel; all are the map's own when `FULL`, else the first `own`.
    ///
    /// # Safety
    /// As [`Self::read`].
    #[inline(always)]
    unsafe fn read_lanes<L: Lanes, const FULL: bool>(
        &self,
        run: Run,
        c: usize,
        own: usize,
        to: *mut f32,
    ) {
        // SAFETY: passed on from the caller. Where a vector is not full, scale and shift are 0 in the lanes
        // that are padding, and so is the result.
        unsafe {
            let zero = L::splat(0.0);
            if !FULL && own == 0 {
                for p in 0..run.count {
                    L::store(to.add(p * PANEL), zero);
                }
                return;
            }
            let first = run.pixel * self.channels + c;
            let from = self.map.as_ptr();
            let at = |slice: &[f32]| load_first::<L, FULL>(slice.as_ptr().add(c), own);
            let step = run.step * self.channels;
            let value = |p: usize| load_first::<L, FULL>(from.add(first + p * step), own);
            match &self.prologue {
                Prologue::Plain => {
                    for p in 0..run.count {
                        L::store(to.add(p * PANEL), value(p));
                    }
                }
                Prologue::Affine { scale, shift } => {
                    let (scale, shift) = (at(scale), at(shift));
                    for p in 0..run.count {
                        L::store(to.add(p * PANEL), L::fma(value(p), scale, shift));
                    }
                }
                Prologue::AffineRelu { scale, shift } => {
                    let (scale, shift) = (at(scale), at(shift));
                    for p in 0..run.count {
                        let y = L::max(zero, L::fma(value(p), scale, shift));
                        L::store(to.add(p * PANEL), y);
                    }
                }
                Prologue::Masked { by } => {
                    let by = by.as_ptr();
                    for p in 0..run.count {
                        let by = by.add(first + p * step);
                        let y = L::where_positive(load_first::<L, FULL>(by, own), value(p));
                        L::store(to.add(p * PANEL), y);
                    }
                }
            }
        }
    }
}
