//! Some slices of a source, as a source.
use crate::{Result, Slice, SliceSource};
use std::sync::Arc;

/// The slices of `of` at some indices, in their order.
pub struct SliceSubset {
    of: Arc<dyn SliceSource>,
    indices: Vec<usize>,
}

impl SliceSubset {
    /// The slices at `indices`; those that the source has not got are left out.
    pub fn new(of: Arc<dyn SliceSource>, indices: impl IntoIterator<Item = usize>) -> Self {
        let indices = indices.into_iter().filter(|&index| index < of.len()).collect();
        Self { of, indices }
    }

    /// The index in the whole source; past its end for an index past the end of the subset.
    fn whole(&self, index: usize) -> usize {
        self.indices.get(index).copied().unwrap_or(self.of.len())
    }
}

impl SliceSource for SliceSubset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn size(&self) -> [usize; 2] {
        self.of.size()
    }

    fn read(&self, index: usize) -> Result<Slice> {
        self.of.read(self.whole(index))
    }

    fn describe(&self, index: usize) -> String {
        self.of.describe(self.whole(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Window};

    struct Numbers(usize);

    impl SliceSource for Numbers {
        fn len(&self) -> usize {
            self.0
        }

        fn size(&self) -> [usize; 2] {
            [1, 1]
        }

        fn read(&self, index: usize) -> Result<Slice> {
            if index >= self.0 {
                return Err(crate::Error::Setting(format!("there is no slice {index}")));
            }
            Ok(Slice {
                image: vec![index as f32],
                labels: None,
                height: 1,
                width: 1,
                window: Window { top: 0, left: 0, height: 1, width: 1 },
                place: Place { subject: 0, slice: index, frame: 0 },
            })
        }

        fn describe(&self, index: usize) -> String {
            format!("slice {index}")
        }
    }

    #[test]
    fn a_subset_reads_its_own_slices_alone() {
        let subset = SliceSubset::new(Arc::new(Numbers(10)), [1, 4, 9, 12]);
        assert_eq!((subset.len(), subset.size()), (3, [1, 1]));
        assert_eq!(subset.read(1).unwrap().image, [4.0]);
        assert_eq!(subset.describe(2), "slice 9");
        assert!(subset.read(3).is_err(), "what lies outside the subset is not reached");
    }
}
