//! A step of Adam, which touches memory once.
use crate::simd::{InstructionSet, Job, Lanes};
use rayon::prelude::*;

/// Values of a work item.
const BLOCK: usize = 1 << 14;

/// What one step multiplies by (Kingma and Ba 2015, algorithm 1).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamStep {
    /// Step size, the first moment's correction included.
    pub step_size: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// The second moment's correction: what its root is multiplied by.
    pub root: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

impl AdamStep {
    /// Moves `value` along `gradient`, and both moments with it; all are of one length.
    ///
    /// # Panics
    /// When they are not.
    pub fn apply(
        &self,
        value: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let lens = [gradient.len(), first.len(), second.len()];
        assert_eq!(lens, [value.len(); 3], "a gradient or moments of another length");
        let (set, step) = (InstructionSet::current(), *self);
        let moments = first.par_chunks_mut(BLOCK).zip(second.par_chunks_mut(BLOCK));
        let blocks = value.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK)).zip(moments);
        blocks.for_each(|((value, gradient), (first, second))| {
            set.run(Block { step, value, gradient, first, second });
        });
    }
}

struct Block<'a> {
    step: AdamStep,
    value: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Job for Block<'_> {
    type Output = ();

    // Plain loops: the compiler makes vectors of them, of the set's length.
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let AdamStep { step_size, beta1, beta2, root, epsilon } = self.step;
        let moments = self.first.iter_mut().zip(self.second.iter_mut());
        let values = self.value.iter_mut().zip(self.gradient);
        for ((value, gradient), (m, v)) in values.zip(moments) {
            *m += (gradient - *m) * (1.0 - beta1);
            *v = beta2 * *v + (1.0 - beta2) * gradient * gradient;
            *value -= step_size * *m / (v.sqrt() * root + epsilon);
        }
    }
}
