//! The order of slices and their grouping into batches: pure functions of seed and epoch.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// In which order slices come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As the source numbers them, every epoch.
    Sequential,
    /// All slices of all volumes shuffled, anew each epoch.
    ///
    /// Neighbours in this order come from different volumes: where the volumes do not fit the cache
    /// together, nearly every slice costs reading one of them.
    Shuffled {
        /// Of the permutations.
        seed: u64,
    },
}

/// What becomes of slices that do not fill a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastBatch {
    /// They make a smaller one.
    Keep,
    /// They are left out this epoch, as in the published code.
    Drop,
}

/// How the slices of an epoch are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPlan {
    /// In which order slices come.
    pub order: Order,
    /// Slices in a batch.
    pub batch_size: usize,
    /// What becomes of the rest.
    pub last: LastBatch,
}

impl BatchPlan {
    pub(crate) fn check(&self) -> Result<()> {
        match self.batch_size {
            0 => Err(Error::Setting("a batch size of 0: give at least 1".into())),
            _ => Ok(()),
        }
    }

    /// Batches an epoch of `slices` slices has.
    pub fn len(&self, slices: usize) -> usize {
        match self.last {
            LastBatch::Keep => slices.div_ceil(self.batch_size.max(1)),
            LastBatch::Drop => slices / self.batch_size.max(1),
        }
    }

    /// The indices of each batch of an epoch of `slices` slices; the same for the same epoch.
    pub fn batches(&self, slices: usize, epoch: u64) -> Vec<Vec<usize>> {
        let order = match self.order {
            Order::Sequential => (0..slices).collect(),
            Order::Shuffled { seed } => permutation(slices, seed, epoch),
        };
        self.group(&order)
    }

    /// Slices that an epoch shows in this order, in batches.
    pub(crate) fn group<T: Clone>(&self, order: &[T]) -> Vec<Vec<T>> {
        let batches = order.chunks(self.batch_size.max(1)).take(self.len(order.len()));
        batches.map(<[T]>::to_vec).collect()
    }
}

/// A generator whose every number is fixed by `seed` and `stream`, on every machine and in every version.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);
    generator
}

/// 0 to n - 1 shuffled (Durstenfeld 1964), a function of `seed` and `stream` alone.
pub(crate) fn permutation(n: usize, seed: u64, stream: u64) -> Vec<usize> {
    let mut generator = generator(seed, stream);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, below(&mut generator, last as u64 + 1) as usize);
    }
    order
}

/// A whole number from 0 to `bound` - 1, each as likely: the upper half of a 128-bit product, whose bias of
/// at most `bound` in 2^64 cannot be measured.
fn below(generator: &mut ChaCha8Rng, bound: u64) -> u64 {
    ((u128::from(generator.next_u64()) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_permutation_fixed_by_seed_and_epoch() {
        let first = permutation(100, 3, 1);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, permutation(100, 3, 1));
        assert_ne!(first, permutation(100, 3, 2));
        assert_ne!(first, permutation(100, 4, 1));
        // Runs are resumed by later versions: these numbers must never change.
        assert_eq!(permutation(8, 42, 7), [2, 0, 7, 6, 3, 5, 4, 1]);
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [0; 5];
        for epoch in 0..5000 {
            counts[permutation(5, 1, epoch)[0]] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_last_batch_is_kept_or_dropped() {
        let plan = |last| BatchPlan { order: Order::Sequential, batch_size: 4, last };
        assert_eq!(plan(LastBatch::Keep).batches(6, 0), [vec![0, 1, 2, 3], vec![4, 5]]);
        assert_eq!(plan(LastBatch::Drop).batches(6, 0), [vec![0, 1, 2, 3]]);
        assert_eq!((plan(LastBatch::Keep).len(6), plan(LastBatch::Drop).len(6)), (2, 1));
        assert!(plan(LastBatch::Drop).batches(3, 0).is_empty());
    }
}
