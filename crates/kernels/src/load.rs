//! Reading pixels into scratch, normalised and rectified on the way, channels padded with zeros.
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

impl Source<'_> {
    /// Reads `count` neighbouring pixels from `pixel` on into rows of `stride` values at `to`; the channels
    /// beyond the map's own, up to [`padded`], become 0.
    ///
    /// # Safety
    /// The pixels lie within the map; `to` has room for `count` rows of `stride >= padded(channels)`.
    #[inline(always)]
    pub unsafe fn read<L: Lanes>(&self, pixel: usize, count: usize, to: *mut f32, stride: usize) {
        let channels = self.channels;
        let whole = channels - channels % L::N;
        for p in 0..count {
            let start = (pixel + p) * channels;
            // SAFETY: `start + channels` lies within the map, and the row at `to` has `padded(channels)`.
            unsafe {
                let row = to.add(p * stride);
                let from = self.map.as_ptr().add(start);
                let mut c = 0;
                while c < whole {
                    let x = L::load(from.add(c));
                    let y = match &self.prologue {
                        Prologue::Plain => x,
                        Prologue::Affine { scale, shift } => L::fma(
                            x,
                            L::load(scale.as_ptr().add(c)),
                            L::load(shift.as_ptr().add(c)),
                        ),
                        Prologue::AffineRelu { scale, shift } => {
                            let (scale, shift) = (scale.as_ptr().add(c), shift.as_ptr().add(c));
                            L::max(L::fma(x, L::load(scale), L::load(shift)), L::splat(0.0))
                        }
                        Prologue::Masked { by } => {
                            L::where_positive(L::load(by.as_ptr().add(start + c)), x)
                        }
                    };
                    L::store(row.add(c), y);
                    c += L::N;
                }
                for c in whole..channels {
                    *row.add(c) = self.prologue.value(self.map, start + c, c);
                }
                for c in channels..padded(channels) {
                    *row.add(c) = 0.0;
                }
            }
        }
    }
}
